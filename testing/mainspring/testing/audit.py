"""Triggers that watch a run's database from inside, and the reader of what they wrote down.

The product's schema stays as it is, and the product's account has no right on what the triggers write: that lies in a
database of its own, `<database>_audit`, and the triggers act with the rights of the administrator who set them.

- `stale_writes`: an execution was inserted, or its epoch, node or attempt changed, under another (epoch, node) than its
  partition's row shows; or an open execution changed by the account of a node that does not own the partition (`wake_at`
  alone may be set by any node that takes an API call);
- `final_overwrites`: a column of an execution that was final changed, or an execution was deleted;
- `removed_tasks`: a task's row was removed, by a call or by the retention of its namespace; it names rows of the others
  whose task is gone by the time of the reading;
- `ownership_changes`: a partition's row changed.

The triggers read the partition's row without a lock (`SELECT ... INTO`, a consistent read), so they change nothing of who
waits for whom. That makes `stale_writes` exact for whatever a fenced statement of the product does (it holds the row), and
sharp for whatever an unfenced one does: all that is missed is a write that meets a take which has not committed yet.

Works on MariaDB and MySQL. Functions block; call them from a thread.
"""

from typing import Any

from mainspring.server.core.model import ExecutionState, TaskState
from mainspring.testing.audit_trail import (
    AuditTrail,
    FinalOverwrite,
    OwnershipChange,
    PartitionState,
    RemovedTask,
    StaleWrite,
)
from mainspring.testing.errors import TestingError
from mainspring.testing.sql_server import connect, database_of

TIMEOUT_S = 30.0

# The instant of the write itself: UTC_TIMESTAMP() would be that of the statement's begin, before it waited for locks.
_NOW = "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)"

_TABLES = {
    "stale_writes": """statement VARCHAR(6) NOT NULL, partition_id SMALLINT UNSIGNED NOT NULL,
  task_key BINARY(16) NOT NULL, scheduled_at BIGINT NOT NULL, attempt INT UNSIGNED NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL, node_id VARCHAR(64) NULL, owner_epoch BIGINT UNSIGNED NULL, owner_id VARCHAR(64) NULL,
  writer VARCHAR(64) NOT NULL""",
    "final_overwrites": """statement VARCHAR(6) NOT NULL, partition_id SMALLINT UNSIGNED NOT NULL,
  task_key BINARY(16) NOT NULL, scheduled_at BIGINT NOT NULL, state_before TINYINT UNSIGNED NOT NULL,
  state_after TINYINT UNSIGNED NULL, attempt_before INT UNSIGNED NOT NULL, attempt_after INT UNSIGNED NULL""",
    "removed_tasks": """partition_id SMALLINT UNSIGNED NOT NULL, task_key BINARY(16) NOT NULL,
  namespace VARCHAR(200) NOT NULL, task_id VARCHAR(200) NOT NULL, state TINYINT UNSIGNED NOT NULL,
  KEY task (partition_id, task_key)""",
    "ownership_changes": """partition_id SMALLINT UNSIGNED NOT NULL, old_epoch BIGINT UNSIGNED NOT NULL,
  new_epoch BIGINT UNSIGNED NOT NULL, old_owner_id VARCHAR(64) NULL, new_owner_id VARCHAR(64) NULL""",
    "initial_partitions": """partition_id SMALLINT UNSIGNED NOT NULL, epoch BIGINT UNSIGNED NOT NULL,
  owner_id VARCHAR(64) NULL""",
}

_CREATE_TABLE = """CREATE TABLE IF NOT EXISTS %(audit)s.%(table)s (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, at BIGINT NOT NULL, %(columns)s, PRIMARY KEY (id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"""

_READ_OWNER = """  DECLARE owner_epoch BIGINT UNSIGNED DEFAULT NULL;
  DECLARE owner VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL;
  DECLARE CONTINUE HANDLER FOR NOT FOUND BEGIN END;"""

