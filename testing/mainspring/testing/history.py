"""What one run of a cluster left behind, as plain records: the input of the checker, and files on disk.

Four witnesses are kept apart, because the checker compares them: what the client was acknowledged
(`AcknowledgedTask`), what the executors wrote down themselves (`Run`), what the API says the ledger holds
(`LedgerRow`), and what the harness did to the cluster (`Fault`).

All instants are microseconds UTC. A history saved as JSON lines, one file per kind of record, loads to an
equal history, so that a verdict can be computed again from the files. Pure but for `save` and `load`.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

TaskKey = tuple[str, str]
Kind = Literal["one-time", "cron", "interval"]
Delivery = Literal["at-least-once", "at-most-once"]
KINDS: tuple[Kind, ...] = ("one-time", "cron", "interval")
OPEN_STATES = frozenset({"SCHEDULED", "WAITING", "DISPATCHED", "RUNNING"})
FINAL_STATES = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "SKIPPED", "EXPIRED", "LOST"})


class HistoryError(ValueError):
    """A file of a history does not hold what it should; the message names the file and line."""


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
        due_offset_min_us: Least distance of the due time after the scheduled time.
        due_offset_max_us: Greatest such distance; differs from the least when jitter was asked for.
        sent_at: When the client began the call.
        acknowledged_at: When it had the answer; None when it never had one (`outcome` "unknown").
        cancel_sent_at: When the client began to cancel (pause, replace) this definition.
        cancelled_at: When that was acknowledged; None with `cancel_sent_at` set means nobody knows.
        cancels_running: Whether that cancel also asked for running executions to stop.
        max_attempts: Attempts that the retry policy allows for failing handlers.
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
    due_offset_min_us: int = 0
    due_offset_max_us: int = 0
    cancel_sent_at: int | None = None
    cancelled_at: int | None = None
    cancels_running: bool = False
    delivery: Delivery = "at-least-once"
    max_attempts: int = 1

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

    def __post_init__(self) -> None:
        if self.state not in OPEN_STATES and self.state not in FINAL_STATES:
            raise ValueError(f"{self.namespace}/{self.task_id}: no such state: {self.state!r}")

    @property
    def key(self) -> TaskKey:
        """(namespace, task id)."""
        return (self.namespace, self.task_id)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something done to the cluster from `from_at` until it was healed at `until_at`, on the harness's clock.

    A fault excuses little. One whose `target` is an executor's id, or "executors", excuses a second run of
    what that executor had, and a missing end in its log. One with `is_outage` (it left no MySQL, ZooKeeper,
    node or executor) excuses skipped times and lets lateness count from the heal. Any fault excuses an
    attempt that was assigned and never started. A planned join or stop is listed too: it excuses no double
    run, but the checker sees to it that something was due meanwhile.
    """

    kind: str
    target: str
    from_at: int
    until_at: int
    is_outage: bool = False


Record = AcknowledgedTask | Run | LedgerRow | Fault
_R = TypeVar("_R", AcknowledgedTask, Run, LedgerRow, Fault)


@dataclass(frozen=True, slots=True)
class History:
    """All that the checker is told.

    Scheduled times whose due time lies in [`window_from_at`, `window_until_at`) are judged; later ones may
    be half-way. Take the evidence in this order: let the window end and settle, note `ledger_read_at`, read
    the ledger, then copy the run logs.

    Attributes:
        ledger_read_at: When the reading of `ledger` began; runs that began later need no row.
        earlier_ledger: An earlier reading of the ledger, whose final states must still stand.
        listed_tasks: Keys of all tasks that the API lists at the end, or None when it was not asked.
    """

    tasks: tuple[AcknowledgedTask, ...]
    runs: tuple[Run, ...]
    ledger: tuple[LedgerRow, ...]
    faults: tuple[Fault, ...]
    window_from_at: int
    window_until_at: int
    ledger_read_at: int
    earlier_ledger: tuple[LedgerRow, ...] = ()
    listed_tasks: tuple[TaskKey, ...] | None = None

    def save(self, folder: Path) -> None:
        """Write one JSON lines file per kind of record into `folder`, which is made if it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "tasks.jsonl", map(to_dict, self.tasks))
        _write(folder / "runs.jsonl", map(to_dict, self.runs))
        _write(folder / "ledger.jsonl", map(to_dict, self.ledger))
        _write(folder / "earlier_ledger.jsonl", map(to_dict, self.earlier_ledger))
        _write(folder / "faults.jsonl", map(to_dict, self.faults))
        listed = None if self.listed_tasks is None else [list(key) for key in self.listed_tasks]
        window = {
            "window_from_at": self.window_from_at,
            "window_until_at": self.window_until_at,
            "ledger_read_at": self.ledger_read_at,
            "listed_tasks": listed,
        }
        _write(folder / "window.jsonl", [window])

    @classmethod
    def load(cls, folder: Path) -> "History":
        """Read what `save` wrote.

        Raises:
            HistoryError: A file is missing, or a line of it is not such a record.
        """
        windows = _read(folder / "window.jsonl")
        if len(windows) != 1:
            raise HistoryError(f"{folder / 'window.jsonl'}: holds {len(windows)} lines, not one")
        window = windows[0]
        listed = window.get("listed_tasks")
        try:
            return cls(
                tasks=_read_records(folder / "tasks.jsonl", AcknowledgedTask),
                runs=_read_records(folder / "runs.jsonl", Run),
                ledger=_read_records(folder / "ledger.jsonl", LedgerRow),
                faults=_read_records(folder / "faults.jsonl", Fault),
                earlier_ledger=_read_records(folder / "earlier_ledger.jsonl", LedgerRow),
                window_from_at=window["window_from_at"],
                window_until_at=window["window_until_at"],
                ledger_read_at=window["ledger_read_at"],
                listed_tasks=None if listed is None else tuple((str(a), str(b)) for a, b in listed),
            )
        except KeyError as error:
            raise HistoryError(f"{folder / 'window.jsonl'}: lacks {error}") from error


_FIELDS = {
    kind: tuple(field.name for field in fields(kind)) for kind in (AcknowledgedTask, Run, LedgerRow, Fault)
}


def to_dict(record: Record) -> dict[str, Any]:
    """The record's fields by name, as they stand in a file."""
    return {name: getattr(record, name) for name in _FIELDS[type(record)]}


def _write(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")


def _read(path: Path) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, start=1):
                try:
                    line = json.loads(text)
                except json.JSONDecodeError as error:
                    raise HistoryError(f"{path}:{number}: not JSON: {error}") from error
                if not isinstance(line, dict):
                    raise HistoryError(f"{path}:{number}: not a JSON object")
                lines.append(line)
    except OSError as error:
        raise HistoryError(f"{path}: {error.strerror}") from error
    return lines


def _read_records(path: Path, kind: type[_R]) -> tuple[_R, ...]:
    records: list[_R] = []
    for number, line in enumerate(_read(path), start=1):
        try:
            records.append(kind(**line))
        except (TypeError, ValueError) as error:
            raise HistoryError(f"{path}:{number}: {error}") from error
    return tuple(records)
