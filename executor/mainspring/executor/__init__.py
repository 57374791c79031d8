"""Runs handlers for a Mainspring cluster: the executor's SDK and its runtime.

    executor = Executor("localhost:7400")

    @executor.handler("send-email")
    async def send_email(job: Job) -> None:
        ...

    executor.main()

A handler may run more than once for one scheduled time (an executor that is lost in the middle, for one): make it
idempotent, or hand `job.fence_token` to what it writes to, or register its tasks for delivery at most once.
"""

from mainspring.executor.executor import Executor
from mainspring.executor.job import Job, JobCancelled
from mainspring.executor.registry import HandlerRegistry

__all__ = ["Executor", "HandlerRegistry", "Job", "JobCancelled"]
