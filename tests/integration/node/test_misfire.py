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
AWAY_S = 7.0
BESIDE = "OVERLAP_POLICY_ALLOW"
CAPACITY = 4
PROMISED_S = 10.0
"""How late at most what is due begins."""
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


def all_ended(rows: list[pb.Execution]) -> bool:
    """Whether there are rows and nothing of them is open."""
    return bool(rows) and all(row.state >= pb.EXECUTION_STATE_SUCCEEDED for row in rows)


def has_run(row: pb.Execution) -> bool:
    """Whether it succeeded."""
    return row.state == pb.EXECUTION_STATE_SUCCEEDED


def made_up(rows: list[pb.Execution]) -> list[pb.Execution]:
    """Those of times that were missed."""
    return [row for row in rows if row.origin == pb.EXECUTION_ORIGIN_CATCH_UP]


def late_s(row: pb.Execution) -> float:
    """From when it was due until it was picked up."""
    return (row.pick_up_time.ToMicroseconds() - row.due_time.ToMicroseconds()) / 1e6


async def test_each_mode_over_an_outage(bench: Any) -> None:
    node = await bench.start_node(ENGINE)
    notes = Notebook(0.05)
    bench.start_executor(node.address, registry=notes.registry)
    ticking = list(MISFIRES)
    async with Api(node.address) as api:
        for name, misfire in MISFIRES.items():
            await api.create(name, "slow", misfire=misfire, overlap=BESIDE)
        for name in ticking:
            await eventually(lambda name=name: api.rows(name), lambda rows: len(rows) >= 2)
        at_text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4))  # nobody is there then
        for name, misfire in MISFIRES.items():
            await api.create(f"once {name}", "slow", misfire=misfire, schedule={"at": at_text})
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
        ledgers = {name: await eventually(lambda name=name: api.rows(name), all_ended) for name in ticking}
        once = {
            name: await eventually(lambda name=name: api.rows(f"once {name}"), all_ended) for name in ticking
        }
        assert {await api.state(f"once {name}") for name in ticking} == {task_pb2.TASK_STATE_COMPLETED}

    missed = set(range(int(away_from) + 1, int(back_at - GRACE_S) + 1))
    assert len(missed) >= 5
    for name, rows in ledgers.items():
        times = covered(rows)
        assert times == list(range(times[0], times[0] + len(times))), f"{name}: each time once"
        assert all(row.state in (pb.EXECUTION_STATE_SUCCEEDED, pb.EXECUTION_STATE_SKIPPED) for row in rows)
        gaps = [row for row in rows if row.HasField("gap")]
        assert all("misfired" in row.reason for row in gaps)
        late = made_up(rows)
        assert all(row.due_time == row.scheduled_time for row in late)
        assert all(row.state == pb.EXECUTION_STATE_SUCCEEDED for row in late)
        # What was due when nobody was away was on time, the backlog or not.
        fresh = [row for row in rows if seconds_of(row) > back_at + 2 and row not in late]
        assert len(fresh) >= 5
        assert max(map(late_s, fresh)) <= PROMISED_S, name
        if name in ("none", "latest"):
            assert late == []
            assert len(gaps) == 1
            assert missed <= set(covered(gaps)) | {max(missed)}
        elif name == "all":
            assert gaps == []
            assert {seconds_of(row) for row in late} >= missed
            spread_s = late[-1].dispatch_time.seconds - late[0].dispatch_time.seconds
            assert spread_s >= (len(late) - 1) * 0.5 - 1.5, "at a bounded rate"
        elif name == "limit":
            assert (len(late), len(gaps)) == (3, 1)
            assert gaps[0].gap.last_scheduled_time.seconds == seconds_of(late[0]) - 1
        else:
            assert 1 <= len(late) <= 3
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
        bench.start_executor(node.address, registry=notes.registry, capacity=CAPACITY)
        ticks: list[pb.Execution] = await eventually(
            lambda: api.rows("ticks"), lambda rows: len(list(filter(has_run, rows))) >= 3, 40
        )
        await eventually(
            lambda: api.rows("backlog"), lambda rows: len(list(filter(has_run, made_up(rows)))) >= 6, 40
        )
        await api.cancel("ticks")
        await api.cancel("backlog")
        rows: list[pb.Execution] = await eventually(lambda: api.rows("backlog"), all_ended)
    assert max(map(late_s, filter(has_run, ticks))) <= PROMISED_S
    times = {seconds_of(row) for row in made_up(rows)}
    drained = [span for span in notes.of("backlog") if span.scheduled_s in times]
    for span in drained:
        beside = sum(other.begun_s <= span.begun_s < other.ended_s for other in drained)
        assert beside < CAPACITY, "there is room for what becomes due"
