"""Everything this executor works on: takes work in, runs it, reports it, shares out the credit.

The frames of all sessions arrive here, and all that follows goes into the sessions' outboxes. What happens
within one turn of the event loop is settled together: one write to the run log, one plan of the credit, one
wake-up per session. Nothing is sent per item.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial

from mainspring.executor.attempts import (
    Attempt,
    AttemptBook,
    AttemptKey,
    Ending,
    Knowledge,
    Verdict,
    route,
)
from mainspring.executor.clock import Clock
from mainspring.executor.config import ExecutorConfig
from mainspring.executor.credit import CreditLedger
from mainspring.executor.crew import Crew, Run
from mainspring.executor.job import Job
from mainspring.executor.log import logger
from mainspring.executor.outbox import Outbox
from mainspring.executor.registry import HandlerRegistry
from mainspring.executor.run_log import RunLog
from mainspring.v1 import executor_service_pb2 as pb

REPEATS_PER_TICK = 2_000
"""Results repeated at once: a long outage of the nodes must not end in one burst of everything."""

PROGRESS_EVERY_S = 0.5
"""The progress of one attempt is reported at most this often."""

CREDIT_RETURN_S = 5.0
"""A drain waits this long for nodes to give their credit back, which tells that no work is under way: as long as a node may
take to record an attempt."""


class Workload:
    """The work of one executor over all its sessions. For one event loop; no method blocks or awaits.

    Args:
        config: Limits and durations.
        registry: The handlers; read-only from here on.
        clock: Time.
        run_log: Evidence of every run; None for none.
    """

    def __init__(
        self, config: ExecutorConfig, registry: HandlerRegistry, clock: Clock, run_log: RunLog | None = None
    ) -> None:
        self.idle = asyncio.Event()
        """Set while draining once nothing runs and every result is saved."""
        self.book = AttemptBook()
        self.ledger = CreditLedger(config.capacity)
        self._config = config
        self._registry = registry
        self._clock = clock
        self._crew = Crew(config, clock, run_log, self)
        self._loop = asyncio.get_running_loop()
        self._outboxes: dict[str, Outbox] = {}
        self._ended: list[tuple[Run, Ending]] = []
        self._with_news: dict[AttemptKey, Run] = {}
        self._told_lately: dict[AttemptKey, Run] = {}
        self._touched: dict[str, None] = {}  # a set whose order is the same in each run
        self._refused: Counter[str] = Counter()
        self._is_settling = False
        self._is_draining = False
        self._drained_at_s = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is queued, runs or waits to be saved."""
        return not self.running_count and not self.book.unsaved_count

    @property
    def running_count(self) -> int:
        """Attempts that occupy a slot."""
        return len(self._crew)

    @property
    def nodes(self) -> AbstractSet[str]:
        """Nodes it works for."""
        return self._outboxes.keys()

    def attach(self, node: str, outbox: Outbox) -> None:
        """Begin to work for a node; credit follows with the next settlement."""
        self._outboxes[node] = outbox
        self.ledger.add(node)
        if self._is_draining:
            outbox.drain()
            self.ledger.close(node)
        self.book.make_due_for(node)
        self._repeat_due()
        self._settle_soon()

    def detach(self, node: str) -> None:
        """The node's stream is gone: its credit is free, results it was sent go elsewhere at once."""
        if self._outboxes.pop(node, None) is None:
            return
        self.ledger.drop(node)
        self.book.make_due_for(node)
        self._repeat_due()
        self._settle_soon()

    def stood_still(self, node: str, error: str) -> None:
        """Start nothing that a node had sent before: it may have given that to others."""
        self._crew.refuse_queued(node, error)

    def retire(self, node: str) -> bool:
        """Take no more from a node. Returns whether nothing is left there, so that it can be left."""
        self.ledger.close(node)
        self._settle_soon()
        return self.ledger.held(node) == 0 and not self.book.has_open(node)

    def unretire(self, node: str) -> None:
        """Take work of this node again."""
        if not self._is_draining:
            self.ledger.reopen(node)
            self._settle_soon()

    def on_work(self, node: str, items: Sequence[pb.Work]) -> None:
        """Take work in, or refuse it with a result."""
        now_s = self._clock.monotonic()
        starting: list[Run] = []
        for item in items:
            key = attempt_key(item.attempt)
            is_paid = self.ledger.held(node) > 0
            has_slot = self.ledger.spend(node, now_s)
            run = self._take(key, item, node, has_slot=has_slot, is_paid=is_paid)
            if run is not None:
                starting.append(run)
            elif has_slot:
                self.ledger.release(1)
        if starting:
            self.idle.clear()
        self._crew.put_on(starting)
        if self._refused:
            logger.warning("work.refused", node=node, **self._refused)
            self._refused.clear()
        self._settle_soon()

    def on_cancel(self, cancels: Iterable[pb.Cancel]) -> None:
        """Stop attempts: async handlers are cancelled, plain ones see a flag, queued ones never start."""
        for cancel in cancels:
            self._crew.cancel(attempt_key(cancel.attempt), cancel.error, cancel.error_kind)

    def on_reconcile(self, node: str, asked: Sequence[tuple[AttemptKey, int]]) -> None:
        """Answer what is known of attempts; results of ended ones follow at once."""
        outbox = self._outboxes.get(node)
        if outbox is None:
            return
        outbox.answers(self.book.reconcile(asked, node))
        self._touched[node] = None
        self._repeat_due()
        self._settle_soon()

    def on_saved(self, keys: Iterable[AttemptKey]) -> None:
        """Forget results that need not be repeated."""
        for key in keys:
            attempt = self.book.saved(key)
            if attempt is not None and attempt.sends > 1:
                for outbox in self._outboxes.values():
                    outbox.withdraw(key)
        self._settle_soon()

    def on_demand(self, node: str, waiting: int, returned: int) -> None:
        """Hear what a node needs and gives back."""
        self.ledger.demand(node, waiting, returned)
        self._settle_soon()

    def on_node_drain(self, node: str) -> None:
        """The node sends no more work on this stream."""
        self.ledger.forfeit(node)
        self._settle_soon()

    def tick(self) -> None:
        """Repeat what is due, report progress that was held back, and look at the credit again."""
        self._repeat_due()
        due_s = self._clock.monotonic() - PROGRESS_EVERY_S
        due = {key: run for key, run in self._told_lately.items() if run.attempt.progress_at_s <= due_s}
        for key in due:
            del self._told_lately[key]
        self._with_news.update(due)
        self._settle_soon()

    def drain(self) -> None:
        """Grant no more credit, ask back what is out, and tell every node; `idle` is set when the rest is done.

        Work that a node sent within its credit before it heard of this is run: a refusal is the end of what is delivered
        at most once.
        """
        self._is_draining = True
        self._drained_at_s = self._clock.monotonic()
        for node, outbox in self._outboxes.items():
            outbox.drain()
            self.ledger.close(node)
            self._touched[node] = None
        self._settle_soon()

    def stop(self) -> None:
        """Give up what still runs, without a result: the nodes will find it lost."""
        self._crew.stop()

    async def close(self) -> None:
        """Wait for handlers that were given up, a second at most."""
        await self._crew.close()

    def _take(
        self, key: AttemptKey, item: pb.Work, node: str, *, has_slot: bool, is_paid: bool
    ) -> Run | None:
        verdict, known = self.book.receive(key, item.epoch, node)
        if verdict is Verdict.DUPLICATE:
            return None
        if verdict is Verdict.FINISHED and known is not None:
            self._send_result(known)
            return None
        handler = self._registry.get(item.handler)
        refusal = None
        if verdict is Verdict.STALE:
            refusal = ("StaleEpoch", f"epoch {self.book.epoch(key[0])} of the partition was seen")
        elif verdict is Verdict.DISOWNED:
            refusal = ("Disowned", "a node was told that this attempt is not here")
        elif self._is_draining and not is_paid:
            refusal = ("Draining", "the executor takes no more work")
        elif handler is None:
            refusal = ("UnknownHandler", f"there is no handler {item.handler!r} here")
        elif not has_slot:
            refusal = ("NoRoom", "more work than credit was sent")
        if refusal is not None or handler is None:
            kind, error = refusal or ("UnknownHandler", "")
            self._refused[kind] += 1
            self._send_result(self.book.refuse(key, item.epoch, node, kind, error))
            return None
        job = Job(
            namespace=item.namespace,
            task_id=item.task_id,
            handler=item.handler,
            payload=item.payload,
            scheduled_at=key[2],
            due_at=item.due_at_us,
            attempt=key[3],
            fence_token=item.fence_token,
            partition_id=key[0],
            epoch=item.epoch,
            on_news=partial(self._crew.on_news, key),
        )
        return Run(self.book.accept(key, item.epoch, node), handler, job)

    def on_started(self, run: Run) -> None:
        """See CrewOwner."""
        outbox = self._outboxes.get(run.attempt.node)
        if outbox is not None:
            outbox.started(run.attempt)
            self._touched[run.attempt.node] = None
        self._settle_soon()

    def on_news(self, run: Run) -> None:
        """See CrewOwner. What was reported a moment ago waits for a tick."""
        if self._clock.monotonic() - run.attempt.progress_at_s < PROGRESS_EVERY_S:
            self._told_lately[run.attempt.key] = run
        else:
            self._with_news[run.attempt.key] = run
            self._settle_soon()

    def on_ended(self, run: Run, ending: Ending) -> None:
        """See CrewOwner."""
        self._ended.append((run, ending))
        self._settle_soon()

    def _settle_soon(self) -> None:
        if not self._is_settling:
            self._is_settling = True
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        self._is_settling = False
        ended, self._ended = self._ended, []
        if ended:
            self._crew.take_off(ended)
            for run, ending in ended:
                self.book.finish(run.attempt, ending)
                self._send_result(run.attempt)
            self.ledger.release(len(ended))
        self._report_progress()
        self._move_credit()
        for node in self._touched:
            if (outbox := self._outboxes.get(node)) is not None:
                outbox.wake()
        self._touched.clear()
        if self._is_draining and self.is_empty and self._has_no_work_under_way():
            self.idle.set()

    def _has_no_work_under_way(self) -> bool:
        # Credit that is still out may have been spent on work that is about to arrive; a goodbye would pass it.
        waited_s = self._clock.monotonic() - self._drained_at_s
        return not self.ledger.held_total or waited_s >= CREDIT_RETURN_S

    def _move_credit(self) -> None:
        book, config = self.book, self._config
        self.ledger.is_held = (
            self._is_draining
            or book.unsaved_count > config.max_unsaved
            or book.unsaved_bytes > config.max_unsaved_bytes
        )
        for node, move in self.ledger.plan(self._clock.monotonic()).items():
            outbox = self._outboxes.get(node)
            if outbox is not None:
                outbox.credit(move.granted, move.wanted_back)
                self._touched[node] = None

    def _report_progress(self) -> None:
        if not self._outboxes:
            return  # kept until a node is there
        with_news, self._with_news = self._with_news, {}
        now_s = self._clock.monotonic()
        for attempt, job in ((run.attempt, run.job) for run in with_news.values()):
            if attempt.knowledge is Knowledge.RUNNING:
                node = attempt.node if attempt.node in self._outboxes else next(iter(self._outboxes))
                attempt.progress_at_s = now_s
                self._outboxes[node].progress(attempt, job.take_news())
                self._touched[node] = None

    def _repeat_due(self) -> None:
        if not self._outboxes or not self.book.unsaved_count:
            return
        now_s = self._clock.monotonic()
        for attempt in self.book.due(now_s, self._config.repeat_result_after_s, REPEATS_PER_TICK):
            self._send_result(attempt)

    def _send_result(self, attempt: Attempt) -> None:
        node = route(attempt, list(self._outboxes))
        if node is None:
            return
        self._outboxes[node].result(attempt)
        self._touched[node] = None
        self.book.mark_sent(attempt, self._clock.monotonic(), node)


def attempt_key(ref: pb.AttemptRef) -> AttemptKey:
    """The name of an attempt in frames, as the executor's own."""
    return (ref.partition_id, ref.task_key, ref.scheduled_at_us, ref.attempt)
