"""Whole clusters under virtual time and errors: no seed breaks a promise, and a seed is the same run each time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sampling import draws
from simulation.batch import Summary, run_batch
from simulation.run import run_seed

TESTS = Path(__file__).resolve().parents[1]
SEEDS = range(draws(220))
WORKERS = 2


@pytest.mark.timeout(300)
def test_no_seed_breaks_a_promise() -> None:
    batch = run_batch(SEEDS, WORKERS)
    print(batch)
    assert not batch.red, "\n".join(map(str, batch.red))
    assert not batch.missing, "these never happened, so that nothing is proven about them"
    assert batch.seeds == len(SEEDS)


def test_a_seed_is_the_same_run_whatever_the_hashes_of_names() -> None:
    seeds = (3, 11, 17)
    here = [run_seed(seed).digest for seed in seeds]
    assert here == [run_seed(seed).digest for seed in seeds]
    for hash_seed in ("1", "2"):
        assert _digests_elsewhere(seeds, hash_seed) == here


def test_another_seed_is_another_run() -> None:
    assert len({run_seed(seed).digest for seed in range(4)}) == 4


def test_a_red_seed_says_how_to_run_it_again() -> None:
    summary = Summary(17, "", Counter(), 0.0, ("I1 default/t1: no row",), ())
    assert summary.is_red
    assert str(summary).splitlines() == [
        "seed 17: make simulation-seed SEED=17",
        "  I1 default/t1: no row",
    ]


def _digests_elsewhere(seeds: tuple[int, ...], hash_seed: str) -> list[str]:
    """In a process of its own, where strings have other hashes and objects other addresses."""
    program = f"from simulation.run import run_seed\nfor s in {seeds}: print(run_seed(s).digest)"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(TESTS)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.split()
