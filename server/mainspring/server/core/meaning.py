"""What a schedule means, in plain English: "At 09:00 on Monday to Friday, Europe/Berlin. At most 10 times."

Made from the values that fires are computed from (see `cron_words`), so that it says what Mainspring does. A word on
clock changes follows only where one can matter: when the zone has a change in the years to come that touches a time of
this schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from mainspring.server.core.clock_changes import ClockChange, changes_from
from mainspring.server.core.compound_walls import WallSet
from mainspring.server.core.cron_fields import normalise_cron, parse_cron
from mainspring.server.core.cron_words import MONTHS, cron_words, exclusion_words, weekday_words
from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.plain_english import (
    counted,
    cut,
    distance_words,
    every,
    instant_words,
    listed,
    ordinal,
    time_of_day,
)
from mainspring.server.core.schedule import (
    CalendarInterval,
    CalendarUnit,
    Cron,
    GapPolicy,
    Interval,
    OneTime,
    RepeatPolicy,
    Schedule,
)
from mainspring.server.core.time_zone import DATABASE_YEAR
from mainspring.server.core.wall_fires import wall_fires

LONGEST_MEANING: Final = 600
"""Characters."""
_LONGEST_REST: Final = 330
"""What follows the first sentence is told shorter beyond this."""
_LONGEST_QUOTE: Final = 150
_MOST_ITEMS: Final = 8
_FEW_ITEMS: Final = 3
_MOST_DATES: Final = 5
_LONGEST_EXCLUSIONS: Final = 150
"""Characters of excluded expressions."""
_MINUTE_US: Final = 60 * SECOND_US
_YEAR_US: Final = 31_556_952 * SECOND_US


def meaning(schedule: Schedule) -> str:
    """One to a few sentences, at most LONGEST_MEANING characters; long lists are cut ("and 12 more").

    Raises:
        BadCronExpression, UnknownTimeZone: a schedule that was never checked, or whose zone the installed tzdata
            no longer has.
    """
    bounds, clock_changes = _bounds(schedule), _clock_changes(schedule)
    rest = [*bounds, *_exclusions(schedule), *clock_changes]
    if len(" ".join(rest)) > _LONGEST_REST:
        rest = [*bounds, *_number_of_exclusions(schedule), *clock_changes]
    if len(" ".join(rest)) > _LONGEST_REST:
        rest = [*bounds, *_number_of_exclusions(schedule)]
    main = _timing(schedule, LONGEST_MEANING - 1 - len(" ".join(rest)))
    return " ".join([main[0].upper() + main[1:], *rest])


def _timing(schedule: Schedule, room: int) -> str:
    timing = schedule.timing
    if isinstance(timing, OneTime):
        return f"once, at {instant_words(timing.at)}."
    if isinstance(timing, Interval):
        distance = distance_words(timing.every_us)
        if distance in ("1 hour", "1 minute", "1 second"):
            distance = distance[2:]
        return f"every {distance}, counted from {instant_words(timing.anchor_at)}."
    if isinstance(timing, Cron):
        zone = f", {timing.time_zone}."
        return _expressions(timing.expressions, room - len(zone)) + zone
    words = _calendar(timing, _MOST_ITEMS)
    return words if len(words) <= room else _calendar(timing, _FEW_ITEMS)


# --- cron --------------------------------------------------------------------------------------------------------------


def _expressions(expressions: Sequence[str], room: int, in_words: Callable[[str], str] = cron_words) -> str:
    """As many of the expressions as the room allows, at least one, and how many there are besides."""
    others = len(expressions) - 1
    room_of_one = room - len(f"; and {counted(others, 'more expression')}") * (others > 0)
    words = list(dict.fromkeys(_expression(expression, room_of_one, in_words) for expression in expressions))
    shown = words[:1]
    for number, following in enumerate(words[1:], start=2):
        left_over = f"; and {counted(len(words) - number, 'more expression')}" if number < len(words) else ""
        if len("; also ".join([*shown, following])) + len(left_over) > room:
            return "; also ".join(shown) + f"; and {counted(len(words) - number + 1, 'more expression')}"
        shown.append(following)
    return "; also ".join(shown)


def _expression(expression: str, room: int, in_words: Callable[[str], str]) -> str:
    words = in_words(expression)
    if len(words) <= room:
        return words
    text = normalise_cron(expression)
    ellipsis = "..." * (len(text) > _LONGEST_QUOTE)
    return f'at the times of "{text[:_LONGEST_QUOTE]}{ellipsis}"'


# --- calendar intervals ------------------------------------------------------------------------------------------------


def _calendar(timing: CalendarInterval, most_items: int) -> str:
    start = date.fromisoformat(timing.start_date)
    times = listed(cut([time_of_day(time) for time in timing.times], most_items))
    where = f"at {times}, {timing.time_zone}"
    since = f", from {start} on"
    if timing.unit is CalendarUnit.DAY:
        if timing.every > 1:
            since = f", counted from {start}"
        return f"{every(timing.every, 'day')} {where}{since}."
    if timing.unit is CalendarUnit.WEEK:
        days = f" on {weekday_words(timing.weekdays) or 'every day'}"
        if timing.every > 1:
            since = f", counted from the week of {start}"
            if timing.weekdays[0] < start.isoweekday():
                since += " and not before that day"
        return f"{every(timing.every, 'week')}{days} {where}{since}."
    days = f" on {_days_of_month(timing.days_of_month, most_items)}"
    passed_over = ""
    if any(not -29 < day < 29 for day in timing.days_of_month):
        passed_over = " A month without such a day is passed over."
    if timing.every % 12 == 0:
        step = f"{every(timing.every // 12, 'year')} in {MONTHS[start.month - 1]}"
        counted_from = f"{start.year:04}"
    else:
        step = every(timing.every, "month")
        counted_from = f"{MONTHS[start.month - 1]} {start.year:04}"
    if timing.every > 1 and timing.every != 12:
        since = f", counted from {counted_from}"
        if start.day > 1:
            since += f" and not before {start}"
    return f"{step}{days} {where}{since}.{passed_over}"


def _days_of_month(days: Sequence[int], most_items: int) -> str:
    from_end = {
        day: "the last day"
        if day == -1
        else f"the {'' if day == -2 else ordinal(-1 - day) + ' '}day before the last day"
        for day in days
        if day < 0
    }
    words = [f"the {ordinal(day)}" for day in days if day > 0]
    words += [from_end[day] for day in sorted(from_end)]
    return listed(cut(words, most_items))


# --- what bounds and what disturbs -------------------------------------------------------------------------------------


def _bounds(schedule: Schedule) -> list[str]:
    sentences: list[str] = []
    timing = schedule.timing
    if schedule.start_at is not None and not (
        isinstance(timing, Interval) and timing.anchor_at == schedule.start_at
    ):
        sentences.append(f"Not before {instant_words(schedule.start_at)}.")
    if schedule.end_at is not None:
        sentences.append(f"Ends before {instant_words(schedule.end_at)}.")
    if schedule.max_executions is not None:
        sentences.append(f"At most {counted(schedule.max_executions, 'scheduled time')}, run or skipped.")
    if schedule.jitter_us:
        sentences.append(f"Due up to {distance_words(schedule.jitter_us)} later, each task by its own share.")
    return sentences


def _exclusions(schedule: Schedule) -> list[str]:
    exclusions = schedule.exclusions
    if exclusions is None:
        return []
    parts: list[str] = []
    if exclusions.dates:
        parts.append(listed(cut(exclusions.dates, _MOST_DATES, "date")))
    if exclusions.expressions:
        in_words = exclusion_words if _has_seconds(schedule) else cron_words
        parts.append(_expressions(exclusions.expressions, _LONGEST_EXCLUSIONS, in_words))
    clock = f" on the clock of {schedule.time_zone}" if isinstance(schedule.timing, Interval) else ""
    return [f"Left out{clock}: {'; '.join(parts)}."]


def _number_of_exclusions(schedule: Schedule) -> list[str]:
    exclusions = schedule.exclusions
    if exclusions is None:
        return []
    numbers = ((len(exclusions.dates), "date"), (len(exclusions.expressions), "cron expression"))
    return [f"Left out: {listed([counted(number, noun) for number, noun in numbers if number])}."]


def _has_seconds(schedule: Schedule) -> bool:
    """Whether a scheduled time may lie within a minute."""
    timing = schedule.timing
    if isinstance(timing, Cron):
        return any(parse_cron(expression).seconds != (0,) for expression in timing.expressions)
    if isinstance(timing, CalendarInterval):
        return any(time % 60 for time in timing.times)
    return isinstance(timing, Interval) and bool(
        timing.every_us % _MINUTE_US or timing.anchor_at % _MINUTE_US
    )


def _clock_changes(schedule: Schedule) -> list[str]:
    timing = schedule.timing
    if not isinstance(timing, Cron | CalendarInterval):
        return []
    changes = _changes_to_come(schedule)
    # Under these policies, which `wall_fires` may treat in its own way, fixed and elapsed times are kept apart.
    usual = replace(timing, gap=GapPolicy.FIRE_AFTER, repeat=RepeatPolicy.FIRST)
    fires = wall_fires(usual, schedule.exclusions)
    clauses: list[str] = []
    if _is_touched(fires.fixed, [change for change in changes if change.is_gap]):
        clauses.append(_GAP_WORDS[timing.gap])
    if _is_touched(fires.fixed, [change for change in changes if not change.is_gap]):
        clauses.append(_REPEAT_WORDS[timing.repeat])
    if _is_touched(fires.elapsed, changes):
        others = (
            "expressions whose hours begin with * follow elapsed time"
            if fires.fixed
            else "it follows elapsed time"
        )
        clauses.append(others)
    return [f"When clocks change, {listed(clauses)}."] if clauses else []


def _changes_to_come(schedule: Schedule) -> list[ClockChange]:
    """The zone's changes of the years from now or from the schedule's start on, within its bounds."""
    year = DATABASE_YEAR
    start_at, end_at = schedule.start_at, schedule.end_at
    if start_at is not None:
        year = max(year, 1970 + start_at // _YEAR_US)
    return [
        change
        for change in changes_from(schedule.time_zone, year)
        if (start_at is None or change.at * SECOND_US >= start_at)
        and (end_at is None or change.at * SECOND_US < end_at)
    ]


def _is_touched(walls: WallSet | None, changes: Sequence[ClockChange]) -> bool:
    return walls is not None and any(
        walls.count_walls(change.first_wall, change.end_wall) for change in changes
    )


_GAP_WORDS: Final = {
    GapPolicy.FIRE_AFTER: "a time that is left out fires right after the gap",
    GapPolicy.SKIP: "a time that is left out does not fire",
}
_REPEAT_WORDS: Final = {
    RepeatPolicy.FIRST: "a time that comes twice fires the first time",
    RepeatPolicy.LAST: "a time that comes twice fires the last time",
    RepeatPolicy.BOTH: "a time that comes twice fires both times",
}
