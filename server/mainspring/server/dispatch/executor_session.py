"""One connected executor: its credit, its signs of life, and what is to be sent to it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from mainspring.server.dispatch.frames import AttemptId, Cancellation, ReconcileQuestion, WorkItem


@dataclass(slots=True)
class Outbox:
    """What the stream's writer sends next, whole, in one frame or a few.

    It needs no bound of its own: work is bounded by credit, `saved` by the results that arrived, the rest by what is
    open at the executor.
    """

    work: list[WorkItem] = field(default_factory=list)
    saved: list[AttemptId] = field(default_factory=list)
    cancels: list[Cancellation] = field(default_factory=list)
    questions: list[ReconcileQuestion] = field(default_factory=list)
    node_addresses: tuple[str, ...] | None = None
    waiting: int | None = None
    """How much work waits at this node, when that changed or credit is returned."""
    credit_returned: int = 0
    is_drain_due: bool = False
    goodbye: str | None = None
    """Why this node leaves; the last thing that is sent."""


class ExecutorSession:
    """The session of one executor with this node, from its hello to the end of the stream.

    Credit: `credit` is what may still be reserved. A reservation takes it down; the work that uses it never gives it
    back (the executor grants anew), an unused reservation does.
    """

    def __init__(
        self,
        executor_id: str,
        handlers: Iterable[str],
        capacity: int,
        *,
        version: str,
        connected_at: int,
        heard_at_s: float,
    ) -> None:
        self.executor_id = executor_id
        self.handlers = frozenset(handlers)
        self.capacity = capacity
        self.version = version
        self.connected_at = connected_at
        self.heard_at_s = heard_at_s
        """Monotonic seconds of the last frame."""
        self.credit = 0
        self.is_draining = False
        self.is_quiet = False
        """Whether it should have been heard of by now."""
        self.is_closed = False
        self._outbox = Outbox()
        self._ready = asyncio.Event()
        self._waiting_told = 0

    @property
    def takes_work(self) -> bool:
        """Whether new work may be reserved for it, as far as its credit goes."""
        return not self.is_draining and not self.is_quiet

    def send_work(self, items: Iterable[WorkItem]) -> None:
        """Puts work whose credit was reserved on its way."""
        self._outbox.work.extend(items)
        self._ready.set()

    def drop_work(self, partition_ids: Collection[int]) -> None:
        """Takes back work of these partitions that is still here, with its credit: they belong to another node now."""
        kept = [item for item in self._outbox.work if item.attempt_id.ref.partition_id not in partition_ids]
        self.credit += len(self._outbox.work) - len(kept)
        self._outbox.work = kept

    def send_saved(self, attempts: Iterable[AttemptId]) -> None:
        """Tells that these results need not be repeated."""
        self._outbox.saved.extend(attempts)
        self._ready.set()

    def cancel(self, cancellations: Iterable[Cancellation]) -> None:
        """Asks to stop attempts, behind all work that is on its way. One that is not there is passed over."""
        self._outbox.cancels.extend(cancellations)
        self._ready.set()

    def ask(self, questions: Iterable[ReconcileQuestion]) -> None:
        """Asks about open attempts."""
        self._outbox.questions.extend(questions)
        self._ready.set()

    def tell_nodes(self, addresses: tuple[str, ...]) -> None:
        """Tells the nodes to hold a stream to."""
        self._outbox.node_addresses = addresses
        self._ready.set()

    def tell_waiting(self, waiting: int) -> None:
        """Tells how much work waits here for credit, if that changed."""
        if waiting != self._waiting_told:
            self._waiting_told = waiting
            self._outbox.waiting = waiting
            self._ready.set()

    def give_back_credit(self, wanted: int) -> None:
        """Answers the executor's wish for unspent credit, as far as there is any."""
        returned = min(wanted, self.credit)
        self.credit -= returned
        self._outbox.credit_returned += returned
        self._outbox.waiting = self._waiting_told  # one message carries both
        self._ready.set()

    def announce_drain(self) -> None:
        """Tells that this node sends no more work."""
        self._outbox.is_drain_due = True
        self._ready.set()

    def say_goodbye(self, reason: str) -> None:
        """Tells, after everything else, that this node leaves in order."""
        self._outbox.goodbye = reason
        self._ready.set()

    def take_unsent(self) -> list[WorkItem]:
        """Takes out the work that no frame has taken yet."""
        unsent, self._outbox.work = self._outbox.work, []
        return unsent

    def close(self) -> None:
        """Marks the stream as ended; wakes its writer."""
        self.is_closed = True
        self.credit = 0
        self._ready.set()

    async def outgoing(self, limit: AbstractAsyncContextManager[object]) -> Outbox | None:
        """Waits for something to send and takes it all; None when nothing came up in time, or the stream has ended: what is
        left then was never sent. For the one writer task.

        Args:
            limit: raises TimeoutError when its block takes too long, such as `Clock.timeout(1.0)`.
        """
        if not self._ready.is_set():
            try:
                async with limit:
                    await self._ready.wait()
            except TimeoutError:
                return None
        self._ready.clear()
        if self.is_closed:
            return None
        outbox, self._outbox = self._outbox, Outbox()
        return outbox
