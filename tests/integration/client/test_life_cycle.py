"""The life of tasks and executions through the client, against a node in memory, over real gRPC."""

import re
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import indent

import pytest
from google.protobuf import json_format
from integration.memory import MEANING
from integration.memory_node import MemoryNode

import mainspring.client
from mainspring.client import (
    Aborted,
    ChangedTasks,
    Cron,
    ExecutionOrigin,
    ExecutionState,
    FailedPrecondition,
    InvalidArgument,
    MainspringClient,
    MisfireMode,
    MisfirePolicy,
    NotFound,
    OverlapPolicy,
    RetryPolicy,
    TaskChange,
    TaskFilter,
    TaskState,
    TaskUpdate,
    Timeouts,
)
from mainspring.v1 import execution_pb2, task_pb2

PAGE = Path(__file__).resolve().parents[3] / "docs" / "features.md"
NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAILY = Cron("0 9 * * *")
FAILED = json_format.ParseDict(
    {
        "namespace": "default",
        "task_id": "daily",
        "scheduled_time": "2030-06-01T12:00:00Z",
        "due_time": "2030-06-01T12:00:00Z",
        "state": "EXECUTION_STATE_FAILED",
    },
    execution_pb2.Execution(),
)


async def test_a_task_is_created_with_all_that_it_can_be_told(memory_node: MemoryNode) -> None:
    async with MainspringClient(memory_node.address) as client:
        task = await client.create_task(
            "report",
            DAILY,
            labels={"team": "billing"},
            misfire=MisfirePolicy(MisfireMode.ALL, HOUR, 7),
            overlap=OverlapPolicy.REPLACE,
            retry=RetryPolicy(3),
            timeouts=Timeouts(heartbeat=HOUR),
            lateness_objective=HOUR,
            keep_executions=9,
        )
    sent = memory_node.requests[-1].task
    assert (dict(sent.labels), sent.keep_executions, sent.lateness_objective.seconds) == (
        {"team": "billing"},
        9,
        3_600,
    )
    assert (task.labels, task.misfire, task.overlap) == (
        {"team": "billing"},
        MisfirePolicy(MisfireMode.ALL, HOUR, 7),
        OverlapPolicy.REPLACE,
    )
    assert (task.retry, task.timeouts) == (RetryPolicy(3), Timeouts(heartbeat=HOUR))


async def test_an_update_changes_what_it_names_and_nothing_else(memory_node: MemoryNode) -> None:
    async with MainspringClient(memory_node.address) as client:
        before = await client.create_task("report", DAILY, task_id="daily", payload="a", retry=RetryPolicy(3))
        update = TaskUpdate(schedule=Cron("@hourly"), retry=None, labels={"a": "b"})
        after = await client.update_task("daily", update, etag=before.etag)
    assert list(memory_node.requests[-1].update_mask.paths) == ["schedule", "labels", "retry"]
    assert (after.schedule, after.retry, after.labels) == (Cron("@hourly"), None, {"a": "b"})
    assert (after.handler, after.payload, after.version) == ("report", b"a", 2)
    assert after.etag != before.etag
    assert after.meaning == MEANING


async def test_an_etag_that_is_not_the_tasks_any_more_aborts(memory_node: MemoryNode) -> None:
    async with MainspringClient(memory_node.address) as client:
        task = await client.create_task("report", DAILY, task_id="daily")
        await client.pause_task("daily", etag=task.etag)
        for call in (
            client.update_task("daily", TaskUpdate(handler="x"), etag=task.etag),
            client.pause_task("daily", etag=task.etag),
            client.resume_task("daily", etag=task.etag),
            client.delete_task("daily", etag=task.etag),
        ):
            with pytest.raises(Aborted) as caught:
                await call
            assert caught.value.reason == "STALE_ETAG"
        assert (await client.get_task("daily")).state is TaskState.PAUSED


async def test_a_task_is_paused_resumed_and_deleted(memory_node: MemoryNode) -> None:
    async with MainspringClient(memory_node.address) as client:
        await client.create_task("report", DAILY, task_id="daily", namespace="billing")
        paused = await client.pause_task("daily", note="moving", changed_by="ada", namespace="billing")
        assert (paused.state, paused.note, paused.changed_by) == (TaskState.PAUSED, "moving", "ada")
        resumed = await client.resume_task("daily", note="moved", changed_by="bob", namespace="billing")
        assert (resumed.state, resumed.note, resumed.changed_by) == (TaskState.ACTIVE, "moved", "bob")
        await client.cancel_task("daily", namespace="billing")
        with pytest.raises(FailedPrecondition):
            await client.resume_task("daily", namespace="billing")
        await client.delete_task("daily", namespace="billing")
        with pytest.raises(NotFound):
            await client.get_task("daily", namespace="billing")


