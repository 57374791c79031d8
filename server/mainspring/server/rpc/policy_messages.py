"""Policies as the API shows them."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from mainspring.server.core.policies import DEFAULT, Misfire, MisfireMode, Policies
from mainspring.server.core.schedule import Schedule
from mainspring.server.core.task_defaults import NO_DEFAULTS, TaskDefaults
from mainspring.server.rpc.policy_requests import PolicyMessage
from mainspring.v1 import namespace_service_pb2, policy_pb2, task_pb2


def put_policies(policies: Policies, schedule: Schedule, message: task_pb2.Task) -> None:
    """Sets the fields of a task, defaults filled in. Read as a request they give the same policies again.

    What has no default but "none" stays unset: a retry policy that retries nothing, a timeout that never ends.
    """
    _put_misfire(policies.misfire, message.misfire)
    message.overlap = policies.overlap_of(schedule).value  # type: ignore[assignment]  # the numbers are the proto's
    _put_retry_and_timeouts(policies, message)
    message.lateness_objective.FromMicroseconds(policies.objective_us)
    message.keep_executions = policies.keep


def put_defaults(defaults: TaskDefaults, message: namespace_service_pb2.TaskDefaults) -> None:
    """Sets the fields of a namespace's defaults: those that are not as they are for all tasks anyway."""
    policies = defaults.policies
    if defaults.delivery is not NO_DEFAULTS.delivery:
        message.delivery = defaults.delivery.value  # type: ignore[assignment]
    if policies.misfire != DEFAULT.misfire:
        _put_misfire(policies.misfire, message.misfire)
    if policies.overlap is not None:
        message.overlap = policies.overlap.value  # type: ignore[assignment]
    _put_retry_and_timeouts(policies, message)
    if policies.objective_us != DEFAULT.objective_us:
        message.lateness_objective.FromMicroseconds(policies.objective_us)
    message.keep_executions = policies.keep


def _put_misfire(misfire: Misfire, message: policy_pb2.MisfirePolicy) -> None:
    message.mode = misfire.mode.value  # type: ignore[assignment]
    if misfire.mode is MisfireMode.ALL:
        message.catch_up_window.FromMicroseconds(misfire.window_us)
        message.catch_up_limit = misfire.limit


def _put_retry_and_timeouts(policies: Policies, message: PolicyMessage) -> None:
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


def _put(length_us: int, message: Duration) -> None:
    """Leaves the field unset for 0: reading a message field of a message does not set it."""
    if length_us:
        message.FromMicroseconds(length_us)
