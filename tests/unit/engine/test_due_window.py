"""The window of due tasks: merging, order, claims, and what must never be lost or doubled."""

from mainspring.server.core.model import DueTask, TaskRef
from mainspring.server.core.policies import Policies, Timeouts, encode
from mainspring.server.engine.due_window import DueWindow

SECOND = 1_000_000


def due(number: int, due_at: int, *, partition: int = 0, version: int = 1, handler: str = "noop") -> DueTask:
    return DueTask(due_at, partition, number.to_bytes(16, "big"), due_at, version, handler, "{}", 0)


def window(capacity: int = 100) -> DueWindow:
    made = DueWindow(0, capacity)
    made.frontier = 100 * SECOND
    return made


def test_due_tasks_come_oldest_first_and_never_early() -> None:
    w = window()
    w.merge([due(3, 3 * SECOND), due(1, 1 * SECOND), due(2, 2 * SECOND)])
    assert w.advance(SECOND - 1) == 0
    assert w.begin_claims("noop", 10) == []
    assert w.advance(2 * SECOND + 1000) == 2
    assert [t.due_at for t in w.begin_claims("noop", 10)] == [SECOND, 2 * SECOND]


def test_a_handler_without_room_holds_up_no_other() -> None:
    w = window()
    w.merge([due(1, SECOND, handler="slow"), due(2, 2 * SECOND, handler="fast")])
    w.advance(3 * SECOND)
    assert [t.handler for t in w.begin_claims("fast", 1)] == ["fast"]
    assert w.ready_handlers() == ["slow"]


def test_loading_again_changes_nothing() -> None:
    w = window()
    task = due(1, SECOND)
    w.merge([task])
    w.advance(2 * SECOND)
    w.merge([task])
    assert w.begin_claims("noop", 10) == [task]
    w.merge([task])
    assert w.advance(3 * SECOND) == 0
    assert w.begin_claims("noop", 10) == []


def test_an_older_version_never_replaces_a_newer_one() -> None:
    w = window()
    w.merge([due(1, 5 * SECOND, version=2)])
    w.merge([due(1, SECOND, version=1)])
    assert w.advance(2 * SECOND) == 0
    w.merge([due(1, SECOND, version=3)])
    assert w.advance(2 * SECOND) == 1


def test_a_settled_claim_goes_on_with_its_next_time_inside_the_window_only() -> None:
    w = window()
    near, far = due(1, SECOND), due(2, SECOND)
    w.merge([near, far])
    w.advance(SECOND)
    claimed = w.begin_claims("noop", 10)
    assert len(claimed) == 2
    w.settle_claim(near, near._replace(due_at=6 * SECOND, scheduled_at=6 * SECOND))
    w.settle_claim(far, far._replace(due_at=200 * SECOND, scheduled_at=200 * SECOND))
    assert near.ref in w
    assert far.ref not in w
    w.advance(7 * SECOND)
    assert [t.due_at for t in w.begin_claims("noop", 10)] == [6 * SECOND]


def test_a_returned_claim_is_ready_again_in_front() -> None:
    w = window()
    w.merge([due(1, SECOND), due(2, 2 * SECOND)])
    w.advance(2 * SECOND)
    (first,) = w.begin_claims("noop", 1)
    w.return_claim(first)
    assert [t.due_at for t in w.begin_claims("noop", 2)] == [SECOND, 2 * SECOND]


def test_a_forgotten_task_does_not_fire_but_one_under_claim_is_left_alone() -> None:
    w = window()
    ready, claiming = due(1, SECOND), due(2, SECOND)
    w.merge([claiming])
    w.advance(SECOND)
    w.begin_claims("noop", 1)
    w.merge([ready])
    w.forget(ready.ref)
    w.forget(claiming.ref)
    w.advance(2 * SECOND)
    assert w.begin_claims("noop", 10) == []
    assert claiming.ref in w


def test_forgetting_a_partition_makes_outcomes_of_its_claims_harmless() -> None:
    w = window()
    mine, other = due(1, SECOND, partition=1), due(2, SECOND, partition=2)
    w.merge([mine, other])
    w.advance(SECOND)
    w.begin_claims("noop", 10)
    w.forget_partitions({1})
    w.settle_claim(mine, mine._replace(due_at=2 * SECOND))
    w.return_claim(mine)
    assert mine.ref not in w
    assert TaskRef(2, other.task_key) in w


