"""Runs the attempts that were taken in: async handlers as tasks, plain ones on threads, each once."""

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from mainspring.executor.attempts import Attempt, AttemptKey, Ending, Knowledge, Outcome
from mainspring.executor.clock import Clock
from mainspring.executor.config import ExecutorConfig
from mainspring.executor.job import Job
from mainspring.executor.registry import Handler
from mainspring.executor.run_log import RunLog
from mainspring.executor.runner import run_async, run_plain
from mainspring.executor.threads import ThreadPool

GIVE_UP_AFTER_S = 1.0
"""A handler that was cancelled at the end of a drain gets this long to clean up."""


CANCELLED = Ending(Outcome.CANCELLED)


@dataclass(slots=True)
class Run:
    """An attempt that occupies a slot."""

    attempt: Attempt
    handler: Handler
    job: Job
    task: asyncio.Task[Ending] | None = None
    stopped: Ending = CANCELLED
    """How it ends if it heeds the cancel: with what that said."""


class CrewOwner(Protocol):
    """Who is told what the crew does. Called on the event loop, must not block."""

    def on_started(self, run: Run) -> None:
        """A handler begins."""
        ...

    def on_news(self, run: Run) -> None:
        """A handler has reported progress."""
        ...

    def on_ended(self, run: Run, ending: Ending) -> None:
        """A handler has ended; the run occupies its slot until `take_off`."""
        ...


class Crew:
    """The runs of one executor. For one event loop; does not bound their number, its owner does.

    Args:
        config: Limits.
        clock: Time.
        run_log: Evidence of every run; None for none.
        owner: Who is told.
    """

    def __init__(
        self, config: ExecutorConfig, clock: Clock, run_log: RunLog | None, owner: CrewOwner
    ) -> None:
        self._clock = clock
        self._run_log = run_log
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._max_output_bytes = config.max_output_bytes
        self._runs: dict[AttemptKey, Run] = {}
        self._queued: deque[Run] = deque()
        self._threads = ThreadPool()
        self._thread_slots = config.max_threads

    def __len__(self) -> int:
        return len(self._runs)

    def put_on(self, runs: Iterable[Run]) -> None:
        """Start runs; plain handlers beyond the number of threads wait as queued."""
        for run in runs:
            self._runs[run.attempt.key] = run
        self._start(runs)

    def take_off(self, ended: Iterable[tuple[Run, Ending]]) -> None:
        """Record ends and free the slots."""
        ended = list(ended)
        if self._run_log is not None:
            self._run_log.ends(((run.job, ending.outcome) for run, ending in ended), self._clock.now())
        for run, _ in ended:
            self._runs.pop(run.attempt.key, None)

    def on_news(self, key: AttemptKey) -> None:
        """Hear that a run has progress to take, on any thread."""
        with suppress(RuntimeError):  # the loop has closed: the executor left at its drain deadline
            self._loop.call_soon_threadsafe(self._hear_news, key)

    def _hear_news(self, key: AttemptKey) -> None:
        if (run := self._runs.get(key)) is not None:
            self._owner.on_news(run)

    def cancel(self, key: AttemptKey, error: str = "", error_kind: str = "") -> None:
        """Stop a run: an async handler is cancelled, a plain one sees a flag, a queued one never starts.

        Args:
            error, error_kind: What its result says, if it ends as cancelled.
        """
        run = self._runs.get(key)
        if run is None or run.job.is_cancelled:  # once: a second cancel would hit a handler cleaning up
            return
        run.stopped = Ending(Outcome.CANCELLED, error=error, error_kind=error_kind)
        run.job.cancel()
        if run.task is not None:
            run.task.cancel()
        elif run.attempt.knowledge is Knowledge.QUEUED:
            self._queued.remove(run)
            self._report(run, CANCELLED)

    def refuse_queued(self, node: str, error: str) -> None:
        """End what a node has sent and no thread has begun, as refused."""
        for run in [run for run in self._queued if run.attempt.node == node]:
            self._queued.remove(run)
            self._report(run, Ending(Outcome.REFUSED, error=error))

    def stop(self) -> None:
        """Give up every run without a result: the nodes will find it lost."""
        self._queued.clear()
        for run in self._runs.values():
            if run.task is not None:
                run.task.cancel()
            else:
                run.job.cancel()

    async def close(self) -> None:
        """Wait for cancelled handlers, a second at most, and end the threads."""
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        if tasks:
            with suppress(TimeoutError):
                async with self._clock.timeout(GIVE_UP_AFTER_S):
                    await asyncio.wait(tasks)
        self._threads.close()

    def _start(self, runs: Iterable[Run]) -> None:
        ready: list[Run] = []
        for run in runs:
            if not run.handler.is_async:
                if not self._thread_slots:
                    self._queued.append(run)
                    continue
                self._thread_slots -= 1
            ready.append(run)
        if not ready:
            return
        if self._run_log is not None:  # before anything of the batch begins
            self._run_log.starts([run.job for run in ready], self._clock.now())
        now_s = self._clock.monotonic()
        for run in ready:
            run.attempt.knowledge = Knowledge.RUNNING
            run.attempt.started_at_s = now_s
            if run.handler.is_async:
                work = run_async(run.handler, run.job, self._max_output_bytes)
                run.task = self._loop.create_task(work, name=run.job.handler)
                run.task.add_done_callback(partial(self._on_task_done, run))
            else:
                self._threads.submit(partial(self._run_on_thread, run))
            self._owner.on_started(run)

    def _run_on_thread(self, run: Run) -> None:
        ending = run_plain(run.handler, run.job, self._max_output_bytes)
        try:
            self._loop.call_soon_threadsafe(self._on_thread_done, run, ending)
        except RuntimeError:
            return  # the loop has closed: the executor left at its drain deadline

    def _report(self, run: Run, ending: Ending) -> None:
        self._owner.on_ended(run, run.stopped if ending.outcome is Outcome.CANCELLED else ending)

    def _on_task_done(self, run: Run, task: asyncio.Task[Ending]) -> None:
        if not task.cancelled():
            self._report(run, task.result())
        elif run.job.is_cancelled:  # before its first step, so that the handler saw nothing of it
            self._report(run, CANCELLED)
        else:  # by `stop`
            self._runs.pop(run.attempt.key, None)

    def _on_thread_done(self, run: Run, ending: Ending) -> None:
        self._thread_slots += 1
        self._report(run, ending)
        if self._queued:
            self._start([self._queued.popleft()])
