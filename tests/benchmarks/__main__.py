"""`make bench`: what the database can do and what Mainspring does on it, side by side."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import burst, limit
from benchmarks.results import FILE, Results, bench_folder

from mainspring.testing.foreground import run_in_foreground


@dataclass(frozen=True, slots=True)
class Figure:
    """One part of the run, in full and quick."""

    full: Callable[[Results], Coroutine[Any, Any, object]]
    quick: Callable[[Results], Coroutine[Any, Any, object]]


def _limit(settings: limit.LimitSettings) -> Callable[[Results], Coroutine[Any, Any, object]]:
    return lambda results: asyncio.to_thread(limit.measure, settings, results)


FIGURES: dict[str, Figure] = {
    "limit": Figure(
        _limit(limit.LimitSettings()),
        _limit(limit.LimitSettings(tasks=10_000, batches=(300, 1_000), connections=(2,), repeats=1)),
    ),
    "burst": Figure(
        lambda results: burst.measure(burst.BurstSettings(), results),
        lambda results: burst.measure(burst.BurstSettings(sizes=(5_000,), repeats=1), results),
    ),
}
"""In the order in which they run: the limit first, for the ratios to it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; 0 when all of it could be."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", default="", help=f"names of figures, with commas: {', '.join(FIGURES)}")
    parser.add_argument("--quick", action="store_true", help="small, for a look in under two minutes")
    options = parser.parse_args(arguments)
    names = [name for name in options.only.split(",") if name] or list(FIGURES)
    if unknown := [name for name in names if name not in FIGURES]:
        parser.error(f"no such figure: {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    return run_in_foreground(lambda: _run(names, is_quick=options.quick))


async def _run(names: Sequence[str], *, is_quick: bool) -> int:
    path = bench_folder() / ("quick.json" if is_quick else FILE)
    results = Results.load(path)
    began_s = time.monotonic()
    for name in names:
        begun_s = time.monotonic()
        results.drop(name)
        figure = FIGURES[name]
        await (figure.quick if is_quick else figure.full)(results)
        results.save(path)
        print(f"== {name}: {time.monotonic() - begun_s:.0f} s", flush=True)
        for figure_name, value in results.items():
            if figure_name.split(maxsplit=1)[0] == name:
                print(
                    f"{figure_name:64} {value:>14,.4g}"
                    if value < 1_000
                    else f"{figure_name:64} {value:>14,.0f}"
                )
    print(f"{path}, {(time.monotonic() - began_s) / 60:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
