"""Work over real streams: started, ended, repeated until saved, refused, cancelled, reconciled."""

import asyncio
import json
import threading
from dataclasses import replace
from pathlib import Path

from integration.executor.conftest import Cluster
from integration.executor.fake_node import DEADLINE_S, FakeNode, work

from mainspring.executor import Executor, Job
from mainspring.v1 import executor_service_pb2 as pb


async def ready(node: FakeNode, credit: int = 1) -> None:
    await node.until(lambda: node.streams and node.stream.credit >= credit)


async def test_work_is_started_run_and_reported_once_saved(cluster: Cluster, tmp_path: Path) -> None:
    node = await cluster.node("a")
    log = tmp_path / "run.jsonl"
    cluster.executor(node, capacity=5, executor_id="executor-1", run_log=log)
    await ready(node, 5)
    hello = node.stream.hello
    assert hello is not None
    assert (hello.executor_id, hello.capacity) == ("executor-1", 5)
    assert list(hello.handlers) == ["echo", "fail", "noop", "sleep"]

    node.stream.send_work(
        [work(1, handler="echo", payload=b"\x00hi"), work(2, handler="fail", payload=b"why")]
    )
    await node.until(lambda: len(node.results) == 2)
    assert [started.attempt.task_key[-1] for started in node.stream.started] == [1, 2]
    by_task = {result.attempt.task_key[-1]: result for result in node.results}
    assert (by_task[1].outcome, by_task[1].output) == (pb.RESULT_OUTCOME_SUCCEEDED, b"\x00hi")
    assert (by_task[2].outcome, by_task[2].error, by_task[2].error_kind) == (
        pb.RESULT_OUTCOME_FAILED,
        "why",
        "RuntimeError",
    )
    await ready(node, 5)  # the credit of both came back
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(event["event"], event["task_id"]) for event in events[:2]] == [
        ("start", "task-1"),
        ("start", "task-2"),
    ]
    assert sorted(event["outcome"] for event in events[2:]) == ["failed", "succeeded"]
    assert {event["executor_id"] for event in events} == {"executor-1"}


async def test_a_result_is_repeated_until_it_is_saved(cluster: Cluster) -> None:
    node = await cluster.node("a", saves=False)
    executor = cluster.executor(node)
    await ready(node)
    node.stream.send_work([work(1, handler="echo", payload=b"x")])
    await node.until(lambda: len(node.results) >= 2)
    first, again = node.results[:2]
    assert (first.attempt, first.outcome, first.output) == (again.attempt, again.outcome, again.output)
    assert 0 < first.since_start_us < again.since_start_us
    node.saves = True
    node.stream.send(result_saved=[pb.ResultSaved(attempt=node.results[0].attempt)])
    executor.stop()
    assert await cluster.drained(executor), "a saved result holds up no drain"


async def test_a_duplicate_runs_once_and_repeats_the_result(cluster: Cluster, tmp_path: Path) -> None:
    node = await cluster.node("a")
    log = tmp_path / "run.jsonl"
    cluster.executor(node, run_log=log)
    await ready(node)
    node.stream.send_work([work(1), work(1)])
    await node.until(lambda: len(node.results) == 1)
    node.stream.send_work([work(1)])
    await node.until(lambda: len(node.results) == 2)
    assert log.read_text().count('"start"') == 1
    assert node.results[1].outcome == pb.RESULT_OUTCOME_SUCCEEDED
    await ready(node, 10)


async def test_after_a_crash_of_the_node_the_result_goes_to_the_stream_that_replaces_it(
    cluster: Cluster,
) -> None:
    node = await cluster.node("a", saves=False)
    cluster.executor(node)
    await ready(node)
    node.stream.send_work([work(1, handler="echo", payload=b"kept")])
    await node.until(lambda: node.results)
    await node.kill()
    await node.start()
    await node.until(lambda: len(node.streams) == 2 and node.stream.results)
    assert node.stream.results[0].output == b"kept"
    await ready(node, 10)


async def test_a_result_goes_to_another_node_when_its_own_is_gone(cluster: Cluster) -> None:
    a, b = await cluster.node("a"), await cluster.node("b")
    a.node_list = b.node_list = [a.address, b.address]
    cluster.executor(a, b)
    await ready(a)
    await ready(b)
    a.stream.send_work([work(1, handler="sleep", payload=b"0.3")])
    await a.until(lambda: a.stream.started)
    await a.kill()
    await b.until(lambda: b.results)
    assert b.results[0].attempt.task_key[-1] == 1


