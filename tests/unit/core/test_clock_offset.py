"""Cluster time: the best sample rules, corrections are slewed, steps need a second opinion."""

import pytest

from mainspring.server.core.clock_offset import OffsetEstimator, OffsetSample

SECOND = 1_000_000.0


def test_the_first_sample_is_adopted_at_once() -> None:
    estimator = OffsetEstimator(wall_offset_us=0.0)
    estimator.add(OffsetSample(1.0, 30 * SECOND, 0.001), wall_offset_us=0.0)
    assert estimator.offset_us(1.0) == 30 * SECOND


def test_a_worse_round_trip_does_not_move_it() -> None:
    estimator = OffsetEstimator(0.0)
    estimator.add(OffsetSample(1.0, 0.0, 0.001), 0.0)
    estimator.add(OffsetSample(2.0, 300_000.0, 0.7), 0.0)
    assert estimator.offset_us(50.0) == 0.0


def test_a_better_one_is_slewed_to_and_time_never_runs_backwards() -> None:
    estimator = OffsetEstimator(0.0)
    estimator.add(OffsetSample(1.0, 500_000.0, 0.010), 0.0)
    estimator.add(OffsetSample(2.0, 0.0, 0.001), 0.0)
    last = -1.0
    for tick in range(200, 1500):
        now_us = tick * 10_000 + estimator.offset_us(tick / 100)
        assert now_us > last
        last = now_us
    assert estimator.offset_us(20.0) == 0.0


def test_a_step_is_followed_only_when_the_own_wall_clock_agrees() -> None:
    estimator = OffsetEstimator(0.0)
    estimator.add(OffsetSample(1.0, 0.0, 0.001), 0.0)
    estimator.add(OffsetSample(2.0, 60 * SECOND, 0.001), wall_offset_us=0.0)
    assert estimator.refused_steps == 1
    assert estimator.offset_us(2.0) == 0.0
    estimator.add(OffsetSample(3.0, 60 * SECOND, 0.001), wall_offset_us=60.2 * SECOND)
    assert estimator.offset_us(3.0) == pytest.approx(60 * SECOND)
    assert estimator.refused_steps == 1
