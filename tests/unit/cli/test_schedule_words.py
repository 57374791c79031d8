"""Schedules and fires in words: every kind and bound is told, and nothing in them can steer a terminal."""

from dataclasses import replace
from datetime import date, time, timedelta

import pytest
from hypothesis import given
from unit.cli.samples import BOUNDED, CALENDAR_INTERVAL, CRON, FIRE, NOON
from unit.client.schedule_strategies import SCHEDULES

from mainspring.cli.schedule_words import fires_table, schedule_words, timing_words
from mainspring.client import At, CalendarInterval, CalendarUnit, Cron, Delay, Every, Exclusions, Schedule

HOUR = timedelta(hours=1)
DAYS = [date(2030, 12, day) for day in range(20, 28)]


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (At(NOON), "at 2030-06-01T12:00:00Z"),
        (At(NOON, jitter=HOUR), "at 2030-06-01T12:00:00Z, jitter 1h"),
        (Delay(timedelta(minutes=5)), "in 5m"),
        (Cron("0 9 * * *", "Europe/Berlin"), "cron 0 9 * * * (Europe/Berlin)"),
        (CRON, "cron 0 9 * * * | @daily (Europe/Berlin, gap skip, repeat both)"),
        (Every(timedelta(minutes=90)), "every 1h30m"),
        (Every(timedelta(minutes=90), start=NOON), "every 1h30m from 2030-06-01T12:00:00Z"),
        (Every(HOUR, timedelta(0)), "every 1h phase 0s"),
        (Every(HOUR, max_executions=1), "every 1h, at most 1 time"),
        (
            BOUNDED,
            "every 1h phase 20m from 2030-06-01T12:00:00Z until 2030-06-02T12:00:00Z, at most 1,000 times, "
            "jitter 1m30s, except 2030-12-24, cron * 12 * * * (Europe/Berlin)",
        ),
        (
            CALENDAR_INTERVAL,
            "every 2 weeks on monday, thursday, 1, -1 at 09:00, 17:30:05 (Europe/Berlin, gap skip, repeat last) "
            "counted from 2026-11-30",
        ),
        (CalendarInterval(CalendarUnit.DAY, [time(9)]), "every day at 09:00 (UTC)"),
        (
            Cron("@daily", exclusions=Exclusions(DAYS)),
            "cron @daily (UTC), except 2030-12-20, 2030-12-21, 2030-12-22, 2030-12-23, 2030-12-24, 3 more dates",
        ),
        (
            Cron("@daily", exclusions=Exclusions(DAYS[:5])),
            "cron @daily (UTC), except 2030-12-20, 2030-12-21, 2030-12-22, 2030-12-23, 2030-12-24",
        ),
        (None, "of a kind that this version does not know"),
    ],
)
def test_schedules(schedule: Schedule | None, words: str) -> None:
    assert schedule_words(schedule, utc=True) == words


def test_a_timing_has_no_bounds() -> None:
    assert timing_words(BOUNDED, utc=True) == "every 1h phase 20m"


@given(SCHEDULES)
def test_no_schedule_steers_a_terminal(schedule: Schedule) -> None:
    assert schedule_words(schedule, utc=True).isprintable()


def test_fires_leave_out_columns_that_say_nothing() -> None:
    plain = replace(FIRE, due_time=FIRE.scheduled_time, notes=())
    row = ["2026-03-29T03:00:00+02:00", "2026-03-29T01:00:00Z"]
    assert fires_table([plain]) == (["LOCAL TIME", "UTC"], [row])
    assert fires_table([plain, FIRE]) == (
        ["LOCAL TIME", "UTC", "DUE", "NOTE"],
        [[*row, "", ""], [*row, "2026-03-29T01:00:07Z", "02:30 does not exist."]],
    )
    assert fires_table([]) == ([], [])


def test_notes_do_not_steer_a_terminal() -> None:
    noted = replace(FIRE, notes=(replace(FIRE.notes[0], text="\x1b[31m"), FIRE.notes[0]))
    assert fires_table([noted])[1][0][-1] == "\\x1b[31m 02:30 does not exist."


def test_a_list_shows_one_of_many_expressions() -> None:
    many = Cron(("0 9 * * *", "0 17 * * *", "@hourly"))
    assert timing_words(many, utc=True, is_short=True) == "cron 0 9 * * * and 2 more (UTC)"
    assert timing_words(Cron("0 9 * * *"), utc=True, is_short=True) == "cron 0 9 * * * (UTC)"
