"""What goes to other nodes: hints, results and progress of their partitions, gathered per address, in order, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import structlog

from mainspring.server.core.model import DueTask, TaskRef
from mainspring.server.dispatch.frames import AttemptId, AttemptResult, ProgressReport
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.lanes import Lanes
from mainspring.server.engine.owner_router import OwnerRouter
from mainspring.server.engine.peers import Hint, PeerClient, PeerUnreachable

log = structlog.get_logger(__name__)

HINTS_A_CALL = 5_000
RESULTS_A_CALL = 1_000
BYTES_A_CALL = 4 * 1024 * 1024
LANES = 8
KEEP_HINT_S = 2.0
"""For so long a hint looks for its owner; as long as a change of owner may take to get about. Then the sweep is near."""
LOOK_AGAIN_S = 0.1
IDLE_S = 60.0

Answer = Callable[[Sequence[AttemptId]], None]


class _QueuedHint(NamedTuple):
    """A hint, and until when it is worth another try, monotonic seconds."""

    hint: Hint
    until_s: float


class Post:
    """Sends what concerns partitions that others own. What is lost is found by the owner's sweep or repeated."""

    def __init__(
        self,
        context: OwnerContext,
        router: OwnerRouter,
        peers: PeerClient,
        on_own: Callable[[Hint], None],
    ) -> None:
        self._context = context
        self._router = router
        self._peers = peers
        self._on_own = on_own
        self._hints: dict[str, dict[TaskRef, _QueuedHint]] = {}
        self._results: dict[tuple[str, str], dict[AttemptId, tuple[AttemptResult, Answer]]]
        self._results = {}
        self._progress: dict[str, dict[AttemptId, ProgressReport]] = {}
        self._queued_hints = 0
        self._unaddressed: list[_QueuedHint] = []
        self._busy: set[str] = set()
        self._lanes = Lanes("post", LANES)
        self._wake = asyncio.Event()

    def hint(self, ref: TaskRef, due: DueTask | None) -> None:
        """Queues a hint for the owner of a task; dropped when too many wait.

        While nobody is known to own it (the partition is moving, or its new owner has not told yet), or who was told does
        not own it any more, it is kept a while and tried again.
        """
        if self._queued_hints >= self._context.settings.queued_hints:
            return
        queued = _QueuedHint(Hint(ref, due), self._context.clock.monotonic() + KEEP_HINT_S)
        if not self._address(queued):
            self._keep([queued])
            self._wake.set()

    def _keep(self, queued: Sequence[_QueuedHint]) -> None:
        self._queued_hints += len(queued)
        self._unaddressed += queued

    def _address(self, queued: _QueuedHint) -> bool:
        """Puts a hint among those of its owner's address, if that is known."""
        ref = queued.hint.ref
        owner = self._router.owner_of(ref.partition_id)
        if owner is None:
            return False
        hints = self._hints.setdefault(owner.address, {})
        self._queued_hints += ref not in hints
        hints[ref] = queued
        self._wake.set()
        return True

    def _address_again(self) -> None:
        """Looks again for the owners of hints that had none; drops those that waited long enough for the sweep."""
        now_s = self._context.clock.monotonic()
        waiting, self._unaddressed = self._unaddressed, []
        self._queued_hints -= len(waiting)
        for queued in waiting:
            if self._context.held.epoch_of(queued.hint.ref.partition_id) is not None:
                self._on_own(queued.hint)  # it came to this very node meanwhile
            elif now_s < queued.until_s and not self._address(queued):
                self._keep([queued])

    @property
    def is_empty(self) -> bool:
        """Whether no hint waits, addressed or not."""
        return not self._queued_hints

    def forward(
        self,
        executor_id: str,
        results: Sequence[AttemptResult],
        answer: Answer,
    ) -> None:
        """Queues results for the owners of their partitions; `answer` is called with those that are settled."""
        for result in results:
            owner = self._router.owner_of(result.attempt_id.ref.partition_id)
            if owner is None:
                continue
            queue = self._results.setdefault((owner.address, executor_id), {})
            if len(queue) < self._context.settings.unanswered_results:
                queue[result.attempt_id] = (result, answer)
                self._wake.set()

    def forward_progress(self, reports: Sequence[ProgressReport]) -> None:
        """Queues signs of progress for the owners of their partitions, the latest of each attempt."""
        for report in reports:
            owner = self._router.owner_of(report.attempt_id.ref.partition_id)
            if owner is None:
                continue
            queue = self._progress.setdefault(owner.address, {})
            if len(queue) < self._context.settings.unanswered_results:
                queue[report.attempt_id] = report
                self._wake.set()

    async def run_round(self) -> None:
        """Sends one call to each address that has something queued and no call under way."""
        try:
            async with self._context.clock.timeout(LOOK_AGAIN_S if self._unaddressed else IDLE_S):
                await self._wake.wait()
        except TimeoutError:
            pass
        await self._lanes.wait_free()
        self._wake.clear()
        self._address_again()
        addresses = {*self._hints, *self._progress, *(address for address, _ in self._results)}
        for address in sorted(addresses - self._busy):
            self._busy.add(address)
            await self._lanes.run(self._send(address))

    async def flush(self) -> None:
        """Returns when no hint waits any more, addressed or not."""
        while self._queued_hints or self._busy:
            self._wake.set()
            await self._context.clock.sleep(0.01)

    async def stop(self) -> None:
        """Ends the calls under way."""
        await self._lanes.cancel()

    async def _send(self, address: str) -> None:
        try:
            await self._send_hints(address)
            for key in [key for key in self._results if key[0] == address]:
                await self._send_results(*key)
            await self._send_progress(address)
        except PeerUnreachable as error:
            log.info("peer_unreachable", address=address, error=str(error))
        finally:
            self._busy.discard(address)
            self._progress.pop(address, None)  # of a node that is away: the next signs go to who follows it
        if self._unaddressed:  # not at once: it takes a moment until the next owner is known
            await self._context.clock.sleep(LOOK_AGAIN_S)
        if self._hints or self._results or self._unaddressed:
            self._wake.set()

    async def _send_hints(self, address: str) -> None:
        queued = list(self._hints.pop(address, {}).values())
        self._queued_hints -= len(queued)
        for start in range(0, len(queued), HINTS_A_CALL):
            part = {q.hint.ref: q for q in queued[start : start + HINTS_A_CALL]}
            try:
                not_told = await self._peers.send_hints(address, [q.hint for q in part.values()])
            except PeerUnreachable:
                # It may have died: its partitions will be somebody else's.
                self._keep(queued[start:])
                raise
            self._keep([part[hint.ref] for hint in not_told])

    async def _send_results(self, address: str, executor_id: str) -> None:
        queued = list(self._results.pop((address, executor_id), {}).values())
        for part in _cut(queued):
            saved = set(
                await self._peers.forward_results(address, executor_id, [result for result, _ in part])
            )
            answers: dict[Answer, list[AttemptId]] = {}
            for result, answer in part:
                if result.attempt_id in saved:
                    answers.setdefault(answer, []).append(result.attempt_id)
            for answer, attempt_ids in answers.items():
                answer(attempt_ids)

    async def _send_progress(self, address: str) -> None:
        reports = list(self._progress.pop(address, {}).values())
        for start in range(0, len(reports), RESULTS_A_CALL):
            await self._peers.forward_progress(address, reports[start : start + RESULTS_A_CALL])


def _cut(queued: list[tuple[AttemptResult, Answer]]) -> Iterator[list[tuple[AttemptResult, Answer]]]:
    """Calls of bounded size: a message has a limit, and one output may be 256 KiB."""
    part: list[tuple[AttemptResult, Answer]] = []
    size = 0
    for result, answer in queued:
        if part and (len(part) >= RESULTS_A_CALL or size + len(result.output) > BYTES_A_CALL):
            yield part
            part, size = [], 0
        part.append((result, answer))
        size += len(result.output)
    if part:
        yield part
