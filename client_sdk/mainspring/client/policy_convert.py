"""Policies: protobuf messages <-> the client's value types."""

from datetime import timedelta

from mainspring.client.enum_numbers import from_number, to_number
from mainspring.client.instants import from_duration, put_duration
from mainspring.client.policies import MisfireMode, MisfirePolicy, OverlapPolicy, RetryPolicy, Timeouts
from mainspring.v1 import policy_pb2 as pb
from mainspring.v1 import task_pb2


def put_policies(
    message: task_pb2.Task,
    *,
    misfire: MisfirePolicy | None,
    overlap: OverlapPolicy | None,
    retry: RetryPolicy | None,
    timeouts: Timeouts | None,
    lateness_objective: timedelta | None,
    keep_executions: int | None,
) -> None:
    """Set the fields of a task's message; what is None is left unset, which is the server's default.

    Raises:
        ValueError: One holds a mode that a newer server has answered and this client does not know.
    """
    if misfire is not None:
        message.misfire.CopyFrom(_misfire_to_proto(misfire))
    if overlap is not None:
        message.overlap = to_number("overlap", overlap)
    if retry is not None:
        message.retry.CopyFrom(_retry_to_proto(retry))
    if timeouts is not None:
        message.timeouts.SetInParent()
        put_duration(message.timeouts.schedule_to_start, timeouts.schedule_to_start)
        put_duration(message.timeouts.start_to_finish, timeouts.start_to_finish)
        put_duration(message.timeouts.heartbeat, timeouts.heartbeat)
    put_duration(message.lateness_objective, lateness_objective)
    message.keep_executions = keep_executions or 0


def misfire_from_proto(message: task_pb2.Task) -> MisfirePolicy | None:
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


def overlap_from_proto(message: task_pb2.Task) -> OverlapPolicy | None:
    """Return the overlap policy of a task; None where the server told none."""
    return from_number(OverlapPolicy, message.overlap) if message.overlap else None


def retry_from_proto(message: task_pb2.Task) -> RetryPolicy | None:
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


def timeouts_from_proto(message: task_pb2.Task) -> Timeouts | None:
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
