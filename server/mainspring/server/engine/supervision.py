"""A loop that must not end because one round of it failed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from mainspring.server.clock import Clock
from mainspring.server.errors import StoreError

log = structlog.get_logger(__name__)

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 1.0


async def keep_running(name: str, round_of: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Calls `round_of` again and again until cancelled; after a failure it pauses, longer each time up to 1 s.

    A store that cannot be reached is a warning, anything else a bug, logged with its traceback.
    """
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            await round_of()
            pause_s = FIRST_PAUSE_S
        except StoreError as error:
            log.warning("round_failed", loop=name, reason=error.reason, error=str(error))
            await clock.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
        except Exception:
            log.exception("round_crashed", loop=name)
            await clock.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
