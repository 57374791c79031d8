"""`limit`: what the database alone can do. Claims and completions in raw SQL, with no scheduler in between.

One process, one to four connections, each with partitions of its own; per batch two transactions in the product's own
schema: compare the epochs in shared mode, read the due tasks with a lock, insert their executions, move the tasks,
commit; end the executions, commit. It knows no executor, no wheel, no retry and no API, and so is what no scheduler on
this schema, this server and this machine can exceed by much.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import pymysql
from benchmarks.bulk import insert_tasks
from benchmarks.results import Results
from benchmarks.rig import Rig, RigSettings
from pymysql.constants import CLIENT

from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.testing.errors import TestingError
from mainspring.testing.load_generator import now_us
from mainspring.testing.sql_server import connect

OWNER = "limit-1-0123456789abcdef"
EXECUTOR = "executor-1"
_TIMEOUT_S = 30.0

_LOCK = """SELECT partition_id, epoch, owner_id FROM partitions FORCE INDEX (PRIMARY)
WHERE partition_id IN ({partitions}) LOCK IN SHARE MODE;
SELECT partition_id, HEX(task_key), scheduled_at, version, last_scheduled_at, namespace, task_id, handler, payload, delivery,
  policies
FROM tasks FORCE INDEX (due) WHERE partition_id IN ({partitions}) AND due_at <= {now} LIMIT {limit} FOR UPDATE"""

_INSERT = """INSERT INTO executions (partition_id, scheduled_at, task_key, previous_scheduled_at, state, due_at, wake_at,
  attempt, epoch, task_version, executor_id, node_id, claimed_at, reason, origin)
VALUES {rows}"""

_KEYS = """(SELECT j.partition_id, UNHEX(j.task_key) AS task_key, j.scheduled_at
  FROM JSON_TABLE('{keys}', '$[*]' COLUMNS (partition_id SMALLINT UNSIGNED PATH '$[0]', task_key CHAR(32) PATH '$[1]',
    scheduled_at BIGINT PATH '$[2]')) j) k"""

_MOVE = f"""UPDATE {_KEYS}
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = k.partition_id AND t.task_key = k.task_key
SET t.state = 3, t.scheduled_at = NULL, t.due_at = NULL, t.last_scheduled_at = k.scheduled_at,
  t.execution_count = t.execution_count + 1"""

_COMPLETE = f"""UPDATE {_KEYS}
STRAIGHT_JOIN partitions p FORCE INDEX (PRIMARY)
  ON p.partition_id = k.partition_id AND p.epoch = 1 AND p.owner_id = '{OWNER}'
STRAIGHT_JOIN executions e FORCE INDEX (PRIMARY)
  ON e.partition_id = k.partition_id AND e.scheduled_at = k.scheduled_at AND e.task_key = k.task_key
SET e.state = 4, e.wake_at = NULL, e.dispatched_at = {{now}}, e.picked_up_at = {{now}}, e.finished_at = {{now}},
  e.saved_at = {{now}}
WHERE e.state < 4 AND e.attempt = 1"""


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Which combinations are tried, and on how many tasks each."""

    tasks: int = 20_000
    batches: tuple[int, ...] = (100, 300, 1_000)
    connections: tuple[int, ...] = (1, 2, 4)
    repeats: int = 3


def measure(settings: LimitSettings, results: Results) -> None:
    """Write `limit ...` into the results: the best combination, its spread over the repeats, and each combination's median.

    Raises:
        TestingError: The servers did not come up, or not every task was claimed and completed, once.
    """
    with Rig.servers("limit", RigSettings()) as cluster:
        url, partitions = cluster.mysql_url, cluster.settings.partitions
        with connect(url) as connection, connection.cursor() as cursor:
            cursor.execute(f"UPDATE partitions SET epoch = 1, owner_id = '{OWNER}'")
        best: tuple[float, list[float]] = (0.0, [])
        for batch, connections in product(settings.batches, settings.connections):
            rates = [
                _one(url, partitions, settings.tasks, batch, connections) for _ in range(settings.repeats)
            ]
            median = results.spread(f"limit batch {batch} on {connections} connections (executions/s)", rates)
            best = max(best, (median, rates))
        results.spread("limit (executions/s)", best[1])


def _one(url: str, partitions: int, tasks: int, batch: int, connections: int) -> float:
    """Claim and complete so many tasks; executions a second."""
    now = now_us()
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE TABLE executions")
        cursor.execute("TRUNCATE TABLE tasks")
    insert_tasks(url, "limit", tasks, at=now, created_at=now, partitions=partitions)
    # Enough partitions at a time to fill a batch.
    width = max(1, -(-batch * partitions // tasks))
    shares = [list(range(partitions))[start::connections] for start in range(connections)]
    start, counts, failures = threading.Barrier(connections + 1), [0] * connections, []

    def lane(number: int) -> None:
        share = shares[number]
        with _session(url) as session:
            start.wait()
            try:
                for begin in range(0, len(share), width):
                    while done := _claim_and_complete(session, share[begin : begin + width], now, batch):
                        counts[number] += done
            except BaseException as error:
                failures.append(error)
                raise

    threads = [threading.Thread(target=lane, args=(number,), daemon=True) for number in range(connections)]
    for thread in threads:
        thread.start()
    start.wait()
    began_s = time.perf_counter()
    for thread in threads:
        thread.join()
    elapsed_s = time.perf_counter() - began_s
    if failures or sum(counts) != tasks:
        raise TestingError(f"{sum(counts):,} of {tasks:,} tasks were claimed: {failures}")
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM executions WHERE state = 4 AND wake_at IS NULL")
        if cursor.fetchone() != (tasks,):
            raise TestingError(f"not each of {tasks:,} executions was completed")
    return tasks / elapsed_s


def _session(url: str) -> pymysql.Connection[Any]:
    where = MySQLSettings.from_url(url)
    session = pymysql.connect(
        host=where.host,
        port=where.port,
        user=where.user,
        password=where.password,
        database=where.database,
        charset="utf8mb4",
        autocommit=True,
        read_timeout=_TIMEOUT_S,
        client_flag=CLIENT.MULTI_STATEMENTS,
    )
    session.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    return session


def _claim_and_complete(
    session: pymysql.Connection[Any], partitions: Sequence[int], now: int, batch: int
) -> int:
    """One batch; how many there were."""
    ids = ",".join(map(str, partitions))
    fence, due = _run(session, "START TRANSACTION;" + _LOCK.format(partitions=ids, now=now, limit=batch))[1:]
    assert all(row[1:] == (1, OWNER) for row in fence)
    if not due:
        session.query("ROLLBACK")
        return 0
    keys = json.dumps([row[:3] for row in due], separators=(",", ":"))
    wake_at = now + 10_000_000
    rows = ",".join(
        [
            f"({row[0]},{row[2]},X'{row[1]}',NULL,2,{row[2]},{wake_at},1,1,{row[3]},'{EXECUTOR}','{OWNER}',{now},'',1)"
            for row in due
        ]
    )
    _run(session, _INSERT.format(rows=rows) + ";" + _MOVE.format(keys=keys) + ";COMMIT")
    _run(session, _COMPLETE.format(keys=keys, now=now_us()))
    return len(due)


def _run(session: pymysql.Connection[Any], sql: str) -> list[tuple[tuple[Any, ...], ...]]:
    """Send one packet of statements; the rows of each answer."""
    session.query(sql)
    answers = [session._result.rows or ()]
    while session._result.has_next:
        session.next_result()
        answers.append(session._result.rows or ())
    return answers
