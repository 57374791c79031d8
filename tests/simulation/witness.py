"""What the database itself saw: the ledger as it stands and as it first said that something is final, and an audit.

Read from the tables and written by triggers, past the product's code. The triggers are those of `mainspring.testing.audit`,
in SQLite's words.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from mainspring.server.core.execution_life import is_allowed
from mainspring.server.core.model import ExecutionOrigin, ExecutionState
from mainspring.testing.history import (
    AuditTrail,
    LedgerRow,
    ListedTask,
    OwnershipChange,
    PartitionState,
    StaleWrite,
)

_COLUMNS = """t.namespace, t.task_id, e.scheduled_at, e.due_at, e.state, e.attempt, e.epoch, e.executor_id, e.node_id,
  e.claimed_at, e.dispatched_at, e.picked_up_at, e.finished_at, e.saved_at, e.gap_last_scheduled_at,
  coalesce(e.gap_count, 0), e.reason, e.origin"""
_READ = f"""SELECT {_COLUMNS} FROM {{table}} e JOIN tasks t ON t.partition_id = e.partition_id AND t.task_key = e.task_key
ORDER BY e.partition_id, e.scheduled_at, e.task_key"""

# What a transaction undoes, it undoes here too.
_WATCH = """
CREATE TEMP TABLE first_final AS SELECT * FROM main.executions WHERE 0;
CREATE UNIQUE INDEX temp.first_final_key ON first_final (partition_id, scheduled_at, task_key);
CREATE TEMP TRIGGER ended AFTER UPDATE OF state ON main.executions WHEN NEW.state >= 4 BEGIN
  INSERT OR IGNORE INTO first_final SELECT * FROM main.executions
  WHERE partition_id = NEW.partition_id AND scheduled_at = NEW.scheduled_at AND task_key = NEW.task_key;
END;
CREATE TEMP TRIGGER skipped AFTER INSERT ON main.executions WHEN NEW.state >= 4 BEGIN
  INSERT OR IGNORE INTO first_final SELECT * FROM main.executions
  WHERE partition_id = NEW.partition_id AND scheduled_at = NEW.scheduled_at AND task_key = NEW.task_key;
END;
"""
_AUDIT = """
CREATE TEMP TABLE ownership_changes (partition_id, old_epoch, new_epoch, old_owner_id, new_owner_id, at);
CREATE TEMP TABLE stale_writes (
  statement, partition_id, task_key, scheduled_at, attempt, epoch, node_id, owner_epoch, owner_id, at, writer
);
CREATE TEMP TRIGGER owned AFTER UPDATE OF epoch, owner_id ON main.partitions BEGIN
  INSERT INTO ownership_changes
  VALUES (NEW.partition_id, OLD.epoch, NEW.epoch, OLD.owner_id, NEW.owner_id, sim_now());
END;
CREATE TEMP TRIGGER inserted_stale AFTER INSERT ON main.executions BEGIN
  INSERT INTO stale_writes
  SELECT 'INSERT', NEW.partition_id, NEW.task_key, NEW.scheduled_at, NEW.attempt, NEW.epoch, NEW.node_id, p.epoch,
    p.owner_id, sim_now(), sim_writer()
  FROM main.partitions p WHERE p.partition_id = NEW.partition_id
    AND (p.epoch IS NOT NEW.epoch OR p.owner_id IS NOT NEW.node_id OR p.owner_id IS NOT sim_writer());
END;
CREATE TEMP TRIGGER updated_stale AFTER UPDATE ON main.executions BEGIN
  INSERT INTO stale_writes
  SELECT 'UPDATE', NEW.partition_id, NEW.task_key, NEW.scheduled_at, NEW.attempt, NEW.epoch, NEW.node_id, p.epoch,
    p.owner_id, sim_now(), sim_writer()
  FROM main.partitions p WHERE p.partition_id = NEW.partition_id
    AND (p.owner_id IS NOT sim_writer() OR ((p.epoch IS NOT NEW.epoch OR p.owner_id IS NOT NEW.node_id)
      AND (OLD.epoch, OLD.attempt) IS NOT (NEW.epoch, NEW.attempt)));
END;
"""
_STEPS = """
CREATE TEMP TABLE steps (state_before, state_after, has_deadline, partition_id, scheduled_at, task_key);
CREATE TEMP TRIGGER made AFTER INSERT ON main.executions BEGIN
  INSERT INTO steps
  VALUES (NULL, NEW.state, NEW.wake_at IS NOT NULL, NEW.partition_id, NEW.scheduled_at, NEW.task_key);
