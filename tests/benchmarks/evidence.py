"""The ledger of a figure's tasks, read by SQL, and the checker's verdict on it.

By SQL and not over the API, which the checker's other users read: 50,000 rows in a second leave time to measure. What the
clients were acknowledged and what the executors wrote down are the same witnesses as everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mainspring.server.core.model import ExecutionOrigin, ExecutionState
from mainspring.server.persistence.mysql.literals import text
from mainspring.testing.checker import Limits, check
from mainspring.testing.errors import TestingError
from mainspring.testing.history import AcknowledgedTask, History, LedgerRow, ListedTask, Run
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US
from mainspring.testing.sql_server import connect

_TIMEOUT_S = 120.0
_SHOWN = 5
_MARGIN_US = 500_000

_LEDGER = """SELECT t.task_id, e.scheduled_at, e.due_at, e.state, e.attempt, e.epoch, e.executor_id, e.node_id, e.claimed_at,
  e.dispatched_at, e.picked_up_at, e.finished_at, e.saved_at, e.gap_last_scheduled_at, e.gap_count, e.reason, e.origin
FROM executions e FORCE INDEX (PRIMARY)
STRAIGHT_JOIN tasks t FORCE INDEX (PRIMARY) ON t.partition_id = e.partition_id AND t.task_key = e.task_key
WHERE e.partition_id < %(partitions)s AND e.scheduled_at >= %(from_at)s AND t.namespace = %(namespace)s"""

_FINAL = """SELECT COUNT(*) FROM executions FORCE INDEX (PRIMARY)
WHERE partition_id < %(partitions)s AND scheduled_at >= %(from_at)s AND scheduled_at < %(until_at)s AND wake_at IS NULL"""

_TASKS = """SELECT task_id, execution_count, last_scheduled_at FROM tasks WHERE namespace = %(namespace)s"""


class WrongLedgerError(TestingError):
    """The checker does not accept what happened: the figure would be worth nothing."""


def read_ledger(url: str, namespace: str, *, from_at: int, partitions: int) -> tuple[LedgerRow, ...]:
    """The executions and gaps of a namespace whose scheduled time is not before `from_at`, in microseconds.

    Raises:
        pymysql.Error: The database refuses or takes two minutes.
    """
    values = {"namespace": text(namespace), "from_at": from_at, "partitions": partitions}
    with connect(url, timeout_s=_TIMEOUT_S) as connection, connection.cursor() as cursor:
        cursor.execute(_LEDGER % values)
        return tuple([_row(namespace, row) for row in cursor.fetchall()])


def read_tasks(url: str, namespace: str) -> tuple[ListedTask, ...]:
    """The tasks of a namespace. Raises as `read_ledger`."""
    with connect(url, timeout_s=_TIMEOUT_S) as connection, connection.cursor() as cursor:
        cursor.execute(_TASKS % {"namespace": text(namespace)})
        return tuple([ListedTask(namespace, *row) for row in cursor.fetchall()])


def count_final(url: str, window: tuple[int, int], partitions: int) -> int:
    """How many executions whose scheduled time lies in the window, of whichever namespace, have ended."""
    values = {"from_at": window[0], "until_at": window[1], "partitions": partitions}
    with connect(url, timeout_s=_TIMEOUT_S) as connection, connection.cursor() as cursor:
        cursor.execute(_FINAL % values)
        row = cursor.fetchone()
        return 0 if row is None else int(row[0])


def verify(
    url: str,
    tasks: Sequence[AcknowledgedTask],
    runs: Sequence[Run],
    *,
    window: tuple[int, int],
    partitions: int,
) -> tuple[LedgerRow, ...]:
    """Judge what became of the tasks of one namespace, all of whose executions have ended; answer the ledger.

    How late they were is a figure and no verdict: the bound is what has passed since.

    Args:
        url: Of the database.
        tasks: What the clients were acknowledged.
        runs: What the executors wrote down.
        window: From the first due time, inclusive, to the last, exclusive, in microseconds.
        partitions: Of the cluster.

    Raises:
        WrongLedgerError: The checker found a violation, or a reason to doubt the evidence.
    """
    namespace = tasks[0].namespace
    # As long after the window as the latest was late: so the checker knows that nothing due in it is still to come.
    ledger = read_ledger(url, namespace, from_at=window[0], partitions=partitions)
    late_us = max((row.picked_up_at - row.due_at for row in ledger if row.picked_up_at), default=0)
    time.sleep(max(0, window[1] + late_us + _MARGIN_US - now_us()) / SECOND_US)
    listed = read_tasks(url, namespace)
    read_at = now_us()
    ledger = read_ledger(url, namespace, from_at=window[0], partitions=partitions)
    history = History(
        tasks=tuple(tasks),
        runs=tuple(run for run in runs if run.namespace == namespace),
        ledger=ledger,
        faults=(),
        window_from_at=window[0],
        window_until_at=window[1],
        ledger_read_at=read_at,
        listed_tasks=listed,
    )
    limits = Limits()
    verdict = check(history, replace(limits, lateness_us=read_at - window[1]))
    if not verdict.is_ok:
        found = [*map(str, verdict.violations[:_SHOWN]), *verdict.vacuous]
        raise WrongLedgerError(
            f"{namespace}: {len(verdict.violations)} violations, {verdict.counts}\n" + "\n".join(found)
        )
    return ledger


def forget_runs(run_logs: Sequence[Path]) -> None:
    """Empty the executors' run logs, which they append to: what was judged is not read again."""
    for path in run_logs:
        with path.open("r+b") as file:
            file.truncate(0)


def _row(namespace: str, row: tuple[object, ...]) -> LedgerRow:
    values: list[object] = list(row)
    values[3] = ExecutionState(int(str(row[3]))).name
    values[14] = row[14] or 0
    values[16] = ExecutionOrigin(int(str(row[16]))).name
    return LedgerRow(namespace, *values)  # type: ignore[arg-type]
