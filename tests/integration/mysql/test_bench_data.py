"""What benchmarks write into the database by SQL alone is what the product itself would have written."""

from benchmarks.bulk import HANDLER, PAYLOAD, Times, insert_executions, insert_tasks, task_id

from mainspring.server.core.model import ExecutionState, TaskRef
from mainspring.server.core.schedule import OneTime, Schedule
from mainspring.server.core.schedule_text import decode
from mainspring.server.persistence.mysql.migrate import migrate
from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.server.persistence.mysql.store import MySQLStore
from mainspring.shard_manager.hashing import partition_of, task_key

NAMESPACE, COUNT, PARTITIONS = "bulk", 2_500, 16
TIMES = Times(2_000_000_000_000_000, 100)


async def stored(database_url: str) -> MySQLStore:
    settings = MySQLSettings.from_url(database_url)
    await migrate(settings, PARTITIONS)
    insert_tasks(database_url, NAMESPACE, COUNT, at=TIMES, created_at=7, partitions=PARTITIONS)
    insert_executions(database_url, NAMESPACE, 0, COUNT, at=TIMES, partitions=PARTITIONS)
    store = MySQLStore(settings)
    await store.start()
    return store


async def test_the_tasks_are_those_that_registering_them_would_have_made(database_url: str) -> None:
    store = await stored(database_url)
    try:
        for number in (0, 1, 999, 1_000, COUNT - 1):
            key = task_key(NAMESPACE, task_id(number))
            task = await store.get_task(TaskRef(partition_of(key, PARTITIONS), key))
            assert task is not None
            assert (task.task_id, task.handler, task.payload) == (task_id(number), HANDLER, PAYLOAD)
            assert task.scheduled_at == task.due_at == TIMES.at(number)
            assert decode(task.schedule) == Schedule(OneTime(TIMES.at(number)))
    finally:
        await store.close()


async def test_they_are_all_there_and_due_when_the_times_say(database_url: str) -> None:
    store = await stored(database_url)
    try:
        due = await store.load_due_tasks(
            range(PARTITIONS), from_at=0, until_at=TIMES.from_at * 2, after=None, limit=COUNT + 1
        )
        assert sorted(task.due_at for task in due) == sorted(TIMES.at(number) for number in range(COUNT))
        assert {(task.due_at - TIMES.from_at) // 1_000_000 for task in due} == set(range(COUNT // 100))
    finally:
        await store.close()


async def test_each_has_an_execution_that_has_succeeded(database_url: str) -> None:
    store = await stored(database_url)
    try:
        for number in (0, 1_000, COUNT - 1):
            key, at = task_key(NAMESPACE, task_id(number)), TIMES.at(number)
            execution = await store.get_execution(TaskRef(partition_of(key, PARTITIONS), key), at)
            assert execution is not None
            assert (execution.state, execution.due_at) == (ExecutionState.SUCCEEDED, at)
            assert (execution.saved_at or 0) > at
    finally:
        await store.close()
