"""How many items of work go through one executor: printed, not asserted, for machines differ."""

import time

import pytest
from integration.executor.conftest import Cluster
from integration.executor.fake_node import Stream, work

from mainspring.v1 import executor_service_pb2 as pb

ITEMS = 20_000


async def test_noop_items_flow_in_batches(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], tmp_path
) -> None:
    node = await cluster.node("a")
    left = ITEMS

    def feed(stream: Stream, frame: pb.ConnectRequest) -> None:
        nonlocal left
        count = min(left, stream.credit, 1_000)
        if count and frame.credit:
            stream.send_work([work(left - index) for index in range(count)])
            left -= count

    node.on_frame = feed
    began_s = time.perf_counter()
    cluster.executor(node, capacity=1_000, run_log=tmp_path / "run.jsonl")
    await node.until(lambda: sum(len(stream.results) for stream in node.streams) >= ITEMS)
    took_s = time.perf_counter() - began_s
    stream = node.stream
    with capsys.disabled():
        print(
            f"\n{ITEMS / took_s:,.0f} noop items/s in {stream.frames} frames, node's double in the same process"
        )
    assert len({result.attempt.task_key for result in node.results}) == ITEMS
    assert len(stream.started) == ITEMS
    assert all(result.outcome == pb.RESULT_OUTCOME_SUCCEEDED for result in node.results)
    # A start, a result and a credit per item would be 60,000 frames.
    assert stream.frames < ITEMS / 20
