"""Histories that a faultless scheduler would leave: the ground on which tests plant one mistake at a time.

The scheduled times here are written down in closed form, not taken from the module under test.
"""

import random
from dataclasses import dataclass, field

from mainspring.testing.history import (
    AcknowledgedTask,
    AuditTrail,
    Deadlocks,
    Fault,
    History,
    LedgerRow,
    ListedTask,
    OwnershipChange,
    PartitionState,
    Run,
)

S = 1_000_000
NOW = 1_900_000_000 * S
WINDOW_UNTIL = NOW + 65 * S
READ_AT = WINDOW_UNTIL + 60 * S
HAND_OVER_AT = NOW + 17 * S
PARTITIONS = 7
OUTAGE = Fault("stop", "mysql", NOW + 8 * S, NOW + 14 * S, is_outage=True)
KILL = Fault("kill -9", "executor-0", NOW + 28 * S, NOW + 32 * S)


@dataclass
class World:
    """A scheduler that makes no mistake, over one seed."""

    seed: int
    faults: tuple[Fault, ...] = ()
    tasks: list[AcknowledgedTask] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    rows: list[LedgerRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def history(self) -> History:
        runs = tuple(sorted(self.runs, key=lambda run: run.started_at))
        rows = tuple(self.rng.sample(self.rows, len(self.rows)))
        listed = tuple(self._listed(task) for task in self.tasks if task.outcome == "ok")
        return History(
            tuple(self.tasks),
            runs,
            rows,
            self.faults,
            NOW,
            WINDOW_UNTIL,
            READ_AT,
            rows[::2],
            listed,
            audit=_audit(),
            deadlocks=Deadlocks(2, 2),
        )

    def add(self, task: AcknowledgedTask) -> None:
        self.tasks.append(task)
        times = [at for at in _times(task) if at > task.sent_at or task.kind == "one-time"]
        if task.cancel_sent_at is not None:
            times = [at for at in times if at <= task.cancel_sent_at]
        if task.outcome == "unknown" and self.rng.random() < 0.5:
            times = []
        if OUTAGE in self.faults and task.kind != "one-time":
            missed = [at for at in times if OUTAGE.from_at <= at < OUTAGE.until_at]
            if task.cancel_sent_at is None:
                times = [at for at in times if at not in missed[:-1]]
                self._skip(task, missed[:-1])
        for at in times:
            due_at = at + self.rng.randint(task.due_offset_min_us, task.due_offset_max_us)
            if task.kind == "one-time" and task.acknowledged_at and at < task.acknowledged_at:
                due_at = max(at, self.rng.randint(task.sent_at, task.acknowledged_at))
            if task.cancel_sent_at is not None and at > task.cancel_sent_at - S:
                self._cancelled(task, at, due_at)
            else:
                self._execute(task, at, due_at)

    def _skip(self, task: AcknowledgedTask, missed: list[int]) -> None:
        if len(missed) == 1:
            self.rows.append(
                _row(task, missed[0], missed[0], "SKIPPED", reason="misfire", saved_at=OUTAGE.until_at)
            )
        elif missed:
            gap = {"gap_until": missed[-1], "gap_count": len(missed), "reason": "misfire"}
            self.rows.append(_row(task, missed[0], missed[0], "SKIPPED", saved_at=OUTAGE.until_at, **gap))

    def _listed(self, task: AcknowledgedTask) -> ListedTask:
        rows = [row for row in self.rows if row.key == task.key]
        count = sum(row.gap_count or 1 for row in rows)
        return ListedTask(*task.key, count, max((row.scheduled_at for row in rows), default=None))

    def _cancelled(self, task: AcknowledgedTask, at: int, due_at: int) -> None:
        assert task.cancel_sent_at is not None
        saved_at = max(due_at + 90_000, task.cancel_sent_at + 5_000)
        saved = {"claimed_at": due_at + 1_000, "saved_at": saved_at, "reason": "cancelled"}
        self.rows.append(_row(task, at, due_at, "CANCELLED", **saved))

    def _execute(self, task: AcknowledgedTask, at: int, due_at: int) -> None:
        rng, attempt = self.rng, 1
        claimed_at = due_at + rng.randint(0, 80_000)
        if OUTAGE in self.faults and OUTAGE.from_at <= due_at < OUTAGE.until_at:
            claimed_at = OUTAGE.until_at + rng.randint(0, 9 * S)
        executor = f"executor-{rng.randrange(2)}"
        if KILL in self.faults and KILL.from_at - 10_000 <= claimed_at < KILL.until_at:
            executor = "executor-1"
        sent_at = claimed_at
        while True:
            dispatched_at = sent_at + rng.randint(0, 3_000)
            run = self._run(task, at, attempt, dispatched_at + rng.randint(0, 3_000), executor)
            picked_up_at = run.started_at + rng.randint(0, 4_000)
            if KILL in self.faults and executor == KILL.target and self._dies(run.started_at):
                self.runs.append(run)
                if task.delivery == "at-most-once":
                    state, ended_at = "LOST", run.started_at + 3 * S
                    break
                sent_at = KILL.from_at + 3 * S + rng.randrange(S)
                if _is_cancelled(task, sent_at):
                    state, ended_at = "CANCELLED", sent_at
                    break
                executor, attempt = "executor-1", attempt + 1
                continue
            ended_at = run.started_at + rng.randint(0, 100_000)
            has_failed = rng.random() < 0.1
            outcome = "failed" if has_failed else "succeeded"
            self.runs.append(_ended(run, ended_at, outcome))
            if has_failed and attempt < task.max_attempts:
                sent_at = ended_at + rng.randint(S, 2 * S)
                if _is_cancelled(task, sent_at):
                    state, ended_at = "CANCELLED", sent_at
                    break
                attempt += 1
                continue
            state = "FAILED" if has_failed else "SUCCEEDED"
            break
        finished_at = ended_at + rng.randint(0, 3_000)
        self.rows.append(
            _row(
                task,
                at,
                due_at,
                state,
                attempt=attempt,
                epoch=run.epoch,
                executor_id=executor,
                node_id=owner_of(run.partition_id, run.epoch),
                claimed_at=claimed_at,
                dispatched_at=dispatched_at,
                picked_up_at=picked_up_at,
                finished_at=finished_at,
                saved_at=finished_at + rng.randint(0, 30_000),
                reason="boom" if state == "FAILED" else "",
            )
        )

    def _dies(self, started_at: int) -> bool:
        return KILL.from_at - S // 2 <= started_at < KILL.from_at

    def _run(self, task: AcknowledgedTask, at: int, attempt: int, started_at: int, executor: str) -> Run:
        partition = sum(task.task_id.encode()) % PARTITIONS
        epoch = 3 + (started_at >= HAND_OVER_AT)
        return Run(
            task.namespace, task.task_id, at, attempt, epoch, partition, executor, task.handler, started_at
        )


def owner_of(partition_id: int, epoch: int) -> str:
    """The node id that owns a partition under an epoch."""
    return f"node-{(partition_id + epoch) % 3}-100-abcd"


def _audit() -> AuditTrail:
    """Everything taken before the window, and handed over once in the middle of it."""
    changes: list[OwnershipChange] = []
    for partition_id in range(PARTITIONS):
        first, second = owner_of(partition_id, 3), owner_of(partition_id, 4)
        released_at = HAND_OVER_AT - 20_000
        changes += [
            OwnershipChange(partition_id, 2, 3, None, first, NOW - 20 * S),
            OwnershipChange(partition_id, 3, 3, first, None, released_at),
            OwnershipChange(partition_id, 3, 4, None, second, HAND_OVER_AT),
        ]
    changes.sort(key=lambda change: change.at)
    return AuditTrail(
        installed_at=NOW - 30 * S,
        read_at=READ_AT + S,
        initial_partitions=tuple(PartitionState(number, 2, None) for number in range(PARTITIONS)),
        final_partitions=tuple(
            PartitionState(number, 4, owner_of(number, 4)) for number in range(PARTITIONS)
        ),
        ownership_changes=tuple(changes),
    )


def one_time(number: int, at: int, **fields: object) -> AcknowledgedTask:
    return _task(f"once-{number}", "one-time", at=at, **fields)


def interval(number: int, every_us: int, anchor_at: int, **fields: object) -> AcknowledgedTask:
    return _task(f"interval-{number}", "interval", every_us=every_us, anchor_at=anchor_at, **fields)


def cron(number: int, **fields: object) -> AcknowledgedTask:
    return _task(f"cron-{number}", "cron", expression="*/5 * * * * *", time_zone="Asia/Kathmandu", **fields)


def perfect_history(seed: int, tasks: int, faults: tuple[Fault, ...]) -> History:
    """A clean history with every kind of task and edge; the same arguments give the same history."""
    world, rng = World(seed, faults), random.Random(f"tasks {seed}")
    for number in range(tasks):
        fields: dict[str, object] = {}
        if number % 4 == 1:
            fields["max_attempts"] = 3
        if number % 5 == 2:
            fields = {"delivery": "at-most-once"}
        if number % 6 == 3:
            fields |= {"due_offset_max_us": 500_000}
        if number % 7 == 4:
            fields |= {"outcome": "unknown", "acknowledged_at": None}
        world.add(one_time(number, NOW + rng.randrange(64 * S), **fields))
        if number % 9 == 5:
            fields |= {"cancel_sent_at": NOW + 27 * S + 500_000, "cancelled_at": NOW + 27 * S + 700_000}
        world.add(interval(number, rng.randint(3, 9) * S, NOW - 20 * S + rng.randrange(30 * S), **fields))
        world.add(cron(number, **fields))
    # One more of each kind in plain form, so that each has fired whatever the draw; and one that was past.
    world.add(one_time(1_000, NOW + 3 * S))
    world.add(one_time(1_001, NOW - 3_600 * S, sent_at=NOW + S, acknowledged_at=NOW + S + 5_000))
    world.add(interval(1_000, 4 * S, NOW - S))
    world.add(cron(1_000))
    # Something is due while each fault lasts.
    for fault in faults:
        world.add(one_time(2_000 + fault.from_at % 97, fault.from_at + S))
    return world.history()


def _task(task_id: str, kind: str, **fields: object) -> AcknowledgedTask:
    given = {"sent_at": NOW - 6 * S, "acknowledged_at": NOW - 5 * S, **fields}
    return AcknowledgedTask("default", task_id, kind, "noop", **given)  # type: ignore[arg-type]


def _is_cancelled(task: AcknowledgedTask, at: int) -> bool:
    return task.cancel_sent_at is not None and at > task.cancel_sent_at


def _times(task: AcknowledgedTask) -> list[int]:
    if task.at is not None:
        return [task.at]
    # Kathmandu's offset, 5:45 h, is a multiple of 5 s: so the cron times are the multiples of 5 s.
    every_us, anchor_at = (task.every_us, task.anchor_at) if task.every_us else (5 * S, NOW - 100 * S)
    assert every_us is not None
    assert anchor_at is not None
    return list(range(anchor_at, WINDOW_UNTIL + 3 * S, every_us))


def _row(task: AcknowledgedTask, at: int, due_at: int, state: str, **fields: object) -> LedgerRow:
    return LedgerRow(task.namespace, task.task_id, at, due_at, state, **fields)  # type: ignore[arg-type]


def _ended(run: Run, ended_at: int, outcome: str) -> Run:
    values = {name: getattr(run, name) for name in Run.__slots__}
    return Run(**(values | {"ended_at": ended_at, "outcome": outcome}))
