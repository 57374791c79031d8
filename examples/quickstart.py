"""Registers a task and runs it, in one process. Needs a cluster: `make cluster` starts one and says its address.

export MAINSPRING_ADDRESS=127.0.0.1:7300
python examples/quickstart.py
"""

import asyncio
import os
from datetime import timedelta

from mainspring.client import Delay, MainspringClient
from mainspring.executor import Executor, Job

ADDRESS = os.environ.get("MAINSPRING_ADDRESS", "127.0.0.1:7300")

executor = Executor(ADDRESS, capacity=10)
has_run = asyncio.Event()


@executor.handler("greet")
async def greet(job: Job) -> str:
    """Runs when the task is due. What it returns is kept in the ledger; what it raises makes the execution FAILED."""
    has_run.set()
    return f"hello {job.payload.decode()}, you were due at {job.due_time:%H:%M:%S} UTC"


async def main() -> None:
    """Register a task, wait for its run, and read what the ledger says about it."""
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        working = group.create_task(executor.run())
        async with MainspringClient(ADDRESS) as client:
            task = await client.create_task("greet", Delay(timedelta(seconds=2)), payload="world")
            print(f"registered {task.task_id}, due at {task.next_scheduled_time}")
            await has_run.wait()
            executor.stop()  # finishes what runs, and waits until its result is saved
            await working
            execution = await client.get_execution(task.task_id)
            print(execution.state.name, execution.result.decode())


if __name__ == "__main__":
    asyncio.run(main())
