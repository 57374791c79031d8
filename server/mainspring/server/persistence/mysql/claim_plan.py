"""From claim items to rows: what a claim inserts, and how its tasks move on. PURE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mainspring.server.core.adjustments import decode_payloads
from mainspring.server.core.attempt import Dispatchable
from mainspring.server.core.claim import ClaimGap, ClaimItem, ClaimRun
from mainspring.server.core.model import Delivery, DueTask, ExecutionRef, ExecutionState
from mainspring.server.persistence.mysql.literals import binary, integer, text


@dataclass(slots=True)
class Planned:
    """An execution about to be inserted: the row's text, and what is answered for it (nothing for what is skipped)."""

    ref: ExecutionRef
    sql: str
    answer: Dispatchable | None


@dataclass(frozen=True, slots=True)
class ClaimCall:
    """The arguments of one claim."""

    owner_id: str
    epochs: Mapping[int, int]
    now: int
    wake_at: int


def refs_of(item: ClaimItem) -> list[ExecutionRef]:
    """The ledger rows an item asks for, the gap's first."""
    partition_id, task_key = item.due.partition_id, item.due.task_key
    times = [run.scheduled_at for run in item.runs]
    if item.gap is not None:
        times.insert(0, item.gap.from_at)
    return [ExecutionRef(partition_id, scheduled_at, task_key) for scheduled_at in times]


def plan(
    call: ClaimCall,
    taken: Sequence[tuple[ClaimItem, tuple[Any, ...]]],
    existing: frozenset[ExecutionRef],
) -> tuple[list[Planned], list[list[int | str | None]]]:
    """The ledger rows to insert, and the moves of the tasks.

    Each new row points at the task's latest one before it, so the chain holds every row once, in the order in which
    they were written, whatever the schedule did meanwhile. A move carries how many scheduled times its new rows stand for.
    """
    planned: list[Planned] = []
    moves: list[list[int | str | None]] = []
    now, wake_at, node = call.now, call.wake_at, text(call.owner_id)
    executors: dict[str | None, str] = {None: "NULL"}
    recorded = set(existing)
    for item, row in taken:
        due = item.due
        partition_id, task_key, version = due.partition_id, due.task_key, due.version
        epoch = call.epochs[partition_id]
        key = binary(task_key)
        _, last, namespace, task_id, handler, payload, delivery, policies, adjusted_payloads = row
        own_payloads = decode_payloads(adjusted_payloads)
        gap = item.gap
        counted = 0
        if gap is not None:
            ref = ExecutionRef(partition_id, gap.from_at, task_key)
            if ref not in recorded:
                recorded.add(ref)
                run = ClaimRun(gap.from_at, gap.from_at, None, skip_reason=gap.reason)
                planned.append(Planned(ref, _skipped(call, due, run, last, gap), None))
                last = gap.from_at
                counted += gap.count
        for run in item.runs:
            ref = ExecutionRef(partition_id, run.scheduled_at, task_key)
            if ref in recorded:
                continue
            recorded.add(ref)
            counted += 1
            own = own_payloads.get(run.scheduled_at) if run.has_payload else None
            if run.skip_reason:
                planned.append(Planned(ref, _skipped(call, due, run, last, own=own), None))
                last = run.scheduled_at
                continue
            executor_id = run.executor_id
            executor = executors.get(executor_id)
            if executor is None:
                executor = executors[executor_id] = text(executor_id)
            state, attempt = (1, 0) if executor_id is None else (2, 1)
            look_at = wake_at if run.wake_at is None else run.wake_at
            sql = (
                f"({partition_id},{run.scheduled_at},{key},{'NULL' if last is None else last},{state},{run.due_at},"
                f"{look_at},{attempt},{epoch},{version},{executor},{node},{now},NULL,NULL,NULL,NULL,'',{int(run.origin)},"
                f"{'NULL' if own is None else binary(own)})"
            )
            answer = Dispatchable(
                ref=ref,
                epoch=epoch,
                attempt=attempt,
                executor_id=executor_id,
                namespace=namespace,
                task_id=task_id,
                handler=handler,
                payload=b"" if executor_id is None else payload if own is None else own,
                due_at=run.due_at,
                task_version=version,
                claimed_at=now,
                delivery=Delivery(delivery),
                policies=policies,
                origin=run.origin,
                wake_at=run.wake_at,
            )
            planned.append(Planned(ref, sql, answer))
            last = run.scheduled_at
        move = [partition_id, task_key.hex(), item.next_scheduled_at, item.next_due_at, last, counted]
        moves.append(move if item.next_adjustments is None else [*move, item.next_adjustments])
    return planned, moves


def _skipped(
    call: ClaimCall,
    due: DueTask,
    run: ClaimRun,
    previous: int | None,
    gap: ClaimGap | None = None,
    *,
    own: bytes | None = None,
) -> str:
    """The row of what never runs, alone or as the first of a gap. `own`: its own payload, for who runs it again."""
    state = ExecutionState.EXPIRED if run.is_expired else ExecutionState.SKIPPED
    bounds = "NULL,NULL" if gap is None else f"{gap.to_at},{gap.count}"
    return (
        f"({due.partition_id},{run.scheduled_at},{binary(due.task_key)},{integer(previous)},{int(state)},{run.due_at},NULL,0,"
        f"{call.epochs[due.partition_id]},{due.version},NULL,{text(call.owner_id)},{call.now},{call.now},{call.now},"
        f"{bounds},{text(run.skip_reason[:2000])},{int(run.origin)},"
        f"{'NULL' if own is None else binary(own)})"
    )
