"""Simulated clusters: `python -m simulation --seeds 2000`, or one seed with its trace: `--seed 17`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from simulation.batch import run_batch
from simulation.plants import BUGS
from simulation.run import run_seed


def main() -> int:
    """Answers 0 when nothing is red and nothing missing."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--workers", type=int, help="processes; default: one a core")
    parser.add_argument("--seed", type=int, help="this seed alone, with everything that happened in it")
    parser.add_argument("--plant", choices=[bug.name for bug in BUGS], help="with this bug, for --seed")
    parser.add_argument("--evidence", type=Path, help="folder for the history of --seed")
    options = parser.parse_args()
    if options.seed is not None:
        return _one(options.seed, options.plant, options.evidence)
    batch = run_batch(range(options.first, options.first + options.seeds), options.workers)
    print(batch)
    if batch.missing:
        print(f"never happened: {', '.join(batch.missing)}")
        return 1
    return 1 if batch.red else 0


def _one(seed: int, plant: str | None, evidence: Path | None) -> int:
    bug = next((bug for bug in BUGS if bug.name == plant), None)
    result = run_seed(
        seed,
        plant=bug.plant if bug else None,
        wanted=bug.wanted if bug else None,
        is_kept=True,
    )
    print(result.plan)
    print("\n".join(result.lines))
    for fault in result.history.faults:
        print(fault)
    for violation in result.verdict.violations:
        print(violation)
        for record in violation.evidence:
            print(f"    {record}")
    for caught in result.bugs:
        print(f"caught by the product: {caught}")
    if evidence is not None:
        result.history.save(evidence)
    print(f"seed {seed}, digest {result.digest}")
    return 1 if result.verdict.violations or result.bugs else 0


if __name__ == "__main__":
    sys.exit(main())
