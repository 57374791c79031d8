"""`make fuzz`: calls in any order, right and wrong, to nodes under a virtual clock, compared with a model.

A difference is shrunk to the fewest calls that show it. They are printed, with what `--replay` takes to make them again.
"""

from __future__ import annotations

import argparse
import logging
import sys

import structlog
from fuzz.caller import Difference, Tally
from fuzz.run import Finished, replay, run
from hypothesis.errors import DidNotReproduce

from mainspring.testing.run_note import note_path, table, write_note


def main() -> int:
    """Answers 0 when node and model agree."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="calls in all")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument(
        "--replay", default="", help="what a failure printed: only its calls, of the seed that it names"
    )
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        if options.replay:
            replay(options.seed, options.replay)
        finished = run(options.seed, options.requests)
    except DidNotReproduce:
        print(
            "node and model agree about these calls, or the rules were changed since: then run the seed anew"
        )
        return 0
    except Difference as difference:
        print(f"NOT OK: {difference}", *difference.__notes__, sep="\n", file=sys.stderr)
        return 1
    said = sentence(finished)
    print(said)
    if path := note_path("fuzz.md"):
        write_note(
            path, "Random calls, right and wrong", [said, calls(finished.tally), states(finished.tally)]
        )
    return 0


def sentence(finished: Finished) -> str:
    """The result in words."""
    tally = finished.tally
    acting = tally.codes - tally.look_ups
    return (
        f"Written by `make fuzz`: {tally.requests:,} calls in {tally.examples} examples (seeds {finished.seed} to"
        f" {finished.seed + finished.seeds - 1}), each with a new node over SQLite under a virtual clock,"
        f" {finished.seconds:.0f} s. {tally.share_answered(tally.codes):.0%} of them are valid; of the"
        f" {acting.total():,} that do not only compare, {tally.share_answered(acting):.0%}. Node and model agree about"
        f" each status, each answer, the state after each refusal, and the ledgers of {tally.tasks:,} tasks:"
        f" {tally.scheduled_times:,} scheduled times, each once."
    )


def calls(tally: Tally) -> str:
    """How often each method answered how."""
    codes = sorted({code for _, code in tally.codes}, key=lambda code: (code != "OK", code))
    rows = [
        (f"`{method}`", *(f"{tally.codes[method, code]:,}" for code in codes))
        for method in sorted({method for method, _ in tally.codes})
    ]
    return table(("", *codes), rows)


def states(tally: Tally) -> str:
    """How executions ended."""
    rows = [(state.removeprefix("EXECUTION_STATE_"), f"{n:,}") for state, n in tally.states.most_common()]
    return table(("Executions that ended as", ""), rows)


if __name__ == "__main__":
    sys.exit(main())
