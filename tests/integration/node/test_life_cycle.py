"""The life-cycle calls on two nodes, through either, owner or not."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from integration.node.test_grpcurl import grpcurl

from mainspring.v1 import (
    execution_pb2,
    execution_service_pb2,
    execution_service_pb2_grpc,
    policy_pb2,
    schedule_pb2,
    task_pb2,
    task_service_pb2,
    task_service_pb2_grpc,
)

MINUTELY = schedule_pb2.Schedule(interval=schedule_pb2.IntervalSchedule(every=Duration(seconds=60)))
HOURLY = schedule_pb2.Schedule(cron=schedule_pb2.CronSchedule(expressions=["0 * * * *"]))
SECONDLY = schedule_pb2.Schedule(interval=schedule_pb2.IntervalSchedule(every=Duration(seconds=1)))
FINAL = execution_pb2.EXECUTION_STATE_SUCCEEDED


class Api:
    """Stubs of both nodes; each call goes through the next one."""

    def __init__(self, channels: list[grpc.aio.Channel]) -> None:
        self._tasks: Any = itertools.cycle([task_service_pb2_grpc.TaskServiceStub(c) for c in channels])
        self._ledger: Any = itertools.cycle(
            [execution_service_pb2_grpc.ExecutionServiceStub(c) for c in channels]
        )

    async def task(self, method: str, **fields: Any) -> Any:
        """Calls TaskService with a request of these fields."""
        return await getattr(next(self._tasks), method)(
            getattr(task_service_pb2, f"{method}Request")(**fields)
        )

    async def execution(self, method: str, **fields: Any) -> Any:
        """The same of ExecutionService."""
        request = getattr(execution_service_pb2, f"{method}Request")(**fields)
        return await getattr(next(self._ledger), method)(request)

    async def create(
        self, task_id: str, schedule: schedule_pb2.Schedule = HOURLY, **fields: Any
    ) -> task_pb2.Task:
        fields.setdefault("handler", "noop")
        task = task_pb2.Task(id=task_id, schedule=schedule, **fields)
        return (await self.task("CreateTask", task=task)).task  # type: ignore[no-any-return]

    async def ledger(self, task_id: str) -> list[execution_pb2.Execution]:
        """Newest first."""
        return list((await self.execution("ListExecutions", task_id=task_id)).executions)

    async def until_final(self, task_id: str, count: int) -> list[execution_pb2.Execution]:
        async with asyncio.timeout(20):
            while True:
                rows = await self.ledger(task_id)
                if len(rows) >= count and all(row.state >= FINAL for row in rows):
                    return rows
                await asyncio.sleep(0.02)


@pytest.fixture
async def api(bench: Any) -> AsyncIterator[Api]:
    nodes = [await bench.start_node(), await bench.start_node()]
    bench.start_executor(nodes[0].address)
    channels = [grpc.aio.insecure_channel(node.address) for node in nodes]
    yield Api(channels)
    for channel in channels:
        await channel.close()


async def _refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    """The code and the reason of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    return caught.value.code(), info.reason


async def test_pause_and_resume_tell_why_and_who(api: Api) -> None:
    created = await api.create("a")
    paused = (await api.task("PauseTask", id="a", note="stock-taking", changed_by="ann")).task
    assert (paused.state, paused.note, paused.changed_by) == (
        task_pb2.TASK_STATE_PAUSED,
        "stock-taking",
        "ann",
    )
    assert paused.next_scheduled_time == created.next_scheduled_time
    assert (paused.version, paused.etag != created.etag) == (2, True)
    assert (await api.task("PauseTask", id="a", note="stock-taking", changed_by="ann")).task == paused
    renamed = (await api.task("PauseTask", id="a", note="still")).task
    assert (renamed.note, renamed.etag != paused.etag) == ("still", True)

    resumed = (await api.task("ResumeTask", id="a", etag=renamed.etag)).task
    assert (resumed.state, resumed.note) == (task_pb2.TASK_STATE_ACTIVE, "")
    assert (await api.task("ResumeTask", id="a")).task == resumed
    assert (await api.task("GetTask", id="a")).task == resumed


