"""Backoff: growth, ceiling, and jitter that survives the ceiling."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.client.backoff import Backoff


@given(failures=st.integers(1, 10**9), seed=st.integers(0, 10))
def test_a_wait_stays_within_its_bounds(failures: int, seed: int) -> None:
    backoff = Backoff(initial_s=0.05, ceiling_s=1.0, factor=2.0, jitter=0.5)
    wait_s = backoff.delay_s(failures, Random(seed))
    grown_s = min(1.0, 0.05 * 2.0 ** min(failures - 1, 60))
    assert grown_s * 0.5 <= wait_s <= grown_s


def test_jitter_survives_the_ceiling() -> None:
    random = Random(1)
    assert len({Backoff().delay_s(1_000, random) for _ in range(20)}) == 20


def test_without_jitter_it_doubles() -> None:
    backoff = Backoff(initial_s=0.1, ceiling_s=0.5, jitter=0)
    assert [backoff.delay_s(n, Random(0)) for n in (1, 2, 3, 4)] == [0.1, 0.2, 0.4, 0.5]


def test_a_factor_of_one_ends_quickly_too() -> None:
    assert Backoff(factor=1.0, jitter=0).delay_s(1_000, Random(0)) == 0.05


@pytest.mark.parametrize("wrong", [{"initial_s": 0}, {"initial_s": 2}, {"factor": 0.5}, {"jitter": 1.5}])
def test_wrong_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Backoff(**wrong)
