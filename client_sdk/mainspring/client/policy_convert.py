"""Policies: protobuf messages <-> the client's value types."""

from datetime import timedelta
from typing import Protocol

from mainspring.client.enum_numbers import from_number, to_number
from mainspring.client.instants import from_duration, put_duration
from mainspring.client.policies import MisfireMode, MisfirePolicy, OverlapPolicy, RetryPolicy, Timeouts
from mainspring.client.unchanged import LeftAlone
from mainspring.v1 import namespace_service_pb2, task_pb2
from mainspring.v1 import policy_pb2 as pb

Message = task_pb2.Task | namespace_service_pb2.TaskDefaults
"""Both have these fields, under the same names."""


class Policies(Protocol):
    """The policies of a task or of a namespace; None is the default, `UNCHANGED` says nothing of it."""

    @property
    def misfire(self) -> MisfirePolicy | LeftAlone | None: ...
    @property
    def overlap(self) -> OverlapPolicy | LeftAlone | None: ...
    @property
    def retry(self) -> RetryPolicy | LeftAlone | None: ...
    @property
    def timeouts(self) -> Timeouts | LeftAlone | None: ...
    @property
    def lateness_objective(self) -> timedelta | LeftAlone | None: ...
    @property
    def keep_executions(self) -> int | LeftAlone | None: ...


def put_policies(message: Message, said: Policies) -> None:
    """Set the fields of a message; what is None or not said is left unset, which is the server's default.

    Raises:
        ValueError: One holds a mode that a newer server has answered and this client does not know.
    """
    if isinstance(said.misfire, MisfirePolicy):
        message.misfire.CopyFrom(_misfire_to_proto(said.misfire))
    if isinstance(said.overlap, OverlapPolicy):
        message.overlap = to_number("overlap", said.overlap)
    if isinstance(said.retry, RetryPolicy):
        message.retry.CopyFrom(_retry_to_proto(said.retry))
    if isinstance(timeouts := said.timeouts, Timeouts):
        message.timeouts.SetInParent()
        put_duration(message.timeouts.schedule_to_start, timeouts.schedule_to_start)
        put_duration(message.timeouts.start_to_finish, timeouts.start_to_finish)
        put_duration(message.timeouts.heartbeat, timeouts.heartbeat)
    if isinstance(said.lateness_objective, timedelta):
        put_duration(message.lateness_objective, said.lateness_objective)
    if isinstance(said.keep_executions, int):
        message.keep_executions = said.keep_executions


def misfire_from_proto(message: Message) -> MisfirePolicy | None:
    """Return the misfire policy of a task; None where the server told none."""
    if not message.HasField("misfire"):
        return None
    misfire = message.misfire
    return MisfirePolicy(
        mode=from_number(MisfireMode, misfire.mode or MisfireMode.LATEST.value),
        catch_up_window=from_duration(misfire.catch_up_window)
        if misfire.HasField("catch_up_window")
        else None,
        catch_up_limit=misfire.catch_up_limit or None,
    )


def overlap_from_proto(message: Message) -> OverlapPolicy | None:
    """Return the overlap policy of a task; None where the server told none."""
    return from_number(OverlapPolicy, message.overlap) if message.overlap else None


def retry_from_proto(message: Message) -> RetryPolicy | None:
    """Return the retry policy of a task; None where it has none."""
    if not message.HasField("retry"):
        return None
    retry, default = message.retry, RetryPolicy()
    return RetryPolicy(
        max_attempts=retry.max_attempts or default.max_attempts,
        initial_backoff=(
            from_duration(retry.initial_backoff)
            if retry.HasField("initial_backoff")
            else default.initial_backoff
        ),
        max_backoff=from_duration(retry.max_backoff) if retry.HasField("max_backoff") else None,
        multiplier=retry.multiplier or default.multiplier,
        jitter=retry.jitter,
        non_retryable_error_kinds=tuple(retry.non_retryable_error_kinds),
    )


def timeouts_from_proto(message: Message) -> Timeouts | None:
    """Return the timeouts of a task; None where it has none."""
    if not message.HasField("timeouts"):
        return None
    timeouts = message.timeouts

    def of(field: str) -> timedelta | None:
        return from_duration(getattr(timeouts, field)) if timeouts.HasField(field) else None

    return Timeouts(of("schedule_to_start"), of("start_to_finish"), of("heartbeat"))


def _misfire_to_proto(misfire: MisfirePolicy) -> pb.MisfirePolicy:
    message = pb.MisfirePolicy(
        mode=to_number("mode", misfire.mode), catch_up_limit=misfire.catch_up_limit or 0
    )
    put_duration(message.catch_up_window, misfire.catch_up_window)
    return message


def _retry_to_proto(retry: RetryPolicy) -> pb.RetryPolicy:
    message = pb.RetryPolicy(
        max_attempts=retry.max_attempts,
        multiplier=retry.multiplier,
        jitter=retry.jitter,
        non_retryable_error_kinds=retry.non_retryable_error_kinds,
    )
    put_duration(message.initial_backoff, retry.initial_backoff)
    put_duration(message.max_backoff, retry.max_backoff)
    return message
