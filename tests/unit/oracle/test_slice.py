"""A slice of `make oracle`: the whole corpus of schedules around some of the hardest clock changes."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime

import pytest
from oracle import second_oracle
from oracle.comparison import Window, compare
from oracle.corpus import cases
from oracle.zones import DAY, changes_between

CASES = list(cases())
NIGHTS = [  # a zone and a local date within a day of a change of its clock
    ("Europe/Berlin", (2026, 3, 29)),
    ("Europe/Berlin", (2026, 10, 25)),
    ("America/New_York", (2027, 3, 14)),
    ("America/New_York", (2027, 11, 7)),
    ("Australia/Lord_Howe", (2026, 4, 5)),  # half an hour
    ("Australia/Lord_Howe", (2026, 10, 4)),
    ("America/Santiago", (2026, 9, 6)),  # at midnight
    ("America/Santiago", (2026, 4, 5)),
    ("Atlantic/Azores", (2026, 10, 25)),
    ("America/Nuuk", (2027, 3, 28)),  # the gap ends at midnight
    ("America/Nuuk", (2027, 10, 31)),
    ("Africa/Casablanca", (2026, 2, 15)),
    ("Antarctica/Troll", (2026, 3, 29)),  # two hours
    ("Antarctica/Troll", (2026, 10, 25)),
    ("Antarctica/Casey", (2020, 10, 4)),  # three hours, at one minute past
    ("Antarctica/Vostok", (1994, 11, 1)),  # seven hours
    ("Pacific/Apia", (2011, 12, 30)),  # a date left out
    ("Pacific/Kwajalein", (1969, 9, 30)),  # 23 hours twice
    ("Asia/Pyongyang", (2015, 8, 15)),
    ("America/Caracas", (2007, 12, 9)),
    ("Asia/Kathmandu", (1985, 12, 31)),  # a quarter of an hour
]


@pytest.mark.parametrize(("zone", "date"), NIGHTS, ids=[f"{zone} {date[0]}" for zone, date in NIGHTS])
def test_agrees_around_a_clock_change(zone: str, date: tuple[int, int, int]) -> None:
    day = int(datetime(*date, tzinfo=UTC).timestamp())
    (change,) = changes_between(zone, day - DAY, day + DAY)
    window = Window.around(zone, change.at, DAY)
    rng, made, explained = random.Random(zone), Counter[str](), Counter[str]()
    differences = []
    for case in CASES:
        differences += compare(case, window, rng, made)
        if second_oracle.reads(case):
            differences += second_oracle.compare(case, window, [change], explained)
    assert not differences, "\n".join(
        str(each) for each in sorted(differences, key=lambda each: each.size)[:3]
    )
    assert made["fires_between"] == len(CASES)
    assert made["fires"] > 500
