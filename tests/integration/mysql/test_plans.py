"""How the servers execute the statements: by key look-ups on the intended index, however many rows there are.

The statements are those that the store sends, recorded while it works, then explained and run again with the server's
counters read: a plan may look right and still visit too many rows.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pymysql
import pytest

from mainspring.server.core.attempt import Assignment, Completion, Extension, FailedAttempt
from mainspring.server.core.claim import ClaimGap, ClaimItem, ClaimRun
from mainspring.server.core.model import (
    AddedExecution,
    DueCursor,
    ExecutionOrigin,
    ExecutionRef,
    ExecutionState,
    NewTask,
    TaskRef,
    TaskState,
)
from mainspring.server.core.namespaces import EARLIEST, Cutoffs, Namespace, Span
from mainspring.server.core.task_filter import TaskFilter
from mainspring.server.persistence.mysql.connection import Connection
from mainspring.server.persistence.mysql.migrate import migrate
from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.server.persistence.mysql.store import MySQLStore
from mainspring.server.persistence.store.handovers import HandoverCursor
from mainspring.shard_manager.handover import ChangeReason, Handover
from mainspring.shard_manager.hashing import partition_of, task_key
from mainspring.shard_manager.lease import PartitionLease
from mainspring.testing.sql_server import connect

PARTITIONS = 256
ROWS = 50_000
BATCH = 100
SECOND = 1_000_000
T0 = 1_800_000_000 * SECOND
MAX_ROWS_VISITED = 25 * BATCH
"""A look-up in each of up to four tables an item, the JSON table's own rows, and index maintenance; far below ROWS."""


def _task(number: int) -> NewTask:
    key = task_key("default", f"task-{number}")
    return NewTask(
        ref=TaskRef(partition_of(key, PARTITIONS), key),
        namespace="default",
        task_id=f"task-{number}",
        handler="noop",
        payload=b"payload",
        schedule="{}",
        definition_hash=key,
        scheduled_at=T0 + number * 1000,
        due_at=T0 + number * 1000,
        created_at=T0,
    )


def _handover(partition_id: int, epoch: int, firing_at: int) -> Handover:
    return Handover(
        partition_id, epoch, ChangeReason.REBALANCED, "you", "me", firing_at - 9, None, firing_at, 0, 0
    )


