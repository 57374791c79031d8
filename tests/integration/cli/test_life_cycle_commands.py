"""The commands that change tasks and executions, as processes, against a node in memory."""

import json
from copy import deepcopy

import pytest
from google.protobuf import json_format
from integration.cli.conftest import Mainspring
from integration.memory import MEANING
from integration.memory_node import MemoryNode

from mainspring.v1 import (
    execution_pb2,
    execution_service_pb2,
    policy_pb2,
    schedule_pb2,
    task_pb2,
    task_service_pb2,
)

POLICIES = {
    "labels": {"team": "billing"},
    "misfire": {"mode": "MISFIRE_MODE_ALL", "catch_up_window": "7200s", "catch_up_limit": 50},
    "overlap": "OVERLAP_POLICY_BUFFER_ONE",
    "retry": {
        "max_attempts": 5,
        "initial_backoff": "10s",
        "max_backoff": "300s",
        "multiplier": 1.5,
        "jitter": 0.25,
        "non_retryable_error_kinds": ["ValueError"],
    },
    "timeouts": {"schedule_to_start": "60s", "start_to_finish": "7200s", "heartbeat": "30s"},
    "lateness_objective": "2s",
    "keep_executions": 100,
}
POLICY_OPTIONS = [
    *("--label", "team=billing", "--misfire", "all", "--catch-up-window", "2h", "--catch-up-limit", "50"),
    *("--overlap", "buffer-one", "--retry-attempts", "5", "--retry-backoff", "10s"),
    *("--retry-max-backoff", "5m", "--retry-multiplier", "1.5", "--retry-jitter", "0.25"),
    *("--no-retry-on", "ValueError", "--timeout-start", "1m", "--timeout-run", "2h"),
    *("--timeout-heartbeat", "30s", "--objective", "2s", "--keep", "100"),
]
EXECUTION = json_format.ParseDict(
    {
        "namespace": "default",
        "task_id": "daily",
        "scheduled_time": "2030-06-01T12:00:00Z",
        "due_time": "2030-06-01T12:00:00Z",
        "state": "EXECUTION_STATE_FAILED",
        "origin": "EXECUTION_ORIGIN_SCHEDULE",
        "attempt": 1,
        "reason": "no paper",
    },
    execution_pb2.Execution(),
)
WHEN = "2030-06-01T14:00:00+02:00"


@pytest.fixture
def daily(memory_node: MemoryNode) -> task_pb2.Task:
    """A task with all policies."""
    task = json_format.ParseDict(
        {
            "namespace": "default",
            "id": "daily",
            "handler": "report",
            "payload": "YQ==",
            "state": "TASK_STATE_ACTIVE",
            "version": 1,
            "etag": "v1",
            **POLICIES,
        },
        task_pb2.Task(),
    )
    memory_node.tasks["default", "daily"] = task
    return task


async def test_create_sends_every_policy_and_answers_it(
    memory_node: MemoryNode, mainspring: Mainspring
) -> None:
    done = await mainspring("task", "create", "report", "--every", "1m", *POLICY_OPTIONS, "--json")
    sent = memory_node.requests[-1].task
    for name, value in POLICIES.items():
        assert json_format.MessageToDict(sent, preserving_proto_field_name=True)[name] == value, name
    answer = json_format.ParseDict(done.json(), task_service_pb2.CreateTaskResponse())
    assert answer.task == memory_node.tasks["default", answer.task.id]
    await mainspring("task", "create", "report", "--every", "1m")
    unsaid = {field.name for field, _ in memory_node.requests[-1].task.ListFields()}
    assert unsaid == {"namespace", "id", "handler", "schedule"}