_SELECT_OWNER = """SELECT p.epoch, p.owner_id INTO owner_epoch, owner FROM partitions p
    WHERE p.partition_id = NEW.partition_id;"""

# The name of the node whose account this session uses (`SqlServer.create_account`), or an empty text.
_WRITER = "IF(LOCATE('~', USER()) > 0, SUBSTRING_INDEX(USER(), '~', 1), '')"

_WRITE_STALE = """INSERT INTO %(audit)s.stale_writes (at, statement, partition_id, task_key, scheduled_at, attempt, epoch,
        node_id, owner_epoch, owner_id, writer)
      VALUES (%(now)s, '%(statement)s', NEW.partition_id, NEW.task_key, NEW.scheduled_at, NEW.attempt, NEW.epoch,
        NEW.node_id, owner_epoch, owner, %(writer)s);"""

_IS_TERM_STALE = "NOT (owner_epoch <=> NEW.epoch AND owner <=> NEW.node_id)"
_IS_WRITER_STALE = "NOT COALESCE(owner LIKE CONCAT(%(writer)s, '-%%'), FALSE)"

_WRITE_CHANGE = """INSERT INTO %(audit)s.ownership_changes
      (at, partition_id, old_epoch, new_epoch, old_owner_id, new_owner_id)
    VALUES (%(now)s, %(row)s.partition_id, %(old_epoch)s, %(new_epoch)s, %(old_owner)s, %(new_owner)s)"""

_WRITE_OVERWRITE = """INSERT INTO %(audit)s.final_overwrites (at, statement, partition_id, task_key, scheduled_at,
        state_before, state_after, attempt_before, attempt_after)
      VALUES (%(now)s, '%(statement)s', OLD.partition_id, OLD.task_key, OLD.scheduled_at, OLD.state, %(state_after)s,
        OLD.attempt, %(attempt_after)s)"""

_WRITE_REMOVED = """INSERT INTO %(audit)s.removed_tasks (at, partition_id, task_key, namespace, task_id, state)
    VALUES (%(now)s, OLD.partition_id, OLD.task_key, OLD.namespace, OLD.task_id, OLD.state)"""

_NAMES = """COALESCE(t.namespace, r.namespace, ''), COALESCE(t.task_id, r.task_id, LOWER(HEX(w.task_key)))"""
_JOIN_NAMES = """LEFT JOIN tasks t ON t.partition_id = w.partition_id AND t.task_key = w.task_key
LEFT JOIN (SELECT partition_id, task_key, MAX(namespace) AS namespace, MAX(task_id) AS task_id
  FROM %(audit)s.removed_tasks GROUP BY 1, 2) r ON r.partition_id = w.partition_id AND r.task_key = w.task_key
ORDER BY w.id"""

_READ_STALE = f"""SELECT w.statement, w.partition_id, {_NAMES}, w.scheduled_at, w.attempt, w.epoch, w.node_id,
  w.owner_epoch, w.owner_id, w.at, w.writer
FROM %(audit)s.stale_writes w {_JOIN_NAMES}"""

_READ_OVERWRITES = f"""SELECT w.statement, w.partition_id, {_NAMES}, w.scheduled_at, w.state_before, w.state_after,
  w.attempt_before, w.attempt_after, w.at
FROM %(audit)s.final_overwrites w {_JOIN_NAMES}"""

_READ_REMOVED = (
    """SELECT partition_id, namespace, task_id, state, at FROM %(audit)s.removed_tasks ORDER BY id"""
)

_READ_CHANGES = """SELECT partition_id, old_epoch, new_epoch, old_owner_id, new_owner_id, at
FROM %(audit)s.ownership_changes ORDER BY id"""

_TRIGGERS = (
    "audit_execution_inserted",
    "audit_execution_updated",
    "audit_execution_deleted",
    "audit_task_deleted",
    "audit_partition_inserted",
    "audit_partition_updated",
    "audit_partition_deleted",
)
_READ_TRIGGERS = (
    "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '%(database)s' ORDER BY 1"
)


