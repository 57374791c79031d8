"""Calls that change registered tasks, through the client SDK, and what clients were told: evidence for the checker."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from mainspring.client import (
    Aborted,
    ChangedTasks,
    DeadlineExceeded,
    Execution,
    FailedPrecondition,
    MainspringClient,
    MainspringError,
    NotFound,
    TaskChange,
    TaskFilter,
    TaskUpdate,
    Unavailable,
)
from mainspring.testing.history import CallKind, TaskCall
from mainspring.testing.ledger import instant
from mainspring.testing.load_generator import LoadGenerator, now_us, schedule_of
from mainspring.testing.task_call import mark_of
from mainspring.testing.workload import PlannedTask

TIMEOUT_S = 10.0
GIVE_UP_S = 60.0
_PAUSE_S = 0.2
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[_T]):
    """What became of a call: sent first, answered (None: nobody knows), and the answer."""

    sent_at: int
    acknowledged_at: int | None
    answer: _T | None = None


class LifeCalls:
    """For one event loop. Each call is repeated until somebody says what became of it; then `calls` holds it.

    At most one call about a task may be under way: what the checker is told must have one order.
    """

    def __init__(self, client: MainspringClient, load: LoadGenerator) -> None:
        """Use a client, and the load generator that registered the tasks."""
        self._client = client
        self._load = load

    async def pause(self, task: PlannedTask) -> bool:
        """Pause a task; False when it has ended."""
        return await self._change(
            "pause",
            task,
            lambda: self._client.pause_task(task.task_id, namespace=task.namespace, timeout_s=TIMEOUT_S),
        )

    async def resume(self, task: PlannedTask) -> bool:
        """Let it go on; False when it has ended."""
        return await self._change(
            "resume",
            task,
            lambda: self._client.resume_task(task.task_id, namespace=task.namespace, timeout_s=TIMEOUT_S),
        )

    async def update_payload(self, task: PlannedTask, payload: bytes) -> bool:
        """Give it another payload; False when it has ended."""
        return await self._change(
            "update",
            task,
            lambda: self._client.update_task(
                task.task_id, TaskUpdate(payload=payload), namespace=task.namespace, timeout_s=TIMEOUT_S
            ),
            payload_mark=mark_of(payload),
        )

    async def update_schedule(self, old: PlannedTask, new: PlannedTask) -> bool:
        """Give it another schedule and payload: those of `new`, which is the same task; False when it has ended."""
        update = TaskUpdate(schedule=schedule_of(new), payload=new.payload)
        outcome = await self._repeat(
            lambda: self._client.update_task(
                old.task_id, update, namespace=old.namespace, timeout_s=TIMEOUT_S
            )
        )
        if outcome is None:
            return False
        self._note("update", new, outcome, payload_mark=mark_of(new.payload))
        self._load.end(old.key, outcome.sent_at, outcome.acknowledged_at, "update")
        self._load.note(
            replace(
                new.acknowledged(
                    outcome.sent_at,
                    outcome.acknowledged_at,
                    outcome="unknown" if outcome.acknowledged_at is None else "ok",
                ),
                replaces=True,
            )
        )
        return True

    async def delete(self, task: PlannedTask, give_up_s: float = GIVE_UP_S) -> bool:
        """Remove a task with its ledger, as soon as nothing of it runs; False when something does until it is given up."""
        outcome = await self._repeat(
            lambda: self._client.delete_task(task.task_id, namespace=task.namespace, timeout_s=TIMEOUT_S),
            again=(FailedPrecondition,),
            done=(NotFound,),
            give_up_s=give_up_s,
        )
        if outcome is None:
            return False
        self._ended("delete", task, outcome)
        return True

    async def cancel(self, task: PlannedTask) -> None:
        """End a task."""
        outcome = await self._repeat(
            lambda: self._client.cancel_task(task.task_id, namespace=task.namespace, timeout_s=TIMEOUT_S)
        )
        if outcome is not None:
            self._ended("cancel", task, outcome)

    async def trigger(self, task: PlannedTask, payload: bytes | None) -> bool:
        """Run it once more; False when its state does not allow that."""
        request_id = uuid.uuid4().hex
        outcome: _Outcome[Execution] | None = await self._repeat(
            lambda: self._client.trigger_task(
                task.task_id,
                payload=payload,
                request_id=request_id,
                namespace=task.namespace,
                timeout_s=TIMEOUT_S,
            )
        )
        if outcome is None:
            return False
        answer = outcome.answer
        self._note(
            "trigger",
            task,
            outcome,
            payload_mark=None if payload is None else mark_of(payload),
            scheduled_at=None if answer is None else instant(answer.scheduled_time),
        )
        return True

    async def change_all(self, tasks: Sequence[PlannedTask], label: str, change: TaskChange) -> None:
        """One call for all tasks with a label, which are these."""
        kinds: dict[TaskChange, CallKind] = {
            TaskChange.PAUSE: "pause",
            TaskChange.RESUME: "resume",
            TaskChange.CANCEL: "cancel",
            TaskChange.DELETE: "delete",
        }
        kind = kinds[change]
        namespace = tasks[0].namespace
        key, _, value = label.partition("=")
        outcome: _Outcome[ChangedTasks] | None = await self._repeat(
            lambda: self._client.change_tasks(
                TaskFilter(labels={key: value}), change, namespace=namespace, timeout_s=2 * TIMEOUT_S
            ),
            # One of which an execution runs is left as it is.
            is_done=lambda answer: (
                change is not TaskChange.DELETE or answer.changed_count == answer.matched_count
            ),
        )
        assert outcome is not None, "a call for many tasks is never refused for the state of one"
        for task in tasks:
            if kind in ("cancel", "delete"):
                self._ended(kind, task, outcome, is_bulk=True)
            else:
                self._note(kind, task, outcome, is_bulk=True)

    async def _change(
        self,
        kind: CallKind,
        task: PlannedTask,
        call: Callable[[], Awaitable[object]],
        payload_mark: int | None = None,
    ) -> bool:
        outcome = await self._repeat(call)
        if outcome is None:
            return False
        self._note(kind, task, outcome, payload_mark=payload_mark)
        return True

    def _ended(
        self, kind: CallKind, task: PlannedTask, outcome: "_Outcome[_T]", *, is_bulk: bool = False
    ) -> None:
        self._note(kind, task, outcome, is_bulk=is_bulk)
        self._load.end(task.key, outcome.sent_at, outcome.acknowledged_at, kind)

    def _note(
        self,
        kind: CallKind,
        task: PlannedTask,
        outcome: "_Outcome[_T]",
        *,
        payload_mark: int | None = None,
        scheduled_at: int | None = None,
        is_bulk: bool = False,
    ) -> None:
        call = TaskCall(
            task.namespace,
            task.task_id,
            kind,
            outcome.sent_at,
            outcome.acknowledged_at,
            payload_mark,
            scheduled_at,
            is_bulk,
        )
        self._load.calls.append(call)

    async def _repeat(
        self,
        call: Callable[[], Awaitable[_T]],
        *,
        again: tuple[type[MainspringError], ...] = (),
        done: tuple[type[MainspringError], ...] = (),
        is_done: Callable[[_T], bool] = lambda _: True,
        give_up_s: float = GIVE_UP_S,
    ) -> "_Outcome[_T] | None":
        """Calls until it is answered or given up; None when the task's state refuses it, which changes nothing.

        Args:
            again: refusals that pass.
            done: errors that say that an earlier try took effect.
            is_done: whether an answer says that all was done.
        """
        sent_at, give_up_at_s = now_us(), time.monotonic() + give_up_s
        is_unknown = False
        while True:
            try:
                answer = await call()
            except done:
                return _Outcome(sent_at, now_us())
            except (Unavailable, DeadlineExceeded, Aborted):
                is_unknown = True
            except again:
                pass
            except FailedPrecondition:
                return _Outcome(sent_at, None) if is_unknown else None
            else:
                if is_done(answer):
                    return _Outcome(sent_at, now_us(), answer)
                is_unknown = True
            if time.monotonic() > give_up_at_s:
                return _Outcome(sent_at, None) if is_unknown else None
            await asyncio.sleep(_PAUSE_S)
