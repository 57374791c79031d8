"""Policies of callers: from a task's message to checked `Policies`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration

from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.policies import (
    DEFAULT,
    Misfire,
    MisfireMode,
    Overlap,
    Policies,
    Retry,
    Timeouts,
    encode,
)
from mainspring.server.core.schedule import Schedule
from mainspring.server.core.task_defaults import DELIVERY, OVERLAP, RETRY
from mainspring.server.errors import InvalidField, InvalidRequest
from mainspring.server.rpc.instants import DAY_US, duration_us
from mainspring.v1 import namespace_service_pb2, policy_pb2, task_pb2

LONGEST_TEXT = 2_000
"""Characters of stored policies: the width of their column."""
LONGEST_WINDOW_US = 30 * DAY_US
MOST_CATCH_UPS = 1_000
MOST_ATTEMPTS = 1_000
LONGEST_BACKOFF_US = DAY_US
BACKOFF_RATIO = 100
"""The longest wait, if nothing is said of it, in units of the first."""
LARGEST_MULTIPLIER = 10
MOST_KINDS = 20
KIND_CHARACTERS = 200
SHORTEST_TIMEOUT_US = SECOND_US
LONGEST_TIMEOUT_US = 365 * DAY_US

_T = TypeVar("_T")
_M = TypeVar("_M", bound=IntEnum)


_FIELDS = {
    "delivery": DELIVERY,
    "misfire": "misfire",
    "overlap": OVERLAP,
    "retry": RETRY,
    "timeouts": "timeouts",
    "lateness_objective": "objective_us",
    "keep_executions": "keep",
}
"""What a namespace may have defaults for: names of the API, and of `core.task_defaults`."""

PolicyMessage = task_pb2.Task | namespace_service_pb2.TaskDefaults
"""Both have these fields, under the same names."""


@dataclass(frozen=True, slots=True)
class RequestedPolicies:
    """Checked policies.

    Attributes:
        policies: defaults are filled in; an overlap that is the default of the schedule is left open.
        text: their stored form.
        words: what is not at its default, for the hash of the definition. Their form must not change (`validation`).
    """

    policies: Policies
    text: str
    words: list[str]


def left_open(task: task_pb2.Task, among: Collection[str] | None = None) -> frozenset[str]:
    """What a task says nothing of and its namespace may: names of `core.task_defaults`.

    Args:
        among: names of fields of the API that count; None: all.
    """
    said = {descriptor.name for descriptor, _ in task.ListFields()}
    return frozenset(
        own for name, own in _FIELDS.items() if name not in said and (among is None or name in among)
    )


def stored_text(policies: Policies) -> str:
    """The stored form of policies.

    Raises:
        InvalidField: it is too long.
    """
    text = encode(policies)
    if len(text) > LONGEST_TEXT:
        raise InvalidField(
            "retry.non_retryable_error_kinds",
            f"take {len(text):,} characters when stored with the other policies; at most {LONGEST_TEXT:,} are allowed",
        )
    return text


def checked_policies(task: PolicyMessage, schedule: Schedule | None) -> RequestedPolicies:
    """Checks what a task says about trouble, or a namespace for its tasks.

    Args:
        schedule: the task's; None when it is not valid, or there is none, and the default of the overlap unknown with it.

    Raises:
        InvalidRequest: names every message at fault; paths begin within the task.
    """
    if not _says_anything(task):
        return RequestedPolicies(DEFAULT, "", [])
    violations: list[InvalidField] = []

    def checked(check: Callable[[PolicyMessage], _T], otherwise: _T) -> _T:
        try:
            return check(task)
        except InvalidField as violation:
            violations.append(violation)
            return otherwise

    overlap = checked(_overlap, None)
    if schedule is not None and overlap is DEFAULT.overlap_of(schedule):
        overlap = None
    policies = Policies(
        misfire=checked(_misfire, DEFAULT.misfire),
        overlap=overlap,
        retry=checked(_retry, DEFAULT.retry),
        timeouts=checked(_timeouts, DEFAULT.timeouts),
        objective_us=checked(_objective_us, DEFAULT.objective_us),
        keep=checked(_keep, DEFAULT.keep),
    )
    text = ""
    if not violations:
        try:
            text = stored_text(policies)
        except InvalidField as violation:
            violations.append(violation)
    if violations:
        raise InvalidRequest(violations)
    return RequestedPolicies(policies, text, ["policies", text] if text else [])


def _says_anything(task: PolicyMessage) -> bool:
    """Whether any policy is said. Most tasks say none, and then there is nothing to check."""
    return (
        task.overlap != 0
        or task.keep_executions != 0
        or task.HasField("misfire")
        or task.HasField("retry")
        or task.HasField("timeouts")
        or task.HasField("lateness_objective")
    )


def _misfire(task: PolicyMessage) -> Misfire:
    message = task.misfire
    try:
        mode = _member(MisfireMode, message.mode, "mode") or MisfireMode.LATEST
        if mode is not MisfireMode.ALL:
            for field, is_set in (
                ("catch_up_window", message.HasField("catch_up_window")),
                ("catch_up_limit", message.catch_up_limit != 0),
            ):
                if is_set:
                    raise InvalidField(field, "goes with MISFIRE_MODE_ALL only")
            return Misfire(mode)
        window_us = DEFAULT.misfire.window_us
        if message.HasField("catch_up_window"):
            window_us = _duration(message.catch_up_window, "catch_up_window", 0, LONGEST_WINDOW_US, "30 days")
        limit = _count(message.catch_up_limit, "catch_up_limit", DEFAULT.misfire.limit, MOST_CATCH_UPS)
        return Misfire(mode, window_us, limit)
    except InvalidField as violation:
        raise violation.within("misfire") from None


def _overlap(task: PolicyMessage) -> Overlap | None:
    return _member(Overlap, task.overlap, "overlap")


def _retry(task: PolicyMessage) -> Retry:
    message = task.retry
    try:
        initial_us = DEFAULT.retry.initial_us
        if message.HasField("initial_backoff"):
            initial_us = _duration(
                message.initial_backoff, "initial_backoff", 0, LONGEST_BACKOFF_US, "24 hours"
            )
        max_us = min(BACKOFF_RATIO * initial_us, LONGEST_BACKOFF_US)
        if message.HasField("max_backoff"):
            max_us = _duration(message.max_backoff, "max_backoff", 0, LONGEST_BACKOFF_US, "24 hours")
            if max_us < initial_us:
                raise InvalidField("max_backoff", "is less than initial_backoff")
        multiplier = message.multiplier or DEFAULT.retry.multiplier
        # Written so that NaN is refused.
        if not 1 <= multiplier <= LARGEST_MULTIPLIER:
            raise InvalidField("multiplier", f"must lie between 1 and {LARGEST_MULTIPLIER}")
        if not 0 <= message.jitter <= 1:
            raise InvalidField("jitter", "must lie between 0 and 1")
        retry = Retry(
            max_attempts=_count(
                message.max_attempts, "max_attempts", DEFAULT.retry.max_attempts, MOST_ATTEMPTS
            ),
            initial_us=initial_us,
            max_us=max_us,
            multiplier=multiplier,
            jitter=message.jitter,
            non_retryable=_kinds(message.non_retryable_error_kinds),
        )
    except InvalidField as violation:
        raise violation.within("retry") from None
    if retry.max_attempts > 1 and task.delivery == task_pb2.DELIVERY_MODE_AT_MOST_ONCE:
        raise InvalidField(
            "retry", "does not go with delivery at most once: each attempt is another time that it is sent"
        )
    return retry


def _kinds(kinds: Iterable[str]) -> tuple[str, ...]:
    given = tuple(kinds)
    field = "non_retryable_error_kinds"
    if len(given) > MOST_KINDS:
        raise InvalidField(field, f"holds {len(given)}; at most {MOST_KINDS} are allowed")
    for index, kind in enumerate(given):
        if not 1 <= len(kind) <= KIND_CHARACTERS:
            raise InvalidField(
                f"{field}[{index}]", f"has {len(kind)} characters; 1 to {KIND_CHARACTERS} are allowed"
            )
    return tuple(sorted(set(given)))


def _timeouts(task: PolicyMessage) -> Timeouts:
    message: policy_pb2.Timeouts = task.timeouts

    def of(value: Duration, field: str, is_set: bool) -> int:
        if not is_set:
            return 0
        return _duration(
            value, f"timeouts.{field}", SHORTEST_TIMEOUT_US, LONGEST_TIMEOUT_US, "365 days", "1 s"
        )

    return Timeouts(
        of(message.schedule_to_start, "schedule_to_start", message.HasField("schedule_to_start")),
        of(message.start_to_finish, "start_to_finish", message.HasField("start_to_finish")),
        of(message.heartbeat, "heartbeat", message.HasField("heartbeat")),
    )


def _objective_us(task: PolicyMessage) -> int:
    if not task.HasField("lateness_objective"):
        return DEFAULT.objective_us
    objective_us = duration_us(task.lateness_objective, "lateness_objective")
    if objective_us == 0:
        raise InvalidField("lateness_objective", "must be more than 0; leave it out for 10 s")
    return objective_us


def _keep(task: PolicyMessage) -> int:
    if task.keep_executions < 0:
        raise InvalidField("keep_executions", "is negative")
    return task.keep_executions


def _duration(
    value: Duration, field: str, least_us: int, most_us: int, most_words: str, least_words: str = "0 s"
) -> int:
    length_us = duration_us(value, field)
    if not least_us <= length_us <= most_us:
        raise InvalidField(field, f"must lie between {least_words} and {most_words}")
    return length_us


def _count(value: int, field: str, usual: int, most: int) -> int:
    if not 0 <= value <= most:
        raise InvalidField(field, f"must lie between 1 and {most:,}; 0 stands for {usual}")
    return value or usual


def _member(of: type[_M], number: int, field: str) -> _M | None:
    """None when it was left out."""
    if number == 0:
        return None
    try:
        return of(number)
    except ValueError:
        known = ", ".join(f"{member.value} {member.name}" for member in of)
        raise InvalidField(field, f"is {number}, which this server does not know: it knows {known}") from None