async def test_a_trigger_whose_answer_is_lost_runs_once(memory_node: MemoryNode) -> None:
    async with MainspringClient(memory_node.address) as client:
        await client.create_task("report", DAILY, task_id="daily")
        memory_node.is_answer_lost = True
        execution = await client.trigger_task("daily", payload="grün")
        assert execution.origin is ExecutionOrigin.TRIGGER
        assert len(memory_node.executions) == 1
        assert memory_node.requests[-1].payload == "grün".encode()
        await client.trigger_task("daily")
        assert not memory_node.requests[-1].HasField("payload")
        assert len(memory_node.executions) == 2, "another call is another trigger"
        again = [await client.trigger_task("daily", payload=b"", request_id="one") for _ in range(2)]
        assert again[0] == again[1]
        assert memory_node.requests[-1].HasField("payload"), "an empty payload is one"


async def test_a_backfill_goes_on_until_the_range_is_done(memory_node: MemoryNode) -> None:
    async with MainspringClient(memory_node.address) as client:
        await client.create_task("report", DAILY, task_id="daily")
        memory_node.backfill_counts = [1_000, 0, 24]
        assert await client.backfill_task("daily", NOON, NOON + 3 * HOUR) == 1_024
        ranges = [
            (request.start_time.ToDatetime(UTC), request.end_time.ToDatetime(UTC))
            for request in memory_node.requests[1:]
        ]
        assert ranges == [(NOON + each * HOUR, NOON + 3 * HOUR) for each in range(3)]
        with pytest.raises(ValueError, match="end must be timezone-aware"):
            await client.backfill_task("daily", NOON, NOON.replace(tzinfo=None))


async def test_many_tasks_are_listed_counted_and_changed_by_a_filter(memory_node: MemoryNode) -> None:
    async with MainspringClient(memory_node.address) as client:
        for number in range(5):
            labels = {"team": "billing"} if number % 2 else {"team": "sales"}
            await client.create_task("report", DAILY, task_id=str(number), labels=labels)
        billing = TaskFilter(labels={"team": "billing"}, next_until=NOON)
        assert [task.task_id async for task in client.list_tasks(filter=billing, page_size=1)] == ["1", "3"]
        assert memory_node.requests[-1].filter.next_until_time.ToDatetime(UTC) == NOON
        asked = await client.change_tasks(billing, TaskChange.PAUSE, dry_run=True)
        assert asked == ChangedTasks(2, 0)
        assert (await client.count_tasks()).by_state == {TaskState.ACTIVE: 5}
        changed = await client.change_tasks(billing, TaskChange.PAUSE, note="moving", changed_by="ada")
        assert changed == ChangedTasks(2, 2)
        assert (await client.get_task("3")).note == "moving"
        count = await client.count_tasks()
        assert (count.count, count.by_state) == (5, {TaskState.ACTIVE: 3, TaskState.PAUSED: 2})
        paused = await client.count_tasks(filter=TaskFilter([TaskState.PAUSED]))
        assert (paused.count, paused.by_state) == (2, {TaskState.PAUSED: 2})
        await client.change_tasks(TaskFilter(handler="report"), TaskChange.DELETE)
        assert (await client.count_tasks()).count == 0
        with pytest.raises(InvalidArgument):
            await client.change_tasks(TaskFilter(), TaskChange.DELETE)


async def test_executions_are_listed_by_state_handler_and_labels(memory_node: MemoryNode) -> None:
    async with MainspringClient(memory_node.address) as client:
        found = client.list_executions(
            states=[ExecutionState.FAILED, ExecutionState.LOST], handler="report", labels={"a": "b"}
        )
        assert [execution async for execution in found] == []
        request = memory_node.requests[-1]
        assert list(request.states) == [5, 9]
        assert (request.handler, dict(request.labels)) == ("report", {"a": "b"})
        with pytest.raises(ValueError, match=r"states is ExecutionState\.UNSPECIFIED"):
            await anext(client.list_executions(states=[ExecutionState.UNSPECIFIED]))