async def test_update_changes_what_is_said_and_keeps_the_rest_of_a_policy(
    memory_node: MemoryNode, mainspring: Mainspring, daily: task_pb2.Task
) -> None:
    before = deepcopy(daily)
    done = await mainspring(
        *("task", "update", "daily", "--cron", "0 8 * * *", "--retry-attempts", "9", "--label", "tier=1"),
        *("--clear", "timeouts", "--clear", "keep", "--json"),
    )
    request = memory_node.requests[-1]
    assert sorted(request.update_mask.paths) == ["keep_executions", "labels", "retry", "schedule", "timeouts"]
    assert request.etag == "v1", "what was kept is what was read"
    answer = json_format.ParseDict(done.json(), task_service_pb2.UpdateTaskResponse())
    assert answer.meaning == MEANING
    after = answer.task
    assert (after.handler, after.payload, after.misfire) == ("report", b"a", before.misfire)
    assert after.schedule.cron == schedule_pb2.CronSchedule(
        expressions=["0 8 * * *"],
        time_zone="UTC",
        gap_policy=schedule_pb2.GAP_POLICY_FIRE_AFTER,
        repeat_policy=schedule_pb2.REPEAT_POLICY_FIRST,
    )
    assert dict(after.labels) == {"team": "billing", "tier": "1"}
    expected = deepcopy(before.retry)
    expected.max_attempts = 9
    assert after.retry == expected
    assert after.timeouts == policy_pb2.Timeouts()
    assert after.keep_executions == 0


async def test_update_of_what_needs_no_reading_expects_no_etag(
    memory_node: MemoryNode, mainspring: Mainspring, daily: task_pb2.Task
) -> None:
    done = await mainspring(
        *("task", "update", "daily", "--handler", "other", "--payload", "-", "--delivery", "at-most-once"),
        stdin=b"\x00\xff",
    )
    assert done.code == 0, done.stderr
    assert (memory_node.requests[-1].etag, len(memory_node.requests)) == ("", 1)
    assert (daily.handler, daily.payload) == ("other", b"\x00\xff")
    assert daily.delivery == task_pb2.DELIVERY_MODE_AT_MOST_ONCE
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert ["meaning", MEANING] in lines
    assert ["timeouts", "start 1m, run 2h, heartbeat 30s"] in lines


async def test_a_stale_etag_is_told_with_what_to_do(
    memory_node: MemoryNode, mainspring: Mainspring, daily: task_pb2.Task
) -> None:
    done = await mainspring("task", "update", "daily", "--handler", "other", "--etag", "v0")
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr == (
        "error: the task is at v1 (ABORTED)\nAnother change came first. Look at the task again, then repeat.\n"
    )
    assert daily.handler == "report"


async def test_pause_and_resume_tell_why_and_who(
    memory_node: MemoryNode, mainspring: Mainspring, daily: task_pb2.Task
) -> None:
    who = {"MAINSPRING_USER": "ada"}
    paused = await mainspring("task", "pause", "daily", "--note", "moving", "--json", environment=who)
    document = paused.json()
    assert (document["state"], document["note"], document["changed_by"]) == (
        "TASK_STATE_PAUSED",
        "moving",
        "ada",
    )
    resumed = await mainspring("task", "resume", "daily", "--by", "bob", "--etag", document["etag"])
    lines = [line.split() for line in resumed.stdout.splitlines()]
    assert ["state", "ACTIVE"] in lines
    assert ["changed", "by", "bob"] in lines


async def test_delete_removes(memory_node: MemoryNode, mainspring: Mainspring, daily: task_pb2.Task) -> None:
    assert (await mainspring("task", "delete", "daily", "--etag", "v0")).code == 1
    assert (await mainspring("task", "delete", "daily")).stdout == "daily is deleted\n"
    assert memory_node.tasks == {}


async def test_trigger_shows_the_new_execution(
    memory_node: MemoryNode, mainspring: Mainspring, daily: task_pb2.Task
) -> None:
    done = await mainspring("task", "trigger", "daily", "--payload", "b", "--request-id", "one", "--json")
    request = memory_node.requests[-1]
    assert (request.payload, request.request_id) == (b"b", "one")
    assert json_format.ParseDict(done.json(), execution_pb2.Execution()) == memory_node.executions[0]
    shown = await mainspring("task", "trigger", "daily")
    assert not memory_node.requests[-1].HasField("payload")
    assert ["origin", "trigger"] in [line.split() for line in shown.stdout.splitlines()]


