"""What a task asks for when things do not go as planned: missed times, overlap, failures, slowness.

    RetryPolicy(max_attempts=5, initial_backoff=timedelta(seconds=10), non_retryable_error_kinds=["ValueError"])
    MisfirePolicy(MisfireMode.ALL, catch_up_window=timedelta(hours=6))
    Timeouts(schedule_to_start=timedelta(minutes=1), start_to_finish=timedelta(minutes=10))

As with schedules, whether a value is allowed is the server's to say (`InvalidArgument` names the field); types and what a
message could not express are refused here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

from mainspring.client.checks import require, require_at_least_1, tuple_of


class MisfireMode(Enum):
    """Which missed times run."""

    UNSPECIFIED = 0
    """A mode that this client does not know."""
    NONE = 1
    """None: the task goes on with its next time."""
    LATEST = 2
    """The latest one."""
    ALL = 3
    """All within the window and the limit, one after the other, while new times fire as ever."""


class OverlapPolicy(Enum):
    """What becomes of a scheduled time while an earlier execution of the task is open."""

    UNSPECIFIED = 0
    """A policy that this client does not know."""
    ALLOW = 1
    """It runs beside the other."""
    SKIP = 2
    """It is recorded as SKIPPED."""
    BUFFER_ONE = 3
    """One waits for the end of the open one, then runs; what comes while one waits is SKIPPED."""
    REPLACE = 4
    """The open one is cancelled; this one runs once that has ended."""


@dataclass(frozen=True, slots=True)
class MisfirePolicy:
    """What becomes of scheduled times that passed while nothing could run them.

    Attributes:
        mode: Which of them run.
        catch_up_window: With `ALL`, how far back they are made up for, at most 30 days. None: 24 hours.
        catch_up_limit: With `ALL`, how many are made up for, the latest ones, at most 1,000. None: 100.

    Raises:
        TypeError: An attribute is of another type.
        ValueError: The limit is below 1.
    """

    mode: MisfireMode = MisfireMode.LATEST
    catch_up_window: timedelta | None = None
    catch_up_limit: int | None = None

    def __post_init__(self) -> None:
        require("mode", self.mode, MisfireMode)
        require("catch_up_window", self.catch_up_window, timedelta, type(None))
        require("catch_up_limit", self.catch_up_limit, int, type(None))
        if self.catch_up_limit is not None:
            require_at_least_1("catch_up_limit", self.catch_up_limit)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Whether and when a failed attempt is followed by another. A dead executor is a matter of the delivery instead.

    Attributes:
        max_attempts: How many may fail in all, the first included; at most 1,000.
        initial_backoff: The wait after the first failure, at most 24 hours.
        max_backoff: The longest wait, at most 24 hours. None: 100 times the initial one.
        multiplier: Each wait is this many times the one before; at most 10.
        jitter: Each wait is shortened by a random part of at most this fraction, 0 to 1.
        non_retryable_error_kinds: Errors of these kinds, such as names of exception classes, are not retried; at most
            20.

    Raises:
        TypeError: An attribute is of another type.
        ValueError: max_attempts or multiplier is below 1.
    """

    max_attempts: int = 1
    initial_backoff: timedelta = timedelta(seconds=1)
    max_backoff: timedelta | None = None
    multiplier: float = 2.0
    jitter: float = 0.0
    non_retryable_error_kinds: Sequence[str] = ()

    def __post_init__(self) -> None:
        require("max_attempts", self.max_attempts, int)
        require_at_least_1("max_attempts", self.max_attempts)
        require("initial_backoff", self.initial_backoff, timedelta)
        require("max_backoff", self.max_backoff, timedelta, type(None))
        require("multiplier", self.multiplier, float, int)
        require_at_least_1("multiplier", self.multiplier)
        require("jitter", self.jitter, float, int)
        kinds = tuple_of("non_retryable_error_kinds", self.non_retryable_error_kinds, str)
        object.__setattr__(self, "non_retryable_error_kinds", kinds)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the stages of an execution may take, each at least 1 s and at most 365 days. None: any time.

    Attributes:
        schedule_to_start: From the due time to the start of the first attempt; then it ends as EXPIRED.
        start_to_finish: From the start of an attempt to its end; then it is stopped and counts as failed, kind "Timeout".
        heartbeat: From one sign of progress of the handler to the next; then as above, kind "HeartbeatTimeout".

    Raises:
        TypeError: An attribute is of another type.
    """

    schedule_to_start: timedelta | None = None
    start_to_finish: timedelta | None = None
    heartbeat: timedelta | None = None

    def __post_init__(self) -> None:
        for name in ("schedule_to_start", "start_to_finish", "heartbeat"):
            require(name, getattr(self, name), timedelta, type(None))


_KINDS: Final = {
    "misfire": MisfirePolicy,
    "overlap": OverlapPolicy,
    "retry": RetryPolicy,
    "timeouts": Timeouts,
    "lateness_objective": timedelta,
    "keep_executions": int,
}


def require_policies(holder: object, *others: type) -> None:
    """Check the policies that an object has as attributes, each of which may be None or of one of the other types.

    Raises:
        TypeError: One is of another type.
        ValueError: keep_executions is below 1.
    """
    for name, kind in _KINDS.items():
        value = getattr(holder, name)
        require(name, value, kind, type(None), *others)
        if isinstance(value, int):
            require_at_least_1(name, value)
