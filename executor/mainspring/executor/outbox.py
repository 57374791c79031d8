"""What one session has to send: coalesced, bounded, cut into frames.

Whatever became ready since the last frame goes into the next one. Every kind is bounded: credit and flags are
sums and bits, results and progress are kept once per attempt, starts and answers are bounded by what the node sent first.
"""

import asyncio
from collections import deque

from mainspring.executor.attempts import Answer, Attempt, AttemptKey
from mainspring.v1 import executor_service_pb2 as pb

MAX_FRAME_ITEMS = 1_000
MAX_FRAME_BYTES = 1024 * 1024
"""Results above this go into the next frame. One result may exceed it alone: it is at most 256 KiB."""


class Outbox:
    """Filled by anybody on the event loop, emptied by the session's writer."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        """Set by `wake`; the writer clears it."""
        self.goodbye: str | None = None
        self._hello: pb.ExecutorHello | None = None
        self._granted = 0
        self._wanted_back = 0
        self._heartbeat: int | None = None
        self._is_draining = False
        self._started: deque[Attempt] = deque()
        self._results: dict[AttemptKey, Attempt] = {}
        self._progress: dict[AttemptKey, tuple[Attempt, bytes]] = {}
        self._answers: deque[Answer] = deque()

    def wake(self) -> None:
        """Let the writer send what is here."""
        self.ready.set()

    def hello(self, hello: pb.ExecutorHello) -> None:
        """Send this first."""
        self._hello = hello

    def credit(self, granted: int, wanted_back: int) -> None:
        """Grant credit, ask some back."""
        self._granted += granted
        self._wanted_back = max(self._wanted_back, wanted_back)

    def heartbeat(self, sequence: int) -> None:
        """Send a sign of life; a newer one replaces one not yet sent."""
        self._heartbeat = sequence

    def drain(self) -> None:
        """Say that no more work is accepted."""
        self._is_draining = True

    def started(self, attempt: Attempt) -> None:
        """Report a start."""
        self._started.append(attempt)

    def progress(self, attempt: Attempt, progress: bytes) -> None:
        """Report progress; the latest of each attempt."""
        self._progress[attempt.key] = (attempt, progress)

    def result(self, attempt: Attempt) -> None:
        """Report an end; once per attempt, however often it is handed in before it is sent."""
        self._results[attempt.key] = attempt
        self._progress.pop(attempt.key, None)

    def withdraw(self, key: AttemptKey) -> None:
        """Send this result no more: it is saved."""
        self._results.pop(key, None)

    def answers(self, answers: list[Answer]) -> None:
        """Answer a reconcile."""
        self._answers.extend(answers)

    def take_frame(self, now_s: float) -> pb.ConnectRequest | None:
        """Return the next frame, or None when nothing is left. Starts go out before results.

        Args:
            now_s: Monotonic seconds.
        """
        frame = pb.ConnectRequest()
        if self._hello is not None:
            frame.hello.append(self._hello)
            self._hello = None
            return frame
        is_empty = True
        if self._granted or self._wanted_back:
            frame.credit.add(granted=self._granted, wanted_back=self._wanted_back)
            self._granted = self._wanted_back = 0
            is_empty = False
        if self._heartbeat is not None:
            frame.heartbeat.add(sequence=self._heartbeat)
            self._heartbeat = None
            is_empty = False
        if self._is_draining:
            frame.drain.add()
            self._is_draining = False
            is_empty = False
        if self._started or self._results or self._answers or self._progress:
            self._fill(frame, now_s)
            is_empty = False
        return None if is_empty else frame

    def _fill(self, frame: pb.ConnectRequest, now_s: float) -> None:
        room = MAX_FRAME_ITEMS
        while self._answers and room:
            answer = self._answers.popleft()
            frame.reconcile.add(
                attempt=_ref(answer.key),
                knowledge=answer.knowledge.value,
                since_start_us=answer.attempt.since_start_us(now_s) if answer.attempt is not None else 0,
            )
            room -= 1
        while self._started and room:
            attempt = self._started.popleft()
            frame.started.add(attempt=_ref(attempt.key), epoch=attempt.epoch)
            room -= 1
        # Nothing overtakes its start: when starts are left over, so is no room.
        room_bytes = MAX_FRAME_BYTES
        while self._progress and room and room_bytes > 0:
            key = next(iter(self._progress))
            attempt, progress = self._progress.pop(key)
            frame.progress.add(attempt=_ref(key), epoch=attempt.epoch, progress=progress)
            room -= 1
            room_bytes -= len(progress)
        while self._results and room and room_bytes > 0:
            key = next(iter(self._results))
            attempt = self._results.pop(key)
            ending = attempt.ending
            if ending is None:
                continue
            frame.result.add(
                attempt=_ref(key),
                epoch=attempt.epoch,
                outcome=ending.outcome.value,
                output=ending.output,
                error=ending.error,
                error_kind=ending.error_kind,
                since_start_us=attempt.since_start_us(now_s),
            )
            room -= 1
            room_bytes -= attempt.result_bytes


def _ref(key: AttemptKey) -> pb.AttemptRef:
    return pb.AttemptRef(partition_id=key[0], task_key=key[1], scheduled_at_us=key[2], attempt=key[3])
