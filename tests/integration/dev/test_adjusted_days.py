"""Days of a daily task are adjusted through the Python client and the command, on SQLite, and pass under a virtual clock."""

from datetime import UTC, datetime, timedelta

import pytest
from integration.dev.conftest import run_cli

from mainspring.client import (
    Cron,
    Every,
    ExecutionState,
    FailedPrecondition,
    InvalidArgument,
    MainspringClient,
)
from mainspring.client.dev import DevClient
from mainspring.client.testing import MainspringDev
from mainspring.pytest_plugin import mainspring_dev
from mainspring.testing.member_process import import_environment

__all__ = ["mainspring_dev"]

START = datetime(2030, 1, 31, 9, 30, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in import_environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def mainspring_dev_options() -> list[str]:
    return ["--start-time", "2030-01-31T09:30:00Z"]


async def test_a_week_of_adjusted_days(mainspring_dev: MainspringDev) -> None:
    address = mainspring_dev.address

    def adjust(day: int, *words: str) -> str:
        when = (NOON + day * DAY).isoformat()
        done = run_cli("execution", "adjust", "daily", when, *words, "--address", address, "--utc")
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    async with DevClient(address) as dev, MainspringClient(address) as client:
        await client.create_task("echo", Cron("0 12 * * *"), payload="usual", task_id="daily")
        await client.adjust_execution("daily", NOON, payload="first")
        await client.adjust_execution("daily", NOON + DAY, skip=True)
        assert "is left out" in adjust(2, "--skip")
        assert "is due at" in adjust(3, "--due", (NOON + 3 * DAY - 5 * HOUR).isoformat())
        adjust(4, "--due", (NOON + 4 * DAY + 5 * HOUR).isoformat())
        adjust(4, "--payload", "fifth")
        adjust(2, "--reset")
        with pytest.raises(FailedPrecondition):
            await client.adjust_execution("daily", NOON + HOUR, skip=True)
        with pytest.raises(InvalidArgument, match="due_time"):
            await client.adjust_execution("daily", NOON + 5 * DAY, due_time=NOON + 6 * DAY)
        told = await client.explain_execution("daily", NOON + 4 * DAY)
        assert "A call moved it to" in told.summary
        assert "gave it a payload of its own" in told.summary

        await dev.advance(7 * DAY)

        rows = {row.scheduled_time: row async for row in client.list_executions("daily")}
        assert sorted(rows) == [NOON + n * DAY for n in range(7)]
        for n in range(7):
            at = NOON + n * DAY
            row = await client.get_execution("daily", at)
            if n == 1:
                assert (row.state, row.reason) == (ExecutionState.SKIPPED, "left out by a call")
                continue
            assert row.state is ExecutionState.SUCCEEDED
            assert row.result == {0: b"first", 4: b"fifth"}.get(n, b"usual")
            assert row.due_time == at + {3: -5, 4: 5}.get(n, 0) * HOUR
            assert row.pick_up_time is not None
            assert timedelta() <= row.pick_up_time - row.due_time <= timedelta(seconds=10)


async def test_adjusted_minutes_of_a_pause_follow_the_misfire_policy(mainspring_dev: MainspringDev) -> None:
    """The latest minute that is not left out runs; one that is left out behind it has a row of its own."""
    async with DevClient(mainspring_dev.address) as dev, MainspringClient(mainspring_dev.address) as client:
        await client.create_task("echo", Every(timedelta(minutes=1)), payload="usual", task_id="minutely")
        minutes = [START + (n + 1) * timedelta(minutes=1) for n in range(10)]
        for n in (2, 7, 8, 9):
            await client.adjust_execution("minutely", minutes[n], skip=True)
        await client.adjust_execution("minutely", minutes[6], payload="own")
        await client.pause_task("minutely")
        await dev.advance(minutes[9] + timedelta(seconds=40))
        await client.resume_task("minutely")
        await dev.advance(timedelta(seconds=5))

        rows = {row.scheduled_time: row async for row in client.list_executions("minutely")}
        assert sorted(rows) == [minutes[n] for n in (0, 6, 7, 8, 9)]
        gap = rows[minutes[0]].gap
        assert gap is not None
        assert (gap.count, gap.last_scheduled_time) == (6, minutes[5])
        assert (await client.get_execution("minutely", minutes[6])).result == b"own"
        assert {rows[minutes[n]].reason for n in (7, 8, 9)} == {"left out by a call"}
        assert (await client.get_task("minutely")).execution_count == 10
