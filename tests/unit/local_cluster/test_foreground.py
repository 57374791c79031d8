"""Programs in the foreground: whatever ends them, they clean up first."""

import os
import signal
import subprocess
import sys

import pytest

from mainspring.testing.member_process import import_environment

PROGRAM = """
import asyncio, sys
from mainspring.testing.errors import TestingError
from mainspring.testing.foreground import run_in_foreground

async def main():
    print("ready", flush=True)
    try:
        {body}
    finally:
        print("cleaned up", flush=True)

sys.exit(run_in_foreground(main))
"""


def start(body: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        env={**os.environ, **import_environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_it_clean_up(number: signal.Signals) -> None:
    with start("await asyncio.sleep(60)") as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        program.send_signal(number)
        output, errors = program.communicate(timeout=20)
    assert output == "cleaned up\n"
    assert number.name in errors
    assert program.returncode == 128 + number


@pytest.mark.parametrize(
    ("body", "code"), [("return 1", 1), ("return 0", 0), ("raise TestingError('why')", 2)]
)
def test_its_exit_code(body: str, code: int) -> None:
    with start(body) as program:
        output, errors = program.communicate(timeout=20)
    assert "cleaned up" in output
    assert program.returncode == code
    assert "Traceback" not in errors
