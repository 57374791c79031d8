"""Where one run of a local cluster keeps its logs, evidence and data: `build/runs/<name>-<time>-<pid>`."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from mainspring.testing.cache import repository_root

_KEPT_RUNS = 5


class RunFolder:
    """The folder of one run: `logs/`, `run_logs/` (the executors' own), `history/`, and `data/` of the servers."""

    def __init__(self, path: Path) -> None:
        """Take `path`, created with its subfolders if missing."""
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self.run_logs = self.path / "run_logs"
        self.history = self.path / "history"
        self.data = self.path / "data"
        for folder in (self.logs, self.run_logs, self.history, self.data):
            folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def create(cls, name: str) -> "RunFolder":
        """A new folder for a run of this name; of earlier runs of that name only the last few stay."""
        parent = runs_folder()
        parent.mkdir(parents=True, exist_ok=True)
        earlier = sorted(parent.glob(f"{name}-[0-9]*"), key=lambda path: path.name)
        for path in earlier[: max(0, len(earlier) - _KEPT_RUNS + 1)]:
            if not _is_in_use(path):
                shutil.rmtree(path, ignore_errors=True)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        return cls(parent / f"{name}-{stamp}-{os.getpid()}")

    def remove_data(self) -> None:
        """Remove the servers' data; logs and evidence stay."""
        shutil.rmtree(self.data, ignore_errors=True)


def runs_folder() -> Path:
    """`build/runs` of the checkout, else `~/.cache/mainspring/runs`."""
    root = repository_root()
    return root / "build" / "runs" if root else Path.home() / ".cache" / "mainspring" / "runs"


def _is_in_use(path: Path) -> bool:
    pid = path.name.rpartition("-")[2]
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
