"""Time that costs nothing: the loop jumps to its next timer when nothing can run, so the product's own pauses stay.

`VirtualTimeLoop` runs what is ready in the order in which it became so, as every event loop does. `SeededLoop` runs it in an
order drawn from a seed, and knows *processes*: names in the context of tasks and callbacks. A process can be frozen (its
callbacks and timers wait, time goes on, and when it thaws everything that has become due runs at once, as after SIGSTOP
and SIGCONT) or killed (nothing of it ever runs again, no `finally` either, as after SIGKILL).

Everything in such a loop is in this process and on this thread: no sockets, no threads, so a run is the same each time.
"""

import asyncio
import contextvars
import heapq
import itertools
from asyncio import events
from collections.abc import Callable
from random import Random
from typing import Any, TypeVarTuple

MOST_ROUNDS = 50_000
"""More rounds of the loop than anybody needs in one instant."""

START_S = 1000.0
"""Where the loop's time begins."""

_Ts = TypeVarTuple("_Ts")
_PROCESS: contextvars.ContextVar[str] = contextvars.ContextVar("process", default="")


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """A loop without a machine. Somebody who works without end and waits for no time would stop it: that is an error.

    Raises:
        RuntimeError: Out of `run_forever` and whoever calls it, when nothing can run and no timer is set, or when one
            instant takes more than `MOST_ROUNDS` rounds.
    """

    # What the standard library's loop keeps for its subclasses, and does not declare.
    _ready: Any
    _stopping: bool

    def __init__(self) -> None:
        """Time stands at `START_S`."""
        super().__init__()
        self._now_s = START_S
        self._rounds = 0
        self._timers: list[tuple[float, int, Any]] = []
        self._timer_numbers = itertools.count()

    def time(self) -> float:
        """Seconds of virtual time."""
        return self._now_s

    def stand_still(self, seconds: float) -> None:
        """Lets time pass in which nothing runs."""
        self._now_s += seconds

    # The base class's own, without its checks and its comparisons of handles: a third of a simulation's time.

    def call_soon(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> events.Handle:
        """See `AbstractEventLoop.call_soon`."""
        handle = events.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> events.TimerHandle:
        """See `AbstractEventLoop.call_later`."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> events.TimerHandle:
        """See `AbstractEventLoop.call_at`."""
        handle = events.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._timer_numbers), handle))
        return handle

    def _write_to_self(self) -> None:
        """Nobody sleeps who could be woken."""

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        if ready or self._stopping:
            self._rounds += 1
            if self._rounds > MOST_ROUNDS:
                self._rounds = 0
                raise RuntimeError("somebody goes round and round without waiting")
        else:
            self._rounds = 0
            while timers and timers[0][2]._cancelled:
                heapq.heappop(timers)
            if not timers:
                raise RuntimeError("nothing can run and no timer is set: everybody waits for somebody else")
            self._now_s = max(self._now_s, timers[0][0])
        while timers and timers[0][0] <= self._now_s:
            ready.append(heapq.heappop(timers)[2])
        batch = list(ready)
        ready.clear()
        self._run_batch(batch)

    def _run_batch(self, batch: list[Any]) -> None:
        for handle in batch:
            if not handle._cancelled:
                handle._run()


class SeededLoop(VirtualTimeLoop):
    """Runs what is ready in a seeded order, and freezes and kills processes."""

    def __init__(self, rng: Random) -> None:
        """`rng` decides every order; nobody else may draw from it."""
        super().__init__()
        self._random = rng.random
        self._halted: dict[str, list[events.Handle]] = {}
        self._dead: set[str] = set()

    def freeze(self, process: str) -> None:
        """Stop a process where it is; works twice."""
        self._halted.setdefault(process, [])

    def thaw(self, process: str) -> None:
        """Let it go on: what became due meanwhile runs now. Nothing happens to one that is not frozen, or dead."""
        if process not in self._dead:
            self._ready.extend(self._halted.pop(process, ()))

    def kill(self, process: str) -> None:
        """End a process, frozen or not, without a word. Its tasks stay in memory until `revive_all`."""
        self._dead.add(process)
        self.freeze(process)

    def is_halted(self, process: str) -> bool:
        """Whether it is frozen or dead."""
        return process in self._halted

    def revive_all(self) -> None:
        """Let everything run again, so that tasks can be ended in order before the loop is closed."""
        self._dead.clear()
        for process in list(self._halted):
            self.thaw(process)

    def _run_batch(self, batch: list[Any]) -> None:
        count = len(batch)
        random = self._random
        for index in range(count - 1, 0, -1):
            other = int(random() * (index + 1))
            batch[index], batch[other] = batch[other], batch[index]
        halted = self._halted
        for handle in batch:
            if handle._cancelled:
                continue
            if halted:
                waiting = halted.get(handle._context.get(_PROCESS, ""))
                if waiting is not None:
                    waiting.append(handle)
                    continue
            handle._run()


def process_context(process: str) -> contextvars.Context:
    """The context in which to create the first task of a process; its other tasks and timers inherit it."""
    context = contextvars.copy_context()
    context.run(_PROCESS.set, process)
    return context


def current_process() -> str:
    """The name of the process that is running; empty outside of any."""
    return _PROCESS.get()
