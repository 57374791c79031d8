"""The triggers' witness on MariaDB and MySQL: silent about what the product does, and about nothing else."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pymysql
import pytest

from mainspring.server.core.attempt import Completion
from mainspring.server.core.claim import ClaimItem, ClaimRun
from mainspring.server.core.model import ExecutionState, NewTask, TaskRef
from mainspring.server.persistence.mysql.migrate import migrate
from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.server.persistence.mysql.store import MySQLStore
from mainspring.shard_manager.hashing import partition_of, task_key
from mainspring.testing.audit import drop_audit, install_audit, read_audit
from mainspring.testing.audit_trail import AuditTrail, OwnershipChange, PartitionState
from mainspring.testing.errors import TestingError
from mainspring.testing.external import ExternalSqlServer
from mainspring.testing.sql_server import SqlServer, connect, database_of

PARTITIONS = 4
T0 = 1_800_000_000_000_000
NODE = "node-1-100-abcdef"
OTHER = "node-2-200-abcdef"


@dataclass(frozen=True)
class Audited:
    """A database with schema and triggers."""

    server: SqlServer
    url: str
    """By the product's account."""
    administrator_url: str

    def execute(self, *statements: str) -> None:
        """As the administrator, in the run's database."""
        with connect(self.administrator_url) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def read(self) -> AuditTrail:
        return read_audit(self.administrator_url)


@pytest.fixture(params=["mariadb", "mysql"])
def audited(request: pytest.FixtureRequest) -> Iterator[Audited]:
    server: SqlServer = request.getfixturevalue(request.param)
    if isinstance(server, ExternalSqlServer):
        pytest.skip("needs an account that may create accounts and triggers")
    with server.fresh_database() as everyday_url:
        url = server.create_account(everyday_url, node="node-1")
        administrator_url = server.administrator_database_url(url)
        asyncio.run(migrate(MySQLSettings.from_url(url), partitions=PARTITIONS))
        install_audit(administrator_url)
        yield Audited(server, url, administrator_url)
        drop_audit(administrator_url)


def new_tasks(count: int) -> list[NewTask]:
    keys = [(f"task-{number}", task_key("default", f"task-{number}")) for number in range(count)]
    return [
        NewTask(
            ref=TaskRef(partition_of(key, PARTITIONS), key),
            namespace="default",
            task_id=task_id,
            handler="noop",
            payload=b"",
            schedule='{"kind":"once"}',
            definition_hash=key,
            scheduled_at=T0,
            due_at=T0,
            created_at=T0,
        )
        for task_id, key in keys
    ]


async def run_tasks(url: str, count: int = 12, *, completes: bool = True) -> dict[int, int]:
    """Register, take everything, claim, complete, as an owner does; answers the epochs."""
    store = MySQLStore(MySQLSettings.from_url(url))
    await store.start()
    try:
        await store.create_tasks(new_tasks(count))
        rows = await store.read_partitions()
        leases = await store.take_partitions([(row.partition_id, row.epoch) for row in rows], NODE)
        epochs = {lease.partition_id: lease.epoch for lease in leases}
        due = await store.load_due_tasks(
            range(PARTITIONS), from_at=0, until_at=T0 + 1, after=None, limit=1_000
        )
        items = [
            ClaimItem(task, (ClaimRun(task.scheduled_at, task.due_at, "executor-1"),), None, None, None)
            for task in due
        ]
        claimed = (await store.claim(NODE, epochs, items, now=T0, wake_at=T0 + 5_000_000)).claimed
        assert len(claimed) == count
        if completes:
            ends = [
                Completion(sent.ref, sent.epoch, 1, ExecutionState.SUCCEEDED, "", b"", T0 + 1, T0 + 2, T0 + 3)
                for sent in claimed
            ]
            assert not await store.complete(NODE, ends, now=T0 + 9)
            # Once more, as after a lost answer: nothing changes.
            await store.complete(NODE, ends, now=T0 + 10)
        return epochs
    finally:
        await store.close()


def test_the_product_leaves_a_clean_trail(audited: Audited) -> None:
    asyncio.run(run_tasks(audited.url))
    trail = audited.read()
    assert trail.stale_writes == trail.final_overwrites == ()
    assert trail.initial_partitions == tuple(PartitionState(number, 0, None) for number in range(PARTITIONS))
    assert trail.final_partitions == tuple(PartitionState(number, 1, NODE) for number in range(PARTITIONS))
    changes = sorted(trail.ownership_changes, key=lambda change: change.partition_id)
    assert changes == [
        OwnershipChange(number, 0, 1, None, NODE, changes[number].at) for number in range(PARTITIONS)
    ]
    assert all(trail.installed_at <= change.at <= trail.read_at for change in changes)
    assert trail.read_at - trail.installed_at < 60_000_000


