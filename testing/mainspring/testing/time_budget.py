"""The time budget of the 10 s: its stages, what the design promises for each, and what evidence shows. PURE."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mainspring.client import Handover
from mainspring.shard_manager.hashing import partition_of, task_key
from mainspring.testing.history import LedgerRow
from mainspring.testing.load_run import SECOND_US
from mainspring.testing.report import Spread
from mainspring.testing.run_note import ms, table

PROMISE_US = 10 * SECOND_US
SITUATIONS: Final = ("steady", "herd", "hand-over", "fail-over")
HERD: Final = "herd"
"""The namespace of the herd's tasks."""
_RECORDED_US = SECOND_US
"""A new owner claims its first tasks a moment before it notes that it fires."""
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the way from the due time to the pick-up.

    Attributes:
        bounds_us: what the design promises in each of `SITUATIONS`, microseconds; 0 where there is no such stage.
    """

    name: str
    bounds_us: tuple[int, int, int, int]


def _s(*seconds: float) -> tuple[int, int, int, int]:
    steady, herd, handover, failover = (int(second * SECOND_US) for second in seconds)
    return steady, herd, handover, failover


NOTICED = Stage("the others notice the death: kill to notice", _s(0, 0, 0, 6))
TAKEN = Stage("rows taken, window loaded, executors asked: release or notice to firing", _s(0, 0, 1, 1.25))
FOUND = Stage("a lost hint: the sweep finds the task", _s(3, 0, 3, 0))
CLAIMED = Stage("wheel and queue: due and firing to claim", _s(1, 8, 1, 1))
SENT = Stage("claim committed and sent: claim to dispatch", _s(0.5, 1, 0.5, 0.5))
PICKED_UP = Stage("start acknowledged: dispatch to pick-up", _s(0.5, 1, 0.5, 0.5))
STAGES: Final = (NOTICED, TAKEN, FOUND, CLAIMED, SENT, PICKED_UP)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the figures come from. Instants in microseconds UTC.

    Attributes:
        begins_at: when each of `SITUATIONS` begins; it ends with the next.
        killed_at: when the node was killed.
        handovers: every change of owner since the load began.
    """

    begins_at: tuple[int, int, int, int]
    ends_at: int
    killed_at: int
    ledger: Sequence[LedgerRow]
    handovers: Sequence[Handover]
    partitions: int


Figures = dict[tuple[Stage, str], Spread]


def figures(evidence: Evidence) -> Figures:
    """The spread of each stage in each situation. The herd's are those of its own tasks alone."""
    found: dict[tuple[Stage, str], list[int]] = {
        (stage, situation): [] for stage in STAGES for situation in SITUATIONS
    }
    fires_at = _fires_at(evidence, found)
    for row, situation in _rows(evidence):
        assert row.claimed_at is not None
        partition = partition_of(task_key(row.namespace, row.task_id), evidence.partitions)
        taken_at = fires_at.get((situation, partition), 0)
        if row.claimed_at < taken_at - _RECORDED_US:
            taken_at = 0  # claimed before its partition changed hands
        found[CLAIMED, situation].append(max(0, row.claimed_at - max(row.due_at, taken_at)))
        if row.dispatched_at is not None and row.picked_up_at is not None:
            found[SENT, situation].append(row.dispatched_at - row.claimed_at)
            found[PICKED_UP, situation].append(row.picked_up_at - row.dispatched_at)
    return {key: Spread.of(values) for key, values in found.items()}


def lateness(evidence: Evidence) -> dict[str, Spread]:
    """Pick-up minus due time in each situation."""
    found: dict[str, list[int]] = {situation: [] for situation in SITUATIONS}
    for row, situation in _rows(evidence):
        if row.picked_up_at is not None:
            found[situation].append(row.picked_up_at - row.due_at)
    return {situation: Spread.of(values) for situation, values in found.items()}


def _rows(evidence: Evidence) -> Iterator[tuple[LedgerRow, str]]:
    for row in evidence.ledger:
        if row.claimed_at is None or row.attempt != 1:
            continue
        if row.namespace == HERD:
            yield row, "herd"
            continue
        number = sum(row.due_at >= at for at in evidence.begins_at) - 1
        if number >= 0 and SITUATIONS[number] != "herd" and row.due_at < evidence.ends_at:
            yield row, SITUATIONS[number]


def _fires_at(evidence: Evidence, found: dict[tuple[Stage, str], list[int]]) -> dict[tuple[str, int], int]:
    """When each partition that changed hands in a situation fired again; notes how long that took."""
    fires_at: dict[tuple[str, int], int] = {}
    for handover in evidence.handovers:
        if handover.fire_time is None or handover.gap is None:
            continue
        fire_at = _us(handover.fire_time)
        gap_us = handover.gap // timedelta(microseconds=1)
        if handover.release_time is None and handover.notice_time is not None:
            situation = "fail-over"
            if fire_at < evidence.killed_at:
                continue
            found[NOTICED, situation].append(_us(handover.notice_time) - evidence.killed_at)
        else:
            situation = "hand-over"
            if not evidence.begins_at[2] <= fire_at < evidence.begins_at[3]:
                continue
        found[TAKEN, situation].append(gap_us)
        key = (situation, handover.partition_id)
        fires_at[key] = max(fire_at, fires_at.get(key, 0))
    return fires_at


def _us(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def complaints(found: Figures, late: dict[str, Spread]) -> list[str]:
    """What does not hold."""
    said = [
        f"{stage.name}, {situation}: {ms(found[stage, situation].max_us)} ms, promised {ms(bound)} ms"
        for stage in STAGES
        for situation, bound in zip(SITUATIONS, stage.bounds_us, strict=True)
        if found[stage, situation].max_us > bound
    ]
    said += [
        f"{situation}: {ms(spread.max_us)} ms late"
        for situation, spread in late.items()
        if spread.max_us > PROMISE_US
    ]
    missing = [situation for situation, spread in late.items() if not spread.count]
    missing += [stage.name for stage in (NOTICED, TAKEN) if not found[stage, "fail-over"].count]
    return said + [f"nothing was measured: {what}" for what in missing]


def page(found: Figures, late: dict[str, Spread]) -> str:
    """The table as Markdown: the promised bound, then p50 / p99 / max in milliseconds."""
    header = ("stage", *(f"{name}: bound s · p50 / p99 / max ms" for name in SITUATIONS))
    rows = [
        (stage.name, *(_cell(bound, found[stage, situation]) for situation, bound in _with(stage)))
        for stage in STAGES
    ]
    sums = [sum(stage.bounds_us[number] for stage in STAGES) for number in range(len(SITUATIONS))]
    rows.append(
        (
            "**sum of the bounds; lateness measured**",
            *(_cell(bound, late[name]) for bound, name in zip(sums, SITUATIONS, strict=True)),
        )
    )
    return table(header, rows)


def _with(stage: Stage) -> Iterable[tuple[str, int]]:
    return zip(SITUATIONS, stage.bounds_us, strict=True)


def _cell(bound_us: int, spread: Spread) -> str:
    bound = f"{bound_us / SECOND_US:g}" if bound_us else "-"
    if not spread.count:
        return bound
    return f"{bound} · {ms(spread.p50_us)} / {ms(spread.p99_us)} / {ms(spread.max_us)}"
