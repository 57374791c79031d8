"""Puts recorded attempts on the streams of their executors."""

from __future__ import annotations

from collections.abc import Iterable

from mainspring.server.core.model import Dispatchable
from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.dispatch.frames import AttemptId, WorkItem
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.open_attempts import OpenAttempts, Place


class Sender:
    """The only place from which work leaves: everything it is given is committed under the fence."""

    def __init__(self, context: OwnerContext, executors: ConnectedExecutors, attempts: OpenAttempts) -> None:
        self._context = context
        self._executors = executors
        self._attempts = attempts

    def send(self, items: Iterable[Dispatchable], *, begun_at: int, wake_at: int) -> None:
        """Registers the attempts as open and sends those that have an executor.

        One whose executor is gone by now was never sent: it waits for another at once.
        """
        now = self._context.clock.now()
        by_executor: dict[str, list[WorkItem]] = {}
        for item in items:
            known = self._attempts.get(item.ref)
            if known is not None and known.attempt >= item.attempt and known.place is not Place.ASSIGNING:
                # A slow recovery: the sweep found the row first and has taken care of it.
                self._executors.give_back([item.executor_id] if item.executor_id is not None else [])
                continue
            attempt = self._attempts.add(item, dispatched_at=now, wake_at=wake_at)
            if item.executor_id is None:
                continue
            if self._executors.get(item.executor_id) is None:
                attempt.dispatched_at = None
                self._attempts.queue(attempt)
                continue
            self._context.metrics.stage("dispatched", begun_at, now)
            by_executor.setdefault(item.executor_id, []).append(
                WorkItem(
                    AttemptId(item.ref, item.attempt),
                    item.epoch,
                    item.namespace,
                    item.task_id,
                    item.handler,
                    item.payload,
                    item.due_at,
                )
            )
        for executor_id, work in by_executor.items():
            session = self._executors.get(executor_id)
            if session is not None:
                session.send_work(work)
