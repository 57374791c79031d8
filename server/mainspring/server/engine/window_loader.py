"""Brings due tasks from the database into the window: ahead of time, after a take-over, and what slipped through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from mainspring.server.core.model import DueCursor, DueTask, OpenExecution
from mainspring.server.engine.backlog_reader import BacklogReader
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.due_window import DueWindow
from mainspring.server.engine.timer_driver import TimerDriver

log = structlog.get_logger(__name__)

SWEEP_PAGES = 10


class WindowLoader:
    """Loads ahead in slices of time, so that the earliest comes first whatever the partition.

    `DueWindow.frontier` moves before a slice is read: a partition adopted meanwhile loads up to there by itself.
    """

    def __init__(
        self,
        context: OwnerContext,
        window: DueWindow,
        driver: TimerDriver,
        on_open: Callable[[Sequence[OpenExecution]], None],
    ) -> None:
        self._context = context
        self._window = window
        self._driver = driver
        self._on_open = on_open
        self._loading = asyncio.Lock()  # while it is held, the frontier is ahead of what is loaded
        self._sweep_wanted = asyncio.Event()
        self._is_sweep_asked = False
        self._sweep_cursor: DueCursor | None = None
        self._backlog = BacklogReader(context, window, self._page, self.merge)

    @property
    def is_sweep_asked(self) -> bool:
        """Whether something slipped and has not been looked for since."""
        return self._is_sweep_asked or self._backlog.is_asked

    @property
    def is_loading(self) -> bool:
        """Whether a slice is being read: the frontier is ahead of what is in memory."""
        return self._loading.locked()

    def read_backlog(self) -> None:
        """Asks for what has been due for long, after partitions came."""
        self._backlog.read_on()

    async def backlog_round(self) -> None:
        """See `BacklogReader.run_round`."""
        await self._backlog.run_round()

    async def load_round(self) -> None:
        """Loads the next slice when it comes near; then waits."""
        now = self._context.clock.now()
        horizon = now + int(self._context.settings.window_s * 1_000_000)
        # What is due for longer is not read here, however much of it there is.
        from_at = max(self._window.frontier, self._window.backlog_before)
        is_near = from_at < horizon - int(self._context.settings.window_s * 100_000)
        if not is_near or not self._window.is_worth_loading:
            await self._context.clock.sleep(min(0.5, self._context.settings.window_s / 10))
            return
        async with self._loading:
            partitions = self._context.held.firing()
            from_at = max(self._window.frontier, self._window.backlog_before)
            if from_at < horizon:
                self._window.frontier = horizon
                if partitions:
                    await self._load_slice(partitions, from_at, horizon)

    async def look_ahead(self, until_at: int) -> bool:
        """Loads until something due before the frontier is known, or the frontier is behind `until_at`.

        Slices grow while they are empty and shrink when they do not fit: what is due first is in memory whole, however
        much is due later. When not even one instant fits, the frontier stays there, and room comes as that is claimed.
        Answers whether it took anything in.

        Raises:
            StoreError: the store could not be read.
        """
        length_us = int(self._context.settings.window_s * 1_000_000)
        known = len(self._window)
        has_room = True
        async with self._loading:
            while (from_at := self._window.frontier) <= until_at:
                deadline = self._window.next_deadline()
                if deadline is not None and deadline < from_at:
                    break
                end_at = min(from_at + length_us, until_at + 1)
                self._window.frontier = end_at
                is_complete = False
                try:
                    tasks, is_all = await self.read(self._context.held.firing(), from_at, end_at)
                    is_complete = is_all and len(tasks) <= self._window.room
                finally:
                    if not is_complete:
                        self._window.frontier = min(self._window.frontier, from_at)
                if is_complete or (end_at - from_at == 1 and not has_room):
                    self.merge(tasks)
                if is_complete:
                    length_us *= 2
                elif has_room:
                    has_room = False
                    self._window.forget_from(from_at)
                    known = min(known, len(self._window))
                elif end_at - from_at > 1:
                    length_us = max(1, (end_at - from_at) // 8)
                else:
                    break
        return len(self._window) > known

    async def _load_slice(self, partitions: Sequence[int], from_at: int, until_at: int) -> None:
        """Loads a slice whole, or what has room; a failed or cut one is loaded again by moving the frontier back."""
        try:
            is_complete = await self.load(partitions, from_at, until_at)
        except BaseException:
            self._window.frontier = min(self._window.frontier, from_at)
            raise
        if not is_complete:
            self._window.frontier = min(self._window.frontier, from_at)

    async def load(self, partitions: Sequence[int], from_at: int, until_at: int) -> bool:
        """Loads the due tasks of these partitions in [from, until) page by page; False when the window is full."""
        cursor: DueCursor | None = None
        while True:
            page, cursor = await self._page(partitions, from_at, until_at, cursor)
            self.merge(page, ahead=True)
            now = self._context.clock.now()
            for task in page:
                self._context.metrics.stage("loaded", now, task.due_at)
            if cursor is None:
                return True
            if not self._window.room_ahead:
                return False

    async def read(
        self, partitions: Sequence[int], from_at: int, until_at: int
    ) -> tuple[list[DueTask], bool]:
        """Reads the due tasks of these partitions in [from, until) without taking them in.

        Answers them, and whether these are all: it stops when there is no room for more.
        """
        cursor: DueCursor | None = None
        tasks: list[DueTask] = []
        while True:
            page, cursor = await self._page(partitions, from_at, until_at, cursor)
            tasks += [task for task in page if not self._window.leaves_out(task)]
            if cursor is None or len(tasks) > self._window.room:
                return tasks, cursor is None

    async def _page(
        self, partitions: Sequence[int], from_at: int, until_at: int, after: DueCursor | None
    ) -> tuple[list[DueTask], DueCursor | None]:
        """A page and where the next one begins; None when it was the last."""
        page = await self._context.store.load_due_tasks(
            partitions,
            from_at=from_at,
            until_at=until_at,
            after=after,
            limit=self._context.settings.load_page,
        )
        if len(page) < self._context.settings.load_page:
            return page, None
        last = page[-1]
        return page, DueCursor(last.partition_id, last.due_at, last.task_key)

    async def load_open(self, partitions: Sequence[int], until_at: int | None) -> int:
        """Hands the open executions of these partitions to the owner of attempts; answers how many rows it read."""
        cursor: DueCursor | None = None
        count = 0
        while True:
            page = await self._context.store.load_open_executions(
                partitions, until_at=until_at, after=cursor, limit=self._context.settings.load_page
            )
            self._on_open(page)
            count += len(page)
            if len(page) < self._context.settings.load_page:
                return count
            last = page[-1]
            following = DueCursor(last.ref.partition_id, last.wake_at, last.ref.task_key)
            if following == cursor:
                return count
            cursor = following

    def accept(self, tasks: Sequence[DueTask]) -> None:
        """Takes hints in: tasks of held partitions that are due inside the window. What has become due later is dropped."""
        frontier = self._window.frontier
        for task in tasks:
            if task.due_at >= frontier:
                self._window.forget_older(task)
        self.merge(
            [
                t
                for t in tasks
                if t.due_at < frontier and self._context.held.epoch_of(t.partition_id) is not None
            ]
        )

    def merge(self, tasks: Sequence[DueTask], *, ahead: bool = False) -> int:
        """Takes tasks in and wakes the timer; answers how many were not known."""
        if not tasks:
            return 0
        unknown = self._window.merge(tasks, ahead=ahead)
        self._driver.inserted()
        return unknown

    def sweep_soon(self) -> None:
        """Asks for a sweep before its time: something due was dropped from memory."""
        self._is_sweep_asked = True
        self._sweep_wanted.set()
        self._backlog.read_on()

    async def sweep_round(self) -> None:
        """Looks for what is overdue and not in memory, tasks and executions; then waits for the next time.

        Tasks that have been due for long are left to the reader of the backlog.
        """
        partitions = self._context.held.firing()
        now = self._context.clock.now()
        is_asked = self._is_sweep_asked and not self._sweep_wanted.is_set()
        if partitions:
            until_at = now - int(self._context.settings.sweep_grace_s * 1_000_000) + 1
            if self._window.room:
                found = await self._sweep_tasks(partitions, self._window.backlog_before, until_at)
                if found:
                    self._context.metrics.swept.inc(found)
                    log.info("sweep_found", tasks=found)
            await self.load_open(partitions, until_at)
        if is_asked and not self._sweep_wanted.is_set():
            self._is_sweep_asked = False
        try:
            async with self._context.clock.timeout(self._context.settings.sweep_interval_s):
                await self._sweep_wanted.wait()
        except TimeoutError:
            return
        # What slipped just now is found once it is older than the grace; what slips meanwhile, by one more sweep.
        self._sweep_wanted.clear()
        await self._context.clock.sleep(self._context.settings.sweep_grace_s)

    async def _sweep_tasks(self, partitions: Sequence[int], from_at: int, until_at: int) -> int:
        """Pages through what is overdue; what is more than one sweep may read, the next one goes on with.

        Answers how many tasks memory lacked.
        """
        found = 0
        for _ in range(SWEEP_PAGES):
            page, self._sweep_cursor = await self._page(partitions, from_at, until_at, self._sweep_cursor)
            found += self.merge(page)
            if self._sweep_cursor is None or self._window.room == 0:
                break
        return found
