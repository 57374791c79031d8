"""The figures of a run: one flat object, figure name to number, with the unit in the name."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mainspring.testing.cache import repository_root

FOLDER = "build/bench"
FILE = "results.json"
QUICK_FILE = "quick.json"


def bench_folder() -> Path:
    """`build/bench` of the checkout: results, plots, and data that are built once. Git ignores it."""
    root = repository_root() or Path.cwd()
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Row(NamedTuple):
    """A figure as people read it; least and greatest where it was measured several times."""

    name: str
    value: float
    unit: str
    least: float | None
    greatest: float | None


class Results(Mapping[str, float]):
    """Figures in the order in which they were measured.

    A figure that was measured several times is its median; `NAME, least` and `NAME, greatest` stand beside it.
    """

    def __init__(self, figures: Mapping[str, float] | None = None) -> None:
        """Begin with these figures, by default with none."""
        self._figures = dict(figures or {})

    def __getitem__(self, name: str) -> float:
        """The figure of this name."""
        return self._figures[name]

    def __iter__(self) -> Iterator[str]:
        """The names, in order."""
        return iter(self._figures)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._figures)

    def put(self, name: str, value: float) -> None:
        """Note a figure; the unit stands in brackets at the end of its name."""
        if not name.endswith(")"):
            raise ValueError(f"{name!r} tells no unit")
        self._figures.pop(name, None)
        self._figures[name] = round(value, 4) if abs(value) < 100 else round(value, 1)

    def spread(self, name: str, values: Sequence[float]) -> float:
        """Note the median of several measurements, and least and greatest beside it; answer the median."""
        median = statistics.median(values)
        self.put(name, median)
        if len(values) > 1:
            base, _, unit = name.rpartition(" (")
            self.put(f"{base}, least ({unit}", min(values))
            self.put(f"{base}, greatest ({unit}", max(values))
        return median

    def drop(self, prefix: str) -> None:
        """Forget the figures whose name begins with this word."""
        self._figures = {
            name: value for name, value in self._figures.items() if name.split(maxsplit=1)[0] != prefix
        }

    def rows(self, prefix: str) -> list[Row]:
        """The figures whose name begins with this word; least and greatest of several stand in their row."""
        rows: list[Row] = []
        for name, value in self._figures.items():
            base, _, unit = name.rpartition(" (")
            if name.split(maxsplit=1)[0] != prefix or base.endswith((", least", ", greatest")):
                continue
            least, greatest = (self._figures.get(f"{base}, {word} ({unit}") for word in ("least", "greatest"))
            rows.append(Row(base, value, unit.removesuffix(")"), least, greatest))
        return rows

    def lines(self, prefix: str) -> list[str]:
        """The same for a terminal."""
        return [
            f"{row.name:48} {shown(row.value):>12} {row.unit}"
            + (
                ""
                if row.least is None or row.greatest is None
                else f"   {shown(row.least)} to {shown(row.greatest)}"
            )
            for row in self.rows(prefix)
        ]

    def ratio(self, name: str, of: str, to: str) -> None:
        """Note how one figure compares with another, where both are there."""
        if self._figures.get(to) and of in self._figures:
            self.put(f"{name} (ratio)", self._figures[of] / self._figures[to])

    def save(self, path: Path) -> None:
        """Write them as JSON."""
        path.write_text(json.dumps(self._figures, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what `save` wrote; nothing where there is no such file."""
        return cls(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else cls()


def shown(value: float) -> str:
    """A number as people read it."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
