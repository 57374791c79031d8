"""Examples one after the other, each on a new node, until so many calls were made."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NoReturn

import hypothesis
from fuzz.caller import Difference, Tally
from fuzz.machine import machine
from fuzz.nodes import node_pool
from hypothesis import HealthCheck, Phase, reproduce_failure, seed, settings
from hypothesis.stateful import run_state_machine_as_test

STARTS: Final = (1_772_323_200_000_000, 1_774_656_000_000_000, 1_792_713_600_000_000)
"""2026-03-01, and a day before the clocks of Europe change, in either direction."""
EXAMPLES: Final = 60
"""Of one seed, at most. The first of each are the simplest."""
REQUESTS_AN_EXAMPLE: Final = 150
"""On average."""
STEPS: Final = 50
SETTINGS: Final = settings(
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=tuple(HealthCheck),
    report_multiple_bugs=False,
    print_blob=True,
)
_BLOB: Final = re.compile(r"@reproduce_failure\('[^']+', b'([^']+)'\)")


@dataclass(slots=True)
class Finished:
    """What a run did."""

    seed: int
    seeds: int = 0
    seconds: float = 0.0
    tally: Tally = field(default_factory=Tally)


def run_seed(
    number: int, tally: Tally, *, examples: int = EXAMPLES, new_url: Callable[[], str] = lambda: ""
) -> Tally:
    """Some examples; the same seed makes the same ones. Answers the tally.

    Args:
        tally: counted there.
        new_url: makes a migrated, empty MySQL database; empty: SQLite in memory.

    Raises:
        Difference: node and model differ, in the shortest way that was found. The calls of it are printed.
    """
    with node_pool(STARTS[number % len(STARTS)], new_url) as nodes:
        seeded = seed(number)(machine(nodes, tally))
        try:
            run_state_machine_as_test(seeded, settings=settings(SETTINGS, max_examples=examples))
        except Difference as difference:
            replayed = _BLOB.search("\n".join(difference.__notes__))
            if replayed is not None:
                difference.add_note(f"Once more: make fuzz SEED={number} REPLAY={replayed[1]}")
            raise
    return tally


def replay(number: int, blob: str) -> NoReturn:
    """The calls of a failure once more, over SQLite.

    Args:
        number: its seed.
        blob: what it printed.

    Raises:
        Difference: as then.
        DidNotReproduce: there is none any more, or the rules are others.
    """
    with node_pool(STARTS[number % len(STARTS)]) as nodes:
        again = reproduce_failure(hypothesis.__version__, blob.encode())(machine(nodes, Tally()))
        run_state_machine_as_test(again, settings=settings(SETTINGS))
    raise AssertionError("what is to be reproduced neither fails nor succeeds")


def run(first_seed: int, requests: int) -> Finished:
    """One seed after the other, over SQLite, until so many requests were made. Raises as `run_seed`."""
    finished = Finished(first_seed)
    begun_s = time.monotonic()
    while finished.tally.requests < requests:
        left = (requests - finished.tally.requests) // REQUESTS_AN_EXAMPLE + 1
        run_seed(first_seed + finished.seeds, finished.tally, examples=min(EXAMPLES, left))
        finished.seeds += 1
    finished.seconds = time.monotonic() - begun_s
    return finished
