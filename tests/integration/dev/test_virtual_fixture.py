"""The fixture `mainspring_dev` as applications use it: its own process, errors that say what to do, nothing left behind."""

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mainspring.client import Aborted, Cron, Delay, InvalidArgument, MainspringClient
from mainspring.client.dev import DevClient
from mainspring.client.testing import MainspringDev, MainspringDevError
from mainspring.pytest_plugin import mainspring_dev
from mainspring.testing.member_process import import_environment, usage_of

__all__ = ["mainspring_dev"]

START = datetime(2030, 1, 31, 9, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in import_environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def mainspring_dev_options() -> list[str]:
    return ["--start-time", "2030-01-31T09:30:00Z"]


def test_a_blocking_test(mainspring_dev: MainspringDev) -> None:
    async def register() -> None:
        async with MainspringClient(mainspring_dev.address) as client:
            await client.create_task("noop", Cron("0 * * * *"), task_id="hourly")
            await client.create_task("sleep", Delay(timedelta(hours=1)), payload="90", task_id="once")

    asyncio.run(register())
    assert mainspring_dev.now() == START
    assert mainspring_dev.advance(START + timedelta(minutes=30)).finished_executions == 1
    idle = mainspring_dev.run_until_idle(timedelta(days=1))
    assert (idle.time, idle.finished_executions) == (START + timedelta(hours=1, seconds=90), 1)
    with pytest.raises(InvalidArgument, match="forward"):
        mainspring_dev.advance(START)
    with pytest.raises(ValueError, match="aware"):
        mainspring_dev.advance(datetime(2040, 1, 1))  # noqa: DTZ001


async def test_a_test_with_a_loop_of_its_own(mainspring_dev: MainspringDev) -> None:
    async with DevClient(mainspring_dev.address) as dev, MainspringClient(mainspring_dev.address) as client:
        await client.create_task("noop", Cron("*/10 * * * * *"), task_id="often")
        both = await asyncio.gather(
            dev.advance(timedelta(minutes=30)), dev.advance(timedelta(minutes=30)), return_exceptions=True
        )
        assert sorted(type(one).__name__ for one in both) == ["Aborted", "Advanced"]
        assert next(one for one in both if isinstance(one, Aborted)).code == "ABORTED"
        assert await dev.now() == START + timedelta(minutes=30)


@pytest.mark.slow
def test_a_month_of_a_five_minute_cron_takes_ten_seconds_of_work_at_most(
    mainspring_dev: MainspringDev,
) -> None:
    async def register() -> None:
        async with MainspringClient(mainspring_dev.address) as client:
            await client.create_task("noop", Cron("*/5 * * * *", "Europe/Berlin"), task_id="c")

    asyncio.run(register())
    before = usage_of(mainspring_dev._process.pid)
    assert mainspring_dev.advance(timedelta(days=30)).finished_executions == 8_640
    after = usage_of(mainspring_dev._process.pid)
    assert before is not None
    assert after is not None
    assert after.cpu_s - before.cpu_s <= 10, "beside other work the wall says nothing"


def test_nothing_runs_on_when_it_has_stopped() -> None:
    with MainspringDev.start() as dev:
        process = dev._process
        assert process.poll() is None
    assert process.returncode == 0
    dev.stop()


def test_without_the_server_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('No module', name='typer')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with pytest.raises(MainspringDevError, match=r"pip install 'mainspring\[server\]'"):
        MainspringDev.start()


def test_a_failure_of_the_fixture_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def mainspring_dev_options(): return ['--start-time', 'yesterday']\n"
        "def test_it(mainspring_dev): pass\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "mainspring.pytest_plugin",
            "-p",
            "no:cacheprovider",
            "-q",
            ".",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "write it like 2030-01-31T09:30:00Z" in done.stdout
    assert "Traceback" not in done.stdout
    assert "testing.py" not in done.stdout


def test_the_plugin_imports_nothing_of_mainspring_before_it_is_asked() -> None:
    code = "import sys, mainspring.pytest_plugin; print(*(m for m in sys.modules if m.startswith(('mainspring', 'grpc'))))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.split() == ["mainspring", "mainspring.pytest_plugin"]
