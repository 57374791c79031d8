"""A namespace that keeps what has ended for an hour, with a ledger that is older: retention has work beside the faults."""

import asyncio

import grpc

from mainspring.client import At, MainspringClient, NewTask
from mainspring.shard_manager.hashing import partition_of, task_key
from mainspring.testing.ledger import moment
from mainspring.testing.load_generator import now_us
from mainspring.testing.sql_server import connect
from mainspring.v1 import namespace_service_pb2, namespace_service_pb2_grpc

NAMESPACE = "chaos-old"
KEPT_US = 3_600 * 1_000_000
TASKS = 64
ROWS = 20_000
"""Of two hours ago and before."""
YOUNG = 2_000
"""Within the hour: these have to stay."""
_BATCH = 1_000
_INSERT = """INSERT INTO executions (partition_id, scheduled_at, task_key, state, due_at, attempt, epoch, task_version,
  executor_id, node_id, claimed_at, dispatched_at, picked_up_at, finished_at, saved_at) VALUES """
_READ_OWNERS = "SELECT partition_id, epoch, owner_id FROM partitions"


async def put_old_rows(
    client: MainspringClient, address: str, administrator_url: str, partitions: int
) -> None:
    """Make the namespace, and give it a past that never was, written in the name of the partitions' owners.

    Call it while nothing moves.

    Args:
        client: registers tasks.
        address: of any node.
        administrator_url: of the database.
        partitions: how many there are.

    Raises:
        grpc.RpcError, MainspringError: a call failed.
    """
    async with grpc.aio.insecure_channel(address) as channel:
        stub = namespace_service_pb2_grpc.NamespaceServiceStub(channel)
        namespace = namespace_service_pb2.Namespace(name=NAMESPACE)
        namespace.retention.FromMicroseconds(KEPT_US)
        await stub.CreateNamespace(
            namespace_service_pb2.CreateNamespaceRequest(namespace=namespace), timeout=10.0
        )
    ids = [f"old-{number:02}" for number in range(TASKS)]
    never = At(moment(now_us() + 86_400 * 1_000_000))
    for answer in await client.create_tasks(
        [NewTask("noop", never, namespace=NAMESPACE, task_id=task_id) for task_id in ids]
    ):
        if isinstance(answer, Exception):
            raise answer
    await asyncio.to_thread(_insert, administrator_url, partitions, ids)


def _insert(url: str, partitions: int, ids: list[str]) -> None:
    now = now_us()
    keys = [task_key(NAMESPACE, task_id) for task_id in ids]
    ages_us = [2 * KEPT_US + number * 1_000_000 for number in range(ROWS)]
    ages_us += [number * KEPT_US // (2 * YOUNG) for number in range(YOUNG)]
    with connect(url, timeout_s=60.0) as connection, connection.cursor() as cursor:
        cursor.execute(_READ_OWNERS)
        owners = {row[0]: row[1:] for row in cursor.fetchall()}
        rows: list[str] = []
        for number, age_us in enumerate(ages_us):
            key, at = keys[number % TASKS], now - age_us
            partition_id = partition_of(key, partitions)
            epoch, owner = owners[partition_id]
            rows.append(
                f"({partition_id}, {at}, 0x{key.hex()}, 4, {at}, 1, {epoch}, 1, 'executor-0', '{owner}', "
                f"{at}, {at}, {at}, {at}, {at})"
            )
        for first in range(0, len(rows), _BATCH):
            cursor.execute(_INSERT + ", ".join(rows[first : first + _BATCH]))
        connection.commit()