@pytest.mark.parametrize(
    ("epoch", "node_id"), [("epoch - 1", f"'{NODE}'"), ("epoch + 1", f"'{NODE}'"), ("epoch", f"'{OTHER}'")]
)
def test_an_insert_under_another_term_is_stale(audited: Audited, epoch: str, node_id: str) -> None:
    asyncio.run(run_tasks(audited.url, 1))
    audited.execute(
        "INSERT INTO executions (partition_id, scheduled_at, task_key, state, due_at, attempt, epoch, task_version, "
        f"node_id, claimed_at) SELECT partition_id, scheduled_at + 1, task_key, 2, due_at, 1, {epoch}, 1, {node_id}, 1 "
        "FROM executions"
    )
    [stale] = audited.read().stale_writes
    assert (stale.statement, stale.namespace, stale.task_id) == ("INSERT", "default", "task-0")
    assert (stale.scheduled_at, stale.attempt) == (T0 + 1, 1)
    assert (stale.owner_epoch, stale.owner_id) == (1, NODE)
    assert (stale.epoch, stale.node_id) != (1, NODE)


def test_an_assignment_under_an_old_term_is_stale(audited: Audited) -> None:
    asyncio.run(run_tasks(audited.url, 2, completes=False))
    audited.execute(
        f"UPDATE partitions SET epoch = epoch + 1, owner_id = '{OTHER}'",
        # What changes neither epoch, node nor attempt may belong to the new owner.
        "UPDATE executions SET wake_at = 1",
        "UPDATE executions SET attempt = 2 ORDER BY task_key LIMIT 1",
    )
    [stale] = audited.read().stale_writes
    assert (stale.statement, stale.attempt, stale.epoch, stale.node_id) == ("UPDATE", 2, 1, NODE)
    assert (stale.owner_epoch, stale.owner_id) == (2, OTHER)
    audited.execute(f"UPDATE executions SET attempt = 3, epoch = 2, node_id = '{OTHER}'")
    assert len(audited.read().stale_writes) == 1


@pytest.mark.parametrize(
    "change", ["state = 4, finished_at = 5", "state = 3", "picked_up_at = 7", "reason = 'x'"]
)
def test_a_result_written_by_a_node_that_has_lost_the_partition_is_stale(
    audited: Audited, change: str
) -> None:
    """Neither epoch nor node of the row change, so it is the account that tells whose hand it was."""
    asyncio.run(run_tasks(audited.url, 1, completes=False))
    other_url = audited.server.create_account(audited.url, node="node-2")
    audited.execute(f"UPDATE partitions SET epoch = epoch + 1, owner_id = '{OTHER}'")

    def write(url: str, assignments: str) -> None:
        with connect(url) as connection, connection.cursor() as cursor:
            cursor.execute(f"UPDATE executions SET {assignments}")

    write(audited.url, "wake_at = 5")
    assert audited.read().stale_writes == ()
    write(other_url, "result = X'01'")
    assert audited.read().stale_writes == ()
    write(audited.url, change)
    [stale] = audited.read().stale_writes
    assert (stale.statement, stale.writer, stale.epoch, stale.node_id) == ("UPDATE", "node-1", 1, NODE)
    assert (stale.owner_epoch, stale.owner_id) == (2, OTHER)
    # Nobody's: released, and not taken yet.
    audited.execute("UPDATE executions SET state = 2", "UPDATE partitions SET owner_id = NULL")
    write(other_url, "state = 3, saved_at = 8")
    assert [each.writer for each in audited.read().stale_writes] == ["node-1", "node-2"]


@pytest.mark.parametrize("change", ["state = 5", "reason = 'x'", "result = X'00'", "saved_at = NULL"])
def test_any_change_of_a_final_row_is_an_overwrite(audited: Audited, change: str) -> None:
    asyncio.run(run_tasks(audited.url, 1))
    audited.execute("UPDATE executions SET state = state", f"UPDATE executions SET {change}")
    [overwrite] = audited.read().final_overwrites
    assert (overwrite.statement, overwrite.task_id, overwrite.state_before) == (
        "UPDATE",
        "task-0",
        "SUCCEEDED",
    )
    assert overwrite.state_after == ("FAILED" if change == "state = 5" else "SUCCEEDED")


def test_a_deleted_row_is_an_overwrite(audited: Audited) -> None:
    asyncio.run(run_tasks(audited.url, 1, completes=False))
    audited.execute("DELETE FROM executions")
    [overwrite] = audited.read().final_overwrites
    assert (overwrite.statement, overwrite.state_before, overwrite.state_after) == (
        "DELETE",
        "DISPATCHED",
        None,
    )


