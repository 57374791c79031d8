"""Which rows may be removed, and when: by a call, by how many executions a task keeps, by what a namespace keeps."""

from bisect import bisect_right

from mainspring.testing.checker.case import Evidence
from mainspring.testing.history import FINAL_STATES, FinalOverwrite, RemovedTask, TaskKey

RETENTION_US = 30 * 86_400 * 1_000_000
"""Of a namespace that says nothing else."""


class Removals:
    """Judges what the database saw vanish."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._removed: dict[TaskKey, list[FinalOverwrite]] = {}
        trail = evidence.history.audit
        for write in trail.final_overwrites if trail is not None else ():
            if write.state_after is None:
                self._removed.setdefault((write.namespace, write.task_id), []).append(write)

    def is_right(self, write: FinalOverwrite) -> bool:
        """Whether an execution might be removed then: it was final, and was asked for, old, or one too many."""
        key = (write.namespace, write.task_id)
        if write.state_before not in FINAL_STATES:
            return False
        return self._is_deleted(key, write.at) or self._is_old(write) or self._is_beyond(key, write)

    def is_right_of_task(self, removed: RemovedTask) -> bool:
        """Whether a task might be removed then: it was asked for, or has ended so long ago."""
        key = (removed.namespace, removed.task_id)
        if self._is_deleted(key, removed.at):
            return True
        sent_at = [task.sent_at for task in self._evidence.expected.versions.get(key, ())]
        has_ended = removed.state in ("COMPLETED", "CANCELLED")
        return has_ended and bool(sent_at) and max(sent_at) <= removed.at - self._kept_us(removed.namespace)

    def _is_deleted(self, key: TaskKey, at: int) -> bool:
        call = self._evidence.lives.deletions.get(key)
        return call is not None and call.sent_at <= at + self._evidence.limits.clock_margin_us

    def _is_old(self, write: FinalOverwrite) -> bool:
        # It ended no earlier than its time, so this is the least that must hold.
        return write.scheduled_at <= write.at - self._kept_us(write.namespace)

    def _kept_us(self, namespace: str) -> int:
        kept_us = self._evidence.history.retentions.get(namespace, RETENTION_US)
        return kept_us - self._evidence.limits.clock_margin_us

    def _is_beyond(self, key: TaskKey, write: FinalOverwrite) -> bool:
        """Whether at least as many newer executions as the task keeps had ended: those there still are, and those that
        were removed later."""
        evidence = self._evidence
        versions = evidence.expected.versions.get(key, ())
        keeps = [task.keep_executions for task in versions if task.keep_executions is not None]
        if not keeps:
            return False
        until_at = write.at + evidence.limits.clock_margin_us
        rows = [*evidence.rows_by_task.get(key, ()), *evidence.gaps_by_task.get(key, ())]
        newer: int = sum(
            row.scheduled_at > write.scheduled_at
            and row.state in FINAL_STATES
            and (row.saved_at or row.claimed_at or row.due_at) <= until_at
            for row in rows
        )
        removed = self._removed.get(key, [])
        first = bisect_right([other.at for other in removed], write.at)
        newer += sum(other.scheduled_at > write.scheduled_at for other in removed[first:])
        return newer >= min(keeps, default=0)
