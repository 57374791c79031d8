"""Handlers for demos, tests and simulations of concurrent executions."""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from functools import partial

from mainspring.executor.job import Job
from mainspring.executor.registry import HandlerRegistry

MAX_SLEEP_S = 86_400.0

SleepIn = Callable[[Job, float], Awaitable[None]]


async def noop(job: Job) -> None:
    """Do nothing."""


async def sleep(job: Job) -> str:
    """Sleep as many seconds as the payload says: `1.5`, or JSON `{"seconds": 1.5}`; 1 s when it is empty.

    Raises:
        ValueError: The payload is neither, or not between 0 and a day.
    """
    return await _sleep(job, _machine_time)


async def _sleep(job: Job, sleep_in: SleepIn) -> str:
    seconds = _seconds(job.payload)
    await sleep_in(job, seconds)
    return f"slept {seconds:g} s"


async def _machine_time(job: Job, seconds: float) -> None:
    await asyncio.sleep(seconds)


async def fail(job: Job) -> None:
    """Fail, with the payload as the message."""
    raise RuntimeError(job.payload.decode(errors="replace") or "asked to fail")


async def echo(job: Job) -> bytes:
    """Return the payload."""
    return job.payload


def mock_registry(sleep_in: SleepIn | None = None) -> HandlerRegistry:
    """Return a registry with `noop`, `sleep`, `fail` and `echo`.

    Args:
        sleep_in: How `sleep` sleeps: returns after so many seconds of a job. None: on the machine's clock.
    """
    registry = HandlerRegistry()
    for function in (noop, fail, echo):
        registry.register(function.__name__, function)
    if sleep_in is None:
        registry.register("sleep", sleep)
    else:
        registry.register("sleep", partial(_sleep, sleep_in=sleep_in))
    return registry


def _seconds(payload: bytes) -> float:
    if not payload.strip():
        return 1.0
    value = json.loads(payload)
    if isinstance(value, dict):
        value = value.get("seconds", 1.0)
    seconds = float(value)
    if not (math.isfinite(seconds) and 0 <= seconds <= MAX_SLEEP_S):
        raise ValueError(f"seconds must be between 0 and {MAX_SLEEP_S:g}")
    return seconds
