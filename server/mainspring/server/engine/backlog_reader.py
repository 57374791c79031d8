"""Brings what has been due for long into the window, as fast as it is claimed: after an outage, or what slipped long ago."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from mainspring.server.core.model import DueCursor, DueTask
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.due_window import DueWindow

log = structlog.get_logger(__name__)

DISTANT_PAST = -(1 << 62)
PAGES_BEHIND = 10
"""So many pages are read behind one that found no room, before room is waited for again."""

ReadPage = Callable[
    [Sequence[int], int, int, DueCursor | None], Awaitable[tuple[list[DueTask], DueCursor | None]]
]


class BacklogReader:
    """Walks through the due index up to what is fresh, again and again, and stands still where memory has no room.

    Whatever is fresh is read by others and never behind this: an hour of every minute of a million tasks is a million
    keys here, and none of theirs.

    Args:
        read_page: reads a page of due tasks, and says where the next one begins.
        merge: takes tasks into the window; answers how many were not known.
    """

    def __init__(
        self,
        context: OwnerContext,
        window: DueWindow,
        read_page: ReadPage,
        merge: Callable[[Sequence[DueTask]], int],
    ) -> None:
        self._context = context
        self._window = window
        self._read_page = read_page
        self._merge = merge
        self._wanted = asyncio.Event()
        self.is_asked = False
        """Whether something was left out that has not been looked for since."""
        self._is_asked_since = False
        """Whether it was asked since the walk began."""
        self._walks = 0
        self._from_at = DISTANT_PAST
        self._cursor: DueCursor | None = None
        self._is_again = False
        self._pages_behind = 0
        self._found = 0

    def read_on(self) -> None:
        """To be called when there is room again."""
        self.is_asked = self._is_asked_since = True
        self._wanted.set()

    async def run_round(self) -> None:
        """Reads a page; waits for room when some of it found none, and for the next time at the end of the walk.

        A page is read again once there is room. Without that, or when the room was for others, the walk goes on behind
        it: tasks that nobody runs do not hide those of other handlers.
        """
        settings = self._context.settings
        self._wanted.clear()
        if self._cursor is None and not self._is_again:
            is_whole = self._walks % settings.full_sweep_every == 0 or self._found > 0 or self.is_asked
            now = self._context.clock.now()
            self._from_at = DISTANT_PAST if is_whole else now - int(settings.sweep_back_s * 1_000_000)
            self._walks, self._found, self._is_asked_since = self._walks + 1, 0, False
        partitions = self._context.held.firing()
        page: list[DueTask] = []
        following: DueCursor | None = None
        if partitions:
            until_at = self._window.backlog_before
            page, following = await self._read_page(partitions, self._from_at, until_at, self._cursor)
        found = self._merge(page)
        self._found += found
        if found:
            self._context.metrics.swept.inc(found)
        if any(task.ref not in self._window for task in page):
            if self._pages_behind:
                self._pages_behind -= 1
            elif not (self._is_again and not found) and await self._has_room():
                self._is_again = True
                return
            else:
                self._pages_behind = PAGES_BEHIND
        self._is_again = False
        self._cursor = following
        if following is None:
            if self._found:
                log.info("backlog_read", tasks=self._found)
            elif not self._is_asked_since:
                self.is_asked = False
            if not self._found and not self.is_asked:
                await self._has_room()

    async def _has_room(self) -> bool:
        """Waits until a line has room again, or as long as between two sweeps; answers which."""
        try:
            async with self._context.clock.timeout(self._context.settings.sweep_interval_s):
                await self._wanted.wait()
        except TimeoutError:
            return False
        return True
