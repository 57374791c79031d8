"""What the options of a schedule say -> the schedule. PURE.

Which options go together is checked here; whether a value is allowed is for the server to say.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

import typer

from mainspring.cli.calendar_words import (
    parse_calendar_interval,
    parse_date,
    parse_day_of_month,
    parse_time_of_day,
    parse_weekday,
)
from mainspring.cli.schedule_options import GapChoice, RepeatChoice, ScheduleOptions
from mainspring.client import (
    At,
    CalendarInterval,
    CalendarUnit,
    Cron,
    Delay,
    Every,
    Exclusions,
    GapPolicy,
    RepeatPolicy,
    Schedule,
)

Value = TypeVar("Value")

_KINDS: Final = ("at", "delay", "cron", "every", "calendar")
_RECURRING: Final = ("cron", "every", "calendar")
_GOES_WITH: Final = {
    "time_zone": ("cron", "calendar"),
    "gap": ("cron", "calendar"),
    "repeat": ("cron", "calendar"),
    "phase": ("every",),
    "on": ("calendar",),
    "time": ("calendar",),
    "start_date": ("calendar",),
    "start": _RECURRING,
    "end": _RECURRING,
    "max_executions": _RECURRING,
    "exclude_date": _RECURRING,
    "exclude_cron": _RECURRING,
    "exclude_time_zone": ("every",),
}
"""The kinds of schedule that an option says something about; those that are not listed go with all."""


def read_schedule(said: ScheduleOptions) -> Schedule:
    """Return the schedule that the options say.

    Raises:
        typer.BadParameter: Options do not go together, or one cannot be read.
    """
    given = said.said()
    kinds = [name for name in _KINDS if name in given]
    if len(kinds) != 1:
        raise typer.BadParameter("say when: exactly one of --at, --delay, --cron, --every and --calendar")
    for name, companions in _GOES_WITH.items():
        if name in given and kinds[0] not in companions:
            raise typer.BadParameter(f"goes with {_joined(companions)} only", param_hint=_option(name))
    jitter = said.jitter or timedelta()
    if said.at is not None:
        return At(said.at, jitter=jitter)
    if said.delay is not None:
        return Delay(said.delay, jitter=jitter)
    bounded: dict[str, Any] = {
        "start": said.start,
        "end": said.end,
        "max_executions": said.max_executions,
        "jitter": jitter,
        "exclusions": Exclusions(
            _read("--exclude-date", parse_date, _split(said.exclude_date)),
            said.exclude_cron or (),
            said.exclude_time_zone or "",
        ),
    }
    if said.every is not None:
        return Every(said.every, said.phase, **bounded)
    local: dict[str, Any] = {
        "time_zone": said.time_zone or "UTC",
        "gap": GapPolicy[(said.gap or GapChoice.FIRE_AFTER).name],
        "repeat": RepeatPolicy[(said.repeat or RepeatChoice.FIRST).name],
    }
    if said.cron:
        return Cron(said.cron, **local, **bounded)
    return _calendar_interval(said, **local, **bounded)


def _calendar_interval(said: ScheduleOptions, **others: Any) -> CalendarInterval:
    [(every, unit)] = _read("--calendar", parse_calendar_interval, [said.calendar or ""])
    if not said.time:
        raise typer.BadParameter("needs --time", param_hint="--calendar")
    if said.on and unit is CalendarUnit.DAY:
        raise typer.BadParameter("goes with weeks and months only", param_hint="--on")
    days, start_date = _split(said.on), None
    if said.start_date is not None:
        [start_date] = _read("--start-date", parse_date, [said.start_date])
    return CalendarInterval(
        unit,
        _read("--time", parse_time_of_day, _split(said.time)),
        every=every,
        weekdays=_read("--on", parse_weekday, days) if unit is CalendarUnit.WEEK else (),
        days_of_month=_read("--on", parse_day_of_month, days) if unit is CalendarUnit.MONTH else (),
        start_date=start_date,
        **others,
    )


def _split(values: Iterable[str] | None) -> list[str]:
    return [part for value in values or () for part in value.split(",")]


def _read(option: str, parse: Callable[[str], Value], texts: Iterable[str]) -> list[Value]:
    try:
        return [parse(text) for text in texts]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _joined(names: Sequence[str]) -> str:
    *others, last = map(_option, names)
    return f"{', '.join(others)} and {last}" if others else last
