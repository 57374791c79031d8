"""Folders of runs: the last few stay, and those of running programs."""

import os
from pathlib import Path

import pytest

from mainspring.testing import run_folder
from mainspring.testing.run_folder import RunFolder

NEVER_A_PID = 2**22 + 1  # above the greatest that Linux gives out


def test_old_runs_of_the_same_name_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "runs_folder", lambda: tmp_path)
    for day in range(1, 10):
        (tmp_path / f"demo-2026010{day}T000000Z-{NEVER_A_PID}").mkdir()
    in_use = tmp_path / f"demo-20250101T000000Z-{os.getppid()}"
    other = tmp_path / f"demo-like-20250101T000000Z-{NEVER_A_PID}"
    in_use.mkdir()
    other.mkdir()
    made = RunFolder.create("demo")
    assert made.logs.is_dir()
    left = {path.name for path in tmp_path.iterdir()} - {in_use.name, other.name}
    assert left == {made.path.name} | {f"demo-2026010{day}T000000Z-{NEVER_A_PID}" for day in range(6, 10)}
    assert in_use.is_dir()
    assert other.is_dir()