async def test_backfill_tells_how_many(
    memory_node: MemoryNode, mainspring: Mainspring, daily: task_pb2.Task
) -> None:
    bounds = ["--start", "2030-01-01T00:00:00Z", "--end", "2030-02-01T00:00:00Z"]
    memory_node.backfill_counts = [1_000, 24]
    done = await mainspring("task", "backfill", "daily", *bounds)
    assert done.stdout == "1,024 executions are to run\n"
    memory_node.backfill_counts = [1]
    document = (await mainspring("task", "backfill", "daily", *bounds, "--json")).json()
    answer = json_format.ParseDict(document, task_service_pb2.BackfillTaskResponse())
    assert (answer.count, answer.HasField("next_start_time")) == (1, False)


def add_tasks(node: MemoryNode) -> None:
    for number in range(4):
        task = task_pb2.Task(namespace="default", id=str(number), state=task_pb2.TASK_STATE_ACTIVE)
        task.labels["team"] = "billing" if number else "sales"
        node.tasks["default", task.id] = task


BILLING = ["--label", "team=billing"]


async def test_list_and_count_take_filters(memory_node: MemoryNode, mainspring: Mainspring) -> None:
    add_tasks(memory_node)
    bounds = ["--next-from", "2030-01-01T00:00:00Z", "--next-until", "2030-01-02T00:00:00Z"]
    listed = await mainspring("task", "list", *BILLING, "--state", "active", *bounds, "--json")
    assert [task["id"] for task in listed.json()] == ["1", "2", "3"]
    chosen = memory_node.requests[-1].filter
    assert chosen.next_until_time.seconds - chosen.next_from_time.seconds == 86_400
    counted = await mainspring("task", "count", *BILLING, "--json")
    answer = json_format.ParseDict(counted.json(), task_service_pb2.CountTasksResponse())
    assert (answer.count, answer.by_state[0].count) == (3, 3)
    table = await mainspring("task", "count")
    assert [line.split() for line in table.stdout.splitlines()] == [
        ["STATE", "TASKS"],
        ["ACTIVE", "4"],
        ["all", "4"],
    ]
    nothing = await mainspring("task", "list", "--handler", "none")
    assert nothing.stderr == "no such task in namespace 'default'\n"


async def test_change_counts_and_asks_first(memory_node: MemoryNode, mainspring: Mainspring) -> None:
    add_tasks(memory_node)
    refused = await mainspring("task", "change", *BILLING, "--pause", stdin=b"n\n")
    assert (refused.code, refused.stdout) == (1, "")
    assert "pause 3 tasks of namespace 'default'? [y/N]" in refused.stderr
    assert "nothing was changed" in refused.stderr
    silent = await mainspring("task", "change", *BILLING, "--pause")
    assert silent.code == 1
    assert all(request.dry_run for request in memory_node.requests)
    done = await mainspring("task", "change", *BILLING, "--pause", "--note", "moving", stdin=b"y\n")
    assert (done.code, done.stdout) == (0, "3 of 3 tasks paused\n")
    assert memory_node.tasks["default", "1"].note == "moving"
    assert memory_node.tasks["default", "0"].state == task_pb2.TASK_STATE_ACTIVE


async def test_change_without_asking(memory_node: MemoryNode, mainspring: Mainspring) -> None:
    add_tasks(memory_node)
    dry = await mainspring("task", "change", "--state", "active", "--delete", "--dry-run")
    assert dry.stdout == "4 tasks would be deleted\n"
    none = await mainspring("task", "change", "--state", "paused", "--resume")
    assert (none.code, none.stdout) == (0, "0 tasks would be resumed\n")
    done = await mainspring("task", "change", *BILLING, "--delete", "--yes", "--json")
    answer = json_format.ParseDict(done.json(), task_service_pb2.ChangeTasksResponse())
    assert (answer.matched_count, answer.changed_count) == (3, 3)
    assert list(memory_node.tasks) == [("default", "0")]


async def test_execution_list_takes_filters(memory_node: MemoryNode, mainspring: Mainspring) -> None:
    done = await mainspring(
        *("execution", "list", "--state", "failed", "--state", "lost", "--handler", "report", *BILLING)
    )
    assert (done.code, done.stderr) == (0, "no such execution\n")
    request = memory_node.requests[-1]
    assert list(request.states) == [
        execution_pb2.EXECUTION_STATE_FAILED,
        execution_pb2.EXECUTION_STATE_LOST,
    ]
    assert (request.handler, dict(request.labels)) == ("report", {"team": "billing"})


