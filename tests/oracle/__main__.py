"""`make oracle`: the fires of the product against two independent oracles, in every zone, around every clock change."""

from __future__ import annotations

import argparse
import os
import sys

from oracle.page import lines_of, note
from oracle.run import run


def main() -> int:
    """Answers 0 when no difference is left unexplained."""
    parser = argparse.ArgumentParser(prog="make oracle", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="chooses random windows and instants")
    parser.add_argument(
        "--only", default="", help="part of the name of a group of schedules; writes no table"
    )
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes")
    options = parser.parse_args()
    finished = run(options.seed, options.only, options.workers)
    print(lines_of(finished))
    tally = finished.tally
    if not options.only:
        note(finished)
    if tally.unexplained:
        print(f"\nNOT OK: {tally.unexplained:,} differences, of which the smallest are\n", file=sys.stderr)
        print("\n".join(map(str, tally.smallest)), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
