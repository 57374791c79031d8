"""A hand-made history: one one-time task, one interval, one cron, five executions, clean as it stands."""

from dataclasses import replace

from mainspring.testing.checker import Limits, Verdict, check
from mainspring.testing.history import (
    AcknowledgedTask,
    AuditTrail,
    Fault,
    History,
    LedgerRow,
    OwnershipChange,
    PartitionState,
    Run,
)

S = 1_000_000
NOW = 1_900_000_000 * S
UNTIL = NOW + 20 * S
READ_AT = UNTIL + 60 * S
SENT = {"sent_at": NOW - 6 * S, "acknowledged_at": NOW - 5 * S}

ONCE = AcknowledgedTask("default", "once", "one-time", "noop", at=NOW + 3 * S, **SENT)
EVERY = AcknowledgedTask("default", "every", "interval", "noop", every_us=10 * S, anchor_at=NOW + S, **SENT)
CRON = AcknowledgedTask(
    "default", "cron", "cron", "noop", expression="*/10 * * * * *", time_zone="UTC", **SENT
)
ONCE_AT, EVERY_AT, CRON_AT = NOW + 3 * S, NOW + S, NOW + 10 * S


def run(task: AcknowledgedTask, at: int, **fields: object) -> Run:
    given = {"attempt": 1, "epoch": 4, "partition_id": 1, "executor_id": "executor-0", "handler": "noop"}
    ended = {"started_at": at + 20_000, "ended_at": at + 30_000, "outcome": "succeeded"}
    return Run(task.namespace, task.task_id, at, **(given | ended | fields))  # type: ignore[arg-type]


def row(task: AcknowledgedTask, at: int, **fields: object) -> LedgerRow:
    given = {
        "due_at": at,
        "state": "SUCCEEDED",
        "attempt": 1,
        "epoch": 4,
        "executor_id": "executor-0",
        "node_id": "node-0",
        "claimed_at": at + 10_000,
        "dispatched_at": at + 15_000,
        "picked_up_at": at + 22_000,
        "finished_at": at + 32_000,
        "saved_at": at + 40_000,
    }
    return LedgerRow(task.namespace, task.task_id, at, **(given | fields))  # type: ignore[arg-type]


FIRES = [(ONCE, ONCE_AT), (EVERY, EVERY_AT), (EVERY, EVERY_AT + 10 * S), (CRON, NOW), (CRON, CRON_AT)]
TINY = History(
    tasks=(ONCE, EVERY, CRON),
    runs=tuple(run(task, at) for task, at in FIRES),
    ledger=tuple(row(task, at) for task, at in FIRES),
    faults=(),
    window_from_at=NOW,
    window_until_at=UNTIL,
    ledger_read_at=READ_AT,
)
EXECUTOR_KILLED = Fault("kill -9", "executor-0", NOW + 3 * S, NOW + 6 * S)
NODE_KILLED = Fault("kill -9", "node-0", NOW + 3 * S, NOW + 6 * S)
DATABASE_AWAY = Fault("stop", "mysql", NOW + 2 * S, NOW + 12 * S, is_outage=True)


def with_task(history: History, old: AcknowledgedTask, **fields: object) -> History:
    """The history with fields of a task replaced."""
    new = replace(old, **fields)  # type: ignore[arg-type]
    return replace(history, tasks=tuple(new if task.key == old.key else task for task in history.tasks))


def with_row(
    history: History, task: AcknowledgedTask, at: int, *rows: LedgerRow, **fields: object
) -> History:
    """The history with one row changed, or replaced by `rows` (none, to drop it, is `without_row`)."""
    kept: list[LedgerRow] = []
    for each in history.ledger:
        if each.key == task.key and each.scheduled_at == at:
            kept += rows or (replace(each, **fields),)  # type: ignore[arg-type]
        else:
            kept.append(each)
    return replace(history, ledger=tuple(kept))


