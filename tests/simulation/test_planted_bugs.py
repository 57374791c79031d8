"""The checker's worth: each planted bug turns the simulation red, and rightly so; the same seed without it is green."""

from __future__ import annotations

import pytest
from simulation.plants import BUGS, PlantedBug
from simulation.run import run_seed


@pytest.mark.timeout(180)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_checker_catches(bug: PlantedBug) -> None:
    for seed in range(bug.first, bug.first + bug.seeds):
        planted = run_seed(seed, wanted=bug.wanted, plant=bug.plant)
        # By the verdict and nothing else: a bug that crashes would be found without a checker.
        assert planted.bugs == []
        # A bug may first show by what follows from it, such as work that is late.
        seen = [v for v in planted.verdict.violations if v.invariant in bug.invariants]
        if seen:
            clean = run_seed(seed, wanted=bug.wanted)
            assert not clean.verdict.violations, f"seed {seed} is red without the bug"
            print(f"{bug.name}: seed {seed}: {seen[0]}")
            return
    pytest.fail(f"{bug.seeds} seeds and nothing was seen of it")
