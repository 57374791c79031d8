"""Handlers for demos, tests and simulations of concurrent executions."""

import asyncio
import json
import math

from mainspring.executor.job import Job
from mainspring.executor.registry import HandlerRegistry

MAX_SLEEP_S = 86_400.0


async def noop(job: Job) -> None:
    """Do nothing."""


async def sleep(job: Job) -> str:
    """Sleep as many seconds as the payload says: `1.5`, or JSON `{"seconds": 1.5}`; 1 s when it is empty.

    Raises:
        ValueError: The payload is neither, or not between 0 and a day.
    """
    seconds = _seconds(job.payload)
    await asyncio.sleep(seconds)
    return f"slept {seconds:g} s"


async def fail(job: Job) -> None:
    """Fail, with the payload as the message."""
    raise RuntimeError(job.payload.decode(errors="replace") or "asked to fail")


async def echo(job: Job) -> bytes:
    """Return the payload."""
    return job.payload


def mock_registry() -> HandlerRegistry:
    """Return a registry with `noop`, `sleep`, `fail` and `echo`."""
    registry = HandlerRegistry()
    for function in (noop, sleep, fail, echo):
        registry.register(function.__name__, function)
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
