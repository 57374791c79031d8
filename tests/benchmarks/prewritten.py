"""Tasks that are written into a rig's database ahead, so that what is measured is running them and not registering them."""

from __future__ import annotations

import asyncio

from benchmarks.bulk import HANDLER, PAYLOAD, Times, insert_tasks, task_id
from benchmarks.rig import Rig

from mainspring.testing.history import AcknowledgedTask
from mainspring.testing.load_generator import now_us


async def write_ahead(
    rig: Rig,
    namespace: str,
    count: int,
    at: int | Times,
    *,
    handler: str = HANDLER,
    payload: bytes = PAYLOAD,
) -> list[AcknowledgedTask]:
    """Write so many one-time tasks; answer them as a client would know them.

    Raises:
        pymysql.Error: See `insert_tasks`.
    """
    cluster, created_at = rig.cluster, now_us()
    await asyncio.to_thread(
        insert_tasks,
        cluster.mysql_url,
        namespace,
        count,
        at=at,
        created_at=created_at,
        partitions=cluster.settings.partitions,
        handler=handler,
        payload=payload,
    )
    written_at = now_us()
    return [
        AcknowledgedTask(
            namespace,
            task_id(number),
            "one-time",
            handler,
            created_at,
            written_at,
            at=at.at(number) if isinstance(at, Times) else at,
        )
        for number in range(count)
    ]
