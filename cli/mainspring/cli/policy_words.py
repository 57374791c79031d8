"""Policies and labels of tasks -> words of tables, for people. PURE."""

from collections.abc import Mapping

from mainspring.cli.durations import format_duration
from mainspring.cli.visible import visible
from mainspring.client import (
    Delivery,
    MisfireMode,
    MisfirePolicy,
    OverlapPolicy,
    RetryPolicy,
    Task,
    TaskDefaults,
    Timeouts,
)


def policy_details(holder: Task | TaskDefaults) -> list[tuple[str, str]]:
    """The policies of a task, or of a namespace for its tasks, as labels and words; empty where nothing is said."""
    objective, keep = holder.lateness_objective, holder.keep_executions
    return [
        ("delivery", "" if holder.delivery is None else _name(holder.delivery)),
        ("misfire", misfire_words(holder.misfire)),
        ("overlap", overlap_words(holder.overlap)),
        ("retry", retry_words(holder.retry)),
        ("timeouts", timeouts_words(holder.timeouts)),
        ("objective", "" if objective is None else format_duration(objective)),
        ("keep", "" if keep is None else f"{keep:,} executions"),
    ]


def misfire_words(misfire: MisfirePolicy | None) -> str:
    """Which of the missed times run; empty when nothing is known."""
    if misfire is None:
        return ""
    words = _name(misfire.mode)
    if misfire.mode is MisfireMode.ALL:
        if misfire.catch_up_window is not None:
            words += f" of the last {format_duration(misfire.catch_up_window)}"
        if misfire.catch_up_limit is not None:
            words += f", at most {misfire.catch_up_limit:,}"
    return words


def overlap_words(overlap: OverlapPolicy | None) -> str:
    """What becomes of overlapping executions; empty when nothing is known."""
    return "" if overlap is None else _name(overlap)


def retry_words(retry: RetryPolicy | None) -> str:
    """Which failed attempts are followed by another, and when; empty without a policy."""
    if retry is None:
        return ""
    attempts = "attempt" if retry.max_attempts == 1 else "attempts"
    words = f"up to {retry.max_attempts:,} {attempts}, {format_duration(retry.initial_backoff)} apart"
    if retry.multiplier != 1:
        words += f", then {retry.multiplier:g} times as long each"
    if retry.max_backoff is not None:
        words += f", at most {format_duration(retry.max_backoff)}"
    if retry.jitter:
        words += f", jitter {retry.jitter:g}"
    if retry.non_retryable_error_kinds:
        words += f"; not after {visible(', '.join(retry.non_retryable_error_kinds))}"
    return words


def timeouts_words(timeouts: Timeouts | None) -> str:
    """The timeouts that there are; empty without any."""
    if timeouts is None:
        return ""
    named = (
        ("start", timeouts.schedule_to_start),
        ("run", timeouts.start_to_finish),
        ("heartbeat", timeouts.heartbeat),
    )
    return ", ".join(f"{name} {format_duration(length)}" for name, length in named if length is not None)


def labels_words(labels: Mapping[str, str]) -> str:
    """The labels as options would say them, in the order of their keys."""
    return visible(", ".join(f"{key}={value}" for key, value in sorted(labels.items())))


def _name(member: Delivery | MisfireMode | OverlapPolicy) -> str:
    return member.name.lower().replace("_", " ")