async def test_a_lower_epoch_is_refused_and_never_runs(cluster: Cluster, tmp_path: Path) -> None:
    node = await cluster.node("a")
    log = tmp_path / "run.jsonl"
    cluster.executor(node, run_log=log)
    await ready(node)
    node.stream.send_work([work(1, epoch=5)])
    await node.until(lambda: len(node.results) == 1)
    node.stream.send_work([work(2, epoch=4)])
    await node.until(lambda: len(node.results) == 2)
    assert (node.results[1].outcome, node.results[1].error_kind) == (pb.RESULT_OUTCOME_REFUSED, "StaleEpoch")
    assert "task-2" not in log.read_text()


async def test_a_higher_epoch_that_was_only_announced_is_enough_to_refuse_a_lower_one(
    cluster: Cluster,
) -> None:
    """By the question of the next owner, before it has sent any work of the partition."""
    node = await cluster.node("a")
    cluster.executor(node)
    await ready(node)
    asked = [pb.ReconcileItem(attempt=work(9).attempt, epoch=7)]
    node.stream.send(reconcile=[pb.Reconcile(items=asked)])
    await node.until(lambda: node.stream.answers)
    node.stream.send_work([work(1, epoch=6)])
    await node.until(lambda: node.results)
    assert node.results[0].error_kind == "StaleEpoch"
    node.stream.send_work([work(2, epoch=7)])
    await node.until(lambda: len(node.results) == 2)
    assert node.results[1].outcome == pb.RESULT_OUTCOME_SUCCEEDED


async def test_unknown_handlers_and_work_beyond_credit_are_refused(cluster: Cluster) -> None:
    node = await cluster.node("a")
    cluster.executor(node, capacity=2)
    await ready(node, 2)
    node.stream.send_work([work(1, handler="nobody")])
    await node.until(lambda: len(node.results) == 1)
    assert node.results[0].error_kind == "UnknownHandler"
    await ready(node, 2)
    node.stream.send_work([work(number, handler="sleep", payload=b"0.2") for number in (2, 3, 4)])
    await node.until(lambda: len(node.results) == 4)
    refused = [result for result in node.results if result.outcome == pb.RESULT_OUTCOME_REFUSED]
    assert [result.error_kind for result in refused] == ["UnknownHandler", "NoRoom"]


async def test_reconcile_tells_the_truth_and_disowned_work_never_starts(
    cluster: Cluster, tmp_path: Path
) -> None:
    node = await cluster.node("a", saves=False)
    log = tmp_path / "run.jsonl"
    cluster.executor(node, run_log=log)
    await ready(node, 10)
    node.stream.send_work([work(1, handler="sleep", payload=b"30"), work(2)])
    await node.until(lambda: node.results)
    asked = [pb.ReconcileItem(attempt=work(number).attempt, epoch=6) for number in (1, 2, 3)]
    node.stream.send(reconcile=[pb.Reconcile(items=asked)])
    await node.until(lambda: len(node.stream.answers) == 3)
    assert [answer.knowledge for answer in node.stream.answers] == [
        pb.ATTEMPT_KNOWLEDGE_RUNNING,
        pb.ATTEMPT_KNOWLEDGE_FINISHED,
        pb.ATTEMPT_KNOWLEDGE_NOT_MINE,
    ]
    await node.until(lambda: len(node.results) >= 2)  # the ended one's result came again at once
    node.stream.send_work([work(3, epoch=6), work(4, epoch=5)])
    await node.until(lambda: {result.error_kind for result in node.results} >= {"Disowned", "StaleEpoch"})
    assert "task-3" not in log.read_text()
    assert "task-4" not in log.read_text()
    node.stream.send(cancel=[pb.Cancel(attempt=work(1).attempt)])
    await node.until(lambda: node.results[-1].outcome == pb.RESULT_OUTCOME_CANCELLED)


async def test_plain_handlers_run_in_threads_and_see_a_cancel(cluster: Cluster) -> None:
    node = await cluster.node("a")
    executor = Executor(node.address, capacity=4)
    side_by_side = threading.Barrier(2)

    @executor.handler("together")
    def together(job: Job) -> str:
        side_by_side.wait(DEADLINE_S)
        return job.task_id

    seen = threading.Event()

    @executor.handler("patient")
    def patient(job: Job) -> None:
        while not seen.wait(0.01):
            if job.is_cancelled:
                seen.set()
                job.raise_if_cancelled()

    cluster.run(executor)
    await ready(node, 4)
    node.stream.send_work(
        [work(1, handler="together"), work(2, handler="together"), work(3, handler="patient")]
    )
    await node.until(lambda: len(node.results) == 2)
    assert {result.output for result in node.results} == {b"task-1", b"task-2"}
    node.stream.send(cancel=[pb.Cancel(attempt=work(3).attempt)])
    await node.until(lambda: len(node.results) == 3)
    assert node.results[2].outcome == pb.RESULT_OUTCOME_CANCELLED