def install_audit(administrator_url: str) -> None:
    """Set the triggers, and note the partitions' rows. Call it after the schema was made; a second call changes nothing.

    Args:
        administrator_url: names the run's database, and an account that may do everything.

    Raises:
        pymysql.Error: the schema is not there, the account lacks rights, or the server is away.
    """
    names = _names(administrator_url)
    with connect(administrator_url, timeout_s=TIMEOUT_S) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE IF NOT EXISTS {names['audit']}")
        for table, definitions in _TABLES.items():
            cursor.execute(_CREATE_TABLE % {**names, "table": table, "columns": definitions})
        cursor.execute(_READ_TRIGGERS % names)
        found = {row[0] for row in cursor.fetchall()}
        cursor.execute("SHOW COLUMNS FROM executions")
        columns = [row[0] for row in cursor.fetchall()]
        for name, body in _triggers(names, columns).items():
            if name not in found:
                cursor.execute(f"CREATE TRIGGER {name} {body}")
        connection.begin()
        cursor.execute(f"SELECT COUNT(*) FROM {names['audit']}.initial_partitions")
        if cursor.fetchall()[0][0] == 0:
            # Locked, so that each change is either in these rows or written down after them.
            cursor.execute(
                f"INSERT INTO {names['audit']}.initial_partitions (at, partition_id, epoch, owner_id) "
                f"SELECT {_NOW}, partition_id, epoch, owner_id FROM partitions ORDER BY partition_id LOCK IN SHARE MODE"
            )
            cursor.execute(f"DELETE FROM {names['audit']}.ownership_changes")
        connection.commit()


def read_audit(administrator_url: str) -> AuditTrail:
    """Read what was written down so far.

    Raises:
        TestingError: a trigger is missing, so nothing that is not there can be believed.
        pymysql.Error: the server is away, or `install_audit` was never called.
    """
    names = _names(administrator_url)
    with connect(administrator_url, timeout_s=TIMEOUT_S) as connection, connection.cursor() as cursor:

        def rows(sql: str) -> list[tuple[Any, ...]]:
            cursor.execute(sql % names)
            return list(cursor.fetchall())

        missing = set(_TRIGGERS) - {row[0] for row in rows(_READ_TRIGGERS)}
        if missing:
            raise TestingError(
                f"the audit of {names['database']} is blind: {', '.join(sorted(missing))} missing"
            )
        # One snapshot, so that the rows at the end are those that the changes lead to.
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.begin()
        changes = rows(_READ_CHANGES)
        final = rows("SELECT partition_id, epoch, owner_id FROM partitions ORDER BY partition_id")
        initial = rows("SELECT partition_id, epoch, owner_id FROM %(audit)s.initial_partitions ORDER BY id")
        [(installed_at, read_at)] = rows(f"SELECT MIN(at), {_NOW} FROM %(audit)s.initial_partitions")
        stale = rows(_READ_STALE)
        overwrites = rows(_READ_OVERWRITES)
        removed = rows(_READ_REMOVED)
        connection.rollback()
    return AuditTrail(
        installed_at=int(installed_at or 0),
        read_at=int(read_at),
        initial_partitions=tuple(PartitionState(*row) for row in initial),
        final_partitions=tuple(PartitionState(*row) for row in final),
        ownership_changes=tuple(OwnershipChange(*row) for row in changes),
        stale_writes=tuple(StaleWrite(*row) for row in stale),
        final_overwrites=tuple(
            FinalOverwrite(*(*row[:5], _state(row[5]), _state(row[6]), *row[7:])) for row in overwrites
        ),
        removed_tasks=tuple(
            RemovedTask(row[0], row[1], row[2], TaskState(row[3]).name, row[4]) for row in removed
        ),
    )


