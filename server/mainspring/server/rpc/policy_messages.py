"""Policies as the API shows them."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from mainspring.server.core.policies import DEFAULT, MisfireMode, Policies
from mainspring.server.core.schedule import Schedule
from mainspring.v1 import task_pb2


def put_policies(policies: Policies, schedule: Schedule, message: task_pb2.Task) -> None:
    """Sets the fields of a task, defaults filled in. Read as a request they give the same policies again.

    What has no default but "none" stays unset: a retry policy that retries nothing, a timeout that never ends.
    """
    misfire = message.misfire
    misfire.mode = policies.misfire.mode.value  # type: ignore[assignment]  # the numbers are the proto's
    if policies.misfire.mode is MisfireMode.ALL:
        misfire.catch_up_window.FromMicroseconds(policies.misfire.window_us)
        misfire.catch_up_limit = policies.misfire.limit
    message.overlap = policies.overlap_of(schedule).value  # type: ignore[assignment]  # the numbers are the proto's
    if policies.retry != DEFAULT.retry:
        retry = message.retry
        retry.max_attempts = policies.retry.max_attempts
        retry.initial_backoff.FromMicroseconds(policies.retry.initial_us)
        retry.max_backoff.FromMicroseconds(policies.retry.max_us)
        retry.multiplier = policies.retry.multiplier
        retry.jitter = policies.retry.jitter
        retry.non_retryable_error_kinds.extend(policies.retry.non_retryable)
    timeouts = policies.timeouts
    if timeouts != DEFAULT.timeouts:
        _put(timeouts.schedule_to_start_us, message.timeouts.schedule_to_start)
        _put(timeouts.start_to_finish_us, message.timeouts.start_to_finish)
        _put(timeouts.heartbeat_us, message.timeouts.heartbeat)
    message.lateness_objective.FromMicroseconds(policies.objective_us)
    message.keep_executions = policies.keep


def _put(length_us: int, message: Duration) -> None:
    """Leaves the field unset for 0: reading a message field of a message does not set it."""
    if length_us:
        message.FromMicroseconds(length_us)
