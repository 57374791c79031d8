"""What docs/time.md says about the dialect and about clock changes is what happens."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest
from unit.core.test_next_fire import US, at, package_zone

from mainspring.server.core.cron_fields import BadCronExpression, normalise_cron, parse_cron
from mainspring.server.core.hashed_fields import has_hash, resolve_hashes
from mainspring.server.core.new_schedule import validate_cron
from mainspring.server.core.next_fire import fires_between
from mainspring.server.core.schedule import GapPolicy, RepeatPolicy, Schedule

TEXT = (Path(__file__).parents[3] / "docs" / "time.md").read_text(encoding="utf-8")
CODE = re.compile(r"`([^`]+)`")
LOCAL = re.compile(r"\d\d:\d\d[+-]\d\d:\d\d")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table whose header line begins like this."""
    lines = iter(TEXT[TEXT.index(heading) :].splitlines()[2:])
    table = []
    while (line := next(lines)).startswith("|"):
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


NIGHTS = rows("| expression | policy | 2026-03-29 | 2026-10-25 |")


@pytest.mark.parametrize("row", NIGHTS, ids=[" ".join(row[:2]) for row in NIGHTS])
def test_the_nights_in_berlin(row: list[str]) -> None:
    expression, policies = CODE.findall(row[0])[0], CODE.findall(row[1])
    gap = next((GapPolicy[p] for p in policies if p in GapPolicy.__members__), GapPolicy.FIRE_AFTER)
    repeat = next((RepeatPolicy[p] for p in policies if p in RepeatPolicy.__members__), RepeatPolicy.FIRST)
    schedule = Schedule(validate_cron([expression], "Europe/Berlin", gap, repeat))
    for cell, day in ((row[2], (2026, 3, 29)), (row[3], (2026, 10, 25))):
        begin, end = at(*day, zone="Europe/Berlin"), at(*day, 5, zone="Europe/Berlin")
        fires = [
            datetime.fromtimestamp(t // US, package_zone("Europe/Berlin")).isoformat()[11:]
            for t in fires_between(schedule, begin - 1, end, 20)
        ]
        shown = [f"{fire[:5]}{fire[8:]}" for fire in fires]  # without seconds
        told = LOCAL.findall(cell)
        if "..." in cell:
            first = shown.index(told[0])
            shown = shown[first : first + len(told)]
        assert shown == told


def test_every_example_of_the_dialect_is_understood() -> None:
    examples = 0
    for form, example, _ in rows("| form | example | means |"):
        for text in CODE.findall(example):
            fields = f"{text} * * * *" if " " not in text and not text.startswith("@") else text
            normal = normalise_cron(fields)
            parse_cron(resolve_hashes(normal, bytes(16)) if has_hash(normal) else normal)
            examples += 1
        assert form
    assert examples >= 17


def test_what_is_said_to_be_refused_is_refused() -> None:
    refused = TEXT[TEXT.index("Refused, with the reason:") : TEXT.index("croniter (pinned")]
    for text in (
        "R * * * *",
        "@reboot",
        "5-5 * * * *",
        "*/0 * * * *",
        "0 0 31 2 *",
        "0," * 200 + "0 * * * *",
    ):
        with pytest.raises(BadCronExpression):
            parse_cron(text)
    assert {"`R`", "`@reboot`", "`5-5`", "`0 0 31 2 *`"} <= {f"`{c}`" for c in CODE.findall(refused)}
