"""`make bench`: what the database can do and what Mainspring does on it, side by side."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence
from typing import Self

from benchmarks.bursts import Bursts, started
from benchmarks.circumstances import note_run
from benchmarks.figures import BY_ITSELF, FIGURES, NOT_QUICK, Drawn, OnRig
from benchmarks.plots import draw
from benchmarks.results import FILE, QUICK_FILE, Results, bench_folder
from benchmarks.rig import RigSettings

from mainspring.testing.errors import TestingError
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
    """Measure one figure after another; one that fails has no results, and the others go on."""
    path = bench_folder() / (QUICK_FILE if is_quick else FILE)
    results = Results.load(path)
    failed: list[str] = []
    began_s = time.monotonic()
    async with _Rigs(is_shared=is_quick) as rigs:
        for name in names:
            begun_s = time.monotonic()
            note_run(path, name)
            results.drop(name)
            try:
                ledgers = await _measure(name, rigs, results, is_quick=is_quick)
            except TestingError as error:
                failed.append(name)
                results.drop(name)
                await rigs.close()
                print(f"== {name}: NOT MEASURED: {error}", flush=True)
            else:
                if ledgers:
                    draw(ledgers, path.with_name(f"{path.stem}-{name}.png"))
                lines = results.lines(name)
                print(f"== {name}: {time.monotonic() - begun_s:.0f} s", *lines, sep="\n", flush=True)
            results.save(path)
    print(f"{path}, {(time.monotonic() - began_s) / 60:.1f} minutes")
    if failed:
        print(f"not measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


async def _measure(name: str, rigs: _Rigs, results: Results, *, is_quick: bool) -> Drawn:
    figure = FIGURES[name]
    if isinstance(figure, OnRig):
        rig = await rigs.get(name)
        return await (figure.quick if is_quick else figure.full)(rig, results)
    await rigs.close()
    return await (figure.quick if is_quick else figure.full)(results)


class _Rigs:
    """Rigs of the usual kind, one at a time: each figure's own, or one for all as long as it lasts.

    Most of a small figure's time is the start of its rig.
    """

    def __init__(self, *, is_shared: bool) -> None:
        self._is_shared = is_shared
        self._stack = contextlib.AsyncExitStack()
        self._rig: Bursts | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def get(self, name: str) -> Bursts:
        """The rig for a figure."""
        if self._rig is None or not self._is_shared:
            await self.close()
            self._rig = await self._stack.enter_async_context(started(name, RigSettings()))
        return self._rig

    async def close(self) -> None:
        """End the one that runs, if there is one."""
        self._rig = None
        await self._stack.aclose()


if __name__ == "__main__":
    sys.exit(main())
