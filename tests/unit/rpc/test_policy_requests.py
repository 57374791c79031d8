"""Policies and labels of callers: what is understood, what is refused and with which field, and what is answered."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format
from unit.core.short import cron, once
from unit.rpc.test_task_update import as_stored

from mainspring.server.core.model import NewTask
from mainspring.server.core.policies import decode
from mainspring.server.errors import InvalidRequest
from mainspring.server.rpc.convert import task_to_proto
from mainspring.server.rpc.policy_requests import checked_policies
from mainspring.server.rpc.validation import Limits, new_task
from mainspring.v1 import task_pb2

NOW = 1_795_683_600_000_000  # 2026-11-26T09:00:00Z
CRON = cron("0 9 * * *")
SCHEDULE = {"cron": {"expressions": ["0 9 * * *"], "time_zone": "UTC"}}
HASH_WITHOUT_POLICIES = "60cfad85"  # as in test_schedule_requests


def message(**fields: Any) -> task_pb2.Task:
    return json_format.ParseDict({"id": "t", "handler": "h", "schedule": SCHEDULE, **fields}, task_pb2.Task())


def registered(task: task_pb2.Task) -> NewTask:
    return new_task(task, prefix="task", now=NOW, partition_count=16, limits=Limits())


def answered(new: NewTask) -> task_pb2.Task:
    """What GetTask says of a task that was just registered."""
    return task_to_proto(as_stored(new))


UNDERSTOOD: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, ""),
    "defaults said": (
        {
            "misfire": {"mode": "MISFIRE_MODE_LATEST"},
            "overlap": "OVERLAP_POLICY_SKIP",
            "retry": {"max_attempts": 1, "initial_backoff": "1s", "max_backoff": "100s", "multiplier": 2},
            "timeouts": {},
            "lateness_objective": "10s",
            "keep_executions": 0,
        },
        "",
    ),
    "none of the missed": ({"misfire": {"mode": 1}}, '{"misfire":{"mode":"NONE"}}'),
    "all of the missed": (
        {"misfire": {"mode": 3, "catch_up_window": "86400s", "catch_up_limit": 100}},
        '{"misfire":{"mode":"ALL"}}',
    ),
    "bounded": (
        {"misfire": {"mode": 3, "catch_up_window": "2592000s", "catch_up_limit": 1000}},
        '{"misfire":{"limit":1000,"mode":"ALL","window_us":2592000000000}}',
    ),
    "no window at all": (
        {"misfire": {"mode": 3, "catch_up_window": "0s"}},
        '{"misfire":{"mode":"ALL","window_us":0}}',
    ),
    "allow": ({"overlap": 1}, '{"overlap":"ALLOW"}'),
    "buffer": ({"overlap": 3}, '{"overlap":"BUFFER_ONE"}'),
    "replace": ({"overlap": 4}, '{"overlap":"REPLACE"}'),
    "five attempts": ({"retry": {"max_attempts": 5}}, '{"retry":{"max_attempts":5}}'),
    "another first wait": (
        {"retry": {"max_attempts": 5, "initial_backoff": "0.5s"}},
        '{"retry":{"initial_us":500000,"max_attempts":5,"max_us":50000000}}',
    ),
    "no wait": (
        {"retry": {"max_attempts": 2, "initial_backoff": "0s"}},
        '{"retry":{"initial_us":0,"max_attempts":2,"max_us":0}}',
    ),
    "the longest wait": (
        {"retry": {"max_attempts": 2, "initial_backoff": "3600s"}},
        '{"retry":{"initial_us":3600000000,"max_attempts":2,"max_us":86400000000}}',
    ),
    "all of a retry": (
        {
            "retry": {
                "max_attempts": 1000,
                "initial_backoff": "2s",
                "max_backoff": "2s",
                "multiplier": 1.5,
                "jitter": 0.25,
                "non_retryable_error_kinds": ["ValueError", "KeyError", "ValueError"],
            }
        },
        '{"retry":{"initial_us":2000000,"jitter":0.25,"max_attempts":1000,"max_us":2000000,"multiplier":1.5,'
        '"non_retryable":["KeyError","ValueError"]}}',
    ),
    "one timeout": ({"timeouts": {"heartbeat": "1s"}}, '{"timeouts":{"heartbeat_us":1000000}}'),
    "timeouts": (
        {"timeouts": {"schedule_to_start": "60s", "start_to_finish": "31536000s", "heartbeat": "30s"}},
        '{"timeouts":{"heartbeat_us":30000000,"schedule_to_start_us":60000000,"start_to_finish_us":31536000000000}}',
    ),
    "objective": ({"lateness_objective": "0.000001s"}, '{"objective_us":1}'),
    "keep": ({"keep_executions": 7}, '{"keep":7}'),
}


@pytest.mark.parametrize(("fields", "text"), UNDERSTOOD.values(), ids=UNDERSTOOD)
def test_understood_and_answered_so_that_it_is_understood_again(fields: dict[str, Any], text: str) -> None:
    requested = checked_policies(message(**fields), CRON)
    assert requested.text == text
    assert requested.policies == decode(text)
    new = registered(message(**fields))
    assert new.policies == text
    again = registered(answered(new))
    assert (again.policies, again.definition_hash) == (text, new.definition_hash)


def test_each_is_another_definition_but_for_what_says_defaults() -> None:
    hashes = {name: registered(message(**fields)).definition_hash for name, (fields, _) in UNDERSTOOD.items()}
    assert hashes["nothing"].hex()[:8] == HASH_WITHOUT_POLICIES
    assert hashes["defaults said"] == hashes["nothing"]
    assert len({*hashes.values()}) == len(hashes) - 1


def test_the_hash_of_policies_and_labels_is_frozen() -> None:
    asked = message(overlap=4, labels={"b": "2", "a": "1"})
    assert registered(asked).definition_hash.hex()[:8] == "ca335144"


def test_a_task_that_says_nothing_answers_what_holds() -> None:
    task = answered(registered(message()))
    assert json_format.MessageToDict(task, preserving_proto_field_name=True) | {
        "misfire": {"mode": "MISFIRE_MODE_LATEST"},
        "overlap": "OVERLAP_POLICY_SKIP",
        "lateness_objective": "10s",
        "etag": task.etag,
    } == json_format.MessageToDict(task, preserving_proto_field_name=True)
    for field in ("retry", "timeouts"):
        assert not task.HasField(field)  # type: ignore[arg-type]


def test_all_is_answered_with_its_bounds() -> None:
    misfire = answered(registered(message(misfire={"mode": 3}))).misfire
    assert (misfire.catch_up_window.ToSeconds(), misfire.catch_up_limit) == (86_400, 100)


def test_a_wait_of_nothing_is_answered_as_said() -> None:
    retry = answered(registered(message(retry={"max_attempts": 2, "initial_backoff": "0s"}))).retry
    assert retry.HasField("initial_backoff")
    assert retry.initial_backoff.ToMicroseconds() == 0


def test_the_default_of_the_overlap_is_that_of_the_schedule() -> None:
    for name, of_cron, of_once in (("ALLOW", '{"overlap":"ALLOW"}', ""), ("SKIP", "", '{"overlap":"SKIP"}')):
        task = message(overlap=f"OVERLAP_POLICY_{name}")
        assert checked_policies(task, CRON).text == of_cron
        assert checked_policies(task, once(5)).text == of_once
    single = answered(registered(message(schedule={"delay": "5s"})))
    assert single.overlap == 1


KINDS = "non_retryable_error_kinds"
REFUSED = {
    "mode": ({"misfire": {"mode": 9}}, "misfire.mode", "it knows 1 NONE, 2 LATEST, 3 ALL"),
    "window without all": ({"misfire": {"catch_up_window": "5s"}}, "misfire.catch_up_window", "ALL only"),
    "limit without all": (
        {"misfire": {"mode": 1, "catch_up_limit": 5}},
        "misfire.catch_up_limit",
        "ALL only",
    ),
    "window": ({"misfire": {"mode": 3, "catch_up_window": "2592001s"}}, "misfire.catch_up_window", "30 days"),
    "negative window": (
        {"misfire": {"mode": 3, "catch_up_window": "-1s"}},
        "misfire.catch_up_window",
        "negative",
    ),
    "limit": ({"misfire": {"mode": 3, "catch_up_limit": 1_001}}, "misfire.catch_up_limit", "1 and 1,000"),
    "negative limit": ({"misfire": {"mode": 3, "catch_up_limit": -1}}, "misfire.catch_up_limit", "between"),
    "overlap": ({"overlap": 5}, "overlap", "it knows 1 ALLOW, 2 SKIP, 3 BUFFER_ONE, 4 REPLACE"),
    "attempts": ({"retry": {"max_attempts": 1_001}}, "retry.max_attempts", "between 1 and 1,000"),
    "negative attempts": ({"retry": {"max_attempts": -1}}, "retry.max_attempts", "between"),
    "first wait": ({"retry": {"initial_backoff": "86401s"}}, "retry.initial_backoff", "24 hours"),
    "negative wait": ({"retry": {"initial_backoff": "-1s"}}, "retry.initial_backoff", "negative"),
    "longest wait": ({"retry": {"max_backoff": "86400.000001s"}}, "retry.max_backoff", "24 hours"),
    "waits turned round": ({"retry": {"max_backoff": "0.5s"}}, "retry.max_backoff", "less than initial"),
    "multiplier": ({"retry": {"multiplier": 0.5}}, "retry.multiplier", "between 1 and 10"),
    "large multiplier": ({"retry": {"multiplier": 10.5}}, "retry.multiplier", "between 1 and 10"),
    "no multiplier": ({"retry": {"multiplier": "NaN"}}, "retry.multiplier", "between 1 and 10"),
    "jitter": ({"retry": {"jitter": 1.5}}, "retry.jitter", "between 0 and 1"),
    "no jitter": ({"retry": {"jitter": "NaN"}}, "retry.jitter", "between 0 and 1"),
    "at most once": ({"retry": {"max_attempts": 2}, "delivery": 2}, "retry", "at most once"),
    "21 kinds": ({"retry": {KINDS: ["E"] * 21}}, f"retry.{KINDS}", "holds 21"),
    "empty kind": ({"retry": {KINDS: ["E", ""]}}, f"retry.{KINDS}[1]", "1 to 200"),
    "long kind": ({"retry": {KINDS: ["E" * 201]}}, f"retry.{KINDS}[0]", "201"),
    "too long to store": (
        {"retry": {KINDS: [f"{n:0200}" for n in range(10)]}},
        f"retry.{KINDS}",
        "at most 2,000",
    ),
    "short start": ({"timeouts": {"schedule_to_start": "0s"}}, "timeouts.schedule_to_start", "between 1 s"),
    "short end": ({"timeouts": {"start_to_finish": "0.999999s"}}, "timeouts.start_to_finish", "1 s and 365"),
    "long heartbeat": ({"timeouts": {"heartbeat": "31536001s"}}, "timeouts.heartbeat", "1 s and 365 days"),
    "objective": ({"lateness_objective": "0s"}, "lateness_objective", "more than 0"),
    "negative objective": ({"lateness_objective": "-1s"}, "lateness_objective", "negative"),
    "keep": ({"keep_executions": -1}, "keep_executions", "negative"),
    "33 labels": ({"labels": {f"k{n}": "" for n in range(33)}}, "labels", "at most 32"),
    "label without a key": ({"labels": {"": "v"}}, "labels[]", "1 to 63"),
    "long key": ({"labels": {"k" * 64: "v"}}, f"labels[{'k' * 63}]", "1 to 63"),
    "long value": ({"labels": {"a": "v", "k": "v" * 64}}, "labels[k]", "at most 63"),
    "control character": ({"labels": {"k": "a\nb"}}, "labels", "control character"),
    "labels too long to store": (
        {"labels": {f"{n:02}" + '"' * 61: "v" * 63 for n in range(32)}},
        "labels",
        "at most 4,300",
    ),
}


@pytest.mark.parametrize(("fields", "field", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused(fields: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        registered(message(**fields))
    (violation,) = error.value.violations
    assert violation.field == f"task.{field}"
    assert reason in violation.description


def test_at_most_once_goes_with_a_retry_that_is_none() -> None:
    registered(message(delivery=2, retry={"max_attempts": 1, "jitter": 0.5}))


def test_every_policy_at_fault_is_named_whatever_the_schedule() -> None:
    task = message(schedule={}, overlap=9, retry={"jitter": 2}, misfire={"mode": 9}, keep_executions=-1)
    with pytest.raises(InvalidRequest) as error:
        registered(task)
    assert {violation.field for violation in error.value.violations} == {
        f"task.{field}"
        for field in ("schedule.kind", "overlap", "retry.jitter", "misfire.mode", "keep_executions")
    }


def test_labels_have_one_text_whatever_their_order_and_come_back() -> None:
    there = {"team": "zahlen", "größe": '"L"', "a": ""}
    back = dict(reversed(there.items()))
    first, second = registered(message(labels=there)), registered(message(labels=back))
    assert first.labels == '{"a":"","größe":"\\"L\\"","team":"zahlen"}'
    assert (first.labels, first.definition_hash) == (second.labels, second.definition_hash)
    assert first.definition_hash != registered(message()).definition_hash
    assert dict(answered(first).labels) == there
    assert registered(message()).labels == ""


def test_the_largest_labels_fit() -> None:
    labels = {f"{n:02}" + "ß" * 61: "ü" * 63 for n in range(32)}
    assert dict(answered(registered(message(labels=labels))).labels) == labels
