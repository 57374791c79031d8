"""What may be sent again after a mishap, and what the ledger says of what may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.server.core.delivery import Mishap, lost_reason, may_send_again
from mainspring.server.core.model import Delivery


@pytest.mark.parametrize("mishap", Mishap)
def test_at_least_once_is_sent_again_whatever_happened(mishap: Mishap) -> None:
    assert may_send_again(Delivery.AT_LEAST_ONCE, mishap)


@pytest.mark.parametrize(
    ("mishap", "may"),
    [
        (Mishap.NEVER_SENT, True),
        (Mishap.NOT_MINE, False),
        (Mishap.REFUSED, False),
        (Mishap.SILENT, False),
        (Mishap.LEFT, False),
    ],
)
def test_at_most_once_is_sent_again_only_when_it_was_never_sent(mishap: Mishap, may: bool) -> None:
    assert may_send_again(Delivery.AT_MOST_ONCE, mishap) is may


def test_the_table_above_misses_no_mishap() -> None:
    assert len(Mishap) == 5


@given(st.lists(st.sampled_from(Mishap), max_size=10))
def test_whatever_befalls_it_an_at_most_once_execution_is_sent_once(mishaps: list[Mishap]) -> None:
    """Each mishap but NEVER_SENT follows a send; the history ends where it must not go on."""
    sends = 0
    for mishap in mishaps:
        sends += mishap is not Mishap.NEVER_SENT
        if not may_send_again(Delivery.AT_MOST_ONCE, mishap):
            break
    assert sends <= 1


def test_a_reason_says_which_executor_which_attempt_and_what_it_said() -> None:
    reason = lost_reason(Mishap.REFUSED, "e1", 2, "UnknownHandler: there is no handler 'x' here")
    assert reason == (
        "lost: executor e1 refused it (UnknownHandler: there is no handler 'x' here); attempt 2 was sent,"
        " and the task is delivered at most once"
    )


@given(st.sampled_from(Mishap), st.text(max_size=64), st.integers(1, 2**31), st.text(max_size=3_000))
def test_reasons_differ_by_mishap_and_fit_the_ledger(
    mishap: Mishap, executor_id: str, attempt: int, detail: str
) -> None:
    reason = lost_reason(mishap, executor_id, attempt, detail)
    assert len(reason) <= 2_000
    assert executor_id in reason
    assert len({lost_reason(m, executor_id, attempt, detail) for m in Mishap}) == len(Mishap)
