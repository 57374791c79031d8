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


@pytest.mark.parametrize("step_s", [90, -90])
def test_a_step_that_stays_and_that_no_wall_clock_confirms_changes_nothing(step_s: int) -> None:
    """Nothing stalls, nothing fires early: time goes on as if the database's clock had not been touched."""
    estimator = OffsetEstimator(0.0)
    for second in range(60):
        estimator.add(OffsetSample(float(second), 1000.0 * (second % 3), 0.001), 0.0)
    last_us = 60 * SECOND
    for tick in range(601, 6_000):
        now_s = tick / 10
        if tick % 5 == 0:
            reading = estimator.add(OffsetSample(now_s, step_s * SECOND, 0.001), wall_offset_us=2_000.0)
            assert reading.refused_step_us == pytest.approx(step_s * SECOND, abs=5_000)
            assert abs(reading.wall_error_us) < 5_000
        now_us = now_s * SECOND + estimator.offset_us(now_s)
        assert 0 < now_us - last_us < 110_000
        last_us = now_us
    assert abs(last_us - now_s * SECOND) < 5_000
    assert estimator.refused_steps == 1_079
    # The machines' clocks are set right: now it is followed, at once.
    reading = estimator.add(OffsetSample(600.0, step_s * SECOND, 0.001), wall_offset_us=step_s * SECOND)
    assert reading.followed_step_us == pytest.approx(step_s * SECOND, abs=5_000)
    assert estimator.offset_us(600.0) == step_s * SECOND


def test_a_step_that_is_taken_back_leaves_no_trace() -> None:
    estimator = OffsetEstimator(0.0)
    estimator.add(OffsetSample(1.0, 0.0, 0.001), 0.0)
    estimator.add(OffsetSample(2.0, 90 * SECOND, 0.001), 0.0)
    assert estimator.add(OffsetSample(3.0, 0.0, 0.001), 0.0).refused_step_us is None
    assert estimator.offset_us(3.0) == 0.0


def test_a_wrong_wall_clock_is_told_and_changes_nothing() -> None:
    estimator = OffsetEstimator(30 * SECOND)
    reading = estimator.add(OffsetSample(1.0, 0.0, 0.001), wall_offset_us=30 * SECOND)
    assert reading.wall_error_us == 30 * SECOND
    reading = estimator.add(OffsetSample(2.0, 0.0, 0.001), wall_offset_us=-7 * SECOND)
    assert reading.wall_error_us == -7 * SECOND
    assert estimator.offset_us(2.0) == 0.0