async def test_an_execution_is_cancelled_with_a_note(memory_node: MemoryNode) -> None:
    memory_node.executions = [deepcopy(FAILED)]
    async with MainspringClient(memory_node.address) as client:
        execution = await client.cancel_execution("daily", NOON, note="not today")
        assert (execution.state, execution.reason) == (ExecutionState.CANCELLED, "not today")
        with pytest.raises(NotFound):
            await client.cancel_execution("daily", NOON + HOUR)


async def test_a_failed_execution_is_run_again_as_a_new_one(memory_node: MemoryNode) -> None:
    memory_node.executions = [deepcopy(FAILED)]
    async with MainspringClient(["127.0.0.1:1", memory_node.address]) as client:
        execution = await client.retry_execution("daily", NOON)
        assert execution.scheduled_time != NOON
        assert execution.state is ExecutionState.WAITING
        with pytest.raises(FailedPrecondition):
            await client.retry_execution("daily", execution.scheduled_time)


async def test_a_retry_whose_answer_is_lost_runs_once(memory_node: MemoryNode) -> None:
    memory_node.executions = [deepcopy(FAILED)]
    memory_node.is_answer_lost = True
    async with MainspringClient(memory_node.address) as client:
        await client.retry_execution("daily", NOON)
        assert len(memory_node.executions) == 2
        await client.retry_execution("daily", NOON)
        assert len(memory_node.executions) == 3, "another call is another retry"
        again = [await client.retry_execution("daily", NOON, request_id="one") for _ in range(2)]
        assert again[0] == again[1]


@pytest.mark.parametrize(
    ("adjustment", "sent"),
    [
        ({"skip": True}, {"skip": True}),
        ({"due_time": NOON + HOUR}, {"due_time": "2030-06-01T13:00:00Z"}),
        ({"payload": "a"}, {"payload": "YQ=="}),
        ({"payload": b""}, {"payload": ""}),
        ({"reset": True}, {"reset": True}),
    ],
)
async def test_one_scheduled_time_is_adjusted(
    memory_node: MemoryNode, adjustment: dict[str, object], sent: dict[str, object]
) -> None:
    async with MainspringClient(memory_node.address) as client:
        await client.adjust_execution("daily", NOON, **adjustment)  # type: ignore[arg-type]
    said = json_format.MessageToDict(memory_node.requests[-1], preserving_proto_field_name=True)
    assert said == {
        "namespace": "default",
        "task_id": "daily",
        "scheduled_time": "2030-06-01T12:00:00Z",
        **sent,
    }


@pytest.mark.parametrize("adjustment", [{}, {"skip": True, "reset": True}, {"skip": True, "payload": b""}])
async def test_an_adjustment_is_exactly_one(memory_node: MemoryNode, adjustment: dict[str, object]) -> None:
    async with MainspringClient(memory_node.address) as client:
        with pytest.raises(ValueError, match="exactly one of skip, due_time, payload and reset"):
            await client.adjust_execution("daily", NOON, **adjustment)  # type: ignore[arg-type]
    assert memory_node.requests == []


async def test_an_explanation_tells_the_stages(memory_node: MemoryNode) -> None:
    async with MainspringClient(memory_node.address) as client:
        none = await client.explain_execution("daily")
        assert not memory_node.requests[-1].HasField("scheduled_time")
        memory_node.executions = [deepcopy(FAILED)]
        found = await client.explain_execution("daily", NOON)
    assert (none.execution, none.summary, none.stages, none.lateness) == (
        None,
        "There is none yet.",
        (),
        None,
    )
    assert memory_node.requests[-1].scheduled_time.ToDatetime(UTC) == NOON
    assert found.execution is not None
    assert found.execution.state is ExecutionState.FAILED
    assert [(stage.name, stage.time, stage.duration) for stage in found.stages] == [
        ("due", NOON, None),
        ("picked up", None, timedelta(milliseconds=12)),
    ]
    assert (found.lateness, found.lateness_objective) == (
        timedelta(milliseconds=12),
        timedelta(seconds=10),
    )


async def test_the_program_of_the_features_page(
    memory_node: MemoryNode, capsys: pytest.CaptureFixture[str]
) -> None:
    [program] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {**vars(mainspring.client), "timedelta": timedelta}
    exec(f"async def run(client):\n{indent(program, '    ')}", names)
    async with MainspringClient(memory_node.address) as client:
        await names["run"](client)
    assert memory_node.tasks["default", "nightly"].state == task_pb2.TASK_STATE_PAUSED
    assert capsys.readouterr().out == "There is none yet.\n"