def drop_audit(administrator_url: str) -> None:
    """Remove the triggers and everything they wrote; nothing happens where there is none. Raises `pymysql.Error`."""
    names = _names(administrator_url)
    with connect(administrator_url, timeout_s=TIMEOUT_S) as connection, connection.cursor() as cursor:
        for name in _TRIGGERS:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
        cursor.execute(f"DROP DATABASE IF EXISTS {names['audit']}")


def _names(administrator_url: str) -> dict[str, str]:
    database = database_of(administrator_url)
    return {"database": database, "audit": f"`{database}_audit`", "now": _NOW, "writer": _WRITER}


def _state(number: int | None) -> str | None:
    return None if number is None else ExecutionState(number).name


def _triggers(names: dict[str, str], columns: list[str]) -> dict[str, str]:
    """Event and body of each trigger; the columns are those of executions, whatever later schemas add."""
    # The link to the execution before is no part of what became of this one: it changes when a call adds one in between.
    columns = [column for column in columns if column != "previous_scheduled_at"]
    is_same = " AND ".join(f"OLD.`{column}` <=> NEW.`{column}`" for column in columns)
    is_same_but_wake = " AND ".join(f"OLD.`{c}` <=> NEW.`{c}`" for c in columns if c != "wake_at")
    inserted = _WRITE_STALE % {**names, "statement": "INSERT"}
    updated = _WRITE_STALE % {**names, "statement": "UPDATE"}
    is_writer_stale = _IS_WRITER_STALE % names
    overwritten = _WRITE_OVERWRITE % {
        **names,
        "statement": "UPDATE",
        "state_after": "NEW.state",
        "attempt_after": "NEW.attempt",
    }
    deleted = _WRITE_OVERWRITE % {
        **names,
        "statement": "DELETE",
        "state_after": "NULL",
        "attempt_after": "NULL",
    }

    def change(row: str, old_epoch: str, new_epoch: str, old_owner: str, new_owner: str) -> str:
        fields = {"row": row, "old_epoch": old_epoch, "new_epoch": new_epoch}
        return _WRITE_CHANGE % {**names, **fields, "old_owner": old_owner, "new_owner": new_owner}

    whole_change = change("NEW", "OLD.epoch", "NEW.epoch", "OLD.owner_id", "NEW.owner_id")
    bodies = (
        f"""AFTER INSERT ON executions FOR EACH ROW BEGIN
{_READ_OWNER}
  {_SELECT_OWNER}
  IF {_IS_TERM_STALE} THEN
    {inserted}
  END IF;
END""",
        f"""AFTER UPDATE ON executions FOR EACH ROW BEGIN
{_READ_OWNER}
  IF NOT (OLD.epoch <=> NEW.epoch AND OLD.node_id <=> NEW.node_id AND OLD.attempt <=> NEW.attempt) THEN
    {_SELECT_OWNER}
    IF {_IS_TERM_STALE} THEN
      {updated}
    END IF;
  ELSEIF OLD.state < 4 AND {names["writer"]} <> '' AND NOT ({is_same_but_wake}) THEN
    {_SELECT_OWNER}
    IF {is_writer_stale} THEN
      {updated}
    END IF;
  END IF;
  IF OLD.state >= 4 AND NOT ({is_same}) THEN
    {overwritten};
  END IF;
END""",
        f"AFTER DELETE ON executions FOR EACH ROW {deleted}",
        f"AFTER DELETE ON tasks FOR EACH ROW {_WRITE_REMOVED % names}",
        f"AFTER INSERT ON partitions FOR EACH ROW {change('NEW', '0', 'NEW.epoch', 'NULL', 'NEW.owner_id')}",
        f"""AFTER UPDATE ON partitions FOR EACH ROW BEGIN
  IF NOT (OLD.epoch <=> NEW.epoch AND OLD.owner_id <=> NEW.owner_id) THEN
    {whole_change};
  END IF;
END""",
        f"AFTER DELETE ON partitions FOR EACH ROW {change('OLD', 'OLD.epoch', '0', 'OLD.owner_id', 'NULL')}",
    )
    return dict(zip(_TRIGGERS, bodies, strict=True))
