"""A node and its executors under a clock that is moved by hand: when things happen, and what holds time up."""

import asyncio
import base64
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import grpc.aio
import pytest
from google.protobuf import json_format

from mainspring.client import (
    Aborted,
    At,
    Cron,
    DeadlineExceeded,
    Delay,
    Every,
    Execution,
    ExecutionState,
    FailedPrecondition,
    InvalidArgument,
    MainspringClient,
    NewTask,
    OverlapPolicy,
    ResourceExhausted,
    Task,
    Timeouts,
    Unimplemented,
)
from mainspring.client.dev import DevClient
from mainspring.dev.process import VIRTUAL_TIME, BuiltInExecutor, DevProcess, node_config
from mainspring.dev.virtual_clock import VirtualClock
from mainspring.executor.executor import Executor
from mainspring.executor.job import Job
from mainspring.executor.mock_handlers import mock_registry
from mainspring.executor.registry import HandlerRegistry
from mainspring.server.clock import ClusterClock
from mainspring.server.core.new_schedule import validate_cron
from mainspring.server.core.next_fire import fires_between
from mainspring.server.core.schedule import Schedule
from mainspring.server.engine.settings import EngineSettings
from mainspring.server.persistence.sqlite.store import SQLiteStore
from mainspring.v1 import task_pb2, task_service_pb2, task_service_pb2_grpc

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def us(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // MICROSECOND


@dataclass
class Virtual:
    """A running process, its clients, and executors of the test's own that reach it over gRPC."""

    address: str
    client: MainspringClient
    dev: DevClient
    executors: "list[asyncio.Task[bool]]" = field(default_factory=list)

    async def connect(self, executor: Executor) -> "asyncio.Task[bool]":
        """Runs an executor and returns when the node knows it."""
        task = asyncio.create_task(executor.run())
        self.executors.append(task)
        async with asyncio.timeout(20):
            while executor.config.executor_id not in await self.connected():
                await asyncio.sleep(0.02)
        return task

    def executor(self, executor_id: str, capacity: int = 10) -> Executor:
        return Executor(self.address, capacity=capacity, executor_id=executor_id, drain_timeout_s=1)

    async def connected(self) -> dict[str, int]:
        """Executors with credit, by id."""
        cluster = await self.client.list_nodes()
        return {e.executor_id: e.credit for e in cluster.executors if e.credit}

    async def ledger(self, task_id: str) -> list[Execution]:
        """A task's executions, oldest first."""
        return [e async for e in self.client.list_executions(task_id=task_id)][::-1]


@asynccontextmanager
async def running(
    start: datetime = START,
    *,
    capacity: int | None = 100,
    engine: EngineSettings = VIRTUAL_TIME,
    is_virtual: bool = True,
    handlers: HandlerRegistry | None = None,
    keep_time: Callable[[int], Awaitable[None]] | None = None,
) -> AsyncIterator[Virtual]:
    clock = VirtualClock(us(start))
    store = SQLiteStore(":memory:", now=clock.now) if is_virtual else SQLiteStore(":memory:")
    await store.start()
    built_in = (
        BuiltInExecutor(handlers or mock_registry(clock.sleep_in), capacity=capacity, drain_timeout_s=0.5)
        if capacity
        else None
    )
    process = DevProcess(
        node_config("127.0.0.1:0", engine),
        store,
        clock if is_virtual else ClusterClock(),
        built_in,
        keep_time,
    )
    address = process.listen()
    stop, ready = asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(process.run(stop, ready.set))
    try:
        async with asyncio.timeout(20):
            await ready.wait()
        async with MainspringClient(address) as client, DevClient(address) as dev:
            virtual = Virtual(address, client, dev)
            try:
                yield virtual
            finally:
                for task in virtual.executors:
                    task.cancel()
                await asyncio.gather(*virtual.executors, return_exceptions=True)
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await serving
        await store.close()


@pytest.fixture
async def virtual() -> AsyncIterator[Virtual]:
    async with running() as made:
        yield made


def assert_at_once(executions: Sequence[Execution]) -> None:
    """Each was claimed, picked up, finished and saved at the very instant at which it was due."""
    for e in executions:
        assert e.state is ExecutionState.SUCCEEDED
        instants = {e.due_time, e.claim_time, e.dispatch_time, e.pick_up_time, e.finish_time, e.save_time}
        assert instants == {e.scheduled_time}, e


async def test_a_month_of_a_five_minute_cron(virtual: Virtual) -> None:
    await virtual.client.create_task("noop", Cron("*/5 * * * *", "Europe/Berlin"), task_id="c")
    moved = await virtual.dev.advance(timedelta(days=30))
    assert moved.time == START + timedelta(days=30)
    assert moved.finished_executions == 8_640
    ledger = await virtual.ledger("c")
    cron = Schedule(validate_cron(["*/5 * * * *"], "Europe/Berlin"))
    assert [us(e.scheduled_time) for e in ledger] == list(
        fires_between(cron, us(START), us(moved.time), 10_000)
    )
    assert len(ledger) == 8_640
    assert_at_once(ledger)


@pytest.mark.parametrize(
    ("night", "expression", "walls"),
    [
        # 02:00 to 03:00 is left out: what names a time in it fires once, at its end.
        (datetime(2026, 3, 29, tzinfo=BERLIN), "30 2 * * *", ["28 02:30+1", "29 03:00+2", "30 02:30+2"]),
        (
            datetime(2026, 3, 29, tzinfo=BERLIN),
            "*/30 * * * *",
            ["29 01:00+1", "29 01:30+1", "29 03:00+2", "29 03:30+2"],
        ),
        # 02:00 to 03:00 comes twice: what names a time in it fires the first time.
        (datetime(2026, 10, 25, tzinfo=BERLIN), "30 2 * * *", ["24 02:30+2", "25 02:30+2", "26 02:30+1"]),
        (
            datetime(2026, 10, 25, tzinfo=BERLIN),
            "*/30 * * * *",
            ["25 01:30+2", "25 02:00+2", "25 02:30+2", "25 02:00+1", "25 02:30+1", "25 03:00+1"],
        ),
    ],
)
async def test_the_nights_on_which_berlin_changes_its_clocks(
    night: datetime, expression: str, walls: list[str]
) -> None:
    start = night.astimezone(UTC) - timedelta(hours=24)
    async with running(start) as virtual:
        await virtual.client.create_task("noop", Cron(expression, "Europe/Berlin"), task_id="c")
        await virtual.dev.advance(start + timedelta(hours=54))
        ledger = await virtual.ledger("c")
    fired = [e.scheduled_time.astimezone(BERLIN) for e in ledger]
    seen = [f"{at:%d %H:%M}+{int(at.utcoffset().total_seconds() // 3600)}" for at in fired]  # type: ignore[union-attr]
    wanted = Schedule(validate_cron([expression], "Europe/Berlin"))
    assert [us(at) for at in fired] == list(
        fires_between(wanted, us(start), us(start + timedelta(hours=54)), 500)
    )
    first = seen.index(walls[0])
    assert seen[first : first + len(walls)] == walls
    assert_at_once(ledger)


async def test_kept_are_the_times_at_which_something_is_due_and_the_end_of_each_move() -> None:
    kept: list[int] = []

    async def keep_time(at: int) -> None:
        kept.append(at)

    async with running(keep_time=keep_time) as virtual:
        await virtual.client.create_task("noop", Cron("*/10 * * * *"), task_id="c")
        await virtual.dev.advance(timedelta(minutes=25))
        await virtual.client.create_task("nobody's", Delay(timedelta(minutes=2)))
        with pytest.raises(FailedPrecondition):
            await virtual.dev.run_until_idle(timedelta(minutes=20))
    assert kept == [us(START + timedelta(minutes=minutes)) for minutes in (10, 20, 25, 27)]


async def test_a_sleep_of_thirty_seconds_ends_thirty_seconds_later(virtual: Virtual) -> None:
    for n in range(3):
        at = START + timedelta(minutes=1, seconds=10 * n)
        await virtual.client.create_task("sleep", At(at), payload="30", task_id=f"s{n}")
    await virtual.client.create_task("noop", Every(timedelta(seconds=7)), task_id="beside")
    moved = await virtual.dev.advance(timedelta(seconds=95))
    assert moved.time == START + timedelta(seconds=95)
    for n, state in enumerate([ExecutionState.SUCCEEDED, ExecutionState.RUNNING, ExecutionState.RUNNING]):
        (e,) = await virtual.ledger(f"s{n}")
        begun = START + timedelta(minutes=1, seconds=10 * n)
        assert e.state is state
        assert e.pick_up_time == begun
        assert e.finish_time == (begun + timedelta(seconds=30) if state is ExecutionState.SUCCEEDED else None)
    assert_at_once(await virtual.ledger("beside"))
    assert len(await virtual.ledger("beside")) == 13
    await virtual.dev.advance(timedelta(seconds=15))
    (last,) = await virtual.ledger("s2")
    assert last.finish_time == START + timedelta(seconds=110)


async def test_waits_and_timeouts_are_virtual_too(virtual: Virtual) -> None:
    """An hour's sleep is stopped after a minute, twice, with ten minutes between."""
    task = {
        "id": "t",
        "handler": "sleep",
        "payload": base64.b64encode(b"3600").decode(),
        "schedule": {"delay": "5s"},
        "retry": {"max_attempts": 2, "initial_backoff": "600s"},
        "timeouts": {"start_to_finish": "60s"},
    }
    async with grpc.aio.insecure_channel(virtual.address) as channel:
        stub = task_service_pb2_grpc.TaskServiceStub(channel)
        request = task_service_pb2.CreateTaskRequest(task=json_format.ParseDict(task, task_pb2.Task()))
        await stub.CreateTask(request, timeout=20)
    begun_s = time.monotonic()
    moved = await virtual.dev.advance(timedelta(hours=3))
    assert time.monotonic() - begun_s < 20
    assert moved.finished_executions == 1
    (ended,) = await virtual.ledger("t")
    assert (ended.state, ended.attempt) == (ExecutionState.FAILED, 2)
    assert ended.reason == "Timeout: it ran for 60 s"
    assert ended.finish_time is not None
    late = ended.finish_time - (START + timedelta(seconds=5 + 60 + 600 + 60))
    assert timedelta(0) <= late < timedelta(seconds=1)


async def test_a_full_executor_makes_work_late_by_as_much_as_it_is_busy() -> None:
    async with running(capacity=1) as virtual:
        due = START + timedelta(minutes=1)
        for n in range(3):
            await virtual.client.create_task("sleep", At(due), payload="30", task_id=f"s{n}")
        await virtual.dev.advance(timedelta(minutes=10))
        rows = sorted(
            [(await virtual.ledger(f"s{n}"))[0] for n in range(3)], key=lambda e: e.pick_up_time or due
        )
    assert [(e.pick_up_time, e.finish_time) for e in rows] == [
        (due + timedelta(seconds=30 * n), due + timedelta(seconds=30 * (n + 1))) for n in range(3)
    ]


async def test_a_herd_is_one_instant(virtual: Virtual) -> None:
    due = START + timedelta(hours=1)
    created = await virtual.client.create_tasks(
        NewTask("echo", At(due), task_id=f"h{n:04}") for n in range(1_500)
    )
    assert all(isinstance(task, Task) for task in created)
    moved = await virtual.dev.advance(due)
    assert (moved.time, moved.finished_executions) == (due, 1_500)
    ledger = [e async for e in virtual.client.list_executions()]
    assert len(ledger) == 1_500
    assert_at_once(ledger)


async def test_work_over_grpc_holds_time_until_it_ends() -> None:
    async with running(capacity=None) as virtual:
        begun, may_end = asyncio.Event(), asyncio.Event()
        executor = virtual.executor("outside")

        @executor.handler("work")
        async def work(job: Job) -> str:
            begun.set()
            await may_end.wait()
            return "done"

        await virtual.connect(executor)
        await virtual.client.create_task("work", Delay(timedelta(minutes=1)), task_id="w")
        await virtual.client.create_task("work", Delay(timedelta(minutes=2)), task_id="later")
        moving = asyncio.create_task(virtual.dev.advance(timedelta(hours=1)))
        async with asyncio.timeout(20):
            await begun.wait()
        with pytest.raises(Aborted):
            await virtual.dev.advance(timedelta(seconds=1))
        assert await virtual.dev.now() == START + timedelta(minutes=1)
        assert not moving.done()
        may_end.set()
        assert (await moving).time == START + timedelta(hours=1)
        assert_at_once(await virtual.ledger("w") + await virtual.ledger("later"))


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_handler_in_this_process_that_takes_its_time_holds_time_too(is_async: bool) -> None:
    handlers = HandlerRegistry()

    @handlers.handler("thread")
    def on_a_thread(job: Job) -> None:
        time.sleep(0.05)

    @handlers.handler("task")
    async def on_the_loop(job: Job) -> None:
        await asyncio.sleep(0.05)

    async with running(handlers=handlers) as virtual:
        await virtual.client.create_task(
            "task" if is_async else "thread", Every(timedelta(minutes=1)), task_id="e"
        )
        assert (await virtual.dev.advance(timedelta(minutes=10))).finished_executions == 10
        assert_at_once(await virtual.ledger("e"))


async def test_a_call_that_runs_out_of_time_says_for_what_and_can_be_repeated() -> None:
    async with running(capacity=None) as virtual:
        may_end = asyncio.Event()
        executor = virtual.executor("outside")

        @executor.handler("work")
        async def work(job: Job) -> None:
            await may_end.wait()

        await virtual.connect(executor)
        await virtual.client.create_task("work", Delay(timedelta(minutes=1)), task_id="w")
        with pytest.raises(DeadlineExceeded, match="1 executions are at work"):
            await virtual.dev.advance(timedelta(hours=1), timeout_s=1)
        assert await virtual.dev.now() == START + timedelta(minutes=1)
        may_end.set()
        moved = await virtual.dev.advance(START + timedelta(hours=1))
        assert moved.time == START + timedelta(hours=1)
        assert_at_once(await virtual.ledger("w"))


async def test_what_a_handler_registers_runs_at_its_time() -> None:
    async with running(capacity=None) as virtual:
        executor = virtual.executor("outside")

        @executor.handler("chain")
        async def chain(job: Job) -> None:
            left = int(job.payload)
            if left:
                delay = Delay(timedelta(seconds=10 if left % 2 else 0))
                await virtual.client.create_task(
                    "chain", delay, payload=str(left - 1), task_id=f"chain-{left - 1}"
                )

        await virtual.connect(executor)
        await virtual.client.create_task("chain", Delay(timedelta(0)), payload="6", task_id="chain-6")
        await virtual.dev.advance(timedelta(minutes=1))
        rows = [(await virtual.ledger(f"chain-{left}"))[0] for left in range(6, -1, -1)]
    assert [(e.pick_up_time or START) - START for e in rows] == [
        timedelta(seconds=s) for s in (0, 0, 10, 10, 20, 20, 30)
    ]


async def test_cancelled_between_two_moves(virtual: Virtual) -> None:
    await virtual.client.create_task("noop", Every(timedelta(minutes=1)), task_id="e")
    assert (await virtual.dev.advance(timedelta(minutes=10))).finished_executions == 10
    await virtual.client.cancel_task("e")
    assert (await virtual.dev.advance(timedelta(days=365))).finished_executions == 0
    assert len(await virtual.ledger("e")) == 10


async def test_an_executor_that_dies_is_given_its_lease_in_virtual_time() -> None:
    async with running(capacity=None) as virtual:
        begun = asyncio.Event()
        first, second = virtual.executor("first"), virtual.executor("second")

        @first.handler("work")
        async def never_ends(job: Job) -> None:
            begun.set()
            await asyncio.Event().wait()

        second.registry.register("work", lambda job: "done")
        dying = await virtual.connect(first)
        await virtual.client.create_task("work", Delay(timedelta(minutes=1)), task_id="w")
        moving = asyncio.create_task(virtual.dev.advance(timedelta(minutes=2)))
        async with asyncio.timeout(20):
            await begun.wait()
        await virtual.connect(second)
        dying.cancel()
        with suppress(asyncio.CancelledError):
            await dying
        assert (await moving).time == START + timedelta(minutes=2)
        (e,) = await virtual.ledger("w")
    assert (e.state, e.attempt, e.executor_id) == (ExecutionState.SUCCEEDED, 2, "second")
    waited = (e.pick_up_time or START) - (START + timedelta(minutes=1))
    lease = timedelta(seconds=VIRTUAL_TIME.lease_s)
    assert lease <= waited <= lease + timedelta(milliseconds=1)


async def test_a_process_that_stood_still_for_a_lease_runs_everything_at_its_time(virtual: Virtual) -> None:
    """Its executor gives up its connection then, and makes another."""
    await virtual.client.create_task("noop", Every(timedelta(seconds=1)), task_id="each")
    for count in range(1, 5):
        asyncio.get_running_loop().call_soon(time.sleep, 2.5)
        await virtual.dev.advance(timedelta(seconds=1))
        executions = await virtual.ledger("each")
        assert len(executions) == count
        assert_at_once(executions)


async def test_what_nobody_runs_holds_no_time(virtual: Virtual) -> None:
    await virtual.client.create_task("unknown", Every(timedelta(minutes=1)), task_id="u")
    moved = await virtual.dev.advance(timedelta(hours=1))
    assert (moved.time, moved.finished_executions) == (START + timedelta(hours=1), 0)
    executor = virtual.executor("late")
    executor.registry.register("unknown", lambda job: None)
    await virtual.connect(executor)
    await virtual.dev.advance(timedelta(0))
    ledger = await virtual.ledger("u")
    assert ledger[0].gap is not None
    assert (ledger[0].gap.count, ledger[0].state) == (59, ExecutionState.SKIPPED)
    assert [(e.scheduled_time, e.pick_up_time) for e in ledger[1:]] == [(moved.time, moved.time)]


async def test_what_nobody_runs_expires_when_its_time_has_come(virtual: Virtual) -> None:
    timeouts = Timeouts(schedule_to_start=timedelta(minutes=5))
    await virtual.client.create_task("unknown", Delay(timedelta(hours=1)), task_id="u", timeouts=timeouts)
    moved = await virtual.dev.run_until_idle()
    assert moved.finished_executions == 1
    assert timedelta(0) < moved.time - (START + timedelta(hours=1, minutes=5)) < timedelta(seconds=1)
    (e,) = await virtual.ledger("u")
    assert (e.state, e.finish_time) == (ExecutionState.EXPIRED, moved.time)

    timeouts = Timeouts(schedule_to_start=timedelta(seconds=20))
    await virtual.client.create_task(
        "unknown", Every(timedelta(minutes=1)), task_id="each", timeouts=timeouts
    )
    moved = await virtual.dev.advance(timedelta(minutes=10, seconds=30))
    ledger = await virtual.ledger("each")
    assert [e.state for e in ledger] == [ExecutionState.EXPIRED] * 10
    assert moved.finished_executions == 10
    await virtual.client.create_task("unknown", Delay(timedelta(minutes=3)), task_id="for ever")
    with pytest.raises(FailedPrecondition):
        await virtual.dev.run_until_idle()
    assert timedelta(minutes=3) <= await virtual.dev.now() - moved.time < timedelta(minutes=4)


async def test_a_task_tells_when_its_next_time_is_due(virtual: Virtual) -> None:
    task = await virtual.client.create_task("noop", Every(timedelta(hours=1)), task_id="t")
    assert task.next_due_time == task.next_scheduled_time is not None
    later = task.next_scheduled_time + timedelta(minutes=7)
    await virtual.client.adjust_execution("t", task.next_scheduled_time, due_time=later)
    moved = await virtual.client.get_task("t")
    assert (moved.next_scheduled_time, moved.next_due_time) == (task.next_scheduled_time, later)
    assert (await virtual.client.pause_task("t")).next_due_time is None
    assert (await virtual.client.resume_task("t")).next_due_time == later


async def test_until_idle_ends_with_the_last_one_time_task(virtual: Virtual) -> None:
    await virtual.client.create_task("noop", Cron("0 * * * *"), task_id="c")
    assert (await virtual.dev.run_until_idle()).time == START
    await virtual.client.create_task("noop", Delay(timedelta(hours=5, minutes=1)), task_id="o")
    await virtual.client.create_task("sleep", Delay(timedelta(hours=5)), payload="300", task_id="s")
    moved = await virtual.dev.run_until_idle()
    assert (moved.time, moved.finished_executions) == (START + timedelta(hours=5, minutes=5), 7)
    await virtual.client.create_task("noop", Delay(timedelta(hours=2)), task_id="too-late")
    with pytest.raises(ResourceExhausted):
        await virtual.dev.run_until_idle(timedelta(hours=1))
    assert await virtual.dev.now() == moved.time + timedelta(hours=1)
    await virtual.client.create_task("unknown", Delay(timedelta(hours=3)), task_id="u")
    with pytest.raises(FailedPrecondition, match="unknown"):
        await virtual.dev.run_until_idle()
    assert await virtual.dev.now() == moved.time + timedelta(hours=4)


async def test_years_without_anything_due_are_passed_at_once(virtual: Virtual) -> None:
    await virtual.client.create_task("noop", Cron("0 0 29 2 *"), task_id="leap")
    moved = await virtual.dev.advance(timedelta(days=3_650))
    assert moved.finished_executions == 2
    ledger = await virtual.ledger("leap")
    assert [e.scheduled_time.year for e in ledger] == [2028, 2032]
    assert_at_once(ledger)


async def test_more_than_fits_in_memory_is_still_in_order() -> None:
    async with running(engine=replace(VIRTUAL_TIME, window_capacity=60, load_page=20)) as virtual:
        tasks = [
            NewTask("noop", At(START + timedelta(minutes=1 + (7 * n) % 300)), task_id=f"t{n}")
            for n in range(400)
        ]
        tasks += [NewTask("noop", At(START + timedelta(minutes=77)), task_id=f"herd{n}") for n in range(100)]
        created = await virtual.client.create_tasks(tasks)
        assert all(isinstance(task, Task) for task in created)
        moved = await virtual.dev.advance(timedelta(hours=6))
        ledger = [e async for e in virtual.client.list_executions()]
    assert moved.finished_executions == 500
    assert len(ledger) == 500
    assert_at_once(ledger)


async def test_the_clock_goes_neither_back_nor_too_far(virtual: Virtual) -> None:
    for target in (START - MICROSECOND, START - timedelta(days=1)):
        with pytest.raises(InvalidArgument):
            await virtual.dev.advance(target)
    with pytest.raises(InvalidArgument):
        await virtual.dev.run_until_idle(timedelta(days=3_651))
    assert await virtual.dev.now() == START


async def test_a_node_whose_clock_is_real_does_not_have_the_service() -> None:
    async with running(is_virtual=False) as process:
        with pytest.raises(Unimplemented):
            await process.dev.now()
        await process.client.create_task("sleep", Delay(timedelta(0)), payload="0.01", task_id="s")


@pytest.mark.parametrize("seed", range(3))
async def test_any_mix_moved_in_any_steps_happens_when_it_should(seed: int) -> None:
    rng = random.Random(f"mix {seed}")
    async with running(capacity=1_000) as virtual:
        wanted: dict[str, list[tuple[datetime, timedelta]]] = {}
        tasks = []
        for n in range(150):
            due = START + timedelta(milliseconds=rng.randrange(1, 7_200_000))
            nap = rng.choice([timedelta(0), timedelta(milliseconds=rng.randrange(1, 600_000))])
            payload = str(nap.total_seconds()).encode()
            tasks.append(NewTask("sleep", At(due), payload, task_id=f"once-{n}"))
            wanted[f"once-{n}"] = [(due, nap)]
        for n in range(5):
            every = timedelta(seconds=rng.randrange(60, 900))
            nap = timedelta(seconds=rng.randrange(0, 2_000))
            tasks.append(
                NewTask(
                    "sleep",
                    Every(every),
                    str(nap.total_seconds()).encode(),
                    task_id=f"every-{n}",
                    overlap=OverlapPolicy.ALLOW,
                )
            )
            dues = [START + every * (k + 1) for k in range(timedelta(hours=3) // every)]
            wanted[f"every-{n}"] = [(due, nap) for due in dues]
        created = await virtual.client.create_tasks(tasks)
        assert all(isinstance(task, Task) for task in created)
        end = START + timedelta(hours=3)
        while (now := await virtual.dev.now()) < end:
            step = timedelta(milliseconds=rng.choice([0, 1, rng.randrange(60_000), rng.randrange(3_600_000)]))
            moved = await virtual.dev.advance(min(end, now + step))
            assert moved.time == min(end, now + step)
        await virtual.client.cancel_task("every-0")
        seen: dict[str, list[Execution]] = {}
        async for e in virtual.client.list_executions():
            seen.setdefault(e.task_id, []).append(e)
    for task_id, times in wanted.items():
        rows = sorted(seen[task_id], key=lambda e: e.scheduled_time)
        assert [e.claim_time for e in rows] == [due for due, _ in times], task_id
        ended = [due + nap if due + nap <= end else None for due, nap in times]
        assert [e.finish_time for e in rows] == ended, task_id
        assert [e.save_time for e in rows] == ended, task_id
        assert all(
            e.pick_up_time == e.scheduled_time for e in rows if e.state is not ExecutionState.DISPATCHED
        )
