"""The scheduled times to come, and what is noted where clocks change."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.core.short import cron, every, once

from mainspring.server.core.clock_changes import changes_from
from mainspring.server.core.cron_fields import parse_cron
from mainspring.server.core.due_time import due_at
from mainspring.server.core.next_fire import first_fire
from mainspring.server.core.preview import ClockChangeEffect, ClockChangeNote, UpcomingFire, upcoming_fires
from mainspring.server.core.schedule import (
    CalendarInterval,
    CalendarUnit,
    Cron,
    Exclusions,
    GapPolicy,
    RepeatPolicy,
    Schedule,
)

KEY = bytes(range(16))
SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND
MOVED, LEFT_OUT, FIRST_ONLY, LAST_ONLY, FIRST_OF_TWO, SECOND_OF_TWO = ClockChangeEffect
SKIP, LAST, BOTH = GapPolicy.SKIP, RepeatPolicy.LAST, RepeatPolicy.BOTH
ADAPTED = {"gap": SKIP, "repeat": BOTH}


def at(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime.fromisoformat("1970-01-01T00:00:00Z")) // timedelta(
        microseconds=1
    )


def upcoming(schedule: Schedule, after: str, number: int) -> list[UpcomingFire]:
    after_at = at(after)
    fires = upcoming_fires(schedule, KEY, first_at=first_fire(schedule, after_at), after_at=after_at)
    return list(islice(fires, number))


def told(schedule: Schedule, after: str, number: int) -> list[tuple[object, ...]]:
    """Each local time with the notes at it."""
    return [
        (fire.local_time, *((note.effect, note.wall_time, note.count) for note in fire.notes))
        for fire in upcoming(schedule, after, number)
    ]


def berlin(*expressions: str, zone: str = "Europe/Berlin", **policies: GapPolicy | RepeatPolicy) -> Schedule:
    return Schedule(Cron(expressions, zone, **policies))  # type: ignore[arg-type]


SPRING, AUTUMN = "2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z"


@pytest.mark.parametrize(
    ("schedule", "after", "fires"),
    [
        pytest.param(
            berlin("30 2 * * *"),
            SPRING,
            [
                ("2026-03-29T03:00:00+02:00", (MOVED, "2026-03-29T02:30:00", 1)),
                ("2026-03-30T02:30:00+02:00",),
            ],
            id="a gap moves a time",
        ),
        pytest.param(
            berlin("*/5 2 * * *"),
            SPRING,
            [
                ("2026-03-29T03:00:00+02:00", (MOVED, "2026-03-29T02:00:00", 12)),
                ("2026-03-30T02:00:00+02:00",),
            ],
            id="one time stands for all of a gap",
        ),
        pytest.param(
            berlin("*/15 2,3 * * *"),
            SPRING,
            [
                ("2026-03-29T03:00:00+02:00", (MOVED, "2026-03-29T02:00:00", 4)),
                ("2026-03-29T03:15:00+02:00",),
            ],
            id="a time right after the gap stands for it, too",
        ),
        pytest.param(
            berlin("30 2 * * *", gap=SKIP),
            SPRING,
            [
                ("2026-03-30T02:30:00+02:00", (LEFT_OUT, "2026-03-29T02:30:00", 1)),
                ("2026-03-31T02:30:00+02:00",),
            ],
            id="a gap leaves a time out",
        ),
        pytest.param(
            berlin("30 2 * * *", **ADAPTED),
            SPRING,
            [("2026-03-30T02:30:00+02:00", (LEFT_OUT, "2026-03-29T02:30:00", 1))],
            id="also when repeated times fire both times",
        ),
        pytest.param(
            berlin("*/30 * * * *"),
            "2026-03-29T00:00:00Z",
            [
                ("2026-03-29T01:30:00+01:00",),
                ("2026-03-29T03:00:00+02:00", (LEFT_OUT, "2026-03-29T02:00:00", 2)),
                ("2026-03-29T03:30:00+02:00",),
            ],
            id="elapsed time in a gap",
        ),
        pytest.param(
            berlin("30 2 29 3 *", gap=SKIP),
            "2025-12-01T00:00:00Z",
            [
                ("2027-03-29T02:30:00+02:00", (LEFT_OUT, "2026-03-29T02:30:00", 1)),
                ("2028-03-29T02:30:00+02:00",),
            ],
            id="a gap a year before the next time",
        ),
        pytest.param(
            berlin("30 2 29 3 *", gap=SKIP),
            "2026-03-29T12:00:00Z",
            [("2027-03-29T02:30:00+02:00",)],
            id="a gap before the first time asked for is not spoken of",
        ),
        pytest.param(
            berlin("0 3 * * *"), SPRING, [("2026-03-29T03:00:00+02:00",)], id="a time that a gap does not touch"
        ),
        pytest.param(
            berlin("30 2 * * *"),
            AUTUMN,
            [
                ("2026-10-25T02:30:00+02:00", (FIRST_ONLY, "2026-10-25T02:30:00", 1)),
                ("2026-10-26T02:30:00+01:00",),
            ],
            id="the first of a repeated time",
        ),
        pytest.param(
            berlin("30 2 * * *", repeat=LAST),
            AUTUMN,
            [
                ("2026-10-25T02:30:00+01:00", (LAST_ONLY, "2026-10-25T02:30:00", 1)),
                ("2026-10-26T02:30:00+01:00",),
            ],
            id="the last of a repeated time",
        ),
        *(
            pytest.param(
                berlin("30 2 * * *", **policies),
                AUTUMN,
                [
                    ("2026-10-25T02:30:00+02:00", (FIRST_OF_TWO, "2026-10-25T02:30:00", 1)),
                    ("2026-10-25T02:30:00+01:00", (SECOND_OF_TWO, "2026-10-25T02:30:00", 1)),
                    ("2026-10-26T02:30:00+01:00",),
                ],
                id=f"both of a repeated time, {len(policies)} chosen",
            )
            for policies in ({"repeat": BOTH}, ADAPTED)
        ),
        pytest.param(
            berlin("*/30 * * * *"),
            "2026-10-24T23:45:00Z",
            [
                ("2026-10-25T02:00:00+02:00",),
                ("2026-10-25T02:30:00+02:00",),
                ("2026-10-25T02:00:00+01:00", (SECOND_OF_TWO, "2026-10-25T02:00:00", 2)),
                ("2026-10-25T02:30:00+01:00",),
                ("2026-10-25T03:00:00+01:00",),
            ],
            id="elapsed time in a repeat is noted once",
        ),
        pytest.param(
            berlin("*/30 * * * *", "15 2 * * *", repeat=LAST),
            "2026-10-25T00:15:00Z",
            [
                ("2026-10-25T02:30:00+02:00",),
                ("2026-10-25T02:00:00+01:00", (SECOND_OF_TWO, "2026-10-25T02:00:00", 2)),
                ("2026-10-25T02:15:00+01:00", (LAST_ONLY, "2026-10-25T02:15:00", 1)),
            ],
            id="fixed and elapsed times together",
        ),
        pytest.param(
            berlin("30 23 * * *", zone="America/Nuuk"),
            "2026-03-28T12:00:00Z",
            [
                ("2026-03-29T00:00:00-01:00", (MOVED, "2026-03-28T23:30:00", 1)),
                ("2026-03-29T23:30:00-01:00",),
            ],
            id="a gap at the end of a day moves a time to the next date",
        ),
        pytest.param(
            berlin("15 2 * * *", zone="Australia/Lord_Howe"),
            "2026-10-03T00:00:00Z",
            [("2026-10-04T02:30:00+11:00", (MOVED, "2026-10-04T02:15:00", 1))],
            id="a gap of half an hour",
        ),
        pytest.param(
            berlin("45 1 * * *", zone="Australia/Lord_Howe"),
            "2026-04-04T00:00:00Z",
            [("2026-04-05T01:45:00+11:00", (FIRST_ONLY, "2026-04-05T01:45:00", 1))],
            id="a repeat of half an hour",
        ),
        pytest.param(
            berlin("30 1 * * *", zone="America/New_York", repeat=BOTH),
            "2026-11-01T00:00:00Z",
            [
                ("2026-11-01T01:30:00-04:00", (FIRST_OF_TWO, "2026-11-01T01:30:00", 1)),
                ("2026-11-01T01:30:00-05:00", (SECOND_OF_TWO, "2026-11-01T01:30:00", 1)),
            ],
            id="west of Greenwich",
        ),
        pytest.param(
            berlin("0 */12 * * *", "30 9 * * *", zone="Pacific/Apia"),
            "2011-12-29T20:00:00Z",
            [
                ("2011-12-29T12:00:00-10:00",),
                (
                    "2011-12-31T00:00:00+14:00",
                    (LEFT_OUT, "2011-12-30T09:30:00", 1),
                    (LEFT_OUT, "2011-12-30T00:00:00", 2),
                ),
            ],
            id="nothing stands for a date that a zone left out",
        ),
        pytest.param(
            Schedule(CalendarInterval(1, CalendarUnit.WEEK, "2026-03-01", (7,), (), (9_000,), "Europe/Berlin")),
            SPRING,
            [("2026-03-29T03:00:00+02:00", (MOVED, "2026-03-29T02:30:00", 1))],
            id="a calendar interval",
        ),
        pytest.param(
            Schedule(
                Cron(("*/30 2 * * *",), "Europe/Berlin"), exclusions=Exclusions((), ("0 2 * * *",))
            ),
            SPRING,
            [("2026-03-29T03:00:00+02:00", (MOVED, "2026-03-29T02:30:00", 1))],
            id="what is excluded is not spoken of",
        ),
    ],
)  # fmt: skip
def test_notes(schedule: Schedule, after: str, fires: list[tuple[object, ...]]) -> None:
    assert told(schedule, after, len(fires)) == fires


@pytest.mark.parametrize(
    ("schedule", "after", "texts"),
    [
        (
            berlin("30 2 * * *"),
            SPRING,
            [
                "02:30 does not exist on 2026-03-29 in Europe/Berlin, where clocks go forward from 02:00 to 03:00: it fires"
                " at 03:00."
            ],
        ),
        (
            berlin("*/5 2 * * *"),
            SPRING,
            [
                "12 times from 02:00 on do not exist on 2026-03-29 in Europe/Berlin, where clocks go forward from 02:00 to"
                " 03:00: they fire once, at 03:00."
            ],
        ),
        (
            berlin("0,30 23 * * *", zone="America/Nuuk", gap=SKIP),
            "2026-03-28T12:00:00Z",
            [
                "2 times from 23:00 on do not exist on 2026-03-28 in America/Nuuk, where clocks go forward from 23:00 to"
                " 00:00 on 2026-03-29: they do not fire."
            ],
        ),
        (
            berlin("30 2 * * *"),
            AUTUMN,
            [
                "02:30 comes twice on 2026-10-25 in Europe/Berlin, where clocks go back from 03:00 to 02:00: this is the"
                " first time, the second does not fire."
            ],
        ),
        (
            berlin("*/30 * * * *"),
            "2026-10-25T00:30:00Z",
            [
                "2 times from 02:00 on come twice on 2026-10-25 in Europe/Berlin, where clocks go back from 03:00 to 02:00:"
                " the schedule follows elapsed time."
            ],
        ),
    ],
)
def test_texts(schedule: Schedule, after: str, texts: list[str]) -> None:
    (fire,) = upcoming(schedule, after, 1)
    assert [note.text for note in fire.notes] == texts


def test_a_start_within_the_day_of_a_change() -> None:
    """What a change did before the start is not the schedule's."""
    skipping = berlin("30 2 * * *", gap=SKIP)
    after_the_gap = replace(skipping, start_at=at("2026-03-29T01:00:01Z"))
    assert told(skipping, SPRING, 1) != told(after_the_gap, SPRING, 1)
    assert told(after_the_gap, SPRING, 1) == [("2026-03-30T02:30:00+02:00",)]
    elapsed = replace(berlin("*/30 * * * *"), start_at=at("2026-10-25T01:00:01Z"))
    assert told(elapsed, AUTUMN, 1) == [("2026-10-25T02:30:00+01:00",)]


