"""Every kind of schedule on both stores, registered through the client and through the command line."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from integration.dev.conftest import Dev
from typer.testing import CliRunner

from mainspring.cli.app import app
from mainspring.client import (
    At,
    CalendarInterval,
    CalendarUnit,
    Cron,
    Delay,
    Every,
    Exclusions,
    Execution,
    ExecutionState,
    GapPolicy,
    MainspringClient,
    OverlapPolicy,
    RepeatPolicy,
    Schedule,
    TaskState,
    Weekday,
)

SECOND = timedelta(seconds=1)
WITHIN_S = 45.0


@dataclass(frozen=True)
class Kind:
    """One kind of schedule, said in both ways; `now` is a whole second in a zone where midnight is far away."""

    schedule: Callable[[datetime], Schedule]
    words: Callable[[datetime], list[str]]
    fires: int | None = None
    """How many scheduled times it has in all; None: it goes on."""


def clock(now: datetime, *seconds: int) -> list[str]:
    return [f"{now + n * SECOND:%H:%M:%S}" for n in seconds]


def zone_of(now: datetime) -> str:
    """The IANA name of a fixed offset, whose sign is turned round."""
    offset = now.utcoffset()
    assert offset is not None
    return f"Etc/GMT{-offset // timedelta(hours=1):+d}"


KINDS = {
    "at": Kind(lambda now: At(now + 4 * SECOND), lambda now: ["--at", (now + 4 * SECOND).isoformat()], 1),
    "at with jitter": Kind(
        lambda now: At(now + 3 * SECOND, jitter=3 * SECOND),
        lambda now: ["--at", (now + 3 * SECOND).isoformat(), "--jitter", "3s"],
        1,
    ),
    "delay": Kind(lambda now: Delay(2 * SECOND), lambda now: ["--delay", "2s"], 1),
    "cron": Kind(
        lambda now: Cron("*/2 * * * * *", "Europe/Berlin"),
        lambda now: ["--cron", "*/2 * * * * *", "--time-zone", "Europe/Berlin"],
    ),
    "several expressions and policies": Kind(
        lambda now: Cron(
            ("*/6 * * * * *", "*/4 * 0-23 * * *"), "Asia/Tokyo", GapPolicy.SKIP, RepeatPolicy.BOTH
        ),
        lambda now: [
            *("--cron", "*/6 * * * * *", "--cron", "*/4 * 0-23 * * *", "--time-zone", "Asia/Tokyo"),
            *("--gap", "skip", "--repeat", "both"),
        ],
    ),
    "H": Kind(
        lambda now: Cron("H/3 * * * * *"),
        lambda now: ["--cron", "H/3 * * * * *"],
    ),
    "every": Kind(lambda now: Every(SECOND), lambda now: ["--every", "1s"]),
    "every with a phase": Kind(
        lambda now: Every(2 * SECOND, timedelta(milliseconds=1_500)),
        lambda now: ["--every", "2s", "--phase", "1500ms"],
    ),
    "every between two instants": Kind(
        lambda now: Every(SECOND, start=now + 3 * SECOND, end=now + 6 * SECOND),
        lambda now: [
            *("--every", "1s", "--start", (now + 3 * SECOND).isoformat()),
            *("--end", (now + 6 * SECOND).isoformat()),
        ],
        3,
    ),
    "a maximum, jitter and exclusions": Kind(
        lambda now: Cron(
            "* * * * * *",
            zone_of(now),
            max_executions=3,
            jitter=SECOND / 2,
            exclusions=Exclusions((date(2030, 1, 1),), ("*/2 * * * * *",)),
        ),
        lambda now: [
            *("--cron", "* * * * * *", "--time-zone", zone_of(now), "--max-executions", "3"),
            *("--jitter", "500ms", "--exclude-date", "2030-01-01", "--exclude-cron", "*/2 * * * * *"),
        ],
        3,
    ),
    "every 2 days": Kind(
        lambda now: CalendarInterval(
            CalendarUnit.DAY,
            tuple((now + n * SECOND).time() for n in (4, 5)),
            every=2,
            time_zone=zone_of(now),
            start_date=now.date(),
            max_executions=2,
        ),
        lambda now: [
            *("--calendar", "2 days", "--time", ",".join(clock(now, 4, 5)), "--time-zone", zone_of(now)),
            *("--start-date", f"{now:%Y-%m-%d}", "--max-executions", "2"),
        ],
        2,
    ),
    "every 2 weeks": Kind(
        lambda now: CalendarInterval(
            CalendarUnit.WEEK,
            ((now + 4 * SECOND).time(),),
            every=2,
            weekdays=(Weekday(now.isoweekday()),),
            time_zone=zone_of(now),
            start_date=now.date(),
            max_executions=1,
        ),
        lambda now: [
            *("--calendar", "2 weeks", "--on", f"{now:%a}".lower(), "--time", *clock(now, 4)),
            *("--time-zone", zone_of(now), "--start-date", f"{now:%Y-%m-%d}", "--max-executions", "1"),
        ],
        1,
    ),
    "every month": Kind(
        lambda now: CalendarInterval(
            CalendarUnit.MONTH,
            ((now + 5 * SECOND).time(),),
            days_of_month=(-1, now.day),
            time_zone=zone_of(now),
            start_date=now.date(),
            max_executions=1,
        ),
        lambda now: [
            *("--calendar", "1 month", "--on", f"-1,{now.day}", "--time", *clock(now, 5)),
            *("--time-zone", zone_of(now), "--start-date", f"{now:%Y-%m-%d}", "--max-executions", "1"),
        ],
        1,
    ),
}


async def ledger(client: MainspringClient, task_id: str) -> list[Execution]:
    """A task's executions, oldest first."""
    return [e async for e in client.list_executions(task_id=task_id)][::-1]


