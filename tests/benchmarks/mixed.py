"""`mixed`: registration, updates and paging during a burst, each against itself alone.

Registrations, updates and pages are offered at fixed rates, well below what the node takes of each alone: callers that
never pause would measure how the machine is divided. The burst takes what is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.bulk import insert_tasks
from benchmarks.bursts import Burst, Bursts
from benchmarks.client_process import PAGE, Kind, Work
from benchmarks.client_processes import Calls, call
from benchmarks.register import PREPARE_S
from benchmarks.results import Results

from mainspring.testing.errors import TestingError
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US

STORED = "stored"
_FAR_AHEAD_US = 86_400 * SECOND_US
_LEAST_S = 3.0
"""The calls go on for so long at least, however short the burst is."""
_WORDS: Mapping[Kind, str] = {"create": "registrations", "update": "updates", "page": "pages"}
_STORE = "mainspring_store_"


@dataclass(frozen=True, slots=True)
class MixedSettings:
    """How large the burst is, and how much is asked for beside it, a second."""

    burst: int = 20_000
    creates_per_s: float = 200.0
    updates_per_s: float = 100.0
    pages_per_s: float = 4.0
    callers: int = 256
    stored: int = 20_000
    """Tasks that are changed and listed."""

    def rate(self, kind: Kind) -> float:
        """Calls a second."""
        return {"create": self.creates_per_s, "update": self.updates_per_s}.get(kind, self.pages_per_s)


async def measure(bursts: Bursts, settings: MixedSettings, results: Results) -> None:
    """Write `mixed ...` into the results.

    Raises:
        TestingError: A call failed, or as `Bursts.run`.
    """
    cluster, now = bursts.rig.cluster, now_us()
    await asyncio.to_thread(
        insert_tasks,
        cluster.mysql_url,
        STORED,
        settings.stored,
        at=now + _FAR_AHEAD_US,
        created_at=now,
        partitions=cluster.settings.partitions,
    )
    burst = await bursts.run(settings.burst)
    seconds = max(_LEAST_S, settings.burst / burst.drained_per_s)
    alone = {kind: await _calls(bursts, settings, kind, now_us(), seconds) for kind in _WORDS}
    mixed, among = await _together(bursts, settings, seconds)
    name = "mixed burst"
    results.put(f"{name} drain alone (executions/s)", burst.drained_per_s)
    results.put(f"{name} drain (executions/s)", mixed.drained_per_s)
    results.put(f"{name} to itself alone (ratio)", mixed.drained_per_s / burst.drained_per_s)
    results.put(f"{name} lateness p99 (ms)", mixed.lateness.p99_us / 1_000)
    for kind, word in _WORDS.items():
        each = PAGE if kind == "page" else 1
        results.put(f"mixed {word} alone (calls/s)", alone[kind].items_per_s / each)
        results.put(f"mixed {word} (calls/s)", among[kind].items_per_s / each)
        results.put(
            f"mixed {word} to themselves alone (ratio)", among[kind].items_per_s / alone[kind].items_per_s
        )
        results.put(f"mixed {word} latency p99 alone (ms)", alone[kind].latency.p99_us / 1_000)
        results.put(f"mixed {word} latency p99 (ms)", among[kind].latency.p99_us / 1_000)
    counted = mixed.counted
    results.put("mixed row-lock waits (count)", counted["Innodb_row_lock_waits"])
    results.put("mixed deadlocks, error 1213 (count)", counted["Innodb_deadlocks"])
    results.put("mixed repeats after a deadlock (count)", counted[f"{_STORE}deadlock_retries_total"])
    results.put(
        "mixed repeats after a lock wait, error 1205 (count)", counted[f"{_STORE}lock_wait_retries_total"]
    )


async def _together(
    bursts: Bursts, settings: MixedSettings, seconds: float
) -> tuple[Burst, dict[Kind, Calls]]:
    """A burst, and the calls from its due instant on."""
    ahead_s = max(bursts.ahead_s(settings.burst), PREPARE_S)
    due_at = (now_us() // SECOND_US + round(ahead_s) + 1) * SECOND_US
    async with asyncio.TaskGroup() as group:
        calls = {
            kind: group.create_task(_calls(bursts, settings, kind, due_at, seconds), name=f"mixed {kind}")
            for kind in _WORDS
        }
        burst = await bursts.run(settings.burst, due_at=due_at)
    return burst, {kind: task.result() for kind, task in calls.items()}


async def _calls(bursts: Bursts, settings: MixedSettings, kind: Kind, begin_at: int, seconds: float) -> Calls:
    """Calls of one kind for so long from an instant on, or from when their process is ready."""
    rig = bursts.rig
    begin_at = max(begin_at, now_us() + int(PREPARE_S * SECOND_US))
    namespace = bursts.next_namespace() if kind == "create" else STORED
    out = rig.cluster.folder.logs / f"mixed-{kind}-{begin_at}.json"
    calls = await call(
        rig.cluster.folder,
        [
            Work(
                kind,
                rig.cluster.nodes[0].address,
                namespace,
                callers=settings.callers,
                begin_at=begin_at,
                out=str(out),
                count=round(2 * seconds * settings.rate(kind)),
                until_at=begin_at + int(seconds * SECOND_US),
                rate=settings.rate(kind),
                tasks=settings.stored if kind == "update" else 1,
            )
        ],
    )
    if calls.errors or not calls.items:
        raise TestingError(f"{calls.errors} {_WORDS[kind]} failed, {calls.items} were answered")
    return calls