def test_bounds_end_it() -> None:
    hourly = cron("0 * * * *")
    after = "2026-01-01T00:00:00Z"
    assert len(upcoming(replace(hourly, max_executions=3), after, 10)) == 3
    assert len(upcoming(replace(hourly, end_at=at("2026-01-01T05:00:00Z")), after, 10)) == 4
    later = replace(hourly, start_at=at("2026-01-02T00:00:00Z"))
    assert told(later, after, 1) == [("2026-01-02T00:00:00+00:00",)]


def test_of_a_task_that_has_had_some() -> None:
    schedule = replace(every(HOUR, 0), max_executions=5)
    assert len(list(upcoming_fires(schedule, KEY, first_at=3 * HOUR, after_at=0, already=3))) == 2
    assert not list(upcoming_fires(schedule, KEY, first_at=3 * HOUR, after_at=0, already=5))
    assert not list(upcoming_fires(schedule, KEY, first_at=None, after_at=0))


def test_due_times_have_the_jitter_of_the_task() -> None:
    schedule = replace(cron("0 * * * *"), jitter_us=30 * MINUTE)
    fires = upcoming(schedule, "2026-01-01T00:00:00Z", 3)
    assert [fire.due_at for fire in fires] == [due_at(schedule, KEY, fire.scheduled_at) for fire in fires]
    assert all(fire.due_at > fire.scheduled_at for fire in fires)


