"""The clients: they register, change and cancel as planned, over any node, and note what they were told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from simulation.clock import EPOCH_AT, SimClock
from simulation.members import NodeProcess, Surroundings
from simulation.network import CallError
from simulation.plan import PlannedChange, PlannedTask

from mainspring.server.errors import FailedPrecondition, MainspringError, NotFound
from mainspring.testing.history import AcknowledgedTask, CallKind, Overlap
from mainspring.testing.task_call import TaskCall, mark_of
from mainspring.testing.virtual_time import START_S, process_context
from mainspring.v1 import policy_pb2, schedule_pb2, task_pb2, task_service_pb2

NAMESPACE = "default"
CALL_S = 4.0
TRIES = 6
CHANGE_TRIES = 60
"""As good as for ever: a task that nobody knows to be paused or not proves nothing."""
DELETE_TRIES = 8
LONGEST_BREAK_S = 1.0
BREAK_S = 0.2
OVERLAP_POLICIES: dict[Overlap, policy_pb2.OverlapPolicy] = {
    "allow": policy_pb2.OVERLAP_POLICY_ALLOW,
    "skip": policy_pb2.OVERLAP_POLICY_SKIP,
    "buffer-one": policy_pb2.OVERLAP_POLICY_BUFFER_ONE,
    "replace": policy_pb2.OVERLAP_POLICY_REPLACE,
}


@dataclass
class _Told:
    """What the clients know of one task.

    `plan` is its definition, as it is now; `sent_at` when that was sent.
    """

    plan: PlannedTask
    sent_at: int = 0
    acknowledged_at: int | None = None
    cancel_sent_at: int | None = None
    cancelled_at: int | None = None
    ended_by: CallKind = "cancel"
    replaces: bool = False
    earlier: list[AcknowledgedTask] = field(default_factory=list)
    """Definitions with another schedule that this one has followed."""
    registered: asyncio.Event = field(default_factory=asyncio.Event)
    calling: asyncio.Lock = field(default_factory=asyncio.Lock)
    """About a task one call is under way at a time: the checker goes by their order."""
    is_in_doubt: bool = False
    """Whether a try to register it was given up: that may be carried out later."""

    def definition(self) -> AcknowledgedTask:
        """As the checker is told of it."""
        plan = self.plan
        due_at = EPOCH_AT + round(plan.due_s * 1_000_000)
        latest_s = plan.jitter_s if plan.every_s is None else min(plan.jitter_s, plan.every_s)
        return AcknowledgedTask(
            NAMESPACE,
            plan.task_id,
            "one-time" if plan.every_s is None else "interval",
            plan.handler,
            self.sent_at,
            self.acknowledged_at,
            "unknown" if self.acknowledged_at is None else "ok",
            at=due_at if plan.every_s is None else None,
            every_us=_us_of(plan.every_s),
            anchor_at=None if plan.every_s is None else due_at,
            max_executions=plan.max_executions,
            due_offset_max_us=round(latest_s * 1_000_000),
            cancel_sent_at=self.cancel_sent_at,
            cancelled_at=self.cancelled_at,
            ended_by=self.ended_by,
            delivery="at-most-once" if plan.is_at_most_once else "at-least-once",
            overlap=plan.overlap,
            payload_mark=mark_of(plan.payload),
            start_within_us=_us_of(plan.start_within_s),
            finish_within_us=_us_of(plan.finish_within_s),
            max_attempts=plan.max_attempts,
            replaces=self.replaces,
        )

    def ended(self, kind: CallKind, sent_at: int, acknowledged_at: int | None) -> None:
        """A call has ended the definition, or may have."""
        if self.cancelled_at is None:
            self.ended_by, self.cancel_sent_at, self.cancelled_at = kind, sent_at, acknowledged_at

    def rescheduled(self, change: PlannedChange, sent_at: int, acknowledged_at: int | None) -> None:
        """A call has given it another schedule and payload, or may have."""
        self.ended("update", sent_at, acknowledged_at)
        self.earlier.append(self.definition())
        self.plan = replace(self.plan, every_s=change.every_s, due_s=change.anchor_s, payload=change.payload)
        self.sent_at, self.acknowledged_at, self.replaces = sent_at, acknowledged_at, True
        self.ended_by, self.cancel_sent_at, self.cancelled_at = "cancel", None, None


class Clients:
    """All of them, in a process that nothing happens to."""

    def __init__(self, around: Surroundings, plan: tuple[PlannedTask, ...], rng: Random) -> None:
        self._around = around
        self._clock = SimClock(around.loop)
        self._rng = rng
        self._context = process_context("client")
        self._told = [_Told(task) for task in plan]
        self._under_way: list[asyncio.Task[None]] = []
        self.calls: list[TaskCall] = []
        """Those that changed a task, or may have."""

    def begin(self) -> None:
        """Every registration, change and cancel in its time."""
        loop = self._around.loop
        for told in self._told:
            self._at(told.plan.register_s, self._register, told)
            if told.plan.cancel_s is not None:
                self._at(told.plan.cancel_s, self._cancel, told)
            if told.plan.changes:
                self._at(told.plan.changes[0].at_s, self._change, told)
        self._loop = loop

    def _at(self, at_s: float, call: Callable[[_Told], Awaitable[None]], told: _Told) -> None:
        loop = self._around.loop

        def begin() -> None:
            self._under_way.append(loop.create_task(call(told), context=self._context.copy()))  # type: ignore[arg-type]

        loop.call_at(START_S + at_s, begin, context=self._context)

    async def ended(self) -> None:
        """Waits for the last answer."""
        await asyncio.gather(*self._under_way)

    def tasks(self) -> list[AcknowledgedTask]:
        """What was acknowledged, and what nobody knows."""
        return [task for told in self._told for task in (*told.earlier, told.definition())]

    async def _register(self, told: _Told) -> None:
        plan = told.plan
        task = task_pb2.Task(namespace=NAMESPACE, id=plan.task_id, handler=plan.handler, payload=plan.payload)
        if plan.is_at_most_once:
            task.delivery = task_pb2.DELIVERY_MODE_AT_MOST_ONCE
        if plan.every_s is None:
            task.schedule.at.CopyFrom(_instant(plan.due_s))
        else:
            task.schedule.CopyFrom(_interval(plan.every_s, plan.due_s))
            task.schedule.max_executions = plan.max_executions or 0
            task.overlap = OVERLAP_POLICIES[plan.overlap]
            if plan.makes_up:
                task.misfire.mode = policy_pb2.MISFIRE_MODE_ALL
        if (start_us := _us_of(plan.start_within_s)) is not None:
            task.timeouts.schedule_to_start.FromMicroseconds(start_us)
        if (finish_us := _us_of(plan.finish_within_s)) is not None:
            task.timeouts.start_to_finish.FromMicroseconds(finish_us)
        task.retry.max_attempts = plan.max_attempts
        task.retry.initial_backoff.FromMicroseconds(round(plan.backoff_s * 1_000_000))
        task.schedule.jitter.FromMicroseconds(round(plan.jitter_s * 1_000_000))
        request = task_service_pb2.CreateTaskRequest(task=task)
        told.sent_at = self._clock.now()
        tries = 0

        async def create(node: NodeProcess) -> Any:
            nonlocal tries
            tries += 1
            return await node.tasks.CreateTask(request, None)

        try:
            if await self._try(create) is not None:
                told.acknowledged_at = self._clock.now()
                self._around.trace.note("acknowledged", plan.task_id)
        finally:
            told.is_in_doubt = told.acknowledged_at is None or tries > 1
            told.registered.set()

    async def _cancel(self, told: _Told) -> None:
        await told.registered.wait()
        request = task_service_pb2.CancelTaskRequest(namespace=NAMESPACE, id=told.plan.task_id)
        async with told.calling:
            if told.ended_by == "delete":
                return
            told.cancel_sent_at = self._clock.now()
            try:
                answer = await self._try(lambda node: node.tasks.CancelTask(request, None))
            except (FailedPrecondition, NotFound):
                told.cancel_sent_at = None  # it was over, or never there
                return
            if answer is not None:
                told.cancelled_at = self._clock.now()
                self._around.trace.note("cancelled", told.plan.task_id)

    async def _change(self, told: _Told) -> None:
        await told.registered.wait()
        for change in told.plan.changes:
            await asyncio.sleep(max(0.0, START_S + change.at_s - self._around.loop.time()))
            async with told.calling:
                if change.kind == "delete":
                    await self._delete(told)
                else:
                    await self._carry_out(change, told)

    async def _delete(self, told: _Told) -> None:
        """Tries until nothing of it runs any more, for a while: of some tasks something always does."""
        if told.is_in_doubt:
            return  # it might come back
        sent_at, acknowledged_at, is_unknown = self._clock.now(), None, False
        request = task_service_pb2.DeleteTaskRequest(namespace=NAMESPACE, id=told.plan.task_id)
        for _ in range(DELETE_TRIES):
            try:
                answer = await self._try(lambda node: node.tasks.DeleteTask(request, None))
            except FailedPrecondition:
                await asyncio.sleep(BREAK_S)
                continue
            except NotFound:
                pass  # an earlier try did it
            else:
                if answer is None:
                    is_unknown = True
                    continue
            acknowledged_at = self._clock.now()
            break
        if acknowledged_at is None and not is_unknown:
            return  # refused each time
        self._around.trace.note("delete", told.plan.task_id)
        told.ended("delete", sent_at, acknowledged_at)
        self.calls.append(TaskCall(NAMESPACE, told.plan.task_id, "delete", sent_at, acknowledged_at))

    async def _carry_out(self, change: PlannedChange, told: _Told) -> None:
        task = told.plan
        method, request = request_of(change, task)
        sent_at = self._clock.now()
        try:
            answer = await self._try(lambda node: getattr(node.tasks, method)(request, None), CHANGE_TRIES)
        except (FailedPrecondition, NotFound):
            return  # it was over, or paused, or never there
        self._around.trace.note(change.kind, task.task_id)
        acknowledged_at, scheduled_at = None, None
        if answer is not None:
            acknowledged_at = self._clock.now()
            if change.kind == "trigger":
                scheduled_at = answer.execution.scheduled_time.ToMicroseconds()
        mark = mark_of(change.payload) if change.payload else None
        self.calls.append(
            TaskCall(NAMESPACE, task.task_id, change.kind, sent_at, acknowledged_at, mark, scheduled_at)
        )
        if change.every_s is not None:
            self._around.trace.note("reschedule", task.task_id)
            told.rescheduled(change, sent_at, acknowledged_at)

    async def _try(self, call: Callable[[Any], Awaitable[Any]], tries: int = TRIES) -> Any:
        """Calls one node after the other; None when none of them answered, or said no where an earlier one may have done it.

        Raises:
            FailedPrecondition, NotFound: nobody did it.
        """
        around, is_unknown = self._around, False
        for number in range(tries):
            nodes = [node for node in around.nodes.values() if node.tasks is not None and not node.is_gone]
            if nodes:
                node: NodeProcess = self._rng.choice(nodes)
                try:
                    return await around.network.call(
                        node.name, node.process_context, partial(call, node), CALL_S
                    )
                except (FailedPrecondition, NotFound):
                    if is_unknown:
                        return None
                    raise
                except (CallError, MainspringError):
                    is_unknown = True
            await asyncio.sleep(min(LONGEST_BREAK_S, BREAK_S * (number + 1)))
        return None


def _instant(at_s: float) -> Timestamp:
    instant = Timestamp()
    instant.FromMicroseconds(EPOCH_AT + round(at_s * 1_000_000))
    return instant


def _interval(every_s: float, anchor_s: float) -> schedule_pb2.Schedule:
    schedule = schedule_pb2.Schedule(start_time=_instant(anchor_s))
    schedule.interval.every.FromMicroseconds(round(every_s * 1_000_000))
    return schedule


def _us_of(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1_000_000)


def request_of(change: PlannedChange, task: PlannedTask) -> tuple[str, Any]:
    """The method of the task service that makes a change, and its request."""
    if change.kind == "update":
        changed = task_pb2.Task(namespace=NAMESPACE, id=task.task_id, payload=change.payload)
        paths = ["payload"]
        if change.every_s is not None:
            changed.schedule.CopyFrom(_interval(change.every_s, change.anchor_s))
            paths.append("schedule")
        return "UpdateTask", task_service_pb2.UpdateTaskRequest(
            task=changed, update_mask=FieldMask(paths=paths)
        )
    if change.kind == "trigger":
        return "TriggerTask", task_service_pb2.TriggerTaskRequest(
            namespace=NAMESPACE,
            id=task.task_id,
            payload=change.payload or None,
            request_id=f"{task.task_id}/{change.at_s}",
        )
    if change.kind == "pause":
        return "PauseTask", task_service_pb2.PauseTaskRequest(namespace=NAMESPACE, id=task.task_id)
    return "ResumeTask", task_service_pb2.ResumeTaskRequest(namespace=NAMESPACE, id=task.task_id)
