"""What a handler is given."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

MAX_PROGRESS_BYTES = 1_024

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class JobCancelled(Exception):
    """Raised by `Job.raise_if_cancelled`; the attempt then ends as cancelled."""


_signals_lock = threading.Lock()


class Job:
    """One attempt of one execution. Safe to use from any thread.

    Attributes:
        namespace: The task's namespace.
        task_id: The task's id.
        handler: The name under which the handler was asked for.
        payload: As registered.
        scheduled_at: The nominal time, microseconds UTC: the identity of the execution within its task.
        due_at: When to act on it, microseconds UTC.
        attempt: Numbered from 1.
        fence_token: Rises per task in schedule order and with each attempt of an execution. Hand it to the
            systems that the handler writes to, and let them refuse a lower one than they have seen.
        partition_id: The partition of the task.
        epoch: The fencing number of the partition under which the attempt was sent.
    """

    __slots__ = (
        "_cancelled",
        "_has_news",
        "_is_cancelled",
        "_on_news",
        "_progress",
        "attempt",
        "due_at",
        "epoch",
        "fence_token",
        "handler",
        "namespace",
        "partition_id",
        "payload",
        "scheduled_at",
        "task_id",
    )

    def __init__(
        self,
        *,
        namespace: str,
        task_id: str,
        handler: str,
        payload: bytes = b"",
        scheduled_at: int = 0,
        due_at: int = 0,
        attempt: int = 1,
        fence_token: int = 0,
        partition_id: int = 0,
        epoch: int = 0,
        on_news: Callable[[], None] | None = None,
    ) -> None:
        """Also made by hand, to test a handler. `on_news` is told, on any thread, when there is progress to take."""
        self.namespace = namespace
        self.task_id = task_id
        self.handler = handler
        self.payload = payload
        self.scheduled_at = scheduled_at
        self.due_at = due_at
        self.attempt = attempt
        self.fence_token = fence_token
        self.partition_id = partition_id
        self.epoch = epoch
        self._is_cancelled = False
        self._cancelled: threading.Event | None = None
        self._on_news = on_news
        self._has_news = False
        self._progress = b""

    @property
    def scheduled_time(self) -> datetime:
        """The nominal time, aware, in UTC."""
        return _EPOCH + timedelta(microseconds=self.scheduled_at)

    @property
    def due_time(self) -> datetime:
        """When to act on it, aware, in UTC."""
        return _EPOCH + timedelta(microseconds=self.due_at)

    @property
    def is_cancelled(self) -> bool:
        """Whether it was asked to stop. Async handlers are cancelled as well; plain ones look here."""
        return self._is_cancelled

    def wait_until_cancelled(self, timeout_s: float | None = None) -> bool:
        """Wait in a plain handler, instead of `time.sleep`, until it is asked to stop. Async handlers need no such thing.

        Args:
            timeout_s: Return after this many seconds in any case; None: never.

        Returns:
            Whether it was asked to stop.
        """
        with _signals_lock:
            if self._is_cancelled:
                return True
            if self._cancelled is None:  # made when needed: most jobs are never waited on
                self._cancelled = threading.Event()
        return self._cancelled.wait(timeout_s)

    def raise_if_cancelled(self) -> None:
        """Leave a plain handler that was asked to stop.

        Raises:
            JobCancelled: It was.
        """
        if self._is_cancelled:
            raise JobCancelled(f"attempt {self.attempt} of {self.namespace}/{self.task_id} was cancelled")

    def cancel(self) -> None:
        """Ask it to stop. Called by the executor; handlers read `is_cancelled`."""
        with _signals_lock:
            self._is_cancelled = True
            if self._cancelled is not None:
                self._cancelled.set()

    def heartbeat(self, progress: bytes | str = b"") -> None:
        """Tell that the handler goes on, from an async handler or from any thread. Returns at once.

        The scheduler hears the latest progress, at most about twice a second, however often this is called. The ledger shows
        it while a long execution runs, and each sign puts off the heartbeat timeout of the task.

        Args:
            progress: How far it is, in words of your own: bytes or text, at most 1 KiB.

        Raises:
            ValueError: The progress is too long.
        """
        data = progress.encode(errors="surrogateescape") if isinstance(progress, str) else bytes(progress)
        if len(data) > MAX_PROGRESS_BYTES:
            raise ValueError(f"progress has {len(data)} bytes; at most {MAX_PROGRESS_BYTES} are kept")
        self._progress = data
        if not self._has_news:
            self._has_news = True
            if self._on_news is not None:
                self._on_news()

    @property
    def progress(self) -> bytes:
        """The latest progress that `heartbeat` was given."""
        return self._progress

    def take_news(self) -> bytes:
        """Return the latest progress and ask to be told of the next. Called by the executor."""
        self._has_news = False  # first: what another thread sets from here on is told again
        return self._progress