def test_a_time_that_has_passed_is_due_at_once() -> None:
    after_at = at("2026-01-01T00:00:00Z")
    (fire,) = upcoming_fires(once(after_at - HOUR), KEY, first_at=after_at - HOUR, after_at=after_at)
    assert (fire.scheduled_at, fire.due_at) == (after_at - HOUR, after_at)
    assert fire.local_time == "2025-12-31T23:00:00+00:00"


def test_local_times_have_fractions_where_there_are_some() -> None:
    fire = next(upcoming_fires(every(DAY, 1_500), KEY, first_at=DAY + 1_500, after_at=DAY))
    assert fire.local_time == "1970-01-02T00:00:00.001500+00:00"


def test_an_interval_is_shown_in_the_zone_of_its_exclusions() -> None:
    schedule = replace(every(HOUR, 0), exclusions=Exclusions((), ("* 3 * * *",), "Europe/Berlin"))
    assert told(schedule, "2026-03-29T00:00:00Z", 2) == [
        ("2026-03-29T04:00:00+02:00",),
        ("2026-03-29T05:00:00+02:00",),
    ]


FIELDS = (
    st.sampled_from(["*", "0", "30", "*/5", "*/20", "7,52"]),
    st.sampled_from(["*", "0", "1", "2", "3", "23", "*/2", "0-3", "1,2", "22-4"]),
    st.sampled_from(["*", "*/3", "28-31"]),
    st.just("*"),
    st.sampled_from(["*", "SUN", "SAT,SUN"]),
)
ZONES = [
    *(
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Nuuk",
        "America/Havana",
        "Africa/Casablanca",
    ),
    *("Pacific/Apia", "Asia/Beirut", "Atlantic/Azores", "America/Caracas", "Antarctica/Troll"),
]


