"""The executors' own evidence, in memory instead of a file."""

from __future__ import annotations

from collections.abc import Iterable

from simulation.trace import Trace

from mainspring.executor.attempts import Outcome
from mainspring.executor.job import Job
from mainspring.executor.run_log import RunLog
from mainspring.testing.history import Run
from mainspring.testing.task_call import mark_of


class MemoryRunLog(RunLog):
    """Keeps what a file would hold; outlives the process that writes it."""

    def __init__(self, executor_id: str, trace: Trace) -> None:
        self._executor_id = executor_id
        self._trace = trace
        self._events: list[tuple[Job, int, int | None, Outcome | None]] = []
        self._open: dict[int, int] = {}

    def starts(self, jobs: Iterable[Job], at: int) -> None:
        for job in jobs:
            self._trace.note(
                "start", self._executor_id, job.task_id, job.scheduled_at, job.attempt, job.epoch
            )
            self._open[id(job)] = len(self._events)
            self._events.append((job, at, None, None))

    def ends(self, ended: Iterable[tuple[Job, Outcome]], at: int) -> None:
        for job, outcome in ended:
            self._trace.note("end", self._executor_id, job.task_id, job.scheduled_at, outcome.name)
            index = self._open.pop(id(job))
            self._events[index] = (job, self._events[index][1], at, outcome)

    def close(self) -> None:
        pass

    def runs(self) -> list[Run]:
        """Every run, by start."""
        return [
            Run(
                job.namespace,
                job.task_id,
                job.scheduled_at,
                job.attempt,
                job.epoch,
                job.partition_id,
                self._executor_id,
                job.handler,
                started_at,
                ended_at,
                outcome.name.lower() if outcome is not None else None,  # type: ignore[arg-type]
                payload_mark=mark_of(job.payload),
            )
            for job, started_at, ended_at, outcome in self._events
        ]