async def test_a_cancel_reaches_async_handlers_and_what_is_queued_never_starts(
    cluster: Cluster, tmp_path: Path
) -> None:
    node = await cluster.node("a")
    executor = Executor(node.address, capacity=4, run_log=tmp_path / "run.jsonl")
    executor.config = replace(executor.config, max_threads=1)

    @executor.handler("stubborn")
    async def stubborn(_: Job) -> str:
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            return "done all the same"
        return ""

    @executor.handler("patient")
    def patient(job: Job) -> None:
        job.wait_until_cancelled()
        job.raise_if_cancelled()

    cluster.run(executor)
    await ready(node, 4)
    # Work and its cancel in one frame: the handler's task is stopped before its first step.
    node.stream.send_work(
        [work(1, handler="stubborn"), work(2, handler="patient"), work(3, handler="patient")]
    )
    node.stream.spent += 1
    node.stream.send(
        work=[work(4, handler="stubborn")],
        cancel=[pb.Cancel(attempt=work(number).attempt) for number in (4, 99)],
    )
    await node.until(lambda: node.results)
    assert [(r.attempt.task_key[-1], r.outcome) for r in node.results] == [(4, pb.RESULT_OUTCOME_CANCELLED)]
    await node.until(lambda: len(node.stream.started) == 3)
    for number in (3, 1, 2):
        node.stream.send(cancel=[pb.Cancel(attempt=work(number).attempt)])
        await node.until(lambda number=number: node.results[-1].attempt == work(number).attempt)
    assert [r.outcome for r in node.results[1:]] == [
        pb.RESULT_OUTCOME_CANCELLED,
        pb.RESULT_OUTCOME_SUCCEEDED,
        pb.RESULT_OUTCOME_CANCELLED,
    ]
    assert node.results[2].output == b"done all the same"
    lines = (tmp_path / "run.jsonl").read_text().splitlines()
    assert "task-3" not in {json.loads(line)["task_id"] for line in lines if '"start"' in line}
    await ready(node, 4)


async def test_progress_travels_from_async_handlers_and_from_threads(cluster: Cluster) -> None:
    node = await cluster.node("a")
    executor = Executor(node.address, capacity=4)
    ends = threading.Event()

    @executor.handler("async")
    async def on_the_loop(job: Job) -> None:
        job.heartbeat("half")
        while not ends.is_set():
            await asyncio.sleep(0.01)

    @executor.handler("plain")
    def on_a_thread(job: Job) -> None:
        job.heartbeat(b"\xff")
        ends.wait(DEADLINE_S)

    cluster.run(executor)
    await ready(node, 2)
    node.stream.send_work([work(1, handler="async", epoch=7), work(2, handler="plain", epoch=7, attempt=3)])
    await node.until(lambda: len(node.stream.progress) == 2)
    ends.set()
    told = {p.attempt.task_key[-1]: p for p in node.stream.progress}
    assert (told[1].attempt, told[1].epoch, told[1].progress) == (work(1).attempt, 7, b"half")
    assert (told[2].attempt, told[2].progress) == (work(2, attempt=3).attempt, b"\xff")
    await node.until(lambda: len(node.results) == 2)


async def test_capacity_holds_over_two_nodes_that_both_spend_all_they_have(cluster: Cluster) -> None:
    a, b = await cluster.node("a"), await cluster.node("b")
    a.node_list = b.node_list = [a.address, b.address]
    executor = Executor([a.address, b.address], capacity=7)
    running = most = 0

    @executor.handler("count")
    async def count(_: Job) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1

    sent = 0

    def spend(node: FakeNode) -> None:
        def on_frame(stream: object, frame: pb.ConnectRequest) -> None:
            nonlocal sent
            # Only b's work waits after a while: credit has to follow.
            waiting = 300 - sent if node is b else 0
            if frame.result or frame.credit:
                node.stream.send(credit=[pb.CreditDemand(waiting=max(0, waiting))])
            while node.stream.credit and (sent < 100 or (node is b and sent < 300)):
                sent += 1
                node.stream.send_work([work(sent, handler="count")])

        node.on_frame = on_frame

    spend(a)
    spend(b)
    cluster.run(executor)
    await a.until(lambda: len(a.results) + len(b.results) >= 300)
    assert most == 7, "all of the capacity was used, and never more"
    assert len(b.results) >= 200
    assert all(result.outcome == pb.RESULT_OUTCOME_SUCCEEDED for result in a.results + b.results)
