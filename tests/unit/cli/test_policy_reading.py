"""Options of policies -> policies: what is said, on top of what the task has, and nothing else."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import typer
from unit.cli.samples import TASK

from mainspring.cli.policy_options import DeliveryChoice, MisfireChoice, OverlapChoice, TaskPolicyOptions
from mainspring.cli.policy_reading import read_task_policies
from mainspring.client import Delivery, MisfireMode, MisfirePolicy, OverlapPolicy, RetryPolicy, Timeouts

SECOND = timedelta(seconds=1)
BARE = replace(TASK, labels={}, misfire=None, overlap=None, retry=None, timeouts=None)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({}, {}),
        ({"misfire": MisfireChoice.NONE}, {"misfire": MisfirePolicy(MisfireMode.NONE)}),
        (
            {"misfire": MisfireChoice.ALL, "catch_up_window": SECOND, "catch_up_limit": 7},
            {"misfire": MisfirePolicy(MisfireMode.ALL, SECOND, 7)},
        ),
        ({"delivery": DeliveryChoice.AT_MOST_ONCE}, {"delivery": Delivery.AT_MOST_ONCE}),
        ({"overlap": OverlapChoice.BUFFER_ONE}, {"overlap": OverlapPolicy.BUFFER_ONE}),
        (
            {
                "retry_attempts": 3,
                "retry_backoff": SECOND,
                "retry_max_backoff": 2 * SECOND,
                "retry_multiplier": 1.5,
                "retry_jitter": 0.25,
                "no_retry_on": ["ValueError", "KeyError"],
            },
            {"retry": RetryPolicy(3, SECOND, 2 * SECOND, 1.5, 0.25, ["ValueError", "KeyError"])},
        ),
        (
            {"timeout_start": SECOND, "timeout_run": 2 * SECOND, "timeout_heartbeat": 3 * SECOND},
            {"timeouts": Timeouts(SECOND, 2 * SECOND, 3 * SECOND)},
        ),
        ({"timeout_run": SECOND}, {"timeouts": Timeouts(start_to_finish=SECOND)}),
        ({"label": ["team=billing", "note=a=b", "empty="]}, {"labels": {"team": "billing", "note": "a=b", "empty": ""}}),
        ({"objective": SECOND, "keep": 9}, {"lateness_objective": SECOND, "keep_executions": 9}),
    ],
)  # fmt: skip
def test_of_a_new_task_or_one_without_policies(said: dict[str, Any], read: dict[str, Any]) -> None:
    assert read_task_policies(TaskPolicyOptions(**said)) == read
    assert read_task_policies(TaskPolicyOptions(**said), BARE) == read


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({}, {}),
        ({"catch_up_limit": 7}, {"misfire": MisfirePolicy(MisfireMode.ALL, timedelta(hours=6), 7)}),
        ({"misfire": MisfireChoice.ALL}, {"misfire": TASK.misfire}),
        ({"misfire": MisfireChoice.LATEST}, {"misfire": MisfirePolicy()}),
        ({"retry_jitter": 0.0}, {"retry": replace(TASK.retry or RetryPolicy(), jitter=0.0)}),
        (
            {"timeout_run": SECOND},
            {"timeouts": Timeouts(timedelta(minutes=1), SECOND, timedelta(seconds=30))},
        ),
        ({"label": ["tier=2", "new=1"]}, {"labels": {"team": "billing", "tier": "2", "new": "1"}}),
    ],
)
def test_what_is_not_said_of_a_policy_stays(said: dict[str, Any], read: dict[str, Any]) -> None:
    assert read_task_policies(TaskPolicyOptions(**said), TASK) == read


@pytest.mark.parametrize(
    ("said", "option", "complaint"),
    [
        ({"catch_up_window": SECOND}, "--catch-up-window", "goes with --misfire all only"),
        ({"catch_up_limit": 1, "misfire": MisfireChoice.NONE}, "--catch-up-limit", "goes with --misfire all only"),
        ({"retry_backoff": SECOND}, "--retry-backoff", "goes with --retry-attempts only"),
        ({"no_retry_on": ["E"]}, "--no-retry-on", "goes with --retry-attempts only"),
        ({"label": ["team"]}, "--label", "'team' is not a label; write it like team=billing"),
        ({"label": ["=billing"]}, "--label", "'=billing' is not a label"),
        ({"label": ["a=1", "a=2"]}, "--label", "'a' is given twice"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(said: dict[str, Any], option: str, complaint: str) -> None:
    with pytest.raises(typer.BadParameter, match=complaint) as caught:
        read_task_policies(TaskPolicyOptions(**said))
    assert caught.value.param_hint == option
