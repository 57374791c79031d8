"""CPU time and memory of every process of a rig, from /proc, by a thread that looks a few times a second."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from types import TracebackType
from typing import Self

from mainspring.testing.cluster import Cluster
from mainspring.testing.member_process import Usage

EVERY_S = 0.25
KINDS = ("node", "executor", "database")


def kind_of(process: str) -> str:
    """What a process of a cluster is: "node", "executor", "database" or "ZooKeeper"."""
    kind = process.partition("-")[0]
    return {"MariaDB": "database"}.get(process, kind)


class Sampling:
    """What the processes used between `with` and its end, or until now while it lasts."""

    def __init__(self, cluster: Cluster) -> None:
        """Of this cluster."""
        self._cluster = cluster
        self._stop = threading.Event()
        self._first: dict[str, Usage] = {}
        self._last: dict[str, Usage] = {}
        self._resident_mb: dict[str, float] = defaultdict(float)
        self._began_s = self._ended_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="sampling", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._look()
        self._first, self._began_s = dict(self._last), time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._stop.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self._look()

    def _look(self) -> None:
        self._last, self._ended_s = self._cluster.usage(), time.monotonic()
        for name, usage in self._last.items():
            self._resident_mb[name] = max(self._resident_mb[name], usage.resident_mb)

    @property
    def seconds(self) -> float:
        """From the first look to the last."""
        return self._ended_s - self._began_s

    def cpu_s(self, kind: str) -> float:
        """CPU seconds of all processes of a kind."""
        return sum(
            usage.cpu_s - self._first[name].cpu_s
            for name, usage in self._last.items()
            if name in self._first and kind_of(name) == kind
        )

    def resident_mb(self, kind: str) -> float:
        """Greatest resident size seen of any process of a kind, in MiB."""
        return max((size for name, size in self._resident_mb.items() if kind_of(name) == kind), default=0.0)
