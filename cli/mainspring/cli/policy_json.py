"""Policies in the JSON form of the protos; see `json_form`. PURE."""

from mainspring.cli.json_values import JsonObject, duration_json
from mainspring.client import MisfirePolicy, RetryPolicy, Task, TaskDefaults, Timeouts


def delivery_json(task: Task | TaskDefaults) -> str | None:
    """The delivery; null where nothing is said of it."""
    return None if task.delivery is None else f"DELIVERY_MODE_{task.delivery.name}"


def policies_json(task: Task | TaskDefaults) -> JsonObject:
    """The policies of a task, or of a namespace for its tasks, under the names that the protos have for them."""
    return {
        "misfire": _misfire(task.misfire),
        "overlap": None if task.overlap is None else f"OVERLAP_POLICY_{task.overlap.name}",
        "retry": _retry(task.retry),
        "timeouts": _timeouts(task.timeouts),
        "lateness_objective": duration_json(task.lateness_objective),
        "keep_executions": task.keep_executions,
    }


def _misfire(misfire: MisfirePolicy | None) -> JsonObject | None:
    if misfire is None:
        return None
    return {
        "mode": f"MISFIRE_MODE_{misfire.mode.name}",
        "catch_up_window": duration_json(misfire.catch_up_window),
        "catch_up_limit": misfire.catch_up_limit,
    }


def _retry(retry: RetryPolicy | None) -> JsonObject | None:
    if retry is None:
        return None
    return {
        "max_attempts": retry.max_attempts,
        "initial_backoff": duration_json(retry.initial_backoff),
        "max_backoff": duration_json(retry.max_backoff),
        "multiplier": retry.multiplier,
        "jitter": retry.jitter,
        "non_retryable_error_kinds": list(retry.non_retryable_error_kinds),
    }


def _timeouts(timeouts: Timeouts | None) -> JsonObject | None:
    if timeouts is None:
        return None
    return {
        "schedule_to_start": duration_json(timeouts.schedule_to_start),
        "start_to_finish": duration_json(timeouts.start_to_finish),
        "heartbeat": duration_json(timeouts.heartbeat),
    }
