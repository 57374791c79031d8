"""How a process that runs for long runs: on uvloop where it is installed, with the collector set for many live objects."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable

COLLECT_AFTER = (10_000, 20, 20)
"""Python's default of 700 looks through what is in flight (some ten thousand objects) again and again during a herd; with
these, and with what was imported left out, a node spent a fifth less time on an execution."""


def runner() -> asyncio.Runner:
    """A runner for the one coroutine that this process is for. What is imported by now is taken to stay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    return asyncio.Runner(loop_factory=loop_factory())


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed; None for asyncio's own."""
    if sys.platform == "win32":
        return None
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
