"""When a node steps aside: the table of the module, and what must hold whatever happens."""

import math

from hypothesis import given
from hypothesis import strategies as st

from mainspring.server.core.duty import DATABASE, EXECUTORS, DutyFacts, DutyJudge, DutyLimits
from mainspring.shard_manager.membership import DATABASE_AWAY

STEP_S = 0.1
LIMITS = DutyLimits()
ALONE = DutyFacts(-math.inf, others_have_executors=False)


class Course:
    """A judge, asked every 100 ms."""

    def __init__(self) -> None:
        self.now = 100.0
        self.judge = DutyJudge(self.now)
        self.heard = -math.inf
        self.others = False
        self.is_database_there = True
        self.is_executor_there = False
        self.reasons: frozenset[str] = frozenset()

    def pass_time(self, seconds: float) -> None:
        ends = self.now + seconds
        while self.now < ends - 1e-9:
            self.now += STEP_S
            if self.is_database_there:
                self.judge.answered(self.now)
            if self.is_executor_there:
                self.heard = self.now
            self.reasons = self.judge.judge(DutyFacts(self.heard, self.others), self.now)

    def until(self, reasons: set[str], at_most_s: float) -> float:
        begun = self.now
        while self.reasons != reasons:
            assert self.now - begun < at_most_s, f"still {self.reasons}"
            self.pass_time(STEP_S)
        return self.now - begun


def test_the_code_is_the_one_that_ownership_knows() -> None:
    assert DATABASE == DATABASE_AWAY


def test_a_silent_database_and_its_return() -> None:
    course = Course()
    course.pass_time(10)
    course.is_database_there = False
    assert 2.9 <= course.until({DATABASE}, 3.2) <= 3.1
    assert course.judge.steady_since_s(course.now) == math.inf
    course.pass_time(60)
    course.is_database_there = True
    assert course.until(set(), 0.2) <= STEP_S + 1e-9
    assert course.judge.steady_since_s(course.now) == course.now


def test_a_short_silence_ends_the_steadiness_of_the_database_only() -> None:
    course = Course()
    course.pass_time(10)
    assert course.judge.steady_since_s(course.now) == -math.inf
    course.is_database_there = False
    course.pass_time(1.2)
    course.is_database_there = True
    course.pass_time(5)
    assert not course.reasons
    assert 4.8 <= course.now - course.judge.steady_since_s(course.now) <= 5


def test_executors_cut_off_from_this_node_alone() -> None:
    course = Course()
    course.others = course.is_executor_there = True
    course.pass_time(10)
    course.is_executor_there = False
    assert 3.4 <= course.until({EXECUTORS}, 3.7) <= 3.6
    course.is_executor_there = True
    assert course.until(set(), 0.2) <= STEP_S + 1e-9


def test_a_new_node_without_executors_knows_before_it_is_given_partitions() -> None:
    course = Course()
    course.others = True
    assert course.until({EXECUTORS}, 2.8) < 2.8


def test_executors_come_back_to_others_first() -> None:
    course = Course()
    course.others = course.is_executor_there = True
    course.pass_time(10)
    course.others = course.is_executor_there = False
    course.pass_time(100)
    assert not course.reasons
    course.others = True
    course.pass_time(2)
    course.is_executor_there = True
    course.pass_time(0.5)
    assert not course.reasons


def test_what_others_have_no_longer_is_no_reason() -> None:
    course = Course()
    course.others = course.is_executor_there = True
    course.pass_time(10)
    course.is_executor_there = False
    course.pass_time(10)
    assert course.reasons == {EXECUTORS}
    course.others = False
    course.pass_time(STEP_S)
    assert not course.reasons


def test_a_node_that_stood_still_was_deaf() -> None:
    course = Course()
    course.others = course.is_executor_there = True
    course.pass_time(10)
    course.now += 30
    reasons = course.judge.judge(DutyFacts(course.heard, True), course.now)
    assert not reasons
    course.is_database_there = course.is_executor_there = False
    assert course.until({DATABASE}, 3.2) >= 2.8
    assert course.until({DATABASE, EXECUTORS}, 0.7) >= 0.3


faults = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.booleans(), st.floats(0.1, 8)), min_size=1, max_size=12
)


@given(faults)
def test_never_without_cause_and_always_in_time(phases: list[tuple[bool, bool, bool, float]]) -> None:
    course = Course()
    silent_since = deaf_since = course.now
    for is_database_there, is_executor_there, others, seconds in phases:
        course.is_database_there, course.is_executor_there = is_database_there, is_executor_there
        course.others = others
        for _ in range(int(seconds / STEP_S)):
            course.pass_time(STEP_S)
            silent_since = course.now if is_database_there else silent_since
            deaf_since = course.now if is_executor_there or not others else deaf_since
            silence, lack = course.now - silent_since, course.now - deaf_since
            assert DATABASE not in course.reasons or silence >= LIMITS.database_silent_s - 1e-6
            assert DATABASE in course.reasons or silence < LIMITS.database_silent_s + 1e-6
            assert EXECUTORS not in course.reasons or lack >= LIMITS.executor_first_s - 1e-6
            assert EXECUTORS in course.reasons or lack < LIMITS.executor_silent_s + 2 * STEP_S
            steady_for = course.now - course.judge.steady_since_s(course.now)
            assert steady_for <= course.now - 100 or steady_for == math.inf


@given(st.floats(0.0, 10.0), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 1.2), st.floats(0, 1.2))
def test_an_outage_that_sends_one_node_aside_unsettles_every_other(
    outage: float, first_before: float, second_before: float, first_after: float, second_after: float
) -> None:
    """Nodes look at different moments; what matters is that no node goes by what another alone has noticed."""
    first, second = DutyJudge(0.0), DutyJudge(0.0)
    begins = 50.0
    first.answered(begins - first_before)
    second.answered(begins - second_before)
    sees_it_back = begins + outage + first_after
    first.judge(ALONE, sees_it_back - 0.05)
    if DATABASE in first.judge(ALONE, sees_it_back):
        second.answered(begins + outage + second_after)
        steady_since = second.steady_since_s(begins + outage + second_after)
        assert steady_since == begins + outage + second_after


def test_all_executors_fall_silent_and_nobody_draws_a_conclusion() -> None:
    """Whatever the phase of the heartbeats: everybody says so before anybody goes by it."""
    fault = 100.0
    for heard_a in range(0, 11):
        for heard_b in range(0, 11):
            judges = {"a": DutyJudge(0.0), "b": DutyJudge(0.0)}
            heard = {"a": fault - heard_a / 10, "b": fault - heard_b / 10}
            fresh: dict[str, list[bool]] = {"a": [True] * 10, "b": [True] * 10}
            for tick in range(140):
                now = fault + tick / 20
                for me, other in (("a", "b"), ("b", "a")):
                    others_have = fresh[other][-10]  # published and read half a second later
                    assert not judges[me].judge(DutyFacts(heard[me], others_have), now) - {DATABASE}
                for me in ("a", "b"):
                    fresh[me].append(judges[me].is_fresh(heard[me], now))


def test_a_node_that_alone_hears_no_executor_takes_itself_for_deaf_before_any_lease_ends() -> None:
    course = Course()
    course.is_executor_there = course.others = True
    course.pass_time(5)
    facts = DutyFacts(course.heard, others_have_executors=True)
    assert not course.judge.is_deaf(facts, course.now)
    assert course.judge.is_deaf(facts, course.now + 2.0)  # the lease is 3 s
    assert not course.judge.is_deaf(DutyFacts(course.heard, others_have_executors=False), course.now + 2.0)
