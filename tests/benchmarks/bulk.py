"""Tasks and ledger rows written by the database itself: millions in minutes, without a client that builds each row.

What is written is what the product would have written; the product's own code reads it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from mainspring.server.core.schedule import OneTime, Schedule
from mainspring.server.core.schedule_text import encode
from mainspring.server.persistence.mysql.literals import binary, text
from mainspring.shard_manager.hashing import KEY_BYTES, PREFIX_BYTES, namespace_prefix
from mainspring.testing.sql_server import connect

HANDLER = "noop"
PAYLOAD = b'{"user": 123456, "text": "the tide is out"}'
"""What every task of every figure carries."""
ROWS_A_STATEMENT = 500_000
_STATEMENT_TIMEOUT_S = 600.0
_ANY_AT = 1_234_567_890

# 1,000 numbers is what both servers allow a recursion to make.
_NUMBERS = """WITH RECURSIVE n AS (SELECT 0 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 999),
named AS (SELECT a.i * 1000 + b.i + %(begin)s AS number,
    CONCAT('task-', LPAD(a.i * 1000 + b.i + %(begin)s, 8, '0')) AS task_id
  FROM n a JOIN n b WHERE a.i < %(thousands)s AND a.i * 1000 + b.i < %(count)s),
keyed AS (SELECT number, task_id, CONCAT(%(prefix)s,
    LEFT(UNHEX(SHA2(CONCAT(%(namespace)s, CHAR(0), task_id), 256)), %(rest)s)) AS task_key FROM named),
placed AS (SELECT number, task_id, task_key,
    CAST(CONV(HEX(RIGHT(task_key, 8)), 16, 10) AS UNSIGNED) MOD %(partitions)s AS partition_id FROM keyed)"""

# In key order: a table that is larger than the buffer pool is then filled page by page.
_INSERT_TASKS = f"""INSERT INTO tasks (partition_id, task_key, state, version, scheduled_at, due_at, created_at, updated_at,
  definition_hash, namespace, task_id, handler, schedule, payload)
{_NUMBERS}
SELECT partition_id, task_key, 1, 1, at, at, %(created_at)s, %(created_at)s, task_key, %(namespace)s, task_id,
  %(handler)s, CONCAT(%(schedule)s), %(payload)s
FROM (SELECT partition_id, task_key, task_id, %(at)s AS at FROM placed) timed ORDER BY partition_id, task_key"""


@dataclass(frozen=True, slots=True)
class Times:
    """When tasks are due: number n in the second n // `per_second` after `from_at`, at an instant that its id chooses."""

    from_at: int
    per_second: int

    def sql(self) -> str:
        """Over the columns `number` and `task_id`."""
        return f"{self.from_at} + (number DIV {self.per_second}) * 1000000 + CRC32(task_id) MOD 1000000"

    def at(self, number: int) -> int:
        """Of the task of this number, in microseconds."""
        part_us = zlib.crc32(task_id(number).encode()) % 1_000_000
        return self.from_at + number // self.per_second * 1_000_000 + part_us


def task_id(number: int) -> str:
    """The id of the task of this number."""
    return f"task-{number:08}"


def insert_tasks(
    url: str,
    namespace: str,
    count: int,
    *,
    at: int | Times,
    created_at: int,
    partitions: int,
    handler: str = HANDLER,
    payload: bytes = PAYLOAD,
) -> None:
    """Insert active one-time tasks with the numbers from 0 to `count` - 1. Instants in microseconds.

    Raises:
        pymysql.Error: The database refuses, or half a million rows take longer than ten minutes.
    """
    times = at.sql() if isinstance(at, Times) else str(at)
    before, _, after = encode(Schedule(OneTime(_ANY_AT))).partition(str(_ANY_AT))
    with connect(url, timeout_s=_STATEMENT_TIMEOUT_S) as connection, connection.cursor() as cursor:
        for begin in range(0, count, ROWS_A_STATEMENT):
            part = min(ROWS_A_STATEMENT, count - begin)
            cursor.execute(
                _INSERT_TASKS
                % {
                    **_numbers(namespace, begin, part, partitions),
                    "at": times,
                    "created_at": created_at,
                    "handler": text(handler),
                    "schedule": f"{text(before)}, at, {text(after)}",
                    "payload": binary(payload),
                }
            )


_INSERT_EXECUTIONS = f"""INSERT INTO executions (partition_id, scheduled_at, task_key, state, due_at, attempt, epoch,
  task_version, executor_id, node_id, claimed_at, dispatched_at, picked_up_at, finished_at, saved_at, reason)
{_NUMBERS}
SELECT partition_id, at, task_key, 4, at, 1, 1, 1, 'executor-1', 'node-1-0123456789abcdef', at + 1000, at + 2000, at + 3000,
  at + 4000, at + 5000, ''
FROM (SELECT partition_id, task_key, %(at)s AS at FROM placed) timed ORDER BY partition_id, at, task_key"""


def insert_executions(
    url: str, namespace: str, begin: int, count: int, *, at: Times, partitions: int
) -> None:
    """Insert executions that have succeeded, one each of tasks with the numbers from `begin` on, which need not be there.

    Raises:
        pymysql.Error: As `insert_tasks`.
    """
    with connect(url, timeout_s=_STATEMENT_TIMEOUT_S) as connection, connection.cursor() as cursor:
        for first in range(begin, begin + count, ROWS_A_STATEMENT):
            part = min(ROWS_A_STATEMENT, begin + count - first)
            cursor.execute(
                _INSERT_EXECUTIONS % {**_numbers(namespace, first, part, partitions), "at": at.sql()}
            )


def table_mb(url: str, table: str) -> float:
    """How large a table is with its indexes, in MiB, as the server estimates it."""
    with connect(url, timeout_s=_STATEMENT_TIMEOUT_S) as connection, connection.cursor() as cursor:
        cursor.execute(f"ANALYZE TABLE {table}")
        cursor.fetchall()
        cursor.execute(
            "SELECT (data_length + index_length) / 1048576 FROM information_schema.tables"
            f" WHERE table_schema = DATABASE() AND table_name = {text(table)}"
        )
        row = cursor.fetchone()
        return float(row[0]) if row else 0.0


def _numbers(namespace: str, begin: int, count: int, partitions: int) -> dict[str, object]:
    return {
        "begin": begin,
        "count": count,
        "thousands": -(-count // 1000),
        "namespace": text(namespace),
        "prefix": binary(namespace_prefix(namespace)),
        "rest": KEY_BYTES - PREFIX_BYTES,
        "partitions": partitions,
    }