def test_a_changed_handler_moves_the_task_to_the_other_queue() -> None:
    w = window()
    w.merge([due(1, SECOND)])
    w.advance(SECOND)
    w.merge([due(1, SECOND, version=2, handler="echo")])
    w.advance(SECOND + 1000)
    assert w.begin_claims("noop", 10) == []
    assert len(w.begin_claims("echo", 10)) == 1


def test_room_is_what_is_left_of_the_capacity() -> None:
    w = window(capacity=2)
    w.merge([due(1, SECOND), due(2, SECOND), due(3, SECOND)])
    assert w.room == 0


def with_backlog(*, capacity: int = 100) -> DueWindow:
    """What has been due for more than 30 s is backlog; it is second 100, and both lines have 20 tasks."""
    made = DueWindow(0, capacity, backlog_after_us=30 * SECOND)
    made.frontier = 200 * SECOND
    made.advance(100 * SECOND)
    made.merge([due(number, number * SECOND) for number in range(1, 21)])
    made.merge([due(100 + number, 80 * SECOND + number) for number in range(20)])
    made.advance(101 * SECOND)
    return made


def ages(tasks: list[DueTask]) -> str:
    return "".join("f" if task.due_at >= 80 * SECOND else "b" for task in tasks)


def test_what_is_fresh_goes_before_a_backlog_which_has_its_share() -> None:
    w = with_backlog(capacity=1_000)
    first = w.begin_claims("noop", 8)
    assert ages(first) == "ffffffbb"
    assert [t.due_at for t in first] == [*sorted(t.due_at for t in first[:6]), SECOND, 2 * SECOND]
    assert w.ready_count("noop") == 32
    assert ages(w.begin_claims("noop", 20)) == "f" * 14 + "b" * 6, "no fresh ones are left"
    assert ages(w.begin_claims("noop", 100)) == "b" * 12
    assert w.ready_handlers() == []


def test_credit_that_comes_by_ones_is_shared_likewise() -> None:
    w = with_backlog(capacity=1_000)
    assert ages([task for _ in range(8) for task in w.begin_claims("noop", 1)]) == "fffbfffb"


def test_a_backlog_that_was_not_there_has_nothing_owed() -> None:
    w = DueWindow(0, 100, backlog_after_us=30 * SECOND)
    w.frontier = 200 * SECOND
    w.advance(100 * SECOND)
    w.merge([due(number, 90 * SECOND + number) for number in range(9)])
    w.advance(101 * SECOND)
    assert ages(w.begin_claims("noop", 4)) == "ffff"
    w.merge([due(100 + number, SECOND + number) for number in range(5)])
    w.advance(102 * SECOND)
    assert ages(w.begin_claims("noop", 4)) == "fffb"


def test_a_backlog_takes_no_room_from_what_is_fresh() -> None:
    w = with_backlog()  # a tenth of the capacity is for the backlog
    assert w.ready_count("noop") == 30
    assert ages(w.begin_claims("noop", 100)) == "f" * 20 + "b" * 10
    left = due(121, 15 * SECOND)
    w.merge([left])
    assert left.ref not in w, "its line is saturated"
    assert w.relieve("noop")
    assert w.frontier == 200 * SECOND, "the loader does not go back into the backlog"
    w.merge([left])
    assert left.ref in w


def test_the_loader_goes_back_to_what_fresh_tasks_were_left() -> None:
    w = window(capacity=20)
    w.merge([due(number, number * SECOND) for number in range(1, 13)])
    w.advance(14 * SECOND)
    assert w.ready_count("noop") == 10
    left = due(12, 12 * SECOND)
    assert left.ref in w, "of what is fresh nothing gives way to what is older"
    assert due(11, 11 * SECOND).ref not in w
    assert len(w.begin_claims("noop", 5)) == 5
    assert w.relieve("noop")
    assert w.frontier == 10 * SECOND


# --- too late to start ------------------------------------------------------------------------------------------------

STARTS = encode(Policies(timeouts=Timeouts(5 * SECOND)))


