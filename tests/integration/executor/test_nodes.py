"""Which nodes an executor holds streams to, and how it leaves."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from integration.executor.conftest import Cluster
from integration.executor.fake_node import DEADLINE_S, FakeNode, Stream, work

from mainspring.executor import Executor
from mainspring.executor.mock_handlers import mock_registry
from mainspring.executor.node_view import FALL_BACK_AFTER_S
from mainspring.v1 import executor_service_pb2 as pb

REPO = Path(__file__).resolve().parents[3]
ROOTS = ("protos", "executor", "client_sdk")


async def ready(node: FakeNode, credit: int = 1) -> None:
    await node.until(lambda: node.streams and node.stream.credit >= credit)


async def test_given_one_address_it_follows_the_node_list(cluster: Cluster) -> None:
    a, b = await cluster.node("a"), await cluster.node("b")
    a.node_list = b.node_list = [a.address, b.address]
    cluster.executor(a, capacity=10)
    await ready(b, 5)
    c = await cluster.node("c")
    everyone = [a.address, b.address, c.address]
    c.node_list = everyone
    a.stream.send(node_list=[pb.NodeList(addresses=everyone)])
    await ready(c, 3)  # the others give some of theirs
    await c.until(lambda: a.stream.credit + b.stream.credit + c.stream.credit == 10)

    remaining = [a.address, c.address]
    b.stream.send_work([work(1, handler="sleep", payload=b"0.3")])
    await b.until(lambda: b.stream.started)
    for node in (a, b, c):
        node.stream.send(node_list=[pb.NodeList(addresses=remaining)])
    await b.until(lambda: b.stream.goodbye)
    assert b.results, "left only after its work was done"
    assert (a.stream.goodbye, c.stream.goodbye) == (None, None)
    await a.until(lambda: a.stream.credit + c.stream.credit == 10)
    assert [len(node.streams) for node in (a, b, c)] == [1, 1, 1]


async def test_an_alias_is_left_for_the_listed_address_without_a_goodbye(cluster: Cluster) -> None:
    """To the node the executor stays: what it runs there must not be given to another one."""
    node = await cluster.node("a")
    executor = Executor(f"localhost:{node.port}", capacity=4, registry=mock_registry())
    cluster.run(executor)
    await node.until(lambda: len(node.streams) == 2 and node.stream.credit == 4)
    alias = node.streams[0]
    await node.until(lambda: alias.has_ended)
    assert (alias.goodbye, alias.granted) == (None, 0)


async def test_who_comes_back_by_two_names_says_no_goodbye_while_it_runs_something(cluster: Cluster) -> None:
    node = await cluster.node("a")
    cluster.run(
        Executor(f"127.0.0.1:{node.port},localhost:{node.port}", capacity=4, registry=mock_registry())
    )
    await node.until(lambda: any(stream.credit == 4 for stream in node.streams))
    own = next(stream for stream in node.streams if stream.credit == 4)
    own.send_work([work(1, handler="sleep", payload=b"3")])
    await node.until(lambda: own.started)
    await node.kill()
    before = len(node.streams)
    await asyncio.sleep(FALL_BACK_AFTER_S + 0.2)  # until it tries every address again
    await node.start()
    await node.until(lambda: len(node.streams) > before and node.results)
    assert [stream.goodbye for stream in node.streams] == [None] * len(node.streams)


async def test_an_alias_serves_when_the_listed_address_does_not_work(cluster: Cluster) -> None:
    node = await cluster.node("a", node_list=["127.0.0.1:1"])
    cluster.executor(node, capacity=4)
    await ready(node, 4)
    node.stream.send_work([work(1)])
    await node.until(lambda: node.results)


async def test_it_waits_for_a_node_that_is_not_up_and_comes_back_after_a_crash(cluster: Cluster) -> None:
    node = await cluster.node("a")
    await node.kill()
    cluster.executor(node)
    await node.start()
    await ready(node, 10)
    await node.kill()
    await node.start()
    await node.until(lambda: len(node.streams) == 2 and node.stream.credit == 10)


async def test_a_node_that_falls_silent_is_given_up_and_its_credit_goes_to_the_other(
    cluster: Cluster,
) -> None:
    a, b = await cluster.node("a", lease_s=1), await cluster.node("b", lease_s=1)
    a.node_list = b.node_list = [a.address, b.address]
    cluster.executor(a, b, capacity=10)
    await ready(a, 5)
    await ready(b, 5)
    a.greets = False  # no heartbeats, no answers to a new hello
    await a.until(lambda: a.stream.has_ended)
    await ready(b, 10)
    assert a.streams[0].goodbye is None


async def test_heartbeats_come_as_often_as_the_node_wants(cluster: Cluster) -> None:
    node = await cluster.node("a")
    cluster.executor(node)
    await node.until(lambda: node.streams and node.stream.heartbeats >= 3)
    assert node.stream.frames <= node.stream.heartbeats + 3


async def test_a_drain_runs_what_was_sent_within_credit_and_says_goodbye(cluster: Cluster) -> None:
    node = await cluster.node("a", returns_credit=False)
    executor = cluster.executor(node, capacity=5)
    await ready(node, 5)
    node.stream.send_work([work(1, handler="sleep", payload=b"0.5")])
    await node.until(lambda: node.stream.started)
    executor.stop()
    await node.until(lambda: node.stream.is_draining)
    node.stream.send_work([work(2)])  # it crossed the drain
    assert await cluster.drained(executor)
    outcomes = {result.attempt.task_key[-1]: result.outcome for result in node.results}
    assert outcomes == {1: pb.RESULT_OUTCOME_SUCCEEDED, 2: pb.RESULT_OUTCOME_SUCCEEDED}
    assert node.stream.goodbye == "drained"
    assert node.stream.wanted_back >= 4, "its credit was asked back, and again when nothing came"


async def test_a_drain_with_nothing_to_do_still_runs_work_that_crossed_it(cluster: Cluster) -> None:
    node = await cluster.node("a", returns_credit=False)
    executor = cluster.executor(node, capacity=5)
    await ready(node, 5)

    def cross(stream: Stream, frame: pb.ConnectRequest) -> None:
        if frame.drain:
            stream.send_work([work(1, handler="echo", payload=b"all the same")])

    node.on_frame = cross
    executor.stop()
    assert await cluster.drained(executor)
    assert [result.output for result in node.results] == [b"all the same"]
    assert node.stream.goodbye == "drained"


async def test_a_drain_refuses_work_beyond_credit(cluster: Cluster) -> None:
    node = await cluster.node("a")
    executor = cluster.executor(node, capacity=2)
    await ready(node, 2)
    node.stream.send_work([work(1, handler="sleep", payload=b"0.5")])
    await node.until(lambda: node.stream.started)

    def cross(stream: Stream, frame: pb.ConnectRequest) -> None:
        if frame.credit and stream.is_draining:
            # One credit came back just now, and there is a free slot: it is the credit that counts.
            stream.send_work([work(2)])

    node.on_frame = cross
    executor.stop()
    assert await cluster.drained(executor)
    by_task = {result.attempt.task_key[-1]: result for result in node.results}
    assert by_task[1].outcome == pb.RESULT_OUTCOME_SUCCEEDED
    assert (by_task[2].outcome, by_task[2].error_kind) == (pb.RESULT_OUTCOME_REFUSED, "Draining")
    assert node.stream.goodbye == "drained"


async def test_a_drain_waits_until_results_are_saved(cluster: Cluster) -> None:
    node = await cluster.node("a", saves=False)
    executor = cluster.executor(node)
    await ready(node)
    node.stream.send_work([work(1)])
    await node.until(lambda: node.results)
    executor.stop()
    await node.until(lambda: node.stream.is_draining and len(node.results) >= 2)
    assert node.stream.goodbye is None
    node.saves = True
    assert await cluster.drained(executor)
    assert node.stream.goodbye == "drained"


async def test_a_drain_that_ends_at_its_deadline_says_no_goodbye(cluster: Cluster) -> None:
    node = await cluster.node("a")
    executor = cluster.executor(node, drain_timeout_s=0.3)
    await ready(node)
    node.stream.send_work([work(1, handler="sleep", payload=b"60")])
    await node.until(lambda: node.stream.started)
    executor.stop()
    assert not await cluster.drained(executor)
    await node.until(lambda: node.stream.has_ended)
    assert node.stream.goodbye is None
    assert node.results == []


async def test_sigterm_drains_a_process_and_a_stuck_thread_does_not_keep_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    node = await cluster.node("a")
    (tmp_path / "jobs.py").write_text(
        "import time\n"
        "from mainspring.executor import Executor, Job\n"
        "executor = Executor('127.0.0.1:1')\n"
        "@executor.handler('stuck')\n"
        "def stuck(job: Job) -> None:\n"
        "    time.sleep(600)\n"
    )
    code = (
        "import sys; from mainspring.executor.process import run_executor; "
        f"sys.exit(run_executor('{node.address}', handlers=['jobs:executor'], mock=True, drain_timeout_s=1.0))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(REPO / root) for root in ROOTS)}

    async def start(seen: int) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, cwd=tmp_path, env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        await node.until(lambda: len(node.streams) > seen and node.stream.credit)
        return process

    for handler, payload, expected in (("sleep", b"0.2", 0), ("stuck", b"", 1)):
        process = await start(len(node.streams))
        try:
            node.stream.send_work([work(expected, handler=handler, payload=payload)])
            await node.until(lambda: node.stream.started)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(DEADLINE_S):
                assert await process.wait() == expected
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert (node.stream.goodbye is None) == bool(expected)
