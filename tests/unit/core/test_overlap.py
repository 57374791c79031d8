"""The overlap policies: of one task at most one execution is under way, and each time has one fate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.server.core.overlap import OpenOne, OverlapPlan, decide, next_to_begin
from mainspring.server.core.policies import Overlap

ALONE = [policy for policy in Overlap if policy is not Overlap.ALLOW]
OPEN_ONES = st.lists(
    st.builds(OpenOne, st.integers(0, 9), st.booleans(), st.booleans()), max_size=4, unique_by=lambda o: o[0]
)
RUNS = st.lists(st.integers(10, 30), max_size=5, unique=True).map(sorted)


def under_way(scheduled_at: int = 1) -> OpenOne:
    return OpenOne(scheduled_at, is_waiting=False)


def waiting(scheduled_at: int = 2) -> OpenOne:
    return OpenOne(scheduled_at, is_waiting=True)


STILL = "overlap: the execution of 1970-01-01T00:00:00.00000{}Z is still open"


@pytest.mark.parametrize(
    ("policy", "open_ones", "expected"),
    [
        (Overlap.ALLOW, [under_way()], OverlapPlan((7, 8, 9))),
        (Overlap.SKIP, [], OverlapPlan((7,), (), (8, 9), STILL.format(7))),
        (Overlap.SKIP, [under_way()], OverlapPlan((), (), (7, 8, 9), STILL.format(1))),
        (Overlap.SKIP, [waiting()], OverlapPlan((), (), (7, 8, 9), STILL.format(2))),
        (Overlap.BUFFER_ONE, [], OverlapPlan((7,), (8,), (9,), STILL.format(8))),
        (Overlap.BUFFER_ONE, [under_way()], OverlapPlan((), (7,), (8, 9), STILL.format(7))),
        (Overlap.BUFFER_ONE, [waiting()], OverlapPlan((), (7,), (8, 9), STILL.format(7))),
        (Overlap.BUFFER_ONE, [under_way(), waiting()], OverlapPlan((), (), (7, 8, 9), STILL.format(2))),
        (
            Overlap.REPLACE,
            [],
            OverlapPlan(
                (9,), (), (7, 8), "overlap: replaced by the execution of 1970-01-01T00:00:00.000009Z"
            ),
        ),
        (
            Overlap.REPLACE,
            [waiting(), under_way()],
            OverlapPlan(
                (),
                (9,),
                (7, 8),
                "overlap: replaced by the execution of 1970-01-01T00:00:00.000009Z",
                (1, 2),
            ),
        ),
    ],
)
def test_each_policy(policy: Overlap, open_ones: list[OpenOne], expected: OverlapPlan) -> None:
    assert decide(policy, open_ones, (7, 8, 9)) == expected


@pytest.mark.parametrize("policy", Overlap)
def test_what_is_made_up_for_stands_in_nobodys_way_before_it_begins(policy: Overlap) -> None:
    assert decide(policy, [OpenOne(1, is_waiting=True, is_background=True)], (7,)) == OverlapPlan((7,))


@pytest.mark.parametrize("policy", [Overlap.SKIP, Overlap.BUFFER_ONE])
def test_a_new_time_is_held_behind_one_that_is_made_up_for(policy: Overlap) -> None:
    begun = OpenOne(1, is_waiting=False, is_background=True)
    assert decide(policy, [begun], (7,)) == OverlapPlan((), (7,))
    assert decide(policy, [begun, waiting(7)], (8,)) == OverlapPlan((), (), (8,), STILL.format(7))


@given(policy=st.sampled_from(Overlap), open_ones=OPEN_ONES, runs=RUNS)
def test_each_time_has_one_fate_and_none_runs_beside_another(
    policy: Overlap, open_ones: list[OpenOne], runs: list[int]
) -> None:
    plan = decide(policy, open_ones, runs)
    assert sorted((*plan.runs, *plan.held, *plan.skipped)) == runs
    assert bool(plan.reason) == bool(plan.skipped)
    assert set(plan.replaced) <= {one.scheduled_at for one in open_ones}
    if policy is Overlap.ALLOW:
        assert plan == OverlapPlan(tuple(runs))
        return
    in_the_way = [one for one in open_ones if not (one.is_waiting and one.is_background)]
    assert len(plan.runs) == (1 if runs and not in_the_way else 0)
    assert len(plan.held) <= 1
    assert not plan.held or plan.runs or in_the_way
    assert not plan.replaced or policy is Overlap.REPLACE


class Course:
    """One task whose executions are recorded, begin and end as the decisions say."""

    def __init__(self, policy: Overlap) -> None:
        self.policy = policy
        self.now = 0
        self.waiting: dict[int, OpenOne] = {}
        self.under_way: dict[int, OpenOne] = {}
        self.ran: list[int] = []
        self.asked_to_end: set[int] = set()

    def fire(self, count: int) -> None:
        times = range(self.now, self.now + count)
        self.now += count
        plan = decide(self.policy, [*self.waiting.values(), *self.under_way.values()], times)
        for at in plan.runs:
            self.begin(OpenOne(at, is_waiting=True))
        for at in plan.held:
            self.waiting[at] = OpenOne(at, is_waiting=True)
        for at in plan.replaced:
            self.waiting.pop(at, None)
            self.asked_to_end.add(at)

    def make_up(self, count: int) -> None:
        for at in range(self.now, self.now + count):
            self.waiting[at] = OpenOne(at, is_waiting=True, is_background=True)
        self.now += count

    def begin(self, one: OpenOne) -> None:
        self.waiting.pop(one.scheduled_at, None)
        self.under_way[one.scheduled_at] = one._replace(is_waiting=False)
        self.ran.append(one.scheduled_at)

    def begin_next(self) -> None:
        head = next_to_begin([*self.waiting.values(), *self.under_way.values()])
        if head is not None:
            self.begin(head)

    def end(self) -> None:
        self.under_way.clear()
        self.begin_next()


@given(
    policy=st.sampled_from(ALONE),
    events=st.lists(
        st.tuples(st.sampled_from(["fire", "make_up", "begin_next", "end"]), st.integers(1, 3)), max_size=40
    ),
)
def test_whatever_comes_one_is_under_way_and_what_waits_has_its_turn(
    policy: Overlap, events: list[tuple[str, int]]
) -> None:
    course = Course(policy)
    promised: set[int] = set()
    for event, count in events:
        known = set(course.waiting)
        if event in ("fire", "make_up"):
            getattr(course, event)(count)
        else:
            getattr(course, event)()
        promised |= set(course.waiting) - known
        assert len(course.under_way) <= 1
        assert sum(not one.is_background for one in course.waiting.values()) <= 1
    while course.waiting or course.under_way:
        course.end()
    assert promised - course.asked_to_end <= set(course.ran)
    assert len(course.ran) == len(set(course.ran))
