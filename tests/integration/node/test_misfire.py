"""Each misfire mode on a real node that was away for some seconds, and fresh times while a backlog drains."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from integration.node.ledger_api import Api, Notebook, seconds_of
from integration.node.test_main_job import eventually

from mainspring.server.engine.settings import EngineSettings
from mainspring.v1 import execution_pb2 as pb
from mainspring.v1 import task_pb2

GRACE_S = 1.5
ENGINE = EngineSettings(misfire_grace_s=GRACE_S, catch_up_spacing_s=0.5)
AWAY_S = 8.0
BESIDE = "OVERLAP_POLICY_ALLOW"
MISFIRES: dict[str, dict[str, Any]] = {
    "none": {"mode": "MISFIRE_MODE_NONE"},
    "latest": {"mode": "MISFIRE_MODE_LATEST"},
    "all": {"mode": "MISFIRE_MODE_ALL"},
    "limit": {"mode": "MISFIRE_MODE_ALL", "catch_up_limit": 3},
    "window": {"mode": "MISFIRE_MODE_ALL", "catch_up_window": "4s"},
}


def covered(rows: list[pb.Execution]) -> list[int]:
    """Every scheduled time that the rows stand for, in seconds."""
    times: list[int] = []
    for row in rows:
        last = row.gap.last_scheduled_time.seconds if row.HasField("gap") else seconds_of(row)
        times += range(seconds_of(row), last + 1)
    return times


async def test_each_mode_over_an_outage(bench: Any) -> None:
    node = await bench.start_node(ENGINE)
    notes = Notebook(0.05)
    bench.start_executor(node.address, registry=notes.registry)
    ticking = list(MISFIRES)
    async with Api(node.address) as api:
        for name, misfire in MISFIRES.items():
            await api.create(name, "slow", misfire=misfire, overlap=BESIDE)
            at = time.time() + 5  # while nobody is there
            at_text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
            await api.create(f"once {name}", "slow", misfire=misfire, schedule={"at": at_text})
        for name in ticking:
            await eventually(lambda name=name: api.rows(name), lambda rows: len(rows) >= 2)
    await node.vanish()
    away_from = time.time()
    await asyncio.sleep(AWAY_S)
    back_at = time.time()
    node = await bench.start_node(ENGINE)
    bench.start_executor(node.address, registry=notes.registry, executor_id="executor-2")
    async with Api(node.address) as api:
        for name in ticking:
            await eventually(
                lambda name=name: api.rows(name), lambda rows: seconds_of(rows[-1]) > back_at + 8, 30
            )
            await api.cancel(name)
        await asyncio.sleep(1.5)
        ledgers = {name: await api.rows(name) for name in ticking}
        once = {name: await api.rows(f"once {name}") for name in ticking}
        assert {await api.state(f"once {name}") for name in ticking} == {task_pb2.TASK_STATE_COMPLETED}

    missed = set(range(int(away_from) + 1, int(back_at - GRACE_S) + 1))
    assert len(missed) >= 5
    for name, rows in ledgers.items():
        times = covered(rows)
        assert times == list(range(times[0], times[0] + len(times))), f"{name}: each time once"
        assert all(row.state in (pb.EXECUTION_STATE_SUCCEEDED, pb.EXECUTION_STATE_SKIPPED) for row in rows)
        gaps = [row for row in rows if row.HasField("gap")]
        assert all("misfired" in row.reason for row in gaps)
        made_up = [row for row in rows if row.origin == pb.EXECUTION_ORIGIN_CATCH_UP]
        assert all(row.due_time == row.scheduled_time for row in made_up)
        assert all(row.state == pb.EXECUTION_STATE_SUCCEEDED for row in made_up)
        # What was due when nobody was away was on time, the backlog or not.
        fresh = [row for row in rows if seconds_of(row) > back_at + 2 and row not in made_up]
        assert len(fresh) >= 5
        late_s = [(row.pick_up_time.ToMicroseconds() - row.due_time.ToMicroseconds()) / 1e6 for row in fresh]
        assert max(late_s) < 2, name
        if name in ("none", "latest"):
            assert made_up == []
            assert len(gaps) == 1
            assert missed <= set(covered(gaps)) | {max(missed)}
        elif name == "all":
            assert gaps == []
            assert {seconds_of(row) for row in made_up} >= missed
            spread_s = made_up[-1].dispatch_time.seconds - made_up[0].dispatch_time.seconds
            assert spread_s >= (len(made_up) - 1) * 0.5 - 1.5, "at a bounded rate"
        elif name == "limit":
            assert (len(made_up), len(gaps)) == (3, 1)
            assert gaps[0].gap.last_scheduled_time.seconds == seconds_of(made_up[0]) - 1
        else:
            assert 1 <= len(made_up) <= 3
            assert len(gaps) == 1
    assert [row.state for row in once["none"]] == [pb.EXECUTION_STATE_SKIPPED]
    assert "misfired" in once["none"][0].reason
    assert [(row.state, row.origin) for row in once["latest"]] == [
        (pb.EXECUTION_STATE_SUCCEEDED, pb.EXECUTION_ORIGIN_SCHEDULE)
    ]
    for name in ("all", "limit"):
        assert [(row.state, row.origin) for row in once[name]] == [
            (pb.EXECUTION_STATE_SUCCEEDED, pb.EXECUTION_ORIGIN_CATCH_UP)
        ]


async def test_fresh_times_are_on_time_while_a_backlog_that_would_fill_the_executor_drains(
    bench: Any,
) -> None:
    """Missed times that take long each, on an executor of four: the others find room, and all run in the end."""
    engine = EngineSettings(misfire_grace_s=GRACE_S, catch_up_spacing_s=0.1)
    node = await bench.start_node(engine)
    notes = Notebook(1.5)
    async with Api(node.address) as api:
        # Without an executor they become due and are not claimed.
        await api.create("backlog", "slow", misfire={"mode": "MISFIRE_MODE_ALL"}, overlap=BESIDE)
        await asyncio.sleep(10)
        await api.create("ticks", "slow")
        bench.start_executor(node.address, registry=notes.registry, capacity=4)
        await eventually(
            lambda: api.rows("backlog"),
            lambda rows: sum(row.origin == pb.EXECUTION_ORIGIN_CATCH_UP for row in rows) >= 6,
        )
        await asyncio.sleep(6)
        await api.cancel("backlog")
        await api.cancel("ticks")
        rows: list[pb.Execution] = await eventually(
            lambda: api.rows("backlog"),
            lambda rows: all(row.state >= pb.EXECUTION_STATE_SUCCEEDED for row in rows),
            30,
        )
        ticks = [row for row in await api.rows("ticks") if row.state == pb.EXECUTION_STATE_SUCCEEDED]
    assert any(row.origin == pb.EXECUTION_ORIGIN_CATCH_UP for row in rows)
    late_s = [(row.pick_up_time.ToMicroseconds() - row.due_time.ToMicroseconds()) / 1e6 for row in ticks]
    assert len(late_s) >= 3
    assert max(late_s) < 5
