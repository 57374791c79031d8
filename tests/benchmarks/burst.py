"""`burst`: everything due at one instant, from the wheel to the last result that is recorded.

Tasks are registered ahead through BatchCreateTasks. The drain rate is executions through the time from the due instant to
the last result recorded; lateness is the ledger's: pick-up minus due time. The checker verifies the ledger after each burst.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import counters
from benchmarks.bursts import Burst, Bursts
from benchmarks.results import Results
from benchmarks.sampling import KINDS

from mainspring.testing.history import LedgerRow

LIMIT = "limit (executions/s)"


@dataclass(frozen=True, slots=True)
class BurstSettings:
    """How many tasks, and how often."""

    sizes: tuple[int, ...] = (20_000, 50_000)
    repeats: int = 3


async def measure(
    bursts: Bursts, settings: BurstSettings, results: Results
) -> dict[str, Sequence[LedgerRow]]:
    """Write `burst ...` into the results; answer the ledger of the last burst of each size, for the plots.

    Raises:
        TestingError: See `Bursts.run`.
    """
    last: dict[str, Sequence[LedgerRow]] = {}
    for size in settings.sizes:
        measured = [await bursts.run(size) for _ in range(settings.repeats)]
        note(results, f"burst {size}", measured)
        last[f"burst {size}"] = measured[-1].ledger
    name = f"burst {max(settings.sizes)}"
    results.ratio(f"{name} to limit", f"{name} drain (executions/s)", LIMIT)
    return last


def note(results: Results, name: str, measured: Sequence[Burst]) -> None:
    """Write what several bursts of one kind were like into the results, under this name."""
    results.spread(f"{name} drain (executions/s)", [burst.drained_per_s for burst in measured])
    for percentile in ("p50", "p99", "max"):
        values = [getattr(burst.lateness, f"{percentile}_us") / 1_000 for burst in measured]
        results.spread(f"{name} lateness {percentile} (ms)", values)
    for kind in KINDS:
        results.spread(f"{name} {kind} CPU (us/execution)", [burst.cpu_us(kind) for burst in measured])
    results.spread(
        f"{name} statements (per execution)", [burst.per_execution("Questions") for burst in measured]
    )
    results.spread(
        f"{name} commits (per execution)", [burst.per_execution("Binlog_commits") for burst in measured]
    )
    lags = [counters.quantile(burst.counted, counters.LOOP_LAG, 0.99) * 1_000 for burst in measured]
    results.spread(f"{name} loop lag p99 (ms)", lags)
    results.spread(f"{name} node memory (MiB)", [burst.node_mb for burst in measured])
