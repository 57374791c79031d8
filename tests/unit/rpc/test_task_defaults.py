"""Tasks of a namespace that has defaults: what is stored, and which calls are the same call again."""

from __future__ import annotations

from typing import Any

import pytest
from unit.rpc.test_policy_requests import NOW, message
from unit.rpc.test_task_update import as_stored

from mainspring.server.core.model import Delivery, Task
from mainspring.server.core.policies import Misfire, MisfireMode, Overlap, Policies, Retry, decode
from mainspring.server.core.task_defaults import NO_DEFAULTS, TaskDefaults
from mainspring.server.errors import InvalidRequest
from mainspring.server.rpc.convert import task_to_proto
from mainspring.server.rpc.task_update import checked_mask, updated
from mainspring.server.rpc.validation import Limits, contradicts, new_task
from mainspring.v1 import task_pb2

HERE = TaskDefaults(
    Delivery.AT_LEAST_ONCE,
    Policies(
        misfire=Misfire(MisfireMode.NONE), overlap=Overlap.BUFFER_ONE, retry=Retry(max_attempts=3), keep=9
    ),
)


def registered(defaults: TaskDefaults = HERE, **fields: Any) -> Task:
    new = new_task(
        message(**fields), prefix="task", now=NOW, partition_count=16, limits=Limits(), defaults=defaults
    )
    return as_stored(new)


def changed(stored: Task, mask: list[str], defaults: TaskDefaults = HERE, **fields: Any) -> Task:
    given = task_pb2.Task(**fields)
    after = updated(
        stored,
        given,
        checked_mask(mask),
        now=NOW + 1,
        partition_count=16,
        limits=Limits(),
        defaults=defaults,
    )
    assert after is not None
    return after


def test_a_task_is_stored_with_what_it_got() -> None:
    stored = registered(timeouts={"heartbeat": "5s"})
    policies = decode(stored.policies)
    assert (policies.misfire.mode, policies.overlap, policies.retry.max_attempts, policies.keep) == (
        MisfireMode.NONE,
        Overlap.BUFFER_ONE,
        3,
        9,
    )
    assert policies.timeouts.heartbeat_us == 5_000_000
    answer = task_to_proto(stored)
    assert (answer.retry.max_attempts, answer.keep_executions) == (3, 9)


def test_the_same_words_are_the_same_call_whatever_the_namespace_says_by_then() -> None:
    stored = registered()
    for defaults in (NO_DEFAULTS, HERE, TaskDefaults(Delivery.AT_MOST_ONCE)):
        assert registered(defaults).definition_hash == stored.definition_hash
    assert not contradicts(message(), stored)


@pytest.mark.parametrize(
    "fields",
    [
        {"retry": {}},
        {"misfire": {"mode": "MISFIRE_MODE_LATEST"}},
        {"overlap": "OVERLAP_POLICY_SKIP"},
    ],
)
def test_to_say_what_holds_elsewhere_is_another_call(fields: dict[str, Any]) -> None:
    """The hash cannot tell: without the namespace these are the defaults."""
    stored = registered()
    assert registered(**fields).definition_hash == stored.definition_hash
    assert contradicts(message(**fields), stored)
    assert not contradicts(message(**fields), registered(**fields))
    assert not contradicts(message(**fields), registered(NO_DEFAULTS))


def test_another_delivery_is_another_call() -> None:
    stored = registered(TaskDefaults(Delivery.AT_MOST_ONCE))
    assert stored.delivery is Delivery.AT_MOST_ONCE
    assert contradicts(message(delivery="DELIVERY_MODE_AT_LEAST_ONCE"), stored)
    assert not contradicts(message(), stored)


def test_an_update_that_leaves_a_field_unset_takes_it_from_the_namespace() -> None:
    stored = registered(NO_DEFAULTS, retry={"max_attempts": 8})
    after = changed(stored, ["retry"])
    policies = decode(after.policies)
    assert (policies.retry.max_attempts, policies.keep, policies.overlap) == (3, 0, None)
    said_none = changed(stored, ["retry"], retry=task_pb2.Task().retry)
    assert decode(said_none.policies).retry.max_attempts == 1
    assert decode(changed(stored, ["retry"], NO_DEFAULTS).policies).retry.max_attempts == 1


def test_an_update_of_something_else_takes_nothing() -> None:
    stored = registered(NO_DEFAULTS)
    assert changed(stored, ["payload"], payload=b"new").policies == ""


def test_what_is_answered_after_an_update_is_the_same_call_again() -> None:
    after = changed(registered(), ["payload"], payload=b"new")
    again = new_task(
        task_to_proto(after), prefix="task", now=NOW, partition_count=16, limits=Limits(), defaults=HERE
    )
    assert (again.definition_hash, again.policies) == (after.definition_hash, after.policies)


def test_what_is_too_long_together_is_refused() -> None:
    kinds = [f"{number:02d}" + "k" * 85 for number in range(20)]
    long = TaskDefaults(Delivery.AT_LEAST_ONCE, Policies(retry=Retry(2, non_retryable=tuple(kinds))))
    assert registered(long).policies
    longer = Policies(retry=Retry(2, non_retryable=tuple(kind + "k" * 10 for kind in kinds)))
    with pytest.raises(InvalidRequest) as refused:
        registered(TaskDefaults(Delivery.AT_LEAST_ONCE, longer))
    assert [v.field for v in refused.value.violations] == ["task.retry.non_retryable_error_kinds"]
