"""What the options of policies say -> the policies of a task. PURE.

Which options go together is checked here; whether a value is allowed is for the server to say.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, TypedDict

import typer

from mainspring.cli.policy_options import PolicyOptions, TaskPolicyOptions
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

_MISFIRE: Final = {
    "catch_up_window": "catch_up_window",
    "catch_up_limit": "catch_up_limit",
}
_RETRY: Final = {
    "retry_attempts": "max_attempts",
    "retry_backoff": "initial_backoff",
    "retry_max_backoff": "max_backoff",
    "retry_multiplier": "multiplier",
    "retry_jitter": "jitter",
    "no_retry_on": "non_retryable_error_kinds",
}
_TIMEOUTS: Final = {
    "timeout_start": "schedule_to_start",
    "timeout_run": "start_to_finish",
    "timeout_heartbeat": "heartbeat",
}
"""Options, and the attributes of the policy that they are parts of."""


_WHOLE: Final = {"delivery", "overlap", "objective", "keep"}
"""Options that say all there is to say."""


def says_parts(said: PolicyOptions) -> bool:
    """Whether some options are parts of what there is, which has to be read for it."""
    return not _WHOLE.issuperset(said.said())


class ReadPolicies(TypedDict, total=False):
    """The policies that were said, under the names of `NewTask`, `TaskUpdate` and `TaskDefaults`."""

    delivery: Delivery
    misfire: MisfirePolicy
    overlap: OverlapPolicy
    retry: RetryPolicy
    timeouts: Timeouts
    lateness_objective: timedelta
    keep_executions: int


class ReadTaskPolicies(ReadPolicies, total=False):
    """The same, and the labels."""

    labels: dict[str, str]


def read_task_policies(said: TaskPolicyOptions, before: Task | None = None) -> ReadTaskPolicies:
    """Return the policies and labels that the options say something about.

    Args:
        said: The options.
        before: The task whose policies and labels they change: what is not said of a policy stays as it is there.

    Raises:
        typer.BadParameter: Options do not go together, or a label cannot be read.
    """
    read = read_policies(said, before)
    if not said.label:
        return {**read}  # type: ignore[typeddict-item]  # without labels
    return {**read, "labels": {**(before.labels if before else {}), **read_labels(said.label)}}


def read_policies(said: PolicyOptions, before: Task | TaskDefaults | None = None) -> ReadPolicies:
    """Return the policies that the options say something about.

    Args:
        said: The options.
        before: Whose policies they change: what is not said of a policy stays as it is there.

    Raises:
        typer.BadParameter: Options do not go together.
    """
    read: ReadPolicies = {}
    if said.delivery is not None:
        read["delivery"] = Delivery[said.delivery.name]
    if said.misfire is not None or _parts(said, _MISFIRE):
        read["misfire"] = _misfire(said, before.misfire if before else None)
    if said.overlap is not None:
        read["overlap"] = OverlapPolicy[said.overlap.name]
    if parts := _parts(said, _RETRY):
        read["retry"] = retry = replace((before and before.retry) or RetryPolicy(), **parts)
        if retry.max_attempts == 1 and said.retry_attempts is None:
            raise typer.BadParameter("goes with --retry-attempts only", param_hint=_option(said, _RETRY))
    if parts := _parts(said, _TIMEOUTS):
        read["timeouts"] = replace((before and before.timeouts) or Timeouts(), **parts)
    if said.objective is not None:
        read["lateness_objective"] = said.objective
    if said.keep is not None:
        read["keep_executions"] = said.keep
    return read


def read_labels(texts: Iterable[str]) -> dict[str, str]:
    """Return the labels that options say, each as KEY=VALUE.

    Raises:
        typer.BadParameter: One has no `=`, or a key comes twice.
    """
    labels: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise typer.BadParameter(
                f"{text!r} is not a label; write it like team=billing", param_hint="--label"
            )
        if key in labels:
            raise typer.BadParameter(f"{key!r} is given twice", param_hint="--label")
        labels[key] = value
    return labels


def _misfire(said: PolicyOptions, before: MisfirePolicy | None) -> MisfirePolicy:
    policy = before or MisfirePolicy()
    if said.misfire is not None:
        mode = MisfireMode[said.misfire.name]
        policy = replace(policy, mode=mode) if mode is MisfireMode.ALL else MisfirePolicy(mode)
    parts = _parts(said, _MISFIRE)
    if parts and policy.mode is not MisfireMode.ALL:
        raise typer.BadParameter("goes with --misfire all only", param_hint=_option(said, _MISFIRE))
    return replace(policy, **parts)


def _parts(said: PolicyOptions, attributes: dict[str, str]) -> dict[str, Any]:
    given = said.said()
    return {attributes[name]: getattr(said, name) for name in attributes if name in given}


def _option(said: PolicyOptions, attributes: dict[str, str]) -> str:
    """The first of these options that was given, as it was written."""
    return "--" + next(name for name in said.said() if name in attributes).replace("_", "-")
