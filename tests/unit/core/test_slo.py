"""What lateness came from, and percentiles."""

from __future__ import annotations

import pytest

from mainspring.server.core.slo import HERD, Cause, Figures, Sample, Unowned, causes, figures

MS = 1_000
SECOND = 1_000 * MS
T = 1_800_000_000 * SECOND


def _sample(
    due_s: float = 0.0,
    sent_s: float | None = None,
    late_s: float = 0.01,
    *,
    handler: str = "h",
    partition: int = 0,
) -> Sample:
    """Due `due_s` after T, sent `sent_s` and started `late_s` after it was due."""
    due_at = T + round(due_s * SECOND)
    sent_at = due_at + round((late_s if sent_s is None else sent_s) * SECOND)
    return Sample(partition, due_at, sent_at, due_at + round(late_s * SECOND), handler, 10 * SECOND)


def _only(sample: Sample, *others: Sample, unowned: tuple[Unowned, ...] = ()) -> Cause:
    return causes([sample, *others], unowned)[0]


ORDERLY = Unowned(0, T - SECOND, T + SECOND, True)
CRASH = Unowned(0, T - SECOND, T + SECOND, False)


def test_everyday_work_is_steady() -> None:
    assert _only(_sample()) is Cause.STEADY
    assert _only(_sample(late_s=0.999)) is Cause.STEADY


@pytest.mark.parametrize(("stretch", "cause"), [(ORDERLY, Cause.HANDOVER), (CRASH, Cause.FAILOVER)])
def test_what_was_due_without_an_owner_and_sent_by_the_next(stretch: Unowned, cause: Cause) -> None:
    assert _only(_sample(late_s=1.2), unowned=(stretch,)) is cause
    assert _only(_sample(late_s=1.0), unowned=(stretch,)) is cause, "sent as the next one began"


@pytest.mark.parametrize(
    "sample",
    [
        _sample(due_s=1.0, late_s=0.5),
        _sample(due_s=-1.5, late_s=0.9),
        _sample(sent_s=0.5, late_s=0.6),
        _sample(partition=1, late_s=0.9, due_s=0.3),
    ],
    ids=["due later", "due earlier", "sent before", "of another partition"],
)
def test_a_change_of_owner_has_to_do_with_its_own_time_and_partition_only(sample: Sample) -> None:
    assert _only(sample, unowned=(ORDERLY, CRASH)) is Cause.STEADY


def test_nothing_of_the_handler_started_before_it_was_sent() -> None:
    late = _sample(late_s=3)
    assert _only(late) is Cause.NO_EXECUTOR
    assert _only(late, _sample(due_s=1, handler="other")) is Cause.NO_EXECUTOR
    assert _only(late, _sample(due_s=1)) is Cause.OVERLOAD
    assert _only(late, _sample(due_s=-1), _sample(due_s=3)) is Cause.NO_EXECUTOR


def test_a_late_start_of_what_was_sent_in_time_is_overload() -> None:
    assert _only(_sample(sent_s=0.01, late_s=1)) is Cause.OVERLOAD


def test_a_herd_is_due_in_one_second() -> None:
    herd = [_sample(due_s=n / HERD) for n in range(HERD)]
    assert set(causes(herd, ())) == {Cause.HERD}
    assert set(causes(herd[1:], ())) == {Cause.STEADY}
    slow = _sample(late_s=2)
    assert _only(slow, *herd) is Cause.HERD
    assert _only(slow, *herd, unowned=(CRASH,)) is Cause.FAILOVER


def test_a_herd_that_no_executor_ran_waited_for_one() -> None:
    herd = [_sample(late_s=20) for _ in range(HERD)]
    assert set(causes(herd, ())) == {Cause.NO_EXECUTOR}


def test_figures() -> None:
    samples = [_sample(late_s=n / 10) for n in range(1, 101)]
    own = figures(samples)
    assert own == Figures(100, 100, 5 * SECOND, 9_900 * MS, 10 * SECOND)
    assert figures([_sample(late_s=10.000001)]).kept == 0
    assert figures([]) == Figures(0, 0, 0, 0, 0)
    early = Sample(0, T, T - 5, T - 5, "h", 0)
    assert figures([early]) == Figures(1, 1, 0, 0, 0)
