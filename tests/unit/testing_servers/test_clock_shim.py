"""A child's wall clock moves while it runs; everything that waits goes on waiting as long as it should."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainspring.testing import clock_shim
from mainspring.testing.clock_shim import ClockShim
from mainspring.testing.errors import ServerUnavailableError
from mainspring.testing.member_process import import_environment

# Answers each line of its input with what its clocks show and, when it is "waits", how long those take.
CHILD = """
import ctypes, json, platform, sys, threading, time
from datetime import datetime, timezone

libc = ctypes.CDLL(None, use_errno=True)

def timed(wait):
    before = time.monotonic()
    wait()
    return time.monotonic() - before

def raw_time():
    libc.time.restype = ctypes.c_long
    return libc.time(None)

def of_day():
    at = (ctypes.c_long * 2)()
    libc.gettimeofday(at, None)
    return at[0] + at[1] / 1e6

def wait_on_a_semaphore_of_the_wall_clock():
    semaphore = (ctypes.c_char * 64)()
    libc.sem_init(semaphore, 0, 0)
    now = time.time() + 0.2
    at = (ctypes.c_long * 2)(int(now), int(now % 1 * 1e9))
    libc.sem_timedwait(semaphore, at)

def wait_on_a_condition_of_the_wall_clock():
    mutex, condition = (ctypes.c_char * 64)(), (ctypes.c_char * 64)()
    libc.pthread_mutex_init(mutex, None)
    libc.pthread_cond_init(condition, None)
    libc.pthread_mutex_lock(mutex)
    now = time.time() + 0.2
    at = (ctypes.c_long * 2)(int(now), int(now % 1 * 1e9))
    libc.pthread_cond_timedwait(condition, mutex, at)

def wait_on_a_futex_of_the_wall_clock():
    number = 98 if platform.machine() == "aarch64" else 202
    word = ctypes.c_int(0)
    now = time.time() + 0.2
    at = (ctypes.c_long * 2)(int(now), int(now % 1 * 1e9))
    wait_bitset_realtime = 9 | 128 | 256
    libc.syscall(ctypes.c_long(number), ctypes.byref(word), ctypes.c_long(wait_bitset_realtime), ctypes.c_long(0),
        ctypes.byref(at), None, ctypes.c_long(-1))

condition = threading.Condition()
def wait_on_a_condition():
    with condition:
        condition.wait(0.2)

WAITS = {
    "sleep": lambda: time.sleep(0.2),
    "Event.wait": lambda: threading.Event().wait(0.2),
    "Condition.wait": wait_on_a_condition,
    "join": lambda: threading.Thread(target=time.sleep, args=(0.2,)).run(),
    "sem_timedwait": wait_on_a_semaphore_of_the_wall_clock,
    "futex": wait_on_a_futex_of_the_wall_clock,
    "pthread_cond_timedwait": wait_on_a_condition_of_the_wall_clock,
}
for line in sys.stdin:
    print(json.dumps({
        "clocks": {
            "time.time": time.time(),
            "datetime.now": datetime.now(timezone.utc).timestamp(),
            "coarse": time.clock_gettime(5),
            "time": raw_time(),
            "gettimeofday": of_day(),
        },
        "monotonic": time.monotonic(),
        "waits": {name: timed(wait) for name, wait in WAITS.items() if line == "waits\\n"},
    }), flush=True)
"""


class Child:
    def __init__(self, shim: ClockShim) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **import_environment(), **shim.environment},
        )

    def ask(self, what: str = "clocks") -> dict[str, dict[str, float]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def shim(tmp_path: Path) -> ClockShim:
    try:
        return ClockShim.prepare(tmp_path / "offset")
    except ServerUnavailableError as error:
        reason = str(error)
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def child(shim: ClockShim) -> Iterator[Child]:
    made = Child(shim)
    yield made
    made.end()


def test_the_wall_clock_moves_both_ways_while_the_child_runs(shim: ClockShim, child: Child) -> None:
    last_monotonic = 0.0
    for offset_s in (0.0, 30.0, -30.0, 0.25, -86_400.5, 0.0):
        shim.set_offset(offset_s)
        assert shim.offset_us == offset_s * 1_000_000
        before = time.time()
        answer = child.ask()
        after = time.time()
        for name, at in answer["clocks"].items():
            # `time` answers whole seconds, the coarse clock the last tick.
            slack_s = {"time": 1.0, "coarse": 0.02}.get(name, 0.001)
            assert before + offset_s - slack_s <= at <= after + offset_s + 0.001, name
        assert answer["monotonic"] > last_monotonic
        last_monotonic = answer["monotonic"]


@pytest.mark.parametrize("offset_s", [30.0, -30.0])
def test_waits_last_as_long_as_without_it(shim: ClockShim, child: Child, offset_s: float) -> None:
    shim.set_offset(offset_s)
    waits = child.ask("waits")["waits"]
    assert len(waits) == 7
    for name, took_s in waits.items():
        assert 0.19 <= took_s < 5.0, name


def test_it_is_compiled_once(shim: ClockShim, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    assert ClockShim.prepare(tmp_path / "other").environment["LD_PRELOAD"] == shim.environment["LD_PRELOAD"]


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAINSPRING_CACHE", str(tmp_path))
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(ServerUnavailableError, match="no no-such-compiler; set CC"):
        ClockShim.prepare(tmp_path / "offset")
    monkeypatch.setenv("CC", "false")
    with pytest.raises(ServerUnavailableError, match=r"cannot compile clock_shim\.c: code 1"):
        ClockShim.prepare(tmp_path / "offset")


def test_a_missing_offset_is_no_quiet_zero(shim: ClockShim) -> None:
    environment = {**os.environ, **shim.environment, clock_shim.OFFSET_FILE_VARIABLE: "/nowhere/offset"}
    done = subprocess.run(
        [sys.executable, "-c", "pass"], env=environment, capture_output=True, text=True, timeout=30
    )
    assert done.returncode != 0
    assert "cannot map /nowhere/offset" in done.stderr
