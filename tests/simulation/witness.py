"""The ledger as it stands, and as it first said that something is final: read from the tables, past the product's code."""

from __future__ import annotations

import sqlite3

from mainspring.server.core.model import ExecutionState
from mainspring.testing.history import LedgerRow, TaskKey

_COLUMNS = """t.namespace, t.task_id, e.scheduled_at, e.due_at, e.state, e.attempt, e.epoch, e.executor_id, e.node_id,
  e.claimed_at, e.dispatched_at, e.picked_up_at, e.finished_at, e.saved_at, e.gap_last_scheduled_at,
  coalesce(e.gap_count, 0), e.reason"""
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
_UNFINISHED = """SELECT EXISTS (SELECT 1 FROM tasks WHERE state = 1 AND due_at < :until_at)
  OR EXISTS (SELECT 1 FROM executions WHERE state < 4 AND due_at < :until_at)"""


class Witness:
    """Watches one database from its first row on."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        connection.executescript(_WATCH)

    def is_unfinished(self, until_at: int) -> bool:
        """Whether anything that is due before this instant waits or is open."""
        return bool(self.connection.execute(_UNFINISHED, {"until_at": until_at}).fetchone()[0])

    def ledger(self) -> tuple[LedgerRow, ...]:
        """Every row as it is."""
        return self._read("executions")

    def first_final(self) -> tuple[LedgerRow, ...]:
        """Every row that is or was final, as it was when it became so."""
        return self._read("first_final")

    def tasks(self) -> tuple[TaskKey, ...]:
        """Every task that is stored."""
        return tuple(self.connection.execute("SELECT namespace, task_id FROM tasks"))

    def _read(self, table: str) -> tuple[LedgerRow, ...]:
        rows = self.connection.execute(_READ.format(table=table))
        return tuple(LedgerRow(*row[:4], ExecutionState(row[4]).name, *row[5:]) for row in rows)
