"""The earliest deadline of an attempt, and what the ledger says when it has passed."""

from hypothesis import given
from hypothesis import strategies as st

from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.policies import Timeouts
from mainspring.server.core.time_limits import (
    Deadline,
    Limit,
    expired_reason,
    run_deadline,
    start_deadline,
)

LIMITS = st.one_of(st.just(0), st.integers(SECOND_US, 100 * SECOND_US))


def test_without_timeouts_nothing_is_too_late() -> None:
    assert start_deadline(Timeouts(), 5) is None
    assert run_deadline(Timeouts(), 5, 5) is None


def test_an_attempt_that_has_not_started_has_no_deadline_to_end() -> None:
    assert run_deadline(Timeouts(0, SECOND_US, SECOND_US), None, 99) is None


@given(finish=LIMITS, heartbeat=LIMITS, started=st.integers(0, 10**9), heard=st.integers(0, 10**9))
def test_the_earlier_limit_counts(finish: int, heartbeat: int, started: int, heard: int) -> None:
    deadline = run_deadline(Timeouts(0, finish, heartbeat), started, heard)
    by_limit = {
        limit: at
        for limit, length, at in (
            (Limit.START_TO_FINISH, finish, started + finish),
            (Limit.HEARTBEAT, heartbeat, max(started, heard) + heartbeat),
        )
        if length
    }
    if not by_limit:
        assert deadline is None
        return
    assert deadline is not None
    assert deadline.at == min(by_limit.values()) == by_limit[deadline.limit]
    assert deadline.at > started


def test_the_words_name_the_limit_and_its_kind() -> None:
    assert Deadline(0, Limit.START_TO_FINISH, 1_500_000).words == "Timeout: it ran for 1.5 s"
    assert Deadline(0, Limit.HEARTBEAT, 60 * SECOND_US).words == (
        "HeartbeatTimeout: no progress was reported for 60 s"
    )
    assert expired_reason(Timeouts(schedule_to_start_us=30 * SECOND_US)) == (
        "it could not start within 30 s of its due time"
    )