@settings(deadline=None)
@given(
    st.tuples(*FIELDS).map(" ".join),
    st.sampled_from(ZONES),
    st.sampled_from([2000, 2011, 2026]),
    st.integers(0, 99),
    st.sampled_from(GapPolicy),
    st.sampled_from(RepeatPolicy),
)
def test_notes_speak_of_every_wall_time_concerned_and_of_no_other(
    expression: str, zone: str, year: int, number: int, gap: GapPolicy, repeat: RepeatPolicy
) -> None:
    """Every minute of a gap or repeat is looked at, one by one."""
    changes = changes_from(zone, year)
    if not changes:
        return
    change = changes[number % len(changes)]
    walls = parse_cron(expression)
    concerned = [w for w in range(change.first_wall, change.end_wall, 60) if walls.count_walls(w, w + 1)]
    schedule = Schedule(Cron((expression,), zone, gap, repeat))
    low, high = (change.at - 86_400) * SECOND, (change.at + 86_400) * SECOND
    notes: list[tuple[int, ClockChangeNote]] = []
    for fire in upcoming_fires(schedule, KEY, first_at=first_fire(schedule, low), after_at=low):
        notes += [
            (fire.scheduled_at // SECOND, note)
            for note in fire.notes
            if fire.scheduled_at <= high or change.first_wall <= wall_of(note) < change.end_wall
        ]
        if fire.scheduled_at > high:
            break

    def walls_of(effect: ClockChangeEffect) -> list[int]:
        return [wall_of(note) for _, note in notes if note.effect is effect]

    assert all(change.first_wall <= wall_of(note) < change.end_wall for _, note in notes)
    if not concerned:
        assert not notes
    elif walls.wildcard_hour:
        ((fire_at, note),) = notes
        assert note.effect is (LEFT_OUT if change.is_gap else SECOND_OF_TWO)
        assert (wall_of(note), note.count) == (concerned[0], len(concerned))
        assert fire_at >= change.at
    elif change.is_gap:
        ((fire_at, note),) = notes
        is_moved = gap is GapPolicy.FIRE_AFTER and change.end_wall - change.first_wall < 86_400
        assert note.effect is (MOVED if is_moved else LEFT_OUT)
        assert (wall_of(note), note.count) == (concerned[0], len(concerned))
        assert fire_at == change.at or not is_moved
    elif repeat is RepeatPolicy.BOTH:
        assert walls_of(FIRST_OF_TWO) == walls_of(SECOND_OF_TWO) == concerned
        assert len(notes) == 2 * len(concerned)
    else:
        assert walls_of(FIRST_ONLY if repeat is RepeatPolicy.FIRST else LAST_ONLY) == concerned
        assert len(notes) == len(concerned)


def wall_of(note: ClockChangeNote) -> int:
    return at(note.wall_time + "Z") // SECOND
