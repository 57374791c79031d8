"""`make bench`: what the database can do and what Mainspring does on it, side by side."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence

from benchmarks.bursts import Bursts, started
from benchmarks.circumstances import note_run
from benchmarks.figures import BY_ITSELF, FIGURES, NOT_QUICK, OnRig
from benchmarks.plots import draw
from benchmarks.results import FILE, QUICK_FILE, Results, bench_folder
from benchmarks.rig import RigSettings

from mainspring.testing.foreground import run_in_foreground


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; 0 when all of it could be."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", default="", help=f"names of figures, with commas: {', '.join(FIGURES)}")
    parser.add_argument("--quick", action="store_true", help="small, for a look in under two minutes")
    options = parser.parse_args(arguments)
    asked = [name for name in options.only.split(",") if name] or [
        *(FIGURES.keys() - (NOT_QUICK if options.quick else BY_ITSELF))
    ]
    if unknown := [name for name in asked if name not in FIGURES]:
        parser.error(f"no such figure: {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    names = [name for name in FIGURES if name in asked]
    return run_in_foreground(lambda: _run(names, is_quick=options.quick))


async def _run(names: Sequence[str], *, is_quick: bool) -> int:
    path = bench_folder() / (QUICK_FILE if is_quick else FILE)
    results = Results.load(path)
    began_s = time.monotonic()
    async with contextlib.AsyncExitStack() as shared:
        rig: Bursts | None = None
        for name in names:
            begun_s = time.monotonic()
            note_run(path, name)
            results.drop(name)
            figure = FIGURES[name]
            if not isinstance(figure, OnRig):
                rig = None
                await shared.aclose()
                ledgers = await (figure.quick if is_quick else figure.full)(results)
            elif is_quick:
                # One for all of them: most of a small figure's time is the start of its rig.
                if rig is None:
                    rig = await shared.enter_async_context(started("quick", RigSettings()))
                ledgers = await figure.quick(rig, results)
            else:
                async with started(name, RigSettings()) as own:
                    ledgers = await figure.full(own, results)
            results.save(path)
            if ledgers:
                draw(ledgers, path.with_name(f"{path.stem}-{name}.png"))
            print(
                f"== {name}: {time.monotonic() - begun_s:.0f} s", *results.lines(name), sep="\n", flush=True
            )
    print(f"{path}, {(time.monotonic() - began_s) / 60:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
