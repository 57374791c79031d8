"""Namespaces of callers: what is understood and refused, and what an update mask changes."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from mainspring.server.core.model import Delivery
from mainspring.server.core.namespaces import DAY_US, Namespace
from mainspring.server.core.policies import Overlap, decode
from mainspring.server.errors import InvalidField, InvalidRequest
from mainspring.server.rpc.namespace_messages import (
    FIELDS,
    checked_mask,
    checked_namespace,
    namespace_to_proto,
    updated,
)
from mainspring.v1 import namespace_service_pb2 as pb

NOW = 1_900_000_000_000_000
DEFAULTS: dict[str, Any] = {
    "misfire": {"mode": "MISFIRE_MODE_ALL", "catch_up_window": "3600s", "catch_up_limit": 5},
    "overlap": "OVERLAP_POLICY_SKIP",
    "retry": {
        "max_attempts": 3,
        "initial_backoff": "2s",
        "max_backoff": "60s",
        "multiplier": 3.0,
        "jitter": 0.5,
        "non_retryable_error_kinds": ["KeyError"],
    },
    "timeouts": {"schedule_to_start": "60s", "start_to_finish": "600s", "heartbeat": "30s"},
    "lateness_objective": "5s",
    "keep_executions": 9,
}


def message(**fields: Any) -> pb.Namespace:
    return json_format.ParseDict({"name": "a", **fields}, pb.Namespace())


def stored(**fields: Any) -> Namespace:
    namespace = checked_namespace(message(**fields))
    return Namespace(
        "a", namespace.retention_us, NOW, NOW, 1, delivery=namespace.delivery, policies=namespace.policies
    )


def changed(before: Namespace, given: pb.Namespace, *mask: str) -> Namespace:
    after = updated(before, given, checked_mask(given, mask), now=NOW + 1)
    assert after is not None
    assert (after.version, after.updated_at, after.created_at) == (2, NOW + 1, NOW)
    return after


def test_what_is_said_is_answered() -> None:
    given = message(retention="86400s", task_defaults=DEFAULTS)
    answer = namespace_to_proto(checked_namespace(given))
    assert answer.task_defaults == given.task_defaults
    assert answer.retention == given.retention


def test_what_is_as_it_is_anyway_is_answered_as_unset() -> None:
    said = {
        "delivery": "DELIVERY_MODE_AT_LEAST_ONCE",
        "misfire": {},
        "retry": {},
        "lateness_objective": "10s",
    }
    namespace = checked_namespace(message(task_defaults=said))
    assert namespace.policies == ""
    assert not namespace_to_proto(namespace).HasField("task_defaults")


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"retry": {"max_attempts": -1}}, "retry.max_attempts"),
        ({"timeouts": {"heartbeat": "0.5s"}}, "timeouts.heartbeat"),
        ({"overlap": 9}, "overlap"),
        ({"delivery": 9}, "delivery"),
        ({"delivery": "DELIVERY_MODE_AT_MOST_ONCE", "retry": {"max_attempts": 2}}, "retry"),
        ({"keep_executions": -1}, "keep_executions"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], at_fault: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        checked_namespace(message(task_defaults=fields))
    assert [v.field for v in refused.value.violations] == [f"namespace.task_defaults.{at_fault}"]


def test_without_a_mask_what_is_set_changes() -> None:
    before = stored(task_defaults=DEFAULTS)
    after = changed(before, message(retention="172800s"))
    assert (after.retention_us, after.policies) == (2 * DAY_US, before.policies)
    after = changed(before, message(task_defaults={"keep_executions": 5}))
    assert (after.retention_us, decode(after.policies).keep) == (before.retention_us, 5)
    assert decode(after.policies).retry.max_attempts == 1, "as a whole"


def test_a_mask_changes_what_it_names() -> None:
    before = stored(retention="86400s", task_defaults=DEFAULTS)
    given = message(task_defaults={"retry": {"max_attempts": 7}, "overlap": "OVERLAP_POLICY_ALLOW"})
    after = changed(before, given, "task_defaults.retry")
    policies = decode(after.policies)
    assert (policies.retry.max_attempts, policies.overlap, policies.keep) == (7, Overlap.SKIP, 9)
    assert after.retention_us == DAY_US
    cleared = changed(before, message(), "task_defaults.retry", "task_defaults.keep_executions", "retention")
    policies = decode(cleared.policies)
    assert (policies.retry.max_attempts, policies.keep, cleared.retention_us) == (1, 0, 30 * DAY_US)
    assert changed(before, message(), "task_defaults").policies == ""
    at_most = changed(
        before,
        message(task_defaults={"delivery": "DELIVERY_MODE_AT_MOST_ONCE"}),
        "task_defaults.delivery",
        "task_defaults.retry",
    )
    assert at_most.delivery is Delivery.AT_MOST_ONCE


def test_what_the_fields_are_together_is_checked() -> None:
    given = message(task_defaults={"delivery": "DELIVERY_MODE_AT_MOST_ONCE"})
    with pytest.raises(InvalidRequest):
        changed(stored(task_defaults=DEFAULTS), given, "task_defaults.delivery")


def test_the_same_again_changes_nothing() -> None:
    before = stored(retention="86400s", task_defaults=DEFAULTS)
    assert updated(before, namespace_to_proto(before), frozenset(FIELDS), now=NOW + 1) is None
    assert updated(before, message(), checked_mask(message(), ()), now=NOW + 1) is None


def test_a_mask_that_names_something_else_is_refused() -> None:
    for path in ("name", "task_defaults.labels", "etag"):
        with pytest.raises(InvalidField, match=path):
            checked_mask(message(), [path])
