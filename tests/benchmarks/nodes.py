"""`nodes`: the same burst on one, two and three nodes of one machine: what splits between them, and what does not.

Two cores are not two machines: more nodes cannot be faster here than one that uses both. What counts is what an execution
costs: statements, commits, messages, and CPU.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from benchmarks import counters
from benchmarks.burst import note
from benchmarks.bursts import started
from benchmarks.results import Results
from benchmarks.rig import RigSettings

_SENT = 'mainspring_executor_frames_total{direction="sent"}'
_RECEIVED = 'mainspring_executor_frames_total{direction="received"}'
_CALLS = "mainspring_call_seconds_count{"
_BETWEEN_NODES = "/mainspring.v1.NodeService/"


@dataclass(frozen=True, slots=True)
class NodesSettings:
    """How many nodes, and how large a burst."""

    counts: tuple[int, ...] = (1, 2, 3)
    burst: int = 20_000
    executors: int = 1
    idle_s: float = 10.0
    """How long to look at what they do without work."""


async def measure(settings: NodesSettings, results: Results) -> None:
    """Write `nodes ...` into the results.

    Raises:
        TestingError: As `Bursts.run`.
    """
    for count in settings.counts:
        name = f"nodes {count}"
        async with started("nodes", RigSettings(nodes=count, executors=settings.executors)) as bursts:
            burst = await bursts.run(settings.burst)
            note(results, name, [burst])
            results.put(f"{name} executor messages (per execution)", burst.per_execution(_SENT, _RECEIVED))
            calls = [
                counter
                for counter in burst.counted
                if counter.startswith(_CALLS) and _BETWEEN_NODES in counter
            ]
            results.put(f"{name} calls between nodes (per execution)", burst.per_execution(*calls))
            cluster = bursts.rig.cluster
            before = await counters.read(cluster)
            await asyncio.sleep(settings.idle_s)
            idle = counters.difference(before, await counters.read(cluster))
            results.put(f"{name} statements without work (per s)", idle["Questions"] / settings.idle_s)
            frames = idle.get(_SENT, 0.0) + idle.get(_RECEIVED, 0.0)
            results.put(f"{name} executor messages without work (per s)", frames / settings.idle_s)