def test_tasks_that_nobody_takes_in_time_are_taken_as_expired_and_leave_no_names_behind() -> None:
    w = window(capacity=100_000)
    w.frontier = 10_000 * SECOND
    tasks = [due(n, SECOND)._replace(policies=STARTS) for n in range(1_500)]
    w.merge(tasks)
    for _ in range(20):
        w.advance(tasks[0].due_at + 1_000)
        assert not w.has_expired
        assert w.next_deadline() is not None
        assert w.advance(tasks[0].due_at + 5 * SECOND) == 0
        assert w.advance(tasks[0].due_at + 5 * SECOND + 1_000) == len(tasks)
        taken = w.begin_expired(1_000) + w.begin_expired(1_000)
        assert taken == tasks
        assert not w.has_expired
        tasks = [
            t._replace(due_at=t.due_at + 60 * SECOND, scheduled_at=t.scheduled_at + 60 * SECOND)
            for t in taken
        ]
        for task, following in zip(taken, tasks, strict=True):
            w.settle_claim(task, following)
        assert w.ready_count("noop") <= 750
    w.advance(tasks[0].due_at + 1_000)
    assert w.begin_claims("noop", 2_000) == tasks
    assert w.begin_claims("noop", 2_000) == []


def test_a_task_that_got_another_handler_is_not_lost_when_names_are_dropped() -> None:
    w = window()
    moved = due(1, SECOND, handler="old")
    w.merge([moved, *(due(n, SECOND, handler="old")._replace(policies=STARTS) for n in range(2, 9))])
    w.advance(2 * SECOND)
    now = moved._replace(handler="new", version=2)
    w.merge([now])
    w.advance(7 * SECOND)
    assert len(w.begin_expired(100)) == 7
    assert w.ready_count("old") == 0
    assert w.begin_claims("new", 9) == [now]


def test_names_of_one_handler_are_dropped_whatever_others_have() -> None:
    w = window()
    w.merge([due(n, SECOND, handler="of nobody") for n in range(10, 40)])
    w.merge([due(n, SECOND)._replace(policies=STARTS) for n in range(8)])
    w.advance(7 * SECOND)
    assert len(w.begin_expired(5)) == 5
    assert w.ready_count("noop") == 3
    assert w.ready_count("of nobody") == 30
    assert len(w.begin_claims("of nobody", 99)) == 30
    assert len(w.begin_expired(5)) == 3
    assert w.ready_handlers() == []


def test_names_that_were_met_do_not_make_a_line_look_shorter_than_it_is() -> None:
    w = window(capacity=40)
    w.merge([due(n, SECOND)._replace(policies=STARTS if n < 10 else "") for n in range(20)])
    w.advance(7 * SECOND)
    for task in w.begin_expired(10) + w.begin_claims(
        "noop", 10
    ):  # the names of the first ten are met on the way
        w.settle_claim(task, None)
    assert len(w) == 0
    w.merge([due(n, 8 * SECOND) for n in range(20, 40)])
    w.advance(9 * SECOND)
    w.merge([due(n, 8 * SECOND, handler="other") for n in range(40, 44)])
    w.advance(9 * SECOND)
    assert not w.relieve("noop"), "it has hardly given way to the others"


def test_a_task_that_is_taken_in_time_does_not_expire() -> None:
    w = window()
    task = due(1, SECOND)._replace(policies=STARTS)
    w.merge([task])
    w.advance(2 * SECOND)
    assert w.begin_claims("noop", 1) == [task]
    assert w.advance(20 * SECOND) == 0
    assert w.next_deadline() is None
    w.return_claim(task)
    assert w.advance(20 * SECOND) == 1
    assert w.begin_expired(9) == [task]
    w.return_claim(task, may_expire=False)
    assert w.advance(60 * SECOND) == 0
    assert w.begin_claims("noop", 9) == [task]


def test_what_is_forgotten_or_put_off_does_not_expire_at_its_old_time() -> None:
    w = window()
    w.merge([due(n, SECOND)._replace(policies=STARTS) for n in range(3)])
    w.advance(2 * SECOND)
    w.forget(due(0, 0).ref)
    later = due(1, 50 * SECOND, version=2)._replace(policies=STARTS)
    w.merge([later])
    w.forget_partitions([9])
    assert w.advance(10 * SECOND) == 1
    assert [task.task_key for task in w.begin_expired(9)] == [due(2, 0).task_key]
    w.advance(56 * SECOND)
    assert w.begin_expired(9) == [later]
