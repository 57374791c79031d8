"""When another attempt follows a failure, and after which wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.model import Delivery
from mainspring.server.core.policies import Retry
from mainspring.server.core.retry import is_retried, wait_us

DAY_US = 86_400 * SECOND_US
RETRIES = st.builds(
    Retry,
    max_attempts=st.integers(1, 1_000),
    initial_us=st.integers(0, DAY_US),
    max_us=st.integers(0, DAY_US),
    multiplier=st.floats(1, 10),
    jitter=st.floats(0, 1),
    non_retryable=st.lists(st.sampled_from(["ValueError", "KeyError"]), max_size=2).map(tuple),
)
RANDOM = st.floats(0, 1, exclude_max=True)


def test_waits_double_up_to_the_longest() -> None:
    retry = Retry(max_attempts=9, initial_us=SECOND_US, max_us=5 * SECOND_US)
    assert [wait_us(retry, n, 0.99) / SECOND_US for n in range(1, 6)] == [1, 2, 4, 5, 5]


def test_jitter_shortens_a_wait_by_its_part_at_most() -> None:
    retry = Retry(max_attempts=9, initial_us=SECOND_US, jitter=0.5)
    assert [wait_us(retry, 1, random) for random in (0.0, 0.5, 0.999_999_99)] == [
        SECOND_US,
        750_000,
        500_001,
    ]


@given(retry=RETRIES, failures=st.integers(1, 1_000), random=RANDOM)
def test_a_wait_is_bounded_and_never_shrinks_from_one_failure_to_the_next(
    retry: Retry, failures: int, random: float
) -> None:
    wait = wait_us(retry, failures, random)
    assert 0 <= wait <= retry.max_us
    assert wait >= int(wait_us(retry, failures, 0.0) * (1 - retry.jitter)) - 1
    assert wait_us(retry, failures + 1, 0.0) >= wait_us(retry, failures, 0.0)


@given(retry=RETRIES, failures=st.integers(1, 60))
def test_without_jitter_it_is_the_power_within_rounding(retry: Retry, failures: int) -> None:
    exact = min(retry.max_us, retry.initial_us * retry.multiplier ** (failures - 1))
    # Each step rounds to a whole microsecond, and the steps after it multiply what it rounded.
    error = sum(retry.multiplier**n for n in range(failures))
    assert abs(wait_us(retry, failures, 0.0) - exact) <= min(error + 1e-6 * exact, retry.max_us)


@given(retry=RETRIES, kind=st.sampled_from(["ValueError", "KeyError", "OSError", ""]))
def test_exactly_as_many_attempts_as_allowed_may_fail(retry: Retry, kind: str) -> None:
    failures = 1
    while failures < 1_001 and is_retried(retry, failures, kind, Delivery.AT_LEAST_ONCE):
        failures += 1
    assert failures == (1 if kind in retry.non_retryable else retry.max_attempts)


@given(retry=RETRIES, failures=st.integers(1, 1_000))
def test_at_most_once_is_never_retried(retry: Retry, failures: int) -> None:
    assert not is_retried(retry, failures, "OSError", Delivery.AT_MOST_ONCE)


@pytest.mark.parametrize("failures", [1, 999, 1_000_000])
def test_no_wait_stays_no_wait(failures: int) -> None:
    assert wait_us(Retry(initial_us=0, max_us=DAY_US, multiplier=10.0), failures, 0.5) == 0