async def test_a_paused_task_does_not_fire_and_goes_on_when_it_is_resumed(api: Api) -> None:
    await api.create("a", SECONDLY)
    await api.until_final("a", 1)
    await api.task("PauseTask", id="a")
    before = await api.until_final("a", 1)
    await api.create("clock", SECONDLY)
    await api.until_final("clock", 3)
    assert await api.ledger("a") == before
    await api.task("ResumeTask", id="a")
    assert len(await api.until_final("a", len(before) + 2)) >= len(before) + 2


async def test_an_etag_that_is_out_of_date_changes_nothing(api: Api) -> None:
    etag = (await api.create("a")).etag
    await api.task("PauseTask", id="a", etag=etag)
    stale = (grpc.StatusCode.ABORTED, "STALE_ETAG")
    assert await _refusal(api.task("PauseTask", id="a", etag=etag, note="x")) == stale
    assert await _refusal(api.task("ResumeTask", id="a", etag=etag)) == stale
    for _ in range(2):  # through either node
        assert await _refusal(api.task("DeleteTask", id="a", etag=etag)) == stale
    update = {"task": task_pb2.Task(id="a", payload=b"x"), "update_mask": FieldMask(paths=["payload"])}
    assert await _refusal(api.task("UpdateTask", **update, etag=etag)) == stale

    await api.task("DeleteTask", id="a")
    another = await api.create("a")
    assert another.version == 1
    assert await _refusal(api.task("UpdateTask", **update, etag=etag)) == stale
    assert (await api.task("UpdateTask", **update, etag=another.etag)).task.payload == b"x"
    assert (await api.task("GetTask", id="a")).task.version == 2


