"""The clients: they register and cancel as planned, over any node, try again elsewhere, and note what they were told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from simulation.clock import EPOCH_AT, SimClock
from simulation.members import NodeProcess, Surroundings
from simulation.network import CallError
from simulation.plan import PlannedTask

from mainspring.server.errors import FailedPrecondition, MainspringError, NotFound
from mainspring.testing.history import AcknowledgedTask, Overlap
from mainspring.testing.virtual_time import START_S, process_context
from mainspring.v1 import policy_pb2, task_pb2, task_service_pb2

NAMESPACE = "default"
CALL_S = 4.0
TRIES = 6
BREAK_S = 0.2
OVERLAP_POLICIES: dict[Overlap, policy_pb2.OverlapPolicy] = {
    "allow": policy_pb2.OVERLAP_POLICY_ALLOW,
    "skip": policy_pb2.OVERLAP_POLICY_SKIP,
    "buffer-one": policy_pb2.OVERLAP_POLICY_BUFFER_ONE,
    "replace": policy_pb2.OVERLAP_POLICY_REPLACE,
}


@dataclass
class _Told:
    """What the clients know of one task."""

    plan: PlannedTask
    sent_at: int = 0
    acknowledged_at: int | None = None
    cancel_sent_at: int | None = None
    cancelled_at: int | None = None
    registered: asyncio.Event = field(default_factory=asyncio.Event)


class Clients:
    """All of them, in a process that nothing happens to."""

    def __init__(self, around: Surroundings, plan: tuple[PlannedTask, ...], rng: Random) -> None:
        self._around = around
        self._clock = SimClock(around.loop)
        self._rng = rng
        self._context = process_context("client")
        self._told = [_Told(task) for task in plan]
        self._under_way: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Every registration and cancel in its time."""
        loop = self._around.loop
        for told in self._told:
            self._at(told.plan.register_s, self._register, told)
            if told.plan.cancel_s is not None:
                self._at(told.plan.cancel_s, self._cancel, told)
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
        found: list[AcknowledgedTask] = []
        for told in self._told:
            plan = told.plan
            due_at = EPOCH_AT + round(plan.due_s * 1_000_000)
            latest_s = plan.jitter_s if plan.every_s is None else min(plan.jitter_s, plan.every_s)
            found.append(
                AcknowledgedTask(
                    NAMESPACE,
                    plan.task_id,
                    "one-time" if plan.every_s is None else "interval",
                    plan.handler,
                    told.sent_at,
                    told.acknowledged_at,
                    "unknown" if told.acknowledged_at is None else "ok",
                    at=due_at if plan.every_s is None else None,
                    every_us=None if plan.every_s is None else round(plan.every_s * 1_000_000),
                    anchor_at=None if plan.every_s is None else due_at,
                    max_executions=plan.max_executions,
                    due_offset_max_us=round(latest_s * 1_000_000),
                    cancel_sent_at=told.cancel_sent_at,
                    cancelled_at=told.cancelled_at,
                    delivery="at-most-once" if plan.is_at_most_once else "at-least-once",
                    overlap=plan.overlap,
                )
            )
        return found

    async def _register(self, told: _Told) -> None:
        plan = told.plan
        task = task_pb2.Task(namespace=NAMESPACE, id=plan.task_id, handler=plan.handler, payload=plan.payload)
        if plan.is_at_most_once:
            task.delivery = task_pb2.DELIVERY_MODE_AT_MOST_ONCE
        due_us = EPOCH_AT + round(plan.due_s * 1_000_000)
        due = Timestamp(seconds=due_us // 1_000_000, nanos=due_us % 1_000_000 * 1_000)
        if plan.every_s is None:
            task.schedule.at.CopyFrom(due)
        else:
            task.schedule.interval.every.FromMicroseconds(round(plan.every_s * 1_000_000))
            task.schedule.start_time.CopyFrom(due)
            task.schedule.max_executions = plan.max_executions or 0
            task.overlap = OVERLAP_POLICIES[plan.overlap]
            if plan.makes_up:
                task.misfire.mode = policy_pb2.MISFIRE_MODE_ALL
        task.schedule.jitter.FromMicroseconds(round(plan.jitter_s * 1_000_000))
        request = task_service_pb2.CreateTaskRequest(task=task)
        told.sent_at = self._clock.now()
        try:
            if await self._try(lambda node: node.tasks.CreateTask(request, None)) is not None:
                told.acknowledged_at = self._clock.now()
                self._around.trace.note("acknowledged", plan.task_id)
        finally:
            told.registered.set()

    async def _cancel(self, told: _Told) -> None:
        await told.registered.wait()
        request = task_service_pb2.CancelTaskRequest(namespace=NAMESPACE, id=told.plan.task_id)
        sent_at = self._clock.now()
        told.cancel_sent_at = told.cancel_sent_at or sent_at
        try:
            answer = await self._try(lambda node: node.tasks.CancelTask(request, None))
        except (FailedPrecondition, NotFound):
            told.cancel_sent_at = None  # it was over, or never there
            return
        if answer is not None:
            told.cancelled_at = self._clock.now()
            self._around.trace.note("cancelled", told.plan.task_id)

    async def _try(self, call: Callable[[Any], Awaitable[Any]]) -> Any:
        """Calls one node after the other; None when none of them answered."""
        around = self._around
        for number in range(TRIES):
            nodes = [node for node in around.nodes.values() if node.tasks is not None and not node.is_gone]
            if nodes:
                node: NodeProcess = self._rng.choice(nodes)
                try:
                    return await around.network.call(
                        node.name, node.process_context, partial(call, node), CALL_S
                    )
                except (FailedPrecondition, NotFound):
                    raise
                except (CallError, MainspringError):
                    pass
            await asyncio.sleep(BREAK_S * (number + 1))
        return None
