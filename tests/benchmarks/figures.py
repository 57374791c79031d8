"""All figures, in the order in which they run, each in full and small."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from benchmarks import (
    backlog,
    burst,
    fair,
    ledger,
    limit,
    long,
    mixed,
    nodes,
    recurring,
    register,
    steady,
    stored,
)
from benchmarks.bursts import Bursts
from benchmarks.plots import Ledgers
from benchmarks.results import Results

Drawn = Ledgers | None
"""What a figure answers for the plots, beside its results."""


@dataclass(frozen=True, slots=True)
class OnRig:
    """A figure that is measured on a rig of the usual kind."""

    full: Callable[[Bursts, Results], Awaitable[Drawn]]
    quick: Callable[[Bursts, Results], Awaitable[Drawn]]


@dataclass(frozen=True, slots=True)
class Alone:
    """A figure that makes what it is measured on itself."""

    full: Callable[[Results], Awaitable[Drawn]]
    quick: Callable[[Results], Awaitable[Drawn]]


def _limit(settings: limit.LimitSettings) -> Callable[[Results], Awaitable[Drawn]]:
    return lambda results: asyncio.to_thread(limit.measure, settings, results)


FIGURES: Mapping[str, OnRig | Alone] = {
    # First, for the ratios to it.
    "limit": Alone(
        full=_limit(limit.LimitSettings()),
        quick=_limit(limit.LimitSettings(tasks=10_000, batches=(300, 1_000), connections=(2,), repeats=1)),
    ),
    "burst": OnRig(
        full=lambda rig, results: burst.measure(rig, burst.BurstSettings(), results),
        quick=lambda rig, results: burst.measure(rig, burst.BurstSettings((5_000,), repeats=1), results),
    ),
    "steady": OnRig(
        full=lambda rig, results: steady.measure(rig, steady.SteadySettings(), results),
        quick=lambda rig, results: steady.measure(rig, steady.SteadySettings((200,), seconds=5), results),
    ),
    "register": OnRig(
        full=lambda rig, results: register.measure(rig, register.RegisterSettings(), results),
        quick=lambda rig, results: register.measure(
            rig, register.RegisterSettings(calls=1_600, batch_tasks=10_000, repeats=1), results
        ),
    ),
    "mixed": OnRig(
        full=lambda rig, results: mixed.measure(rig, mixed.MixedSettings(), results),
        quick=lambda rig, results: mixed.measure(
            rig, mixed.MixedSettings(burst=3_000, stored=5_000), results
        ),
    ),
    "fair": OnRig(
        full=lambda rig, results: fair.measure(rig, fair.FairSettings(), results),
        quick=lambda rig, results: fair.measure(
            rig, fair.FairSettings(3_000, rate=50, seconds=3, ahead_s=12), results
        ),
    ),
    # The last one on a rig: its tasks go on.
    "recurring": OnRig(
        full=lambda rig, results: recurring.measure(rig, recurring.RecurringSettings(), results),
        quick=lambda rig, results: recurring.measure(
            rig, recurring.RecurringSettings(1_000, "0,20,40 * * * * *", period_s=20), results
        ),
    ),
    "nodes": Alone(
        full=lambda results: nodes.measure(nodes.NodesSettings(), results),
        quick=lambda results: nodes.measure(nodes.NodesSettings((2,), burst=2_000, idle_s=2.0), results),
    ),
    "long": Alone(
        full=lambda results: long.measure(long.LongSettings(), results),
        quick=lambda results: long.measure(long.LongSettings(1_000, seconds=6), results),
    ),
    "backlog": Alone(
        full=lambda results: backlog.measure(backlog.BacklogSettings(), results),
        quick=lambda results: backlog.measure(
            backlog.BacklogSettings(20_000, seconds=5, ahead_s=12), results
        ),
    ),
    "ledger": Alone(
        full=lambda results: ledger.measure(ledger.LedgerSettings(), results),
        quick=lambda results: ledger.measure(
            ledger.LedgerSettings(burst=2_000, repeats=1, buffer_pool_mb=32, times_the_pool=1.0), results
        ),
    ),
    "stored": Alone(
        full=lambda results: stored.measure(stored.StoredSettings(), results),
        quick=lambda results: stored.measure(
            stored.StoredSettings(few=1_000, many=100_000, burst=2_000, repeats=1), results
        ),
    ),
}

BY_ITSELF = frozenset({"stored"})
"""Run only when asked for: what it needs takes minutes and gigabytes to build."""

NOT_QUICK = frozenset({"fair", "nodes", "long", "backlog", "ledger", *BY_ITSELF})
"""Left out of the small run unless asked for: most need a rig of their own, and all need time."""
