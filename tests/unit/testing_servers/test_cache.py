"""Folders built once: an unfinished one is never taken for a finished one, and two builders never meet."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mainspring.testing.cache import build_once, cache_folder, locked
from mainspring.testing.errors import TestingError

BUILDER = """
import os, signal, sys, time
from pathlib import Path
from mainspring.testing.cache import build_once

target = Path(sys.argv[1])

def build(folder):
    (folder / "content").write_text("half")
    if sys.argv[2] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    (target.parent / f"built-by-{os.getpid()}").touch()
    time.sleep(0.3)  # long enough for the others to arrive
    (folder / "content").write_text("whole")

assert (build_once(target, build) / "content").read_text() == "whole"
"""


def start_builder(target: Path, mode: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", BUILDER, str(target), mode], env=environment)


def test_processes_that_ask_at_once_build_once(tmp_path: Path) -> None:
    builders = [start_builder(tmp_path / "target", "finish") for _ in range(4)]
    assert [builder.wait(30) for builder in builders] == [0, 0, 0, 0]
    assert len(list(tmp_path.glob("built-by-*"))) == 1


def test_a_killed_build_leaves_nothing_that_counts(tmp_path: Path) -> None:
    target = tmp_path / "target"
    assert start_builder(target, "die").wait(30) == -signal.SIGKILL
    assert not target.exists()
    assert [path.read_text() for path in tmp_path.glob(".target.part-*/content")] == ["half"]
    assert start_builder(target, "finish").wait(30) == 0
    assert list(tmp_path.glob(".target.part-*")) == [], "the leftover of the killed build was not removed"


def test_a_failing_build_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    target = tmp_path / "target"

    def fail(folder: Path) -> None:
        (folder / "content").write_text("half")
        raise ValueError("no network")

    with pytest.raises(ValueError, match="no network"):
        build_once(target, fail)
    assert [path.name for path in tmp_path.iterdir()] == [".target.lock"]
    build_once(target, lambda folder: (folder / "content").touch())
    assert (target / "content").exists()


def test_a_finished_folder_is_used_without_a_lock_or_write(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()

    def forbidden(folder: Path) -> None:
        raise AssertionError("built again")

    with locked(tmp_path / ".target.lock"):
        assert build_once(target, forbidden) == target


def test_a_held_lock_is_an_error_after_the_time_limit(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "lock"),
        pytest.raises(TestingError, match="another process has held"),
        locked(tmp_path / "lock", timeout_s=0.05),
    ):
        pytest.fail("entered while held")


def test_the_environment_names_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSPRING_CACHE", str(tmp_path / "deep" / "cache"))
    assert cache_folder() == tmp_path / "deep" / "cache"
    assert cache_folder().is_dir()


def test_the_cache_folder_is_in_the_checkout_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAINSPRING_CACHE", raising=False)
    assert cache_folder() == Path(__file__).parents[3] / "build" / "servers"