END;
CREATE TEMP TRIGGER stepped AFTER UPDATE OF state, wake_at ON main.executions BEGIN
  INSERT INTO steps
  VALUES (OLD.state, NEW.state, NEW.wake_at IS NOT NULL, NEW.partition_id, NEW.scheduled_at, NEW.task_key);
END;
"""
_READ_STEPS = """SELECT DISTINCT s.state_before, s.state_after, s.has_deadline, t.task_id, s.scheduled_at
FROM steps s JOIN tasks t ON t.partition_id = s.partition_id AND t.task_key = s.task_key"""
_READ_STALE = """SELECT s.statement, s.partition_id, t.namespace, t.task_id, s.scheduled_at, s.attempt, s.epoch, s.node_id,
  s.owner_epoch, s.owner_id, s.at, s.writer
FROM stale_writes s JOIN tasks t ON t.partition_id = s.partition_id AND t.task_key = s.task_key ORDER BY s.rowid"""
_READ_PARTITIONS = "SELECT partition_id, epoch, owner_id FROM partitions ORDER BY partition_id"
_UNFINISHED = """SELECT EXISTS (SELECT 1 FROM tasks WHERE state = 1 AND MIN(due_at, scheduled_at) < :until_at)
  OR EXISTS (SELECT 1 FROM executions WHERE state < 4 AND MIN(due_at, scheduled_at) < :until_at)"""


class Witness:
    """Watches one database from its first row on.

    Args:
        now: the database's clock, microseconds.
        writer: whose unit is being carried out.
    """

    def __init__(
        self, connection: sqlite3.Connection, now: Callable[[], int], writer: Callable[[], str]
    ) -> None:
        self.connection = connection
        self._now = now
        connection.create_function("sim_now", 0, now)
        connection.create_function("sim_writer", 0, writer)
        connection.executescript(_WATCH + _AUDIT + _STEPS)
        self._installed_at = now()
        self._initial = self._partitions()

    def audit(self) -> AuditTrail:
        """What the triggers saw. A final row that was changed shows in `first_final`."""
        changes = self.connection.execute("SELECT * FROM ownership_changes ORDER BY rowid")
        return AuditTrail(
            installed_at=self._installed_at,
            read_at=self._now(),
            initial_partitions=self._initial,
            final_partitions=self._partitions(),
            ownership_changes=tuple(OwnershipChange(*row) for row in changes),
            stale_writes=tuple(StaleWrite(*row) for row in self.connection.execute(_READ_STALE)),
        )

    def _partitions(self) -> tuple[PartitionState, ...]:
        return tuple(PartitionState(*row) for row in self.connection.execute(_READ_PARTITIONS))

    def wrong_steps(self) -> list[str]:
        """Writes to a state that must not follow, and those after which an open row has no deadline, or a final one has."""
        wrong: list[str] = []
        for before, after, has_deadline, task_id, scheduled_at in self.connection.execute(_READ_STEPS):
            old, new = None if before is None else ExecutionState(before), ExecutionState(after)
            if not is_allowed(old, new) or bool(has_deadline) == new.is_final:
                deadline = "with" if has_deadline else "without"
                name = "nothing" if old is None else old.name
                wrong.append(f"{task_id} at {scheduled_at}: from {name} to {new.name} {deadline} a deadline")
        return wrong

    def is_unfinished(self, until_at: int) -> bool:
        """Whether anything that is due before this instant waits or is open."""
        return bool(self.connection.execute(_UNFINISHED, {"until_at": until_at}).fetchone()[0])

    def ledger(self) -> tuple[LedgerRow, ...]:
        """Every row as it is."""
        return self._read("executions")

    def first_final(self) -> tuple[LedgerRow, ...]:
        """Every row that is or was final, as it was when it became so."""
        return self._read("first_final")

    def tasks(self) -> tuple[ListedTask, ...]:
        """Every task that is stored."""
        rows = self.connection.execute(
            "SELECT namespace, task_id, execution_count, last_scheduled_at FROM tasks"
        )
        return tuple(ListedTask(*row) for row in rows)

    def _read(self, table: str) -> tuple[LedgerRow, ...]:
        rows = self.connection.execute(_READ.format(table=table))
        return tuple(
            LedgerRow(*row[:4], ExecutionState(row[4]).name, *row[5:-1], origin=ExecutionOrigin(row[-1]).name)
            for row in rows
        )
