"""Work that goes on through a whole run: one-time and recurring tasks are registered and cancelled all the time.

What else may happen to a task in its life does so to tasks of their own, see `changes`.

Everything is drawn from the seed but the instants, which follow the clock. What was acknowledged, and when, is noted by the
load generator.
"""

import asyncio
import random
from dataclasses import dataclass, field, replace

from chaos.changes import Changes, ChangeSettings

from mainspring.client import MainspringClient, MainspringError
from mainspring.testing.load_generator import LoadGenerator, now_us
from mainspring.testing.workload import ZONES, PlannedTask

NAMESPACE = "chaos"
SECOND_US = 1_000_000
BATCH_S = 0.25
CANCEL_TRIES = 30


@dataclass(frozen=True, slots=True)
class TrafficSettings:
    """How much. Durations in seconds.

    Attributes:
        rate: One-time tasks registered a second.
        intervals: Recurring tasks with an interval of 2 to 10 s that there are at any time.
        crons: Cron tasks that fire every 5 s, likewise.
        turnover_s: So often one recurring task is cancelled and another one registered.
        ahead_s: One-time tasks are due between so many seconds after their registration.
        long_share: Share of the one-time tasks that takes 0.2 to 1.5 s.
        at_most_once_share: Share of the one-time tasks that must not run twice.
        cancel_share: Share of the one-time tasks that is cancelled before it is due.
        changes: Of the tasks that are paused, updated, triggered and deleted.
    """

    rate: int = 100
    intervals: int = 60
    crons: int = 40
    turnover_s: float = 1.0
    ahead_s: tuple[float, float] = (2.0, 5.0)
    long_share: float = 0.25
    at_most_once_share: float = 0.1
    cancel_share: float = 0.04
    changes: ChangeSettings = field(default_factory=ChangeSettings)


class Traffic:
    """The clients of a run. `run` goes on until cancelled by `stop`."""

    def __init__(
        self,
        client: MainspringClient,
        load: LoadGenerator,
        seed: int,
        settings: TrafficSettings | None = None,
    ) -> None:
        """Use a client and a load generator; nothing is sent yet."""
        self._load = load
        self._settings = settings or TrafficSettings()
        self._random = random.Random(f"traffic {seed}")
        self._numbers: dict[str, int] = {}
        self._stopping = asyncio.Event()
        self._changes = Changes(client, load, NAMESPACE, seed, self._settings.changes)

    def stop(self) -> None:
        """Register nothing more; `run` ends when every call has an outcome."""
        self._stopping.set()
        self._changes.stop()

    async def run(self) -> None:
        """Register and cancel.

        Raises:
            TestingError: a task was refused.
        """
        settings = self._settings
        first = [self._interval() for _ in range(settings.intervals)]
        first += [self._cron() for _ in range(settings.crons)]
        await self._load.register(first)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._turn_over(group), name="turn-over")
            group.create_task(self._changes.run(), name="changes")
            next_at = now_us()
            owed = 0.0
            while not self._stopping.is_set():
                owed += settings.rate * BATCH_S
                batch = [self._one_time() for _ in range(int(owed))]
                owed -= len(batch)
                group.create_task(self._register(batch, group), name="register")
                next_at += int(BATCH_S * SECOND_US)
                await self._pause(max(0.0, (next_at - now_us()) / SECOND_US))

    async def herd(self, count: int, at: int) -> None:
        """Register tasks that are all due at one instant, microseconds; returns when all have an outcome."""
        await self._load.register(
            [
                PlannedTask(NAMESPACE, self._id("herd"), "noop", "one-time", "herd", at=at)
                for _ in range(count)
            ]
        )

    async def _register(self, batch: list[PlannedTask], group: asyncio.TaskGroup) -> None:
        await self._load.register(batch, calls_at_once=None)
        for planned in batch:
            if self._random.random() < self._settings.cancel_share:
                group.create_task(
                    self._cancel(planned.task_id, self._random.uniform(0.0, 2.0)), name="cancel"
                )

    async def _turn_over(self, group: asyncio.TaskGroup) -> None:
        while not self._stopping.is_set():
            await self._pause(self._settings.turnover_s)
            recurring = [
                task.task_id
                for task in self._load.tasks
                if task.kind != "one-time" and task.cancel_sent_at is None and not self._changes.has(task.key)
            ]
            if recurring:
                group.create_task(self._cancel(self._random.choice(recurring), 0.0), name="cancel")
            fresh = self._interval() if self._random.random() < 0.6 else self._cron()
            group.create_task(self._load.register([fresh], calls_at_once=None), name="register")

    async def _cancel(self, task_id: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        for _ in range(CANCEL_TRIES):
            try:
                await self._load.cancel(NAMESPACE, task_id)
            except MainspringError:
                await asyncio.sleep(0.5)  # nobody knows whether it took effect: ask until somebody says so
            else:
                return

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    # --- what is registered ---------------------------------------------------------------------------------------

    def _id(self, group: str) -> str:
        number = self._numbers[group] = self._numbers.get(group, 0) + 1
        return f"{group}-{number:06}"

    def _one_time(self) -> PlannedTask:
        rng, settings = self._random, self._settings
        at = now_us() + int(rng.uniform(*settings.ahead_s) * SECOND_US)
        task = PlannedTask(NAMESPACE, self._id("once"), "noop", "one-time", "once", at=at)
        if rng.random() < settings.long_share:
            task = replace(task, handler="sleep", payload=f"{rng.uniform(0.2, 1.5):.2f}".encode())
        if rng.random() < settings.at_most_once_share:
            task = replace(task, delivery="at-most-once")
        return task

    def _interval(self) -> PlannedTask:
        rng = self._random
        return PlannedTask(
            NAMESPACE,
            self._id("interval"),
            "noop",
            "interval",
            "interval",
            every_us=rng.randint(2, 10) * SECOND_US,
            anchor_at=now_us() + rng.randrange(2_000, 6_000) * 1_000,
        )

    def _cron(self) -> PlannedTask:
        rng = self._random
        seconds = ",".join(str(second) for second in range(rng.randrange(5), 60, 5))
        return PlannedTask(
            NAMESPACE,
            self._id("cron"),
            "noop",
            "cron",
            "cron",
            expression=f"{seconds} * * * * *",
            time_zone=rng.choice(ZONES),
        )