def without_row(history: History, task: AcknowledgedTask, at: int) -> History:
    """The history without one row."""
    kept = tuple(each for each in history.ledger if (each.key, each.scheduled_at) != (task.key, at))
    return replace(history, ledger=kept)


def with_runs(history: History, task: AcknowledgedTask, at: int, *runs: Run) -> History:
    """The history with the runs of one scheduled time replaced; a result in its row is saved when they have ended."""
    kept = tuple(each for each in history.runs if (each.key, each.scheduled_at) != (task.key, at))
    ended_at = max((each.ended_at or 0 for each in runs), default=0)
    ledger = tuple(
        replace(each, saved_at=max(each.saved_at, ended_at))
        if (each.key, each.scheduled_at) == (task.key, at)
        and each.saved_at
        and each.state in ("SUCCEEDED", "FAILED")
        else each
        for each in history.ledger
    )
    return replace(history, runs=(*kept, *runs), ledger=ledger)


def again(first: dict[str, object], second: dict[str, object], **ledger: object) -> History:
    """ONCE run twice, and a ledger that agrees with the second attempt."""
    runs = (
        run(ONCE, ONCE_AT, **first),
        run(
            ONCE,
            ONCE_AT,
            **({"attempt": 2, "executor_id": "executor-1", "started_at": ONCE_AT + 4 * S} | second),
        ),
    )
    fields = {"attempt": 2, "executor_id": "executor-1", "picked_up_at": ONCE_AT + 4 * S + 2_000} | ledger
    fields = {"finished_at": ONCE_AT + 5 * S, "saved_at": ONCE_AT + 5 * S} | fields
    return with_row(with_runs(TINY, ONCE, ONCE_AT, *runs), ONCE, ONCE_AT, **fields)


def with_faults(history: History, *faults: Fault) -> History:
    """The history with faults."""
    return replace(history, faults=faults)


def found(history: History, limits: Limits | None = None) -> set[tuple[str, str, int | None]]:
    """(invariant, task, scheduled time) of every violation; each names its evidence."""
    verdict: Verdict = check(history, limits)
    assert all(violation.evidence for violation in verdict.violations)
    assert verdict.is_ok == (not verdict.violations and not verdict.vacuous)
    return {(each.invariant, each.task, each.scheduled_at) for each in verdict.violations}


def messages(history: History, limits: Limits | None = None) -> list[str]:
    """Every violation as a line."""
    return [str(violation) for violation in check(history, limits).violations]


# --- the same with the database's own witness -----------------------------------------------------------------------------

OWNER, OTHER = "node-1-100-aaaa", "node-2-200-bbbb"
OWNED_SINCE = NOW - 10 * S


def change(old_epoch: int, new_epoch: int, old: str | None, new: str | None, at: int) -> OwnershipChange:
    """A change of partition 1."""
    return OwnershipChange(1, old_epoch, new_epoch, old, new, at)


TAKEN = change(3, 4, None, OWNER, OWNED_SINCE)
TRAIL = AuditTrail(
    installed_at=NOW - 20 * S,
    read_at=READ_AT + S,
    initial_partitions=(PartitionState(1, 3, None),),
    final_partitions=(PartitionState(1, 4, OWNER),),
    ownership_changes=(TAKEN,),
)
AUDITED = replace(TINY, audit=TRAIL, ledger=tuple(replace(each, node_id=OWNER) for each in TINY.ledger))


def with_trail(history: History, **fields: object) -> History:
    """The history with fields of its audit replaced."""
    assert history.audit is not None
    return replace(history, audit=replace(history.audit, **fields))  # type: ignore[arg-type]


def with_changes(history: History, *changes: OwnershipChange) -> History:
    """The history with more changes of partition 1, and the row at the end that they lead to."""
    assert history.audit is not None
    last = changes[-1]
    return with_trail(
        history,
        ownership_changes=(*history.audit.ownership_changes, *changes),
        final_partitions=(PartitionState(1, last.new_epoch, last.new_owner_id),),
    )
