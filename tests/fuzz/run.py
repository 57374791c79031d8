"""Sessions one after the other, each on a new node."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import grpc.aio
from fuzz.nodes import virtual_node
from fuzz.session import Difference, Session

REQUESTS_A_SESSION: Final = 1_500
STARTS: Final = (1_772_323_200_000_000, 1_774_656_000_000_000, 1_792_713_600_000_000)
"""2026-03-01, and a day before the clocks of Europe change, in either direction."""


@dataclass(slots=True)
class Finished:
    """What was called: how often each method answered with each status; tasks made, scheduled times compared."""

    seed: int
    requests: int = 0
    sessions: int = 0
    tasks: int = 0
    scheduled_times: int = 0
    seconds: float = 0.0
    tally: Counter[tuple[str, str]] = field(default_factory=Counter)


async def run_session(seed: int, requests: int, url: str = "") -> Session:
    """One session; the same seed makes the same calls.

    Args:
        url: of a migrated, empty MySQL database; empty: SQLite in memory.

    Raises:
        Difference: node and model differ.
    """
    async with (
        virtual_node(STARTS[seed % len(STARTS)], url) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        session = Session(channel, seed)
        try:
            await session.run(requests)
        except Difference as difference:
            raise Difference(f"seed {seed}, request {session.requests}: {difference}") from None
        return session


async def run(seed: int, requests: int) -> Finished:
    """Sessions of seeds from `seed` on, over SQLite, until so many requests were made.

    Raises:
        Difference: node and model differ.
    """
    finished = Finished(seed)
    begun_s = time.monotonic()
    while finished.requests < requests:
        wanted = min(REQUESTS_A_SESSION, requests - finished.requests)
        session = await run_session(seed + finished.sessions, wanted)
        finished.sessions += 1
        finished.requests += session.requests
        finished.tasks += len(session.known)
        finished.scheduled_times += sum(len(t.times) for k in session.known.values() for t in k.taken)
        finished.tally.update(session.tally)
    finished.seconds = time.monotonic() - begun_s
    return finished
