"""Bugs planted in the product: each must show up as differences, and as none without it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from oracle import comparison, second_oracle
from oracle.comparison import Difference, Window
from oracle.corpus import cases
from oracle.zones import DAY, HOUR, Change

from mainspring.server.core import cron_fields, next_fire, wall_fires
from mainspring.server.core.cron_walls import CronWalls
from mainspring.server.core.schedule import CalendarInterval, Cron, RepeatPolicy, Schedule
from mainspring.server.core.schedule_text import decode
from mainspring.server.core.time_zone import TimeZone

SPRING = Change(1_774_746_000, 3_600, 7_200)  # 2026-03-29 in Berlin
AUTUMN = Change(1_792_890_000, 7_200, 3_600)  # 2026-10-25
APIA = Change(1_325_239_200, -36_000, 50_400)  # 2011-12-30 left out

Plant = Callable[[pytest.MonkeyPatch], None]


def forget() -> None:
    """Empty every memory of the product."""
    for remembering in (
        cron_fields.parse_cron,
        wall_fires.wall_fires,
        next_fire.next_fire,
        next_fire.count_fires,
    ):
        remembering.cache_clear()


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    forget()
    yield
    forget()


@cache
def window_around(zone: str, change: Change) -> Window:
    return Window.around(zone, change.at, 2 * DAY + 12 * HOUR)


def differences(group: str, zone: str, change: Change) -> list[Difference]:
    window = window_around(zone, change)
    rng, made = random.Random(1), Counter[str]()
    return [
        difference
        for case in cases()
        if case.group == group
        for difference in comparison.compare(case, window, rng, made)
    ]


@cache
def without_a_bug(group: str, zone: str, change: Change) -> list[Difference]:
    return differences(group, zone, change)


def decoded(otherwise: Callable[[Schedule], Schedule]) -> Plant:
    """Every schedule means what another one means."""
    return lambda monkeypatch: monkeypatch.setattr(comparison, "decode", lambda text: otherwise(decode(text)))


def parsed(otherwise: Callable[[CronWalls], CronWalls]) -> Plant:
    """Every expression means what another one means."""
    original = cron_fields.parse_cron
    return lambda monkeypatch: monkeypatch.setattr(
        wall_fires, "parse_cron", lambda expression: otherwise(original(expression))
    )


def repeat_fires_twice(schedule: Schedule) -> Schedule:
    assert isinstance(schedule.timing, Cron)
    return replace(schedule, timing=replace(schedule.timing, repeat=RepeatPolicy.BOTH))


def other_weeks(schedule: Schedule) -> Schedule:
    timing = schedule.timing
    assert isinstance(timing, CalendarInterval)
    return replace(schedule, timing=replace(timing, every=timing.every + (timing.every == 2)))


def end_is_inside(schedule: Schedule) -> Schedule:
    return replace(schedule, end_at=None if schedule.end_at is None else schedule.end_at + 1)


def gap_fires_late(monkeypatch: pytest.MonkeyPatch) -> None:
    original = TimeZone.change_between
    monkeypatch.setattr(TimeZone, "change_between", lambda self, low, high: original(self, low, high) + 60)


def last_workday_is_a_day_late(walls: CronWalls) -> CronWalls:
    if "LW" not in walls.expression:
        return walls
    return replace(walls, days=tuple(shape >> 1 for shape in walls.days))


def either_day_is_both(monkeypatch: pytest.MonkeyPatch) -> None:
    original = cron_fields._matching_days

    def both_days(*arguments: Any) -> int:
        return original(*arguments[:-1], True) or original(*arguments)

    monkeypatch.setattr(cron_fields, "_matching_days", both_days)


def a_left_out_date_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wall_fires, "DAY", 2 * DAY)


def wrong(name: str, otherwise: Callable[..., Any]) -> Plant:
    """An entry point of the product answers otherwise."""
    return lambda monkeypatch: monkeypatch.setattr(comparison, name, otherwise)


PLANTS: dict[str, tuple[str, str, Change, Plant]] = {
    "a repeat fires twice": ("dialect", "Europe/Berlin", AUTUMN, decoded(repeat_fires_twice)),
    "a gap fires a minute late": ("dialect", "Europe/Berlin", SPRING, gap_fires_late),
    "the last working day is off by one": (
        "dialect",
        "Europe/Berlin",
        SPRING,
        parsed(last_workday_is_a_day_late),
    ),
    "day and weekday are and instead of or": ("dialect", "Europe/Berlin", SPRING, either_day_is_both),
    "a wildcard hour is fixed": (
        "dialect",
        "Europe/Berlin",
        AUTUMN,
        parsed(lambda walls: replace(walls, wildcard_hour=False)),
    ),
    "a date left out is made up": ("dialect", "Pacific/Apia", APIA, a_left_out_date_is_made_up),
    "every second week is every third": ("calendar", "Europe/Berlin", SPRING, decoded(other_weeks)),
    "an exclusion is forgotten": (
        "exclusions",
        "Europe/Berlin",
        SPRING,
        decoded(lambda schedule: replace(schedule, exclusions=None)),
    ),
    "the end is inside": ("bounds", "Europe/Berlin", SPRING, decoded(end_is_inside)),
    "the start is forgotten": (
        "bounds",
        "Europe/Berlin",
        SPRING,
        decoded(lambda schedule: replace(schedule, start_at=None)),
    ),
    "a count takes its bound": (
        "dialect",
        "Europe/Berlin",
        SPRING,
        wrong("count_fires", lambda schedule, low, high: next_fire.count_fires(schedule, low, high + 1)),
    ),
    "the last takes its bound": (
        "dialect",
        "Europe/Berlin",
        SPRING,
        wrong("last_fire", lambda schedule, low, high: next_fire.last_fire(schedule, low, high + 1)),
    ),
    "next is not strictly later": (
        "dialect",
        "Europe/Berlin",
        SPRING,
        wrong("next_fire", lambda schedule, after_at: next_fire.next_fire(schedule, after_at - 1)),
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    group, zone, change, plant = PLANTS[name]
    assert without_a_bug(group, zone, change) == []
    forget()
    plant(monkeypatch)
    found = differences(group, zone, change)
    assert found
    smallest = str(min(found, key=lambda each: each.size))
    assert "expected" in smallest
    assert zone in smallest


def test_cronsim_sees_a_mistake_of_the_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    original = second_oracle.fires_of
    window = window_around("Europe/Berlin", SPRING)
    case = next(case for case in cases() if case.record.get("expression") == "30 2 * * *")
    explained = Counter[str]()
    assert list(second_oracle.compare(case, window, [SPRING], explained)) == []
    monkeypatch.setattr(second_oracle, "fires_of", lambda named, clock: original(named, clock)[1:])
    assert len(list(second_oracle.compare(case, window, [SPRING], explained))) == 1
    assert not explained
