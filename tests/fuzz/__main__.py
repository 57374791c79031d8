"""`make fuzz`: random calls about tasks, right and wrong, to a node under a virtual clock, compared with a model."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys

import structlog
from fuzz.run import Finished, run
from fuzz.session import Difference

from mainspring.testing.run_note import note_path, table, write_note


def main() -> int:
    """Answers 0 when node and model agree."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="calls in all")
    parser.add_argument("--seed", type=int, default=1, help="of the first session")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        finished = asyncio.run(run(options.seed, options.requests))
    except Difference as difference:
        print(f"NOT OK: {difference}", file=sys.stderr)
        return 1
    said = sentence(finished)
    print(said)
    if path := note_path("fuzz.md"):
        write_note(path, "Random calls about tasks", [said, calls(finished)])
    return 0


def sentence(finished: Finished) -> str:
    """The result in words."""
    refused = sum(count for (_, code), count in finished.tally.items() if code != "OK")
    return (
        f"Written by `make fuzz`: {finished.requests:,} calls of plain stubs in {finished.sessions} sessions (seeds from"
        f" {finished.seed} on), each with a node over SQLite under a virtual clock, {finished.seconds:.0f} s. Node and model"
        f" agree about each status, each answer and the state after each of {refused:,} refusals, and about the ledger of"
        f" {finished.tasks:,} tasks: {finished.scheduled_times:,} scheduled times, each once."
    )


def calls(finished: Finished) -> str:
    """How often each method answered how."""
    codes = sorted({code for _, code in finished.tally}, key=lambda code: (code != "OK", code))
    rows = [
        (f"`{method}`", *(f"{finished.tally[method, code]:,}" for code in codes))
        for method in sorted({method for method, _ in finished.tally})
    ]
    return table(("", *codes), rows)


if __name__ == "__main__":
    sys.exit(main())
