"""Policies and labels: the same after any way over the wire, the server's defaults left to it, wrong types refused."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta
from enum import Enum

import pytest
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from hypothesis import given
from unit.client.policy_strategies import NEW_TASKS

from mainspring.client import (
    Cron,
    Delivery,
    ExecutionOrigin,
    MisfireMode,
    MisfirePolicy,
    NewTask,
    OverlapPolicy,
    RetryPolicy,
    TaskChange,
    Timeouts,
)
from mainspring.client.convert import execution_from_proto, new_task_to_proto, task_from_proto
from mainspring.v1 import execution_pb2, policy_pb2, task_pb2, task_service_pb2

HOUR = timedelta(hours=1)


@given(NEW_TASKS)
def test_every_definition_survives_the_way_there_and_back(new: NewTask) -> None:
    sent = task_pb2.Task.FromString(new_task_to_proto(new).SerializeToString())
    task = task_from_proto(sent)
    assert {each.name: getattr(task, each.name) for each in fields(new)} == {
        each.name: getattr(new, each.name) for each in fields(new)
    }


def test_a_message_says_what_the_values_say() -> None:
    new = NewTask(
        "h",
        Cron("@daily"),
        task_id="daily",
        delivery=Delivery.AT_LEAST_ONCE,
        labels={"team": "billing"},
        misfire=MisfirePolicy(MisfireMode.ALL, HOUR, 7),
        overlap=OverlapPolicy.REPLACE,
        retry=RetryPolicy(3, HOUR, 2 * HOUR, 1.5, 0.25, ["ValueError"]),
        timeouts=Timeouts(HOUR, 2 * HOUR, 3 * HOUR),
        lateness_objective=HOUR,
        keep_executions=9,
    )
    hour = {"seconds": 3_600}
    expected = task_pb2.Task(
        namespace="default",
        id="daily",
        handler="h",
        delivery=task_pb2.DELIVERY_MODE_AT_LEAST_ONCE,
        labels={"team": "billing"},
        misfire=policy_pb2.MisfirePolicy(
            mode=policy_pb2.MISFIRE_MODE_ALL, catch_up_window=hour, catch_up_limit=7
        ),
        overlap=policy_pb2.OVERLAP_POLICY_REPLACE,
        retry=policy_pb2.RetryPolicy(
            max_attempts=3,
            initial_backoff=hour,
            max_backoff={"seconds": 7_200},
            multiplier=1.5,
            jitter=0.25,
            non_retryable_error_kinds=["ValueError"],
        ),
        timeouts=policy_pb2.Timeouts(
            schedule_to_start=hour, start_to_finish={"seconds": 7_200}, heartbeat={"seconds": 10_800}
        ),
        lateness_objective=hour,
        keep_executions=9,
    )
    message = new_task_to_proto(new)
    message.ClearField("schedule")
    assert message == expected


def test_what_is_not_said_is_left_to_the_server() -> None:
    message = new_task_to_proto(NewTask("h", Cron("@daily")))
    said = {field.name for field, _ in message.ListFields()}
    assert said == {"namespace", "id", "handler", "schedule"}


def test_defaults_that_a_server_leaves_out_are_filled_in() -> None:
    task = task_from_proto(
        task_pb2.Task(
            misfire=policy_pb2.MisfirePolicy(),
            retry=policy_pb2.RetryPolicy(),
            timeouts=policy_pb2.Timeouts(),
        )
    )
    assert (task.misfire, task.retry, task.timeouts) == (MisfirePolicy(), RetryPolicy(), Timeouts())
    bare = task_from_proto(task_pb2.Task())
    assert (bare.misfire, bare.overlap, bare.retry, bare.timeouts) == (None, None, None, None)
    assert (bare.lateness_objective, bare.keep_executions, bare.labels) == (None, None, {})


def test_what_a_newer_server_says_is_unspecified_and_cannot_be_sent_back() -> None:
    message = task_pb2.Task(misfire=policy_pb2.MisfirePolicy(mode=99), overlap=99)  # type: ignore[arg-type]
    task = task_from_proto(message)
    assert task.overlap is OverlapPolicy.UNSPECIFIED
    assert task.misfire is not None
    assert task.misfire.mode is MisfireMode.UNSPECIFIED
    plain = NewTask("h", Cron("@daily"))
    for unknown in (replace(plain, overlap=task.overlap), replace(plain, misfire=task.misfire)):
        with pytest.raises(ValueError, match="this client does not know what the server meant"):
            new_task_to_proto(unknown)
    execution = execution_from_proto(execution_pb2.Execution(origin=99))  # type: ignore[arg-type]
    assert execution.origin is ExecutionOrigin.UNSPECIFIED


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: MisfirePolicy("all"), TypeError, "mode must be MisfireMode; got str 'all'"),  # type: ignore[arg-type]
        (lambda: MisfirePolicy(catch_up_window=60), TypeError, "catch_up_window must be timedelta or None"),  # type: ignore[arg-type]
        (lambda: MisfirePolicy(catch_up_limit=0), ValueError, "catch_up_limit must be at least 1; got 0"),
        (lambda: RetryPolicy(0), ValueError, "max_attempts must be at least 1; got 0"),
        (lambda: RetryPolicy(1, 5), TypeError, "initial_backoff must be timedelta"),  # type: ignore[arg-type]
        (lambda: RetryPolicy(multiplier=0.5), ValueError, "multiplier must be at least 1; got 0.5"),
        (lambda: RetryPolicy(multiplier=float("nan")), ValueError, "multiplier must be at least 1; got nan"),
        (
            lambda: RetryPolicy(non_retryable_error_kinds=[ValueError]),  # type: ignore[list-item]
            TypeError,
            r"non_retryable_error_kinds\[0\] must be str",
        ),
        (lambda: Timeouts(heartbeat=5), TypeError, "heartbeat must be timedelta or None; got int 5"),  # type: ignore[arg-type]
        (lambda: NewTask("h", Cron("* * * * *"), retry=3), TypeError, "retry must be RetryPolicy or None"),  # type: ignore[arg-type]
        (
            lambda: NewTask("h", Cron("* * * * *"), labels={"tier": 1}),  # type: ignore[dict-item]
            TypeError,
            r"labels\['tier'\] must be str; got int 1",
        ),
        (
            lambda: NewTask("h", Cron("* * * * *"), labels="a=b"),  # type: ignore[arg-type]
            TypeError,
            "labels must be a mapping of str to str; got str 'a=b'",
        ),
        (
            lambda: NewTask("h", Cron("* * * * *"), keep_executions=0),
            ValueError,
            "keep_executions must be at least 1; got 0",
        ),
    ],
)
def test_mistakes_show_where_they_are_made(
    build: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build()


def test_values_can_be_compared_and_be_keys() -> None:
    labels = {"team": "billing"}
    task = NewTask("h", Cron("@daily"), labels=labels, retry=RetryPolicy(non_retryable_error_kinds=["E"]))
    same = replace(task, retry=RetryPolicy(non_retryable_error_kinds=("E",)))
    assert {task: "found"}[same] == "found"
    labels["team"] = "sales"
    assert task.labels == {"team": "billing"}, "what was given may change later"


@pytest.mark.parametrize(
    ("members", "numbers", "prefix"),
    [
        (MisfireMode, policy_pb2.MisfireMode, "MISFIRE_MODE"),
        (OverlapPolicy, policy_pb2.OverlapPolicy, "OVERLAP_POLICY"),
        (ExecutionOrigin, execution_pb2.ExecutionOrigin, "EXECUTION_ORIGIN"),
        (TaskChange, task_service_pb2.TaskChange, "TASK_CHANGE"),
        (Delivery, task_pb2.DeliveryMode, "DELIVERY_MODE"),
    ],
)
def test_the_enums_are_those_of_the_protos(
    members: type[Enum], numbers: EnumTypeWrapper, prefix: str
) -> None:
    expected = {name: number for name, number in numbers.items() if number or members is not TaskChange}
    assert {f"{prefix}_{member.name}": member.value for member in members} == expected
