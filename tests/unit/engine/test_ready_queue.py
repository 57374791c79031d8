"""In which order the ready tasks of a handler are taken, and what gives way."""

from hypothesis import given
from hypothesis import strategies as st

from mainspring.server.core.model import TaskRef
from mainspring.server.engine.ready_queue import FRESH_PART, FRESH_S, ReadyQueue

SECOND = 1_000_000


def ref(number: int) -> TaskRef:
    return TaskRef(0, number.to_bytes(16, "big"))


def filled(*due_s: float) -> ReadyQueue:
    """Task n is due at the n-th of these seconds."""
    queue = ReadyQueue()
    for number, at in enumerate(due_s):
        queue.append(ref(number), int(at * SECOND))
    return queue


def test_a_short_queue_is_taken_oldest_first() -> None:
    assert filled(2, 1, 1.5).take(5) == [ref(1), ref(2), ref(0)]


def test_what_became_due_after_a_herd_gets_its_part_of_each_batch() -> None:
    queue = filled(*[0] * 100, *[1] * 4, *[2] * 4)
    taken = queue.take(24)
    assert taken[:18] == [ref(n) for n in range(18)], "the herd, in its order"
    assert taken[18:] == [*map(ref, range(104, 108)), ref(100), ref(101)], (
        "the newest second, then the one before"
    )


def test_batches_of_one_leave_the_newest_its_part() -> None:
    queue = filled(*[0] * 100, *[1] * 5)
    taken = [queue.take(1)[0] for _ in range(5 * FRESH_PART)]
    assert [n for n in range(100, 105) if ref(n) in taken] == [100, 101, 102, 103, 104]


def test_what_is_put_back_is_taken_first() -> None:
    queue = filled(0, 0, 0)
    assert queue.take(1) == [ref(0)]
    queue.put_back(ref(0), 0)
    assert queue.take(3) == [ref(0), ref(1), ref(2)]


def test_the_end_of_a_herd_gives_way_and_not_what_became_due_after_it() -> None:
    queue = filled(*[0] * 10, 1, 2)
    assert queue.shed(3, 2 * SECOND) == (0, [ref(9), ref(8), ref(7)])
    assert queue.shed(3, (2 + FRESH_S) * SECOND) == (1, [ref(10)]), "the newest of what is not fresh"
    assert len(queue) == 8


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=60),
    st.lists(st.tuples(st.sampled_from(["take", "shed"]), st.integers(1, 9)), max_size=30),
)
def test_each_task_leaves_once_and_none_is_passed_over_for_ever(
    due_s: list[int], steps: list[tuple[str, int]]
) -> None:
    queue = filled(*due_s)
    left = set(range(len(due_s)))
    for step, limit in steps:
        if not queue:
            break
        oldest = min(due_s[n] for n in left)
        out = queue.take(limit) if step == "take" else queue.shed(limit, 12 * SECOND)[1]
        numbers = [int.from_bytes(r.task_key, "big") for r in out]
        assert len(numbers) == len(set(numbers)) <= limit
        assert left.issuperset(numbers)
        if step == "take" and limit > 1:
            assert oldest in {due_s[n] for n in numbers}, "each batch moves what has waited longest"
        left.difference_update(numbers)
        assert len(queue) == len(left)
