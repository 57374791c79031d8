"""Runs one handler and tells how it ended. Never raises what a handler raises."""

import asyncio
from typing import Any

from mainspring.executor.attempts import Ending, Outcome
from mainspring.executor.job import Job, JobCancelled
from mainspring.executor.registry import Handler

MAX_ERROR_CHARACTERS = 2_000
MAX_ERROR_KIND_CHARACTERS = 200


async def run_async(handler: Handler, job: Job, max_output_bytes: int) -> Ending:
    """Run an async handler.

    A cancel that was asked for through the job ends it as CANCELLED, unless the handler returns all the same.
    Any other cancel of this task is let out.
    """
    try:
        output = await handler.function(job)
    except asyncio.CancelledError:
        if job.is_cancelled:
            return Ending(Outcome.CANCELLED)
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # The handler raised it by itself, out of a library or a task of its own.
        return Ending(Outcome.FAILED, error="the handler raised CancelledError", error_kind="CancelledError")
    except GeneratorExit:
        raise  # the event loop is gone
    except BaseException as error:
        # A handler that calls sys.exit must not end the executor, nor any other signal occupy the slot for ever.
        return failure(error)
    return encode(output, max_output_bytes)


def run_plain(handler: Handler, job: Job, max_output_bytes: int) -> Ending:
    """Run a plain handler, on a thread of its own."""
    if job.is_cancelled:
        return Ending(Outcome.CANCELLED)
    try:
        output = handler.function(job)
    except BaseException as error:  # nothing above this frame could handle it: it is a thread's first
        return failure(error)
    return encode(output, max_output_bytes)


def encode(output: Any, max_output_bytes: int) -> Ending:
    """Return the ending of a handler that returned."""
    if output is None:
        return Ending(Outcome.SUCCEEDED)
    if isinstance(output, str):
        output = output.encode(errors="surrogateescape")
    if not isinstance(output, (bytes, bytearray, memoryview)):
        return Ending(
            Outcome.FAILED,
            error=f"the handler returned {type(output).__name__}; it may return bytes, str or None",
            error_kind="TypeError",
        )
    data = bytes(output)
    if len(data) > max_output_bytes:
        return Ending(
            Outcome.FAILED,
            error=f"the handler returned {len(data)} bytes; at most {max_output_bytes} are kept",
            error_kind="ResultTooLong",
        )
    return Ending(Outcome.SUCCEEDED, output=data)


def failure(error: BaseException) -> Ending:
    """Return the ending of a handler that raised."""
    if isinstance(error, JobCancelled):
        return Ending(Outcome.CANCELLED)
    try:
        text = str(error)
    except Exception:
        text = "(the error cannot be shown as text)"
    return Ending(
        Outcome.FAILED,
        # A lone surrogate cannot travel in a protobuf string.
        error=text[:MAX_ERROR_CHARACTERS].encode(errors="replace").decode(),
        error_kind=type(error).__name__[:MAX_ERROR_KIND_CHARACTERS],
    )
