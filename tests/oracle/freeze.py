"""`make corpus`: add what is new to the frozen corpus of stored schedules and their fires.

Each line of the file is an instant, the fires after it up to the end of 2025, at most six, and a stored schedule, with
tabs between them. The fires come from the brute force and not from the product. A line is never changed: what a stored
schedule means does not depend on the release that reads it, and the rules of all its zones and dates are history.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final
from zlib import crc32

from oracle.corpus import Case, cases
from oracle.local_clock import Clock, read_clock
from oracle.schedules import SECOND_US, fires, interval_fires, needs_seconds
from oracle.zones import DAY, HOUR, MINUTE, changes_between, zone

FROZEN: Final = Path(__file__).resolve().parents[1] / "unit" / "core" / "corpus" / "schedules.tsv"
FIRES: Final = 6
END: Final = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
"""Later than all fires, in UTC seconds."""

NIGHTS: Final = (
    ("Europe/Berlin", (2004, 3, 28)),
    ("Europe/Berlin", (2015, 10, 25)),
    ("America/New_York", (2007, 3, 11)),
    ("America/New_York", (2012, 11, 4)),
    ("Australia/Lord_Howe", (2010, 4, 4)),
    ("Australia/Lord_Howe", (2013, 10, 6)),
    ("America/Sao_Paulo", (2009, 10, 18)),
    ("America/Sao_Paulo", (2014, 2, 16)),
    ("Pacific/Apia", (2011, 12, 30)),
    ("Asia/Tehran", (2008, 9, 20)),
    ("Antarctica/Troll", (2016, 3, 27)),
    ("Asia/Kathmandu", (2003, 2, 28)),
    ("Europe/Moscow", (2010, 10, 31)),
)
"""Zones, and local dates within a day of a clock change, or without one."""

_BEFORE: Final = 3
"""Where a schedule fires often, its line begins so many fires before the clock change."""

_CHUNK: Final = 10 * DAY
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file; instants in microseconds."""

    after_at: int
    fires: tuple[int, ...]
    text: str

    def __str__(self) -> str:
        return "\t".join((_written(self.after_at), ",".join(map(_written, self.fires)), self.text))


def read(path: Path | None = None) -> list[Line]:
    """The lines of the file."""
    lines = []
    for line in (path or FROZEN).read_text(encoding="ascii").splitlines():
        after_at, times, text = line.split("\t")
        lines.append(Line(_read(after_at), tuple(map(_read, filter(None, times.split(",")))), text))
    return lines


def main() -> int:
    """Answers 1, and writes nothing, when a line would have to change."""
    known = {(line.text, line.after_at): line for line in (read() if FROZEN.exists() else ())}
    made = list(made_lines())
    changed = [line for line in made if known.get((line.text, line.after_at), line) != line]
    for line in changed:
        print(f"NOT OK: {known[line.text, line.after_at]}\n   now: {line}", file=sys.stderr)
    if changed:
        return 1
    new = [line for line in made if (line.text, line.after_at) not in known]
    FROZEN.parent.mkdir(exist_ok=True)
    with FROZEN.open("a", encoding="ascii") as file:
        file.writelines(f"{line}\n" for line in new)
    print(f"{len(new)} lines added, {len(known)} were there")
    return 0


def made_lines() -> Iterator[Line]:
    """What the corpus of the oracle gives: each case on two nights, and the keys that no fire depends on."""
    all_cases = [*cases(), *_without_effect()]
    for night, (name, date) in enumerate(NIGHTS):
        middle = _middle(name, date)
        for case in all_cases:
            if night in _nights_of(case):
                yield _line(case, name, middle)


def _nights_of(case: Case) -> tuple[int, int]:
    """Two nights that depend on nothing but the case, so that a new one moves no other."""
    number = crc32(case.text("UTC", 0).encode("ascii"))
    first = number % len(NIGHTS)
    return first, (first + 1 + number // len(NIGHTS) % (len(NIGHTS) - 1)) % len(NIGHTS)


def _line(case: Case, name: str, middle: int) -> Line:
    text = case.text(name, middle)
    after_at = (middle - DAY) * SECOND_US
    before = _fires(text, name, after_at, middle * SECOND_US, enough=DAY)
    if len(before) > _BEFORE:
        after_at = before[-_BEFORE - 1]
    return Line(after_at, tuple(_fires(text, name, after_at, END * SECOND_US, enough=FIRES)[:FIRES]), text)


def _without_effect() -> Iterator[Case]:
    """Keys that change no fire, and tasks that run once."""
    cron = {"kind": "cron", "expression": "30 2 * * *"}
    yield Case("keys", {**cron, "jitter_us": 90_000_000})
    yield Case("keys", {**cron, "max_executions": 3, "gap": "SKIP"})
    interval = {"kind": "interval", "every_us": 1_000_001, "jitter_us": 1, "max_executions": 1_000_000_000}
    yield Case("keys", interval, {"anchor_at": -999_999})
    for distance in (-2 * DAY * SECOND_US, 1):
        yield Case("once", {"kind": "once"}, {"at": distance})


def _middle(name: str, date: tuple[int, int, int]) -> int:
    day = int(datetime(*date, tzinfo=UTC).timestamp())
    return next((change.at for change in changes_between(name, day - DAY, day + DAY)), day)


def _fires(text: str, name: str, after_at: int, before_at: int, enough: int) -> list[int]:
    """The fires in (after_at, before_at), or of very many at least the first `enough`."""
    record = json.loads(text)
    found: list[int] = []
    first, last = after_at // SECOND_US // MINUTE * MINUTE, -(-before_at // SECOND_US)
    while first < last and len(found) < enough:
        end = min(first // _CHUNK * _CHUNK + _CHUNK, last)
        if record["kind"] == "once":
            found += [record["at"]] if first * SECOND_US <= record["at"] < end * SECOND_US else []
        elif record["kind"] == "interval":
            found += interval_fires(text, first, end)
        else:
            clock = _clock(name, first // _CHUNK * _CHUNK).cut(first, end)
            found += fires(text, clock.in_seconds() if needs_seconds(text) else clock)
        found = [at for at in found if after_at < at < before_at]
        first = end
    return found


@lru_cache(maxsize=1_000)
def _clock(name: str, first: int) -> Clock:
    return read_clock(zone(name), first - DAY - HOUR, first + _CHUNK + DAY + HOUR)


def _written(instant: int) -> str:
    return (_EPOCH + timedelta(microseconds=instant)).replace(tzinfo=None).isoformat() + "Z"


def _read(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


if __name__ == "__main__":
    sys.exit(main())