def test_what_is_removed_keeps_its_name(audited: Audited) -> None:
    """By a deletion the ledger goes first and the task last: both are told by name when the trail is read."""
    asyncio.run(run_tasks(audited.url, 2))
    gone = "(SELECT task_key FROM tasks WHERE task_id = 'task-1')"
    audited.execute(
        f"SET @gone = {gone}",
        "DELETE FROM executions WHERE task_key = @gone",
        "DELETE FROM tasks WHERE task_key = @gone",
    )
    trail = audited.read()
    [removed] = trail.removed_tasks
    assert (removed.namespace, removed.task_id, removed.state) == ("default", "task-1", "COMPLETED")
    [overwrite] = trail.final_overwrites
    assert (overwrite.statement, overwrite.namespace, overwrite.task_id) == ("DELETE", "default", "task-1")
    assert overwrite.state_after is None
    assert trail.installed_at <= overwrite.at <= removed.at <= trail.read_at


def test_a_history_that_an_addition_is_woven_into_is_no_overwrite(audited: Audited) -> None:
    """The link to the execution before changes in a final row when a call adds one in between."""
    asyncio.run(run_tasks(audited.url, 1))
    audited.execute("UPDATE executions SET previous_scheduled_at = scheduled_at - 1")
    assert audited.read().final_overwrites == ()


def test_changes_of_ownership_are_told_in_order(audited: Audited) -> None:
    epochs = asyncio.run(run_tasks(audited.url, 1))
    audited.execute(
        "UPDATE partitions SET owner_id = NULL WHERE partition_id = 2",
        "UPDATE partitions SET owner_id = NULL WHERE partition_id = 2",
        f"UPDATE partitions SET owner_id = '{OTHER}', epoch = epoch + 1 WHERE partition_id = 2",
        "DELETE FROM partitions WHERE partition_id = 3",
        "INSERT INTO partitions (partition_id) VALUES (3)",
    )
    assert epochs == dict.fromkeys(range(PARTITIONS), 1)
    changes = [
        (
            change.partition_id,
            change.old_epoch,
            change.new_epoch,
            change.old_owner_id,
            change.new_owner_id,
        )
        for change in audited.read().ownership_changes[PARTITIONS:]
    ]
    assert changes == [
        (2, 1, 1, NODE, None),
        (2, 1, 2, None, OTHER),
        (3, 1, 0, NODE, None),
        (3, 0, 0, None, None),
    ]


def test_the_product_may_not_touch_the_audit(audited: Audited) -> None:
    audit = f"{database_of(audited.url)}_audit"
    with connect(audited.url) as connection, connection.cursor() as cursor:
        for statement in (
            f"SELECT * FROM `{audit}`.stale_writes",
            f"DELETE FROM `{audit}`.stale_writes",
            f"DROP DATABASE `{audit}`",
        ):
            with pytest.raises(pymysql.Error) as refused:
                cursor.execute(statement)
            assert refused.value.args[0] in (1044, 1142, 1698)


def test_a_missing_trigger_is_no_clean_trail(audited: Audited) -> None:
    audited.execute("DROP TRIGGER audit_execution_updated")
    with pytest.raises(TestingError, match="audit_execution_updated"):
        audited.read()
    install_audit(audited.administrator_url)
    assert audited.read().stale_writes == ()


def test_a_trigger_waits_for_no_lock_of_a_partition(audited: Audited) -> None:
    """A write that the product does not fence must not be held up by its witness: it reads what is committed."""
    asyncio.run(run_tasks(audited.url, 1, completes=False))
    with connect(audited.url) as taking, taking.cursor() as take:
        taking.begin()
        take.execute(f"UPDATE partitions SET epoch = epoch + 1, owner_id = '{OTHER}'")
        with connect(audited.url) as connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute("UPDATE executions SET attempt = 2")
        taking.commit()
    assert audited.read().stale_writes == ()


def test_the_product_is_stopped_by_read_only_mode_despite_the_triggers(audited: Audited) -> None:
    asyncio.run(run_tasks(audited.url, 1, completes=False))
    audited.server.execute("SET GLOBAL read_only = 1", administrator=True)
    try:
        with connect(audited.url) as connection, connection.cursor() as cursor:
            for statement in (
                "UPDATE executions SET attempt = 2",
                "UPDATE partitions SET epoch = epoch + 1",
                "DELETE FROM tasks",
            ):
                with pytest.raises(pymysql.Error) as refused:
                    cursor.execute(statement)
                assert refused.value.args[0] == 1290
    finally:
        audited.server.execute("SET GLOBAL read_only = 0", administrator=True)
