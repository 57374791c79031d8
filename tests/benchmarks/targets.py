"""What Mainspring is meant to reach on two cores with everything on them, and what a run reached of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.results import shown


@dataclass(frozen=True, slots=True)
class Target:
    """A bound of one figure.

    `must` is what a release keeps, `aim` what it is built for. A floor, or with `is_ceiling` a ceiling.
    """

    what: str
    figure: str
    must: float
    aim: float
    is_ceiling: bool = False

    def row(self, results: Mapping[str, float]) -> tuple[str, str, str, str, str]:
        """What, reached, must, aim, and whether; for a table."""
        unit = self.figure.rpartition(" (")[2].removesuffix(")")
        sign = "≤" if self.is_ceiling else "≥"
        bounds = (f"{sign} {shown(self.must)}", f"{sign} {shown(self.aim)}")
        value = results.get(self.figure)
        if value is None:
            return (self.what, "not measured", *bounds, "")
        return (self.what, f"{shown(value)} {unit}", *bounds, self._verdict(value))

    def _verdict(self, value: float) -> str:
        if self._holds(value, self.aim):
            return "aim"
        return "must" if self._holds(value, self.must) else "missed"

    def _holds(self, value: float, bound: float) -> bool:
        return value <= bound if self.is_ceiling else value >= bound


_BURST = "burst 50000"
TARGETS = (
    Target("burst drain", f"{_BURST} drain (executions/s)", 5_000, 10_000),
    Target("burst drain to the limit", f"{_BURST} to limit (ratio)", 0.35, 0.7),
    Target("all of 50,000 picked up", f"{_BURST} lateness max (ms)", 10_000, 5_000, is_ceiling=True),
    Target("event loop's lag under a burst, p99", f"{_BURST} loop lag p99 (ms)", 100, 100, is_ceiling=True),
    Target("statements under a burst", f"{_BURST} statements (per execution)", 0.05, 0.02, is_ceiling=True),
    Target("500 a second, p50", "steady 500/s lateness p50 (ms)", 15, 15, is_ceiling=True),
    Target("500 a second, p99", "steady 500/s lateness p99 (ms)", 60, 30, is_ceiling=True),
    Target("2,000 a second, p99", "steady 2000/s lateness p99 (ms)", 250, 100, is_ceiling=True),
    Target("registration, one by one", "register unary (tasks/s)", 1_500, 2_500),
    Target("registration, in batches", "register batch (tasks/s)", 15_000, 30_000),
    Target("mixed: the burst to itself alone", "mixed burst to itself alone (ratio)", 0.6, 0.8),
    Target("mixed: registrations", "mixed registrations to themselves alone (ratio)", 0.6, 0.8),
    Target("mixed: updates", "mixed updates to themselves alone (ratio)", 0.6, 0.8),
    Target("mixed: pages", "mixed pages to themselves alone (ratio)", 0.6, 0.8),
    Target(
        "200 a second while 50,000 are worked off, p99",
        "fair 200/s after them lateness p99 (ms)",
        1_000,
        1_000,
        is_ceiling=True,
    ),
    Target("node with 500,000 due at once", "backlog 500000 node memory (MiB)", 400, 400, is_ceiling=True),
    Target("5 million stored to 10 thousand", "stored many to few (ratio)", 0.9, 0.95),
    Target("node with 5 million stored", "stored 5000000 node memory (MiB)", 250, 250, is_ceiling=True),
    Target("ledger four times the buffer pool to empty", "ledger full to empty (ratio)", 0.8, 0.95),
)