@pytest.fixture(scope="module", params=["mariadb", "mysql"])
def filled_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with 50,000 tasks and 50,000 executions, a tenth of them open, and fresh statistics."""
    server = request.getfixturevalue(request.param)
    with server.fresh_database() as url:
        asyncio.run(_fill(url))
        yield url


async def _fill(url: str) -> None:
    settings = MySQLSettings.from_url(url)
    await migrate(settings, PARTITIONS)
    store = MySQLStore(settings)
    await store.start()
    for begin in range(0, ROWS, 1000):
        await store.create_tasks([_task(number) for number in range(begin, begin + 1000)])
    await store.take_partitions([(partition_id, 0) for partition_id in range(PARTITIONS)], "me")
    for epoch in range(50, 150):
        records = [_handover(p, epoch, T0 - (150 - epoch) * SECOND) for p in range(PARTITIONS)]
        await store.record_handovers(records, keep=100)
    await store.close()
    connection = connect(url)
    with connection.cursor() as cursor:
        # Five executions of each of 10,000 tasks, linked; the latest one open.
        for step in range(5):
            is_open = step == 4
            cursor.execute(
                "INSERT INTO executions (partition_id, scheduled_at, task_key, previous_scheduled_at, state, due_at,"
                " wake_at, attempt, epoch, task_version, executor_id, node_id, claimed_at)"
                f" SELECT partition_id, scheduled_at - {(5 - step) * SECOND}, task_key,"
                f" {'NULL' if step == 0 else f'scheduled_at - {(6 - step) * SECOND}'}, {2 if is_open else 4},"
                f" scheduled_at, {'scheduled_at' if is_open else 'NULL'}, 1, 1, 1, 'executor-1', 'me', {T0}"
                f" FROM tasks WHERE scheduled_at < {T0 + 10_000 * 1000}"
            )
        cursor.execute(
            f"UPDATE tasks SET last_scheduled_at = scheduled_at - {SECOND} WHERE scheduled_at < {T0 + 10_000 * 1000}"
        )
        cursor.execute("ANALYZE TABLE tasks, executions, partitions, handovers")
        cursor.fetchall()
    connection.close()


@pytest.fixture
async def recorded(filled_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, list[str]]]:
    """The statements of each unit, by its name, as the store sent them."""
    store = MySQLStore(MySQLSettings.from_url(filled_url))
    try:
        yield await _record(store, monkeypatch)
    finally:
        await store.close()


async def _record(store: MySQLStore, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    packets: list[str] = []
    run = Connection.run

    async def record(self: Connection, sql: str, **arguments: Any) -> Any:
        packets.append(sql)
        return await run(self, sql, **arguments)

    monkeypatch.setattr(Connection, "run", record)
    await store.start()
    units: dict[str, list[str]] = {}

    def keep(name: str) -> None:
        statements = [part for packet in packets for part in re.split(r";\s+(?=[A-Z]{4})", packet)]
        units[name] = [
            s for s in statements if s.split()[0] in ("SELECT", "UPDATE", "INSERT", "DELETE", "WITH")
        ]
        packets.clear()

    packets.clear()
    window = {"from_at": T0, "until_at": T0 + 3600 * SECOND}
    due = await store.load_due_tasks(range(PARTITIONS), **window, after=None, limit=BATCH)
    keep("load_due_tasks")
    cursor = DueCursor(due[-1].partition_id, due[-1].due_at, due[-1].task_key)
    more = await store.load_due_tasks(range(PARTITIONS), **window, after=cursor, limit=BATCH)
    keep("load_due_tasks, a later page")
    assert len(more) == BATCH
    assert not await store.load_due_tasks(
        range(PARTITIONS), from_at=T0 - 3600 * SECOND, until_at=T0, after=None, limit=BATCH
    )
    keep("sweep that finds nothing")
    open_rows = await store.load_open_executions(range(PARTITIONS), until_at=None, after=None, limit=BATCH)
    keep("load_open_executions")
    last = open_rows[-1]
    await store.load_open_executions(
        range(0, PARTITIONS, 3),
        until_at=T0 + 3600 * SECOND,
        after=DueCursor(last.ref.partition_id, last.wake_at, last.ref.task_key),
        limit=BATCH,
    )
    keep("load_open_executions, a later page")
    epochs = dict.fromkeys(range(PARTITIONS), 1)
    items = [
        ClaimItem(
            task,
            (ClaimRun(task.scheduled_at, task.due_at, "executor-1"),),
            ClaimGap(task.scheduled_at - 1, task.scheduled_at - 1, 1, "gap") if n % 9 == 0 else None,
            None,
            None,
        )
        for n, task in enumerate(due)
    ]
    outcome = await store.claim("me", epochs, items, now=T0, wake_at=T0 + 9)
    assert len(outcome.claimed) == BATCH
    keep("claim")
    await store.recover_claim("me", epochs, items, now=T0, wake_at=T0 + 9)
    keep("recover_claim")
    await store.extend(
        "me", [Extension(s.ref, 1, 1, ExecutionState.RUNNING, T0 + 99, T0, T0) for s in outcome.claimed]
    )
    keep("extend")
    with_news = Extension(
        ExecutionRef(0, 0, bytes(16)), 1, 1, ExecutionState.RUNNING, T0, T0, T0, b"half", T0, "stop"
    )
    await store.extend("me", [replace(with_news, ref=s.ref) for s in outcome.claimed])
    keep("extend with progress")
    failed = [FailedAttempt(s.ref, 1, 1, "no", "ValueError", T0 + 9, T0, T0) for s in outcome.claimed]
    assert not await store.retry("me", failed)
    keep("retry")
    assigned = await store.assign(
        "me", [Assignment(s.ref, 1, 1, "executor-2", 1) for s in outcome.claimed], now=T0, wake_at=T0 + 9
    )
    assert len(assigned.dispatchable) == BATCH
    keep("assign")
    for name, result in (("complete", b""), ("complete with results", b"result")):
        part = assigned.dispatchable[:50] if result else assigned.dispatchable[50:]
        ends = [Completion(s.ref, 1, 2, ExecutionState.SUCCEEDED, "", result, T0, T0, T0) for s in part]
        assert not await store.complete("me", ends, now=T0)
        keep(name)
    await store.complete(
        "me", [Completion(s.ref, 2, 2, ExecutionState.FAILED, "", b"", 1, 1, 1) for s in part], now=T0
    )
    keep("complete that is refused")
    await store.create_tasks([_task(number) for number in range(ROWS - BATCH, ROWS)])
    keep("create_tasks of existing ones")
    subject = open_rows[0].ref
    ref = TaskRef(subject.partition_id, subject.task_key)
    await store.get_task(ref)
    await store.get_execution(ref, None)
    await store.get_execution(ref, subject.scheduled_at)
    keep("reads of one task")
    history = (await store.list_task_executions(ref, limit=BATCH)).executions
    assert len(history) >= 5
    keep("list_task_executions")
    assert await store.get_gap(ref, subject.scheduled_at - 1) is None
    keep("get_gap")
    page = await store.list_tasks("default", None, BATCH, with_payload=True)
    await store.list_tasks("default", page[-1].ref, BATCH, with_payload=False)
    keep("list_tasks")
    await store.list_tasks("a-namespace-without-tasks", None, BATCH, with_payload=True)
    keep("list_tasks of an empty namespace")
    only = TaskFilter((TaskState.COMPLETED,), "h", (("a", "b"),), T0, T0)
    await store.list_tasks("default", page[-1].ref, BATCH, with_payload=False, only=only)
    await store.count_tasks("default", only)
    keep("list_tasks and count_tasks with a filter")
    refs = [task.ref for task in page]
    await store.change_tasks(refs, lambda task: replace(task, note="changed"), with_payload=False)
    await store.change_tasks(refs[:1], lambda task: replace(task, payload=b"changed"))
    await store.read_versions(refs)
    keep("change_tasks and read_versions")
    added = [
        AddedExecution(at, T0, T0, ExecutionOrigin.TRIGGER, b"own", request_key=bytes([number]) * 16)
        for number, at in enumerate((T0 + 9 * 3600 * SECOND, history[-1].ref.scheduled_at + 1))
    ]
    assert len((await store.add_executions("me", 1, ref, added, now=T0)).added) == len(added)
    keep("add_executions")
    await store.change_tasks([refs[0]], lambda task: replace(task, state=TaskState.CANCELLED))
    await store.remove_task("me", 1, refs[0], limit=BATCH)
    await store.remove_task("me", 1, refs[0], limit=BATCH)
    keep("remove_task")
    after = ExecutionRef(0, T0, bytes(16))
    await store.list_executions("default", after=after, limit=BATCH)
    keep("list_executions")
    busiest = subject.partition_id
    lease = PartitionLease(busiest, 1)
    cutoffs, everywhere = Cutoffs(T0 + 3600 * SECOND, {}), Span(EARLIEST, T0 + 3600 * SECOND)
    step = await store.remove_executions("me", lease, cutoffs, everywhere, after=None, limit=BATCH // 2)
    assert step.removed > BATCH // 4
    keep("remove_executions")
    await store.remove_executions("me", lease, cutoffs, everywhere, after=step.next, limit=BATCH // 2)
    keep("remove_executions, a later slice")
    assert (await store.remove_tasks("me", lease, cutoffs, after=None, limit=BATCH)).removed
    keep("remove_tasks")
    keys = {d.task_key: 1 for d in await store.load_due_tasks([busiest], **window, after=None, limit=10)}
    assert await store.trim_histories("me", lease, keys, limit=BATCH)
    keep("trim_histories")
    await store.create_namespace(Namespace("a", 5), T0)
    await store.change_namespace("a", lambda stored: replace(stored, retention_us=6))
    await store.list_namespaces("", BATCH)
    keep("namespaces")
    await store.take_partitions([(3, 7)], "you")
    await store.release_partitions([], "me")
    await store.release_partitions([PartitionLease(3, 8)], "you", T0)
    await store.take_partitions([(p, 8 if p == 3 else 1) for p in range(BATCH)], "you", True)
    await store.take_partitions([(3, 9)], "me")
    keep("take_partitions")
    await store.record_handovers([_handover(p, 150, T0) for p in range(BATCH)], keep=100)
    keep("record_handovers")
    handovers = await store.list_handovers(node_id=None, since_at=None, before=None, limit=BATCH)
    assert len(handovers) == BATCH
    before = HandoverCursor(handovers[-1].firing_at, handovers[-1].partition_id, handovers[-1].epoch)
    await store.list_handovers(node_id=None, since_at=T0 - 99, before=before, limit=BATCH)
    await store.list_handovers(node_id="me", since_at=T0 - 9, before=None, limit=BATCH)
    keep("list_handovers")
    return units


# (table alias, index): what each unit's statements may use. Derived tables and JSON tables are theirs to scan.
INDEXES = {
    ("t", "PRIMARY"),
    ("tasks", "PRIMARY"),
    ("tasks", "due"),
    ("e", "PRIMARY"),
    ("e", "wake"),
    ("executions", "PRIMARY"),
    ("trigger_requests", "PRIMARY"),
    ("p", "PRIMARY"),
    ("partitions", "PRIMARY"),
    ("handovers", "firing"),
    ("h", "PRIMARY"),
    ("t", "due"),
    ("namespaces", "PRIMARY"),
    ("r", "PRIMARY"),
}
EXPECTED_DUE = {"load_due_tasks", "load_due_tasks, a later page", "sweep that finds nothing"}
EXPECTED_ALL = {"list_tasks and count_tasks with a filter"}
"""Look at every task of their namespace: no index serves all that a filter may ask."""
EXPECTED_WAKE = {"load_open_executions", "load_open_executions, a later page"}


def _explain(cursor: pymysql.cursors.Cursor, statement: str) -> list[dict[str, Any]]:
    cursor.execute("EXPLAIN " + statement)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _handler_reads(cursor: pymysql.cursors.Cursor) -> int:
    cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
    return sum(int(value) for _, value in cursor.fetchall())


def _rows_visited(cursor: pymysql.cursors.Cursor, statement: str) -> int:
    before = _handler_reads(cursor)
    own = _handler_reads(cursor) - before
    cursor.execute("START TRANSACTION")
    cursor.execute(statement)
    cursor.fetchall()
    visited = _handler_reads(cursor) - before - 2 * own
    cursor.execute("ROLLBACK")
    return visited


async def test_every_statement_finds_its_rows_by_key(filled_url: str, recorded: dict[str, list[str]]) -> None:
    connection = connect(filled_url)
    complaints = []
    explained = 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        if "MariaDB" not in cursor.fetchall()[0][0]:
            cursor.execute("SET explain_format = 'TRADITIONAL'")
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        for unit, statements in recorded.items():
            assert statements, unit
            for statement in statements:
                if "ORDER BY partition_id" in statement and "FROM partitions" in statement:
                    continue
                explained += 1
                for row in _explain(cursor, statement):
                    table, index = row["table"], row["key"]
                    where = f"{unit}: {table} {row['type']} {index} {row['rows']} {row['Extra']}: {statement[:60]!r}"
                    if table in {alias for alias, _ in INDEXES} and row["select_type"] != "INSERT":
                        if row["type"] not in {"const", "eq_ref", "ref", "range", None}:
                            complaints.append(f"scan: {where}")
                        if index is not None and (table, index) not in INDEXES:
                            complaints.append(f"index: {where}")
                        if unit in EXPECTED_DUE and index != "due":
                            complaints.append(f"not by due time: {where}")
                        if unit in EXPECTED_WAKE and table == "e" and index != "wake":
                            complaints.append(f"not by wake time: {where}")
                        if "filesort" in (row["Extra"] or "") and "chain" not in statement:
                            complaints.append(f"sorts: {where}")
                if not statement.startswith("INSERT"):
                    visited = _rows_visited(cursor, statement)
                    if visited > MAX_ROWS_VISITED and unit not in EXPECTED_ALL:
                        complaints.append(f"visits {visited} rows: {unit}: {statement[:80]!r}")
    connection.close()
    assert explained >= 25
    assert not complaints, "\n".join(complaints)
