"""Runs a command's calls through the client SDK, and turns what goes wrong into messages and exit codes."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import typer

from mainspring.cli.durations import format_duration
from mainspring.cli.options import EXIT_REFUSED, EXIT_UNREACHABLE, addresses_of
from mainspring.cli.output import Output, note
from mainspring.client import Aborted, DeadlineExceeded, MainspringClient, MainspringError, Unavailable

PATIENCE_S = 1.0
"""A person is told what is being waited for after this long, in seconds."""


def run_calls(
    addresses: Sequence[str],
    timeout: timedelta,
    output: Output,
    calls: Callable[[MainspringClient], Awaitable[None]],
    *,
    is_endless: bool = False,
) -> None:
    """Run `calls` with a client, in an event loop of its own.

    Args:
        addresses: As given on the command line or by the environment.
        timeout: Deadline of each call, over all its tries.
        output: Where errors go.
        calls: Talks to the server and prints.
        is_endless: Whether waiting is what it is for, so that nobody needs to be told of it.

    Raises:
        typer.Exit: With 1 when the server said no, 3 when no answer came.
        typer.BadParameter: An address or the timeout is wrong.
    """
    targets = addresses_of(addresses)
    if timeout <= timedelta(0):
        raise typer.BadParameter("must be above 0", param_hint="--timeout")

    async def session() -> None:
        patience = None
        if (
            sys.stderr.isatty() and not is_endless
        ):  # a call goes on trying for its whole timeout, which looks like hanging
            waiting = f"waiting for {', '.join(targets)}, up to {format_duration(timeout)} for a call"
            patience = asyncio.get_running_loop().call_later(PATIENCE_S, note, waiting)
        try:
            async with MainspringClient(targets, default_timeout_s=timeout.total_seconds()) as client:
                await calls(client)
        finally:
            if patience is not None:
                patience.cancel()

    try:
        asyncio.run(session())
    except MainspringError as error:
        output.error(error, _hint(error, targets))
        is_unreachable = isinstance(error, Unavailable | DeadlineExceeded)
        raise typer.Exit(EXIT_UNREACHABLE if is_unreachable else EXIT_REFUSED) from None


def _hint(error: MainspringError, targets: Sequence[str]) -> str:
    if isinstance(error, Unavailable) and not error.reason:  # no node has said it
        return f"No node answered at {', '.join(targets)}. --address or MAINSPRING_ADDRESS names another."
    if isinstance(error, DeadlineExceeded):
        return "Whether the call took effect is unknown. It is safe to repeat where the task has an --id."
    if isinstance(error, Aborted):
        return "Another change came first. Look at the task again, then repeat."
    return ""
