"""Under which circumstances each figure was measured, beside the results: commit, time, load, machine."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from mainspring.testing.run_note import commit, machine

SUFFIX = ".runs.json"


def note_run(results: Path, figure: str) -> None:
    """Note that a figure was measured now; call it before, for the load is that of others."""
    runs = read_runs(results)
    runs.pop(figure, None)
    runs[figure] = {
        "commit": commit(),
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }
    _path(results).write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")


def read_runs(results: Path) -> dict[str, dict[str, str]]:
    """By figure; none where nothing was measured."""
    path = _path(results)
    runs: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return runs


def _path(results: Path) -> Path:
    return results.with_suffix(SUFFIX)