def this_second() -> datetime:
    """Now, in a zone in which the next seconds lie in one day: noon is always somewhere."""
    now = datetime.now(UTC).replace(microsecond=0)
    return now.astimezone(timezone(timedelta(hours=12 - now.hour)))


async def registered_by_command(address: str, name: str, words: list[str]) -> None:
    arguments = ["task", "create", "noop", *words, "--id", name, "--overlap", "allow", "--address", address]
    done = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert done.exit_code == 0, done.output


async def test_on_mariadb(bench: Any) -> None:
    node = await bench.start_node()
    bench.start_executor(node.address)
    await each_kind_fires_when_it_said_it_would(node.address)


async def test_on_sqlite(tmp_path: Path) -> None:
    dev = Dev(tmp_path)
    try:
        await asyncio.to_thread(dev.start, "--file", tmp_path / "tasks.db")
        await each_kind_fires_when_it_said_it_would(dev.address)
    finally:
        dev.running.kill()


async def each_kind_fires_when_it_said_it_would(address: str) -> None:
    async with MainspringClient(address) as client:
        said = {
            name: await client.create_task(
                "noop", kind.schedule(this_second()), task_id=f"sdk {name}", overlap=OverlapPolicy.ALLOW
            )
            for name, kind in KINDS.items()
        }
        for name, kind in KINDS.items():
            await registered_by_command(address, f"cli {name}", kind.words(this_second()))
        for name, kind in KINDS.items():
            wanted = kind.fires or 3
            for task_id in (f"sdk {name}", f"cli {name}"):
                async with asyncio.timeout(WITHIN_S):
                    while len(rows := await ledger(client, task_id)) < wanted or not all(
                        row.state.is_final for row in rows[:wanted]
                    ):
                        await asyncio.sleep(0.1)
                assert all(row.state is ExecutionState.SUCCEEDED for row in rows[:wanted]), task_id
                assert kind.fires is None or len(rows) == kind.fires, task_id
                task = await client.get_task(task_id)
                assert (task.state is TaskState.COMPLETED) == (kind.fires is not None), task_id
                assert task.execution_count >= len(rows)
            await same_as_said(client, name, said[name])
            assert type((await client.get_task(f"cli {name}")).schedule) is type(said[name].schedule)


async def same_as_said(client: MainspringClient, name: str, created: Any) -> None:
    """What CreateTask said of a task is what became of it, and what a preview says of its schedule."""
    rows = await ledger(client, created.task_id)
    told = [(fire.scheduled_time, fire.due_time) for fire in created.next_fires]
    came = [(row.scheduled_time, row.due_time) for row in rows]
    shared = min(len(told), len(came))
    assert came[:shared] == told[:shared], name
    assert all(row.pick_up_time and row.pick_up_time >= row.due_time for row in rows[:shared] if row.due_time)
    task = await client.get_task(created.task_id)
    assert task.schedule == created.schedule
    assert created.meaning
    preview = await client.preview_schedule(
        created.schedule, task_id=created.task_id, after=created.create_time, count=5
    )
    assert preview.schedule == created.schedule
    assert preview.meaning == created.meaning
    assert [(fire.scheduled_time, fire.due_time) for fire in preview.fires] == told