async def test_a_call_with_an_etag_may_be_repeated_until_somebody_else_changes_the_task(api: Api) -> None:
    """Its answer may have been lost. Each is tried through either node."""
    stale = (grpc.StatusCode.ABORTED, "STALE_ETAG")
    mask = FieldMask(paths=["payload", "labels"])
    given = task_pb2.Task(id="a", payload=b"x", labels={"k": "v"})
    calls: list[tuple[str, dict[str, Any]]] = [
        ("UpdateTask", {"task": given, "update_mask": mask}),
        ("PauseTask", {"id": "a", "note": "stock-taking", "changed_by": "ann"}),
        ("ResumeTask", {"id": "a"}),
        ("CancelTask", {"id": "a", "note": "no longer needed"}),
    ]
    etag = (await api.create("a")).etag
    for version, (method, fields) in enumerate(calls, 2):
        answers = [(await api.task(method, **fields, etag=etag)).task for _ in range(3)]
        assert [answer.version for answer in answers] == [version] * 3, method
        assert answers[0] == answers[1] == answers[2]
        another = {"task": task_pb2.Task(id="a", payload=b"y"), "update_mask": mask}
        assert await _refusal(api.task("UpdateTask", **another, etag=etag)) == stale
        before, etag = etag, answers[0].etag
    assert await _refusal(api.task("DeleteTask", id="a", etag=before)) == stale, "somebody cancelled it"
    await api.task("DeleteTask", id="a", etag=etag)
    gone = (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    assert await _refusal(api.task("DeleteTask", id="a", etag=etag)) == gone

    etag = (await api.create("b")).etag
    given.id = "b"
    await api.task("UpdateTask", task=given, update_mask=mask, etag=etag)
    await api.task("PauseTask", id="b")
    assert await _refusal(api.task("UpdateTask", task=given, update_mask=mask, etag=etag)) == stale


async def test_an_update_is_what_runs_from_then_on(api: Api) -> None:
    await api.create("a", SECONDLY, handler="echo", payload=b"old", labels={"k": "v"})
    await api.until_final("a", 1)
    given = task_pb2.Task(id="a", payload=b"new", retry=policy_pb2.RetryPolicy(max_attempts=3))
    answer = await api.task("UpdateTask", task=given, update_mask=FieldMask(paths=["payload", "retry"]))
    at = time.time()
    assert (answer.task.payload, answer.task.labels["k"], answer.task.retry.max_attempts) == (b"new", "v", 3)
    assert answer.meaning.startswith("Every second")
    assert len(answer.next_fires) == 5
    count = len(await api.ledger("a"))
    rows = await api.until_final("a", count + 2)
    for row in rows:
        if row.scheduled_time.ToMicroseconds() > at * 1e6:
            whole = await api.execution("GetExecution", task_id="a", scheduled_time=row.scheduled_time)
            assert (whole.execution.result, row.task_version) == (b"new", 2)
    again = await api.task("UpdateTask", task=given, update_mask=FieldMask(paths=["payload", "retry"]))
    assert again.task.version == 2


async def test_what_has_ended_is_refused(api: Api) -> None:
    await api.create("done", schedule_pb2.Schedule(delay=Duration()))
    await api.until_final("done", 1)
    etag = (await api.create("gone")).etag
    assert await _refusal(api.task("CancelTask", id="gone", etag=f"{etag}0")) == (
        grpc.StatusCode.ABORTED,
        "STALE_ETAG",
    )
    why = {"note": "no longer needed", "changed_by": "ann"}
    cancelled = (await api.task("CancelTask", id="gone", etag=etag, **why)).task
    assert (cancelled.note, cancelled.changed_by) == ("no longer needed", "ann")
    assert (await api.task("CancelTask", id="gone", note="again")).task == cancelled
    ended = (grpc.StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION")
    mask = FieldMask(paths=["payload"])
    for task_id in ("done", "gone"):
        assert await _refusal(api.task("PauseTask", id=task_id)) == ended
        assert await _refusal(api.task("ResumeTask", id=task_id)) == ended
        changed = task_pb2.Task(id=task_id, payload=b"x")
        assert await _refusal(api.task("UpdateTask", task=changed, update_mask=mask)) == ended
    assert await _refusal(api.task("CancelTask", id="done")) == ended
    for _ in range(2):
        assert await _refusal(api.task("TriggerTask", id="gone")) == ended
    unknown = (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    for method in ("PauseTask", "ResumeTask", "CancelTask", "DeleteTask", "TriggerTask"):
        assert await _refusal(api.task(method, id="nobody")) == unknown
        assert await _refusal(api.task(method, id="nobody")) == unknown


async def test_a_trigger_runs_the_task_now_with_its_own_payload_once_a_request(api: Api) -> None:
    await api.create("a", handler="echo", payload=b"the task's")
    first = (await api.task("TriggerTask", id="a", request_id="one", payload=b"its own")).execution
    for _ in range(2):
        again = (await api.task("TriggerTask", id="a", request_id="one", payload=b"its own")).execution
        assert again.scheduled_time == first.scheduled_time
    await api.task("TriggerTask", id="a")
    rows = await api.until_final("a", 2)
    assert len(rows) == 2
    results = []
    for row in rows:
        whole = (
            await api.execution("GetExecution", task_id="a", scheduled_time=row.scheduled_time)
        ).execution
        assert whole.origin == execution_pb2.EXECUTION_ORIGIN_TRIGGER
        assert abs(whole.scheduled_time.ToSeconds() - time.time()) < 30
        results.append(whole.result)
    assert results == [b"the task's", b"its own"]
    task = (await api.task("GetTask", id="a")).task
    assert (task.execution_count, task.version, task.state) == (0, 1, task_pb2.TASK_STATE_ACTIVE)

    await api.task("PauseTask", id="a")
    for _ in range(2):
        assert (await _refusal(api.task("TriggerTask", id="a")))[0] is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_failed_execution_is_run_again_beside_it(api: Api) -> None:
    await api.create("a", handler="fail", payload=b"no")
    triggered = (await api.task("TriggerTask", id="a", payload=b"broken")).execution
    await api.until_final("a", 1)
    for count in (2, 3):
        fresh = await api.execution("RetryExecution", task_id="a", scheduled_time=triggered.scheduled_time)
        rows = await api.until_final("a", count)
        assert rows[0].scheduled_time == fresh.execution.scheduled_time
        assert "broken" in rows[0].reason
    named = {"task_id": "a", "scheduled_time": triggered.scheduled_time, "request_id": "one"}
    once = [(await api.execution("RetryExecution", **named)).execution.scheduled_time for _ in range(3)]
    assert once[0] == once[1] == once[2]
    # One id for each kind of call and each execution: it names calls of its own there.
    assert (await api.task("TriggerTask", id="a", request_id="one")).execution.scheduled_time != once[0]
    await api.until_final("a", 5)
    other = await api.execution("RetryExecution", **{**named, "scheduled_time": once[0]})
    assert other.execution.scheduled_time not in once
    assert len(await api.until_final("a", 6)) == 6
    await api.create("b")
    fine = (await api.task("TriggerTask", id="b")).execution
    await api.until_final("b", 1)
    refusal = await _refusal(api.execution("RetryExecution", task_id="b", scheduled_time=fine.scheduled_time))
    assert refusal[0] is grpc.StatusCode.FAILED_PRECONDITION
    for _ in range(2):
        refusal = await _refusal(
            api.execution("RetryExecution", task_id="b", scheduled_time=Timestamp(seconds=5))
        )
        assert refusal[0] is grpc.StatusCode.NOT_FOUND


async def test_a_backfill_runs_the_times_that_did_not_run(api: Api) -> None:
    await api.create("a", MINUTELY)
    now = int(time.time())
    phase = (await api.task("GetTask", id="a")).task.schedule.start_time
    start = Timestamp(seconds=phase.seconds - 300, nanos=phase.nanos)
    bounds = {"start_time": start, "end_time": Timestamp(seconds=now - 30)}
    # An interval has no times before its anchor.
    assert (await api.task("BackfillTask", id="a", **bounds)).count == 0

    await api.create("b", schedule_pb2.Schedule(cron=schedule_pb2.CronSchedule(expressions=["* * * * *"])))
    bounds["start_time"] = Timestamp(seconds=now // 60 * 60 - 240)
    bounds["end_time"] = Timestamp(seconds=now // 60 * 60 - 59)
    answer = await api.task("BackfillTask", id="b", **bounds)
    assert (answer.count, answer.HasField("next_start_time")) == (4, False)
    assert (await api.task("BackfillTask", id="b", **bounds)).count == 0
    async with asyncio.timeout(20):
        while True:
            rows = [r for r in await api.ledger("b") if r.origin == execution_pb2.EXECUTION_ORIGIN_BACKFILL]
            if len(rows) == 4 and all(row.state == FINAL for row in rows):
                break
            await asyncio.sleep(0.05)
    expected = [now // 60 * 60 - 240 + 60 * n for n in range(4)]
    assert sorted(row.scheduled_time.ToMicroseconds() for row in rows) == [at * 10**6 + 1 for at in expected]

    code, _ = await _refusal(
        api.task("BackfillTask", id="b", start_time=start, end_time=Timestamp(seconds=now + 60))
    )
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_task_is_deleted_with_its_ledger_and_its_id_is_free(api: Api) -> None:
    for n in range(4):
        await api.create(f"t{n}", SECONDLY, payload=b"old")
    for n in range(4):
        await api.until_final(f"t{n}", 2)
        await api.task("DeleteTask", id=f"t{n}")
    for n in range(4):
        assert (await _refusal(api.task("GetTask", id=f"t{n}")))[0] is grpc.StatusCode.NOT_FOUND
        created = await api.create(f"t{n}", SECONDLY, payload=b"new")
        assert (created.version, created.execution_count) == (1, 0)
        assert await api.ledger(f"t{n}") == []
        rows = await api.until_final(f"t{n}", 2)
        assert all(row.state == FINAL for row in rows)


async def test_a_running_execution_holds_a_deletion_up_until_it_is_cancelled(api: Api) -> None:
    await api.create("a", handler="sleep", payload=b"60")
    running = (await api.task("TriggerTask", id="a")).execution
    async with asyncio.timeout(20):
        while not (await api.execution("GetExecution", task_id="a")).execution.attempt:
            await asyncio.sleep(0.02)
    for _ in range(2):
        assert (await _refusal(api.task("DeleteTask", id="a")))[0] is grpc.StatusCode.FAILED_PRECONDITION
    assert (await api.task("GetTask", id="a")).task.state == task_pb2.TASK_STATE_ACTIVE
    await api.execution("CancelExecution", task_id="a", scheduled_time=running.scheduled_time, note="enough")
    (row,) = await api.until_final("a", 1)
    assert row.state == execution_pb2.EXECUTION_STATE_CANCELLED
    assert "enough" in row.reason
    for _ in range(2):  # a final one is answered as it is
        answer = await api.execution("CancelExecution", task_id="a", scheduled_time=row.scheduled_time)
        assert answer.execution.state == row.state
    await api.task("DeleteTask", id="a")
    assert (await _refusal(api.task("GetTask", id="a")))[0] is grpc.StatusCode.NOT_FOUND


async def test_many_are_counted_and_changed_by_a_filter(api: Api) -> None:
    for n in range(30):
        await api.create(f"t{n}", labels={"team": "red" if n % 3 else "blue"})
    red = task_service_pb2.TaskFilter(labels={"team": "red"})
    count = await api.task("CountTasks", filter=red)
    assert (count.count, [(c.state, c.count) for c in count.by_state]) == (20, [(1, 20)])
    pause = {
        "filter": red,
        "change": task_service_pb2.TASK_CHANGE_PAUSE,
        "note": "audit",
        "changed_by": "ann",
    }
    dry = await api.task("ChangeTasks", **pause, dry_run=True)
    assert (dry.matched_count, dry.changed_count) == (20, 0)
    done = await api.task("ChangeTasks", **pause)
    assert (done.matched_count, done.changed_count) == (20, 20)
    assert (await api.task("ChangeTasks", **pause)).changed_count == 0
    paused = task_service_pb2.TaskFilter(states=[task_pb2.TASK_STATE_PAUSED])
    listed = (await api.task("ListTasks", filter=paused, page_size=7)).tasks
    assert len(listed) == 7
    assert {task.note for task in listed} == {"audit"}
    deleted = await api.task("ChangeTasks", filter=paused, change=task_service_pb2.TASK_CHANGE_DELETE)
    assert (deleted.matched_count, deleted.changed_count) == (20, 20)
    assert (await api.task("CountTasks")).count == 10
    for fields in ({"change": 1}, {"filter": paused}, {"filter": paused, "change": 9}):
        refusal = await _refusal(api.task("ChangeTasks", **fields))
        assert refusal[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_through_grpcurl(bench: Any, api: Api) -> None:
    await api.create("a")
    address = bench.nodes[1].address
    request = {"id": "a", "note": "by hand"}
    code, out, err = await grpcurl(address, "mainspring.v1.TaskService/PauseTask", data=request)
    assert code == 0, err
    answer = json_format.Parse(out, task_service_pb2.PauseTaskResponse())
    assert (answer.task.state, answer.task.note) == (task_pb2.TASK_STATE_PAUSED, "by hand")
    code, out, err = await grpcurl(
        address, "mainspring.v1.TaskService/DeleteTask", data={"id": "a", "etag": "v1"}
    )
    assert code != 0
    assert "STALE_ETAG" in out + err
