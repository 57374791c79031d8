"""A process that works on a database file until it is killed, and says on its standard output what was acknowledged.

    python -m integration.sqlite.worker FILE SEED

One line an acknowledgement, written in one piece: a word, then the names that it is about.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys

from contract.store.builders import SECOND, T0, completion, item, load_due, new_task, own_all

from mainspring.server.core.attempt import Assignment, Dispatchable
from mainspring.server.core.model import ExecutionRef
from mainspring.server.persistence.sqlite import database
from mainspring.server.persistence.sqlite.store import SQLiteStore

PARTITIONS = 8
LANES = 3
LAST_TIMES = 6
"""A recurring task is claimed this often, then it is done."""


def say(word: str, *names: str) -> None:
    os.write(1, f"{' '.join((word, *names))}\n".encode())


def name(ref: ExecutionRef) -> str:
    return f"{ref.partition_id}:{ref.scheduled_at}:{ref.task_key.hex()}"


class Worker:
    """One owner of everything, with several lanes at work."""

    def __init__(self, store: SQLiteStore, seed: int) -> None:
        self._store = store
        self._random = random.Random(seed)
        self._owner_id = f"worker-{seed}"
        self._epochs: dict[int, int] = {}
        self._created = 0

    async def run(self) -> None:
        self._epochs = await own_all(self._store, self._owner_id)
        await self._adopt()
        async with asyncio.TaskGroup() as lanes:
            for _ in range(LANES):
                lanes.create_task(self._lane())

    async def _adopt(self) -> None:
        """Ends what the last process left open, as a second attempt."""
        rows = await self._store.load_open_executions(
            range(PARTITIONS), until_at=None, after=None, limit=100_000
        )
        say("adopted", *(name(row.ref) for row in rows))
        items = [
            Assignment(
                row.ref, self._epochs[row.ref.partition_id], row.attempt, "executor-2", row.task_version
            )
            for row in rows
        ]
        outcome = await self._store.assign(self._owner_id, items, now=T0, wake_at=T0 + SECOND)
        await self._complete(outcome.dispatchable)

    async def _lane(self) -> None:
        while True:
            await self._create()
            await self._claim()

    async def _create(self) -> None:
        count = self._random.choice((1, 1, 5, 30))
        names = [f"{self._owner_id}-{self._created + n}" for n in range(count)]
        self._created += count
        payload = self._random.randbytes(self._random.choice((0, 100, 20_000)))
        created = await self._store.create_tasks([new_task(each, payload=payload) for each in names])
        say("created", *(outcome.task.task_id for outcome in created))

    async def _claim(self) -> None:
        due = await load_due(self._store, until_at=T0 + LAST_TIMES * SECOND, limit=200)
        items = []
        for task in due:
            # One in four is a recurring one: its key decides, so that every process decides alike.
            is_going_on = task.task_key[-1] % 4 == 0 and task.scheduled_at < T0 + (LAST_TIMES - 1) * SECOND
            items.append(item(task, next_at=task.scheduled_at + SECOND if is_going_on else None))
        outcome = await self._store.claim(self._owner_id, self._epochs, items, now=T0, wake_at=T0 + SECOND)
        say("claimed", *(name(sent.ref) for sent in outcome.claimed))
        # The rest stays open for the next process.
        await self._complete([sent for sent in outcome.claimed if self._random.random() < 0.9])

    async def _complete(self, sent: list[Dispatchable]) -> None:
        items = [completion(each, result=self._owner_id.encode()) for each in sent]
        refused = await self._store.complete(self._owner_id, items, now=T0 + 9)
        assert not refused
        say("completed", *(f"{name(each.ref)}:{self._owner_id}" for each in sent))


async def main(path: str, seed: int) -> None:
    # Small, so that many of the deaths fall into a checkpoint.
    database.CHECKPOINT_BYTES = 128 * 1024
    store = SQLiteStore(path, PARTITIONS)
    await store.start()
    await Worker(store, seed).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
