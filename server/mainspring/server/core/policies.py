"""What a task says about trouble: missed times, overlapping executions, failures, slowness. Values and their stored text.

Durations are int microseconds. The stored text is canonical JSON without what has its default, so a task that asks for
nothing has the empty text. A key that this version does not know is refused, never ignored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final, TypeVar

from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.schedule import OneTime, Schedule
from mainspring.server.errors import UnreadablePolicies


class MisfireMode(IntEnum):
    """Which missed times run. The numbers are the proto's."""

    NONE = 1
    LATEST = 2
    ALL = 3


class Overlap(IntEnum):
    """What becomes of a scheduled time while an execution of its task is open. The numbers are the proto's."""

    ALLOW = 1
    SKIP = 2
    BUFFER_ONE = 3
    REPLACE = 4


@dataclass(frozen=True, slots=True)
class Misfire:
    """What becomes of missed times.

    Attributes:
        mode: which of them run.
        window_us: with ALL, how far back.
        limit: with ALL, how many, the latest ones.
    """

    mode: MisfireMode = MisfireMode.LATEST
    window_us: int = 24 * 3_600 * SECOND_US
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Retry:
    """Whether and when another attempt follows a failed one.

    Attributes:
        max_attempts: how many may fail in all.
        initial_us: the wait after the first failure.
        max_us: the longest wait.
        multiplier: of each wait to the one before.
        jitter: the largest part, 0 to 1, by which a wait is shortened at random.
        non_retryable: error kinds that end the execution.
    """

    max_attempts: int = 1
    initial_us: int = SECOND_US
    max_us: int = 100 * SECOND_US
    multiplier: float = 2.0
    jitter: float = 0.0
    non_retryable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the stages of an execution may take; 0: any time.

    Attributes:
        schedule_to_start_us: from the due time to the start of the first attempt.
        start_to_finish_us: of one attempt.
        heartbeat_us: from one sign of progress to the next.
    """

    schedule_to_start_us: int = 0
    start_to_finish_us: int = 0
    heartbeat_us: int = 0


@dataclass(frozen=True, slots=True)
class Policies:
    """All of it.

    Attributes:
        misfire, retry, timeouts: see there.
        overlap: None is the default of the task's kind of schedule; ask `overlap_of`.
        objective_us: the lateness that the task is meant to keep.
        keep: how many final executions are kept; 0: as many as the namespace keeps.
    """

    misfire: Misfire = Misfire()
    overlap: Overlap | None = None
    retry: Retry = Retry()
    timeouts: Timeouts = Timeouts()
    objective_us: int = 10 * SECOND_US
    keep: int = 0

    def overlap_of(self, schedule: Schedule) -> Overlap:
        """The policy for a task of that schedule: recurring ones skip unless they say otherwise."""
        if self.overlap is not None:
            return self.overlap
        return Overlap.ALLOW if isinstance(schedule.timing, OneTime) else Overlap.SKIP


DEFAULT: Final = Policies()
_Value = TypeVar("_Value")


def encode(policies: Policies) -> str:
    """The canonical text, as stored; empty when everything has its default."""
    record = _record(policies)
    return json.dumps(record, sort_keys=True, separators=(",", ":")) if record else ""


@lru_cache(maxsize=16_384)
def decode(text: str) -> Policies:
    """The policies of a stored text. Equal texts give the same object while it is cached.

    Raises:
        UnreadablePolicies: not a text of `encode`, or one with keys or values that this version does not know.
    """
    if not text:
        return DEFAULT
    try:
        return _value(Policies, json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise UnreadablePolicies(f"stored policies are not understood ({error}): {text[:200]!r}") from error


def _record(value: Any) -> dict[str, Any]:
    """The fields that differ from their defaults."""
    record: dict[str, Any] = {}
    default = type(value)()
    for field in fields(value):
        own = getattr(value, field.name)
        if own == getattr(default, field.name):
            continue
        if is_dataclass(own):
            record[field.name] = _record(own)
        elif isinstance(own, IntEnum):
            record[field.name] = own.name
        else:
            record[field.name] = list(own) if isinstance(own, tuple) else own
    return record


def _value(of: type[_Value], record: Any) -> _Value:
    if not isinstance(record, dict):
        raise TypeError(f"{of.__name__} is not an object")
    default: Any = of()
    known = {field.name: getattr(default, field.name) for field in fields(default)}
    values: dict[str, Any] = {}
    for name, given in record.items():
        if name not in known:
            raise KeyError(name)
        usual = known[name]
        if is_dataclass(usual):
            values[name] = _value(type(usual), given)
        elif name in ("mode", "overlap"):
            values[name] = (MisfireMode if name == "mode" else Overlap)[given]
        elif isinstance(usual, tuple):
            values[name] = tuple(given)
        elif type(given) is type(usual) or (isinstance(usual, float) and type(given) is int):
            values[name] = type(usual)(given)
        else:
            raise TypeError(f"{name} is not of type {type(usual).__name__}")
    return of(**values)
