"""The fence token rises with schedule and attempt and fits 64 bits."""

from hypothesis import given
from hypothesis import strategies as st

from mainspring.server.core.fence_token import fence_token

instants = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)


@given(instants, instants, st.integers(1, 100_000), st.integers(1, 100_000))
def test_a_later_scheduled_time_wins_whatever_the_attempts(first: int, second: int, a: int, b: int) -> None:
    earlier, later = sorted((first, second))
    if later - earlier >= 1_000_000:
        assert fence_token(earlier, a) < fence_token(later, b)


@given(instants, st.integers(1, 32_766))
def test_a_later_attempt_wins_and_the_token_fits(at: int, attempt: int) -> None:
    token = fence_token(at, attempt + 1)
    assert fence_token(at, attempt) < token
    assert -(1 << 63) <= token < 1 << 63
