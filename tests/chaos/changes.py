"""Tasks that are paused, updated, triggered, cancelled and deleted all the time, many of them in the instant of a fire.

They have policies of every kind. Each definition has a payload of its own, so that the executors' run logs tell which one
ran. About each task one call is under way at a time; what was acknowledged, and when, is noted by `LifeCalls`.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import chain

from mainspring.client import MainspringClient, TaskChange
from mainspring.testing.history import Overlap, TaskKey
from mainspring.testing.life_calls import LifeCalls
from mainspring.testing.load_generator import LoadGenerator, now_us
from mainspring.testing.workload import PlannedTask

SECOND_US = 1_000_000
PREFIX = "changing-"
"""Their ids begin so."""
LONGEST_US = 7_500_000
"""An execution of these may be open for so long: 2.5 s behind another one and 2.5 s of its own, or three attempts."""
NEAR_S = 0.04
"""So near a fire the calls are sent that are to race with it."""
PATIENCE_S = 3.0
"""For so long a deletion waits for a moment in which nothing of its task runs."""
OVERLAPS: tuple[Overlap, ...] = ("skip", "buffer-one", "replace", "allow")


@dataclass(frozen=True, slots=True)
class ChangeSettings:
    """How much. Durations in seconds.

    Attributes:
        tasks: That there are at any time; each fires every 1 to 3 s.
        calls_per_s: About them, in all.
        pause_s: A pause lasts so long.
        long_pause_s: And of a few tasks so long: longer than what is fresh, so that times are missed.
        long_pauses: Tasks with such pauses.
        groups: Tasks that are changed together by one call, `group_size` in each.
    """

    tasks: int = 48
    calls_per_s: float = 6.0
    pause_s: tuple[float, float] = (0.1, 3.0)
    long_pause_s: tuple[float, float] = (32.0, 36.0)
    long_pauses: int = 6
    groups: int = 2
    group_size: int = 5


@dataclass(slots=True)
class _Changing:
    """A task of these, as it is now."""

    task: PlannedTask
    number: int = 1
    """Of its definition."""
    is_busy: bool = False


class Changes:
    """Runs beside the rest of the traffic until it is stopped."""

    def __init__(
        self,
        client: MainspringClient,
        load: LoadGenerator,
        namespace: str,
        seed: int,
        settings: ChangeSettings,
    ) -> None:
        """Use a client and a load generator; nothing is sent yet."""
        self._load = load
        self._calls = LifeCalls(client, load)
        self._namespace = namespace
        self._settings = settings
        self._random = random.Random(f"changes {seed}")
        self._stopping = asyncio.Event()
        self._number = 0
        self._tasks: list[_Changing] = []
        self._keys: set[TaskKey] = set()

    def stop(self) -> None:
        """Begin nothing more; `run` ends when every pause has been ended and every call has an outcome."""
        self._stopping.set()

    def has(self, key: TaskKey) -> bool:
        """Whether a task is one of these: nobody else may call about it."""
        return key in self._keys

    async def run(self) -> None:
        """Register and change.

        Raises:
            TestingError: a task was refused.
        """
        settings = self._settings
        self._tasks = [_Changing(self._new()) for _ in range(settings.tasks)]
        long = [self._new(misfire=("none", "latest", "all")[n % 3]) for n in range(settings.long_pauses)]
        groups = [
            [self._new(label=f"group=g{group}") for _ in range(settings.group_size)]
            for group in range(settings.groups)
        ]
        await self._load.register([*(each.task for each in self._tasks), *long, *chain.from_iterable(groups)])
        async with asyncio.TaskGroup() as group:
            for task in long:
                group.create_task(self._pause_long(task), name=f"pause-{task.task_id}")
            for tasks in groups:
                group.create_task(self._change_together(tasks), name=f"change-{tasks[0].label}")
            while not self._stopping.is_set():
                idle = [each for each in self._tasks if not each.is_busy]
                if idle:
                    changing = self._random.choice(idle)
                    changing.is_busy = True
                    group.create_task(self._change(changing), name=f"change-{changing.task.task_id}")
                await self._rest(self._random.expovariate(settings.calls_per_s))

    async def _change(self, changing: _Changing) -> None:
        """One thing that may happen to a task."""
        steps: tuple[tuple[Callable[[_Changing], Awaitable[None]], int], ...] = (
            (self._pause, 40),
            (self._update_payload, 30),
            (self._update_schedule, 10),
            (self._trigger, 12),
            (self._cancel, 4),
            (self._delete, 4),
        )
        (step,) = self._random.choices([step for step, _ in steps], [weight for _, weight in steps])
        if self._random.random() < 0.8:
            await self._until_near_a_fire(changing.task)
        try:
            await step(changing)
        finally:
            changing.is_busy = False

    async def _pause(self, changing: _Changing) -> None:
        if await self._calls.pause(changing.task):
            await self._rest(self._random.uniform(*self._settings.pause_s))
            if self._random.random() < 0.2:
                await self._update_payload(changing)
            await self._calls.resume(changing.task)

    async def _update_payload(self, changing: _Changing) -> None:
        task = self._with_payload(changing)
        if await self._calls.update_payload(changing.task, task.payload):
            changing.task = task

    async def _update_schedule(self, changing: _Changing) -> None:
        task = self._with_schedule(self._with_payload(changing))
        if await self._calls.update_schedule(changing.task, task):
            changing.task = task

    async def _trigger(self, changing: _Changing) -> None:
        own = None if self._random.random() < 0.5 else self._with_payload(changing).payload
        await self._calls.trigger(changing.task, own)

    async def _cancel(self, changing: _Changing) -> None:
        await self._calls.cancel(changing.task)
        await self._put_another(changing)

    async def _delete(self, changing: _Changing) -> None:
        if not await self._calls.delete(changing.task, give_up_s=PATIENCE_S):
            # Of some tasks something always runs: they have to be told to end first.
            await self._calls.cancel(changing.task)
            await self._calls.delete(changing.task)
        await self._put_another(changing)

    async def _put_another(self, changing: _Changing) -> None:
        changing.task, changing.number = self._new(), 1
        await self._load.register([changing.task], calls_at_once=None)

    async def _pause_long(self, task: PlannedTask) -> None:
        while not self._stopping.is_set():
            await self._rest(self._random.uniform(1.0, 5.0))
            if await self._calls.pause(task):
                await self._rest(self._random.uniform(*self._settings.long_pause_s))
                await self._calls.resume(task)

    async def _change_together(self, tasks: list[PlannedTask]) -> None:
        label = tasks[0].label
        while not self._stopping.is_set():
            await self._until_near_a_fire(tasks[0])
            await self._calls.change_all(tasks, label, TaskChange.PAUSE)
            await self._rest(self._random.uniform(*self._settings.pause_s))
            await self._calls.change_all(tasks, label, TaskChange.RESUME)
            await self._rest(self._random.uniform(2.0, 6.0))
        end = self._random.choice([TaskChange.CANCEL, TaskChange.DELETE])
        await self._calls.change_all(tasks, label, end)

    async def _until_near_a_fire(self, task: PlannedTask) -> None:
        """Waits until just before or after the next fire of an interval; a cron's are near each whole second."""
        now = now_us()
        every_us, anchor_at = task.every_us or SECOND_US, task.anchor_at or 0
        at = anchor_at + -(-(now - anchor_at) // every_us) * every_us
        at += int(self._random.uniform(-NEAR_S, NEAR_S) * SECOND_US)
        await self._rest(max(0.0, (at - now) / SECOND_US))

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    # --- what they are --------------------------------------------------------------------------------------------

    def _new(self, *, misfire: str | None = None, label: str = "") -> PlannedTask:
        rng = self._random
        self._number += 1
        task = PlannedTask(
            self._namespace,
            f"{PREFIX}{self._number:05}",
            "noop",
            "interval",
            "changing",
            every_us=SECOND_US,
            anchor_at=0,
            misfire=misfire or rng.choice((None, "none", "latest", "all")),  # type: ignore[arg-type]
            label=label,
        )
        kind = rng.random()
        if misfire or label:
            pass
        elif kind < 0.35:  # longer than until its next fire, often
            task = replace(task, handler="sleep", overlap=rng.choice(OVERLAPS))
        elif kind < 0.5:
            task = replace(task, handler="fail", max_attempts=rng.choice((2, 3)))
        elif kind < 0.6:
            task = replace(task, handler="sleep", finish_within_us=SECOND_US, max_attempts=rng.choice((1, 2)))
        elif kind < 0.7:
            task = replace(task, start_within_us=5 * SECOND_US)
        elif kind < 0.8:
            task = replace(task, keep_executions=5)
        elif kind < 0.9:
            task = replace(task, delivery="at-most-once")
        self._keys.add(task.key)
        return self._with_schedule(replace(task, payload=self._payload(task, 1)))

    def _with_schedule(self, task: PlannedTask) -> PlannedTask:
        """The task with another interval, in another phase."""
        rng = self._random
        return replace(
            task,
            every_us=rng.choice((1_000_000, 1_500_000, 2_000_000, 3_000_000)),
            anchor_at=now_us() // 1_000 * 1_000 - rng.randrange(60_000) * 1_000,
        )

    def _with_payload(self, changing: _Changing) -> PlannedTask:
        """The task with a payload that it never had."""
        changing.number += 1
        return replace(changing.task, payload=self._payload(changing.task, changing.number))

    def _payload(self, task: PlannedTask, number: int) -> bytes:
        seconds = round(self._random.uniform(0.1, 2.5), 2)
        return json.dumps({"seconds": seconds, "definition": f"{task.task_id}/{number}"}).encode()
