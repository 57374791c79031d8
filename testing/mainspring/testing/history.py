"""What one run of a cluster left behind, as plain records: the input of the checker, and files on disk.

Five witnesses are kept apart, because the checker compares them: what the client was acknowledged
(`AcknowledgedTask`, `TaskCall`), what the executors wrote down themselves (`Run`), what the API says the ledger holds
(`LedgerRow`), what the harness did to the cluster (`Fault`), and what triggers in the database saw (`AuditTrail`).

All instants are microseconds UTC. A history saved as JSON lines, one file per kind of record, loads to an
equal history, so that a verdict can be computed again from the files. Pure but for `save` and `load`.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mainspring.testing.audit_trail import (
    AuditTrail,
    FinalOverwrite,
    OwnershipChange,
    PartitionState,
    RemovedTask,
    StaleWrite,
    member_name,
)
from mainspring.testing.fault import Deadlocks, Fault
from mainspring.testing.record_files import (
    HistoryError,
    read_lines,
    read_records,
    to_dict,
    write_lines,
    write_records,
)
from mainspring.testing.task_call import CallKind, TaskCall

__all__ = [
    "FINAL_STATES",
    "KINDS",
    "OPEN_STATES",
    "AcknowledgedTask",
    "AuditTrail",
    "CallKind",
    "Deadlocks",
    "Fault",
    "FinalOverwrite",
    "History",
    "HistoryError",
    "Kind",
    "LedgerRow",
    "ListedTask",
    "OwnershipChange",
    "PartitionState",
    "Record",
    "RemovedTask",
    "Run",
    "StaleWrite",
    "TaskCall",
    "TaskKey",
    "member_name",
    "to_dict",
]

TaskKey = tuple[str, str]
Kind = Literal["one-time", "cron", "interval"]
Delivery = Literal["at-least-once", "at-most-once"]
Overlap = Literal["allow", "skip", "buffer-one", "replace"]
KINDS: tuple[Kind, ...] = ("one-time", "cron", "interval")
OPEN_STATES = frozenset({"SCHEDULED", "WAITING", "DISPATCHED", "RUNNING"})
FINAL_STATES = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "SKIPPED", "EXPIRED", "LOST"})


@dataclass(frozen=True, slots=True)
class AcknowledgedTask:
    """One definition of a task that a client sent.

    Attributes:
        at: One-time: the scheduled time, from the server's answer when it was given as a delay.
        delay_us: One-time, unknown outcome only: the delay asked for, when no answer told `at`.
        expression: Cron: 5 fields, or 6 with seconds first.
        time_zone: Cron: IANA name.
        every_us: Interval: distance of two scheduled times.
        anchor_at: Interval: scheduled times are `anchor_at + k * every_us`, k >= 0.
        max_executions: Recurring: it ends after so many scheduled times since its registration.
        due_offset_min_us: Least distance of the due time after the scheduled time.
        due_offset_max_us: Greatest such distance; differs from the least when jitter was asked for.
        sent_at: When the client began the call.
        acknowledged_at: When it had the answer; None when it never had one (`outcome` "unknown").
        cancel_sent_at: When the client began to end this definition: a cancel, a deletion, another schedule.
        cancelled_at: When that was acknowledged; None with `cancel_sent_at` set means nobody knows.
        cancels_running: Whether that cancel also asked for running executions to stop.
        ended_by: What that call was.
        max_attempts: Attempts that the retry policy allows for failing handlers.
        overlap: Recurring: what becomes of a time while another execution is open.
        payload_mark: `mark_of` the payload that it began with; None: nobody noted it.
        start_within_us: How late its first attempt may start at most; then the execution ends as EXPIRED.
        finish_within_us: How long an attempt may run; then it is stopped and counts as failed.
        keep_executions: How many of its final executions are kept at least; the older ones may go.
        replaces: It is another schedule of a task that was there: a time of the old one that had passed may stay, and
            the times of this one behind that then come with it.
    """

    namespace: str
    task_id: str
    kind: Kind
    handler: str
    sent_at: int
    acknowledged_at: int | None
    outcome: Literal["ok", "unknown"] = "ok"
    at: int | None = None
    delay_us: int | None = None
    expression: str | None = None
    time_zone: str | None = None
    every_us: int | None = None
    anchor_at: int | None = None
    max_executions: int | None = None
    due_offset_min_us: int = 0
    due_offset_max_us: int = 0
    cancel_sent_at: int | None = None
    cancelled_at: int | None = None
    cancels_running: bool = False
    delivery: Delivery = "at-least-once"
    ended_by: CallKind = "cancel"
    max_attempts: int = 1
    overlap: Overlap = "skip"
    payload_mark: int | None = None
    start_within_us: int | None = None
    finish_within_us: int | None = None
    keep_executions: int | None = None
    replaces: bool = False

    def __post_init__(self) -> None:
        needed: dict[str, tuple[object, ...]] = {
            "one-time": (self.at if self.outcome == "ok" or self.delay_us is None else self.delay_us,),
            "cron": (self.expression, self.time_zone),
            "interval": (self.every_us, self.anchor_at),
        }
        if self.kind not in needed:
            raise ValueError(f"{self.namespace}/{self.task_id}: no such kind of schedule: {self.kind!r}")
        if None in needed[self.kind]:
            raise ValueError(
                f"{self.namespace}/{self.task_id}: a field of its {self.kind} schedule is missing"
            )
        if self.outcome == "ok" and self.acknowledged_at is None:
            raise ValueError(f"{self.namespace}/{self.task_id}: acknowledged, but not when")

    @property
    def key(self) -> TaskKey:
        """(namespace, task id)."""
        return (self.namespace, self.task_id)


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt as the executor's own log tells it, on the executor's clock; `ended_at` None: no end seen."""

    namespace: str
    task_id: str
    scheduled_at: int
    attempt: int
    epoch: int
    partition_id: int
    executor_id: str
    handler: str
    started_at: int
    ended_at: int | None = None
    outcome: Literal["succeeded", "failed", "cancelled"] | None = None
    payload_mark: int | None = None

    @property
    def key(self) -> TaskKey:
        """(namespace, task id)."""
        return (self.namespace, self.task_id)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One execution, or one gap, as read over the API. Instants are on cluster time, None when not reached.

    Attributes:
        attempt: Number of the last attempt that was assigned to an executor; 0 when none was.
        epoch: The epoch under which that attempt (or the claim) was written.
        node_id: The node that owned the partition under that epoch.
        picked_up_at: When the owner had the executor's start acknowledgement of that attempt.
        gap_until: For a gap row only: its last skipped scheduled time, inclusive; `scheduled_at` is the first.
        gap_count: For a gap row only: how many scheduled times it stands for.
        origin: Why there is this execution; one of CATCH_UP or BACKFILL was missed and is made up for.
    """

    namespace: str
    task_id: str
    scheduled_at: int
    due_at: int
    state: str
    attempt: int = 0
    epoch: int = 0
    executor_id: str | None = None
    node_id: str | None = None
    claimed_at: int | None = None
    dispatched_at: int | None = None
    picked_up_at: int | None = None
    finished_at: int | None = None
    saved_at: int | None = None
    gap_until: int | None = None
    gap_count: int = 0
    reason: str = ""
    origin: str = "SCHEDULE"

    def __post_init__(self) -> None:
        if self.state not in OPEN_STATES and self.state not in FINAL_STATES:
            raise ValueError(f"{self.namespace}/{self.task_id}: no such state: {self.state!r}")

    @property
    def is_made_up_for(self) -> bool:
        """Whether it was missed and runs late on purpose."""
        return self.origin in ("CATCH_UP", "BACKFILL")

    @property
    def key(self) -> TaskKey:
        """(namespace, task id)."""
        return (self.namespace, self.task_id)


@dataclass(frozen=True, slots=True)
class ListedTask:
    """A task as the API lists it.

    Attributes:
        execution_count: How many scheduled times of it the ledger holds, by its own word; None when nobody asked.
        last_scheduled_at: The scheduled time of its latest ledger row then; None when it had none.
    """

    namespace: str
    task_id: str
    execution_count: int | None = None
    last_scheduled_at: int | None = None

    @property
    def key(self) -> TaskKey:
        """(namespace, task id)."""
        return (self.namespace, self.task_id)


Record = (
    AcknowledgedTask
    | ListedTask
    | Run
    | LedgerRow
    | Fault
    | Deadlocks
    | StaleWrite
    | FinalOverwrite
    | OwnershipChange
    | PartitionState
    | RemovedTask
    | TaskCall
)


@dataclass(frozen=True, slots=True)
class History:
    """All that the checker is told.

    Scheduled times whose due time lies in [`window_from_at`, `window_until_at`) are judged; later ones may
    be half-way. Take the evidence in this order: let the window end and settle, list the tasks, note
    `ledger_read_at`, read the ledger, then copy the run logs.

    Attributes:
        ledger_read_at: When the reading of `ledger` began; runs that began later need no row.
        earlier_ledger: An earlier reading of the ledger, whose final states must still stand.
        listed_tasks: All tasks that the API lists at the end, before the ledger is read; None when it was not asked.
        audit: What triggers in the database saw, or None when there were none.
        deadlocks: Counts of error 1213, or None when nobody counted.
        calls: What clients did to tasks that were there.
        retentions: For how long namespaces keep what has ended, microseconds; 30 days those that are not named.
    """

    tasks: tuple[AcknowledgedTask, ...]
    runs: tuple[Run, ...]
    ledger: tuple[LedgerRow, ...]
    faults: tuple[Fault, ...]
    window_from_at: int
    window_until_at: int
    ledger_read_at: int
    earlier_ledger: tuple[LedgerRow, ...] = ()
    listed_tasks: tuple[ListedTask, ...] | None = None
    audit: AuditTrail | None = None
    deadlocks: Deadlocks | None = None
    calls: tuple[TaskCall, ...] = ()
    retentions: Mapping[str, int] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write one JSON lines file per kind of record into `folder`, which is made if it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _RECORDS:
            write_records(folder / f"{name}.jsonl", getattr(self, name))
        for name in _AUDIT_RECORDS:
            # Written empty without an audit, so that a folder used again holds nothing of another run.
            write_records(folder / f"audit_{name}.jsonl", getattr(self.audit, name) if self.audit else ())
        listed = None if self.listed_tasks is None else [list(astuple(task)) for task in self.listed_tasks]
        audit, deadlocks = self.audit, self.deadlocks
        window = {
            "window_from_at": self.window_from_at,
            "window_until_at": self.window_until_at,
            "ledger_read_at": self.ledger_read_at,
            "listed_tasks": listed,
            "audit": audit and {"installed_at": audit.installed_at, "read_at": audit.read_at},
            "deadlocks": deadlocks and to_dict(deadlocks),
            "retentions": dict(self.retentions),
        }
        write_lines(folder / "window.jsonl", [window])

    @classmethod
    def load(cls, folder: Path) -> "History":
        """Read what `save` wrote, also before there were audits or calls.

        Raises:
            HistoryError: A file is missing, or a line of it is not such a record.
        """
        path = folder / "window.jsonl"
        windows = read_lines(path)
        if len(windows) != 1:
            raise HistoryError(f"{path}: holds {len(windows)} lines, not one")
        window = windows[0]
        records: dict[str, Any] = {
            name: read_records(folder / f"{name}.jsonl", kind)
            for name, kind in _RECORDS.items()
            if name not in _LATER_RECORDS or (folder / f"{name}.jsonl").exists()
        }
        listed, audit, deadlocks = (window.get(name) for name in ("listed_tasks", "audit", "deadlocks"))
        try:
            bare = cls(
                **records,
                window_from_at=window["window_from_at"],
                window_until_at=window["window_until_at"],
                ledger_read_at=window["ledger_read_at"],
                # Two words each in a history from before there were counts.
                listed_tasks=None if listed is None else tuple(ListedTask(*task) for task in listed),
                deadlocks=None if deadlocks is None else Deadlocks(**deadlocks),
                retentions=window.get("retentions", {}),
            )
            if audit is None:
                return bare
            trail: dict[str, Any] = {
                name: read_records(folder / f"audit_{name}.jsonl", kind)
                for name, kind in _AUDIT_RECORDS.items()
                if name not in _LATER_RECORDS or (folder / f"audit_{name}.jsonl").exists()
            }
            return replace(bare, audit=AuditTrail(**audit, **trail))
        except KeyError as error:
            raise HistoryError(f"{path}: lacks {error}") from error
        except TypeError as error:
            raise HistoryError(f"{path}:1: {error}") from error


# Fields of a history, and of its audit, that are files of records.
_RECORDS: dict[str, type[Any]] = {
    "tasks": AcknowledgedTask,
    "runs": Run,
    "ledger": LedgerRow,
    "earlier_ledger": LedgerRow,
    "faults": Fault,
    "calls": TaskCall,
}
_AUDIT_RECORDS: dict[str, type[Any]] = {
    "initial_partitions": PartitionState,
    "final_partitions": PartitionState,
    "ownership_changes": OwnershipChange,
    "stale_writes": StaleWrite,
    "final_overwrites": FinalOverwrite,
    "removed_tasks": RemovedTask,
}
_LATER_RECORDS = frozenset({"calls", "removed_tasks"})
"""Missing in a history from before there were such."""