async def test_executions_are_retried_and_cancelled(memory_node: MemoryNode, mainspring: Mainspring) -> None:
    memory_node.executions = [deepcopy(EXECUTION)]
    again = (await mainspring("execution", "retry", "daily", WHEN, "--json")).json()
    assert again["state"] == "EXECUTION_STATE_WAITING"
    assert again["scheduled_time"] != "2030-06-01T12:00:00Z"
    named = [
        (await mainspring("execution", "retry", "daily", WHEN, "--request-id", "one", "--json")).json()
        for _ in range(2)
    ]
    assert named[0] == named[1] != again
    cancelled = await mainspring("execution", "cancel", "daily", WHEN, "--note", "not today", "--json")
    answer = json_format.ParseDict(cancelled.json(), execution_pb2.Execution())
    assert (answer.state, answer.reason) == (execution_pb2.EXECUTION_STATE_CANCELLED, "not today")
    final = await mainspring("execution", "retry", "daily", WHEN)
    assert (final.code, final.stderr) == (1, "error: it has not failed (FAILED_PRECONDITION)\n")


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        (["--skip"], "skip", "is left out"),
        (["--due", "2030-06-01T15:00:00+02:00"], "due_time", "is due at 2030-06-01T15:00:00+02:00"),
        (["--payload", ""], "payload", "has a payload of its own"),
        (["--reset"], "reset", "goes as the task says"),
    ],
)
async def test_adjust_tells_what_becomes_of_the_scheduled_time(
    memory_node: MemoryNode, mainspring: Mainspring, options: list[str], kind: str, words: str
) -> None:
    done = await mainspring("execution", "adjust", "daily", WHEN, *options)
    assert done.stdout == f"{WHEN} of daily {words}\n"
    request = memory_node.requests[-1]
    assert (request.WhichOneof("adjustment"), request.scheduled_time) == (kind, EXECUTION.scheduled_time)


async def test_explain_shows_the_answer_and_the_stages(
    memory_node: MemoryNode, mainspring: Mainspring
) -> None:
    none = await mainspring("execution", "explain", "daily")
    assert none.stdout.splitlines()[0].split(maxsplit=1) == ["answer", "There is none yet."]
    memory_node.executions = [EXECUTION]
    found = await mainspring("execution", "explain", "daily", WHEN, "--utc")
    lines = found.stdout.splitlines()
    assert lines[0].split(maxsplit=1) == ["answer", "It ran 12 ms late."]
    assert [line.split() for line in lines[-3:]] == [
        ["STAGE", "TIME", "TOOK"],
        ["due", "2030-06-01T12:00:00Z", "-"],
        ["picked", "up", "-", "12.0", "ms"],
    ]
    document = (await mainspring("execution", "explain", "daily", "--json")).json()
    answer = json_format.ParseDict(document, execution_service_pb2.ExplainExecutionResponse())
    assert (answer.execution, len(answer.stages)) == (EXECUTION, 2)


async def test_watch_shows_a_line_for_each_change_and_can_go_on(
    memory_node: MemoryNode, mainspring: Mainspring
) -> None:
    memory_node.change(EXECUTION, EXECUTION)
    memory_node.watch_ends = [None]
    words = await mainspring("execution", "watch", "daily", "--resume-token", "0", "--limit", "2")
    line = f"daily  {WHEN}  FAILED  1  -  -  no paper"
    assert words.stdout.splitlines() == [line, line]
    documents = await mainspring(
        "execution", "watch", "daily", "--resume-token", "0", "--limit", "2", "--json"
    )
    answers = [
        json_format.ParseDict(json.loads(each), execution_service_pb2.WatchExecutionsResponse())
        for each in documents.stdout.splitlines()
    ]
    assert [list(answer.executions) for answer in answers] == [[], [EXECUTION], [EXECUTION]]
    assert (answers[0].resume_token, answers[-1].resume_token) == ("0", "2")
