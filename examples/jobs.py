"""Handlers for executors of their own, as many as it takes:

mainspring executor --address 127.0.0.1:7300 --handlers examples.jobs:registry --capacity 50
mainspring task create resize-image --delay 5s --payload '{"image": "cat.png"}'
mainspring task create heartbeat --every 10s --id heartbeat
"""

import asyncio
import json

from mainspring.executor import HandlerRegistry, Job

registry = HandlerRegistry()


@registry.handler("heartbeat")
async def heartbeat(job: Job) -> str:
    """Async handlers share the executor's event loop: await, never block."""
    await asyncio.sleep(0.01)
    return f"beat of {job.scheduled_time.isoformat()}"


@registry.handler("resize-image")
def resize_image(job: Job) -> str:
    """Plain functions run in threads. They look for a cancel at the points where they can stop."""
    image = json.loads(job.payload)["image"]
    for _ in range(10):
        job.raise_if_cancelled()
        job.wait_until_cancelled(0.05)  # stands for a slice of the work; `time.sleep` would sleep on
    # A run can be repeated (an executor that dies in the middle, for one). Where that does harm, let the system that is
    # written to refuse a fence token lower than one it has seen.
    return f"{image} resized under token {job.fence_token}"
