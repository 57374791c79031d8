"""Runs an asyncio program in the foreground such that Ctrl-C, SIGTERM and SIGHUP all end it in order."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from mainspring.testing.errors import TestingError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_in_foreground(
    main: Callable[[], Coroutine[Any, Any, int]],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> int:
    """Run `main` and return its exit code: 128 plus the signal's number when one ended it, 2 for a `TestingError`.

    The first signal cancels `main`, whose `finally` blocks then clean up; later ones wait for that.
    """
    received: list[signal.Signals] = []

    async def interruptible() -> int:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def on_signal(number: signal.Signals) -> None:
            if not received:
                received.append(number)
                task.cancel()

        for number in _SIGNALS:
            loop.add_signal_handler(number, on_signal, number)
        return await main()

    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(interruptible())
    except asyncio.CancelledError:
        print(f"stopped by {received[0].name if received else 'a cancellation'}", file=sys.stderr)
        return 128 + (received[0] if received else signal.SIGINT)
    except TestingError as error:
        print(error, file=sys.stderr)
        return 2
