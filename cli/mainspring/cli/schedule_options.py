"""The options that say when a task runs: one set, for every command that takes a schedule."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

import typer

from mainspring.cli.option_sets import OptionSet
from mainspring.cli.options import duration, instant

_WHEN: Final = "When (exactly one)"
_LOCAL: Final = "With --cron and --calendar"
_EVERY: Final = "With --every"
_CALENDAR: Final = "With --calendar"
_BOUNDS: Final = "Bounds, exclusions, jitter"


class GapChoice(StrEnum):
    """The names are those of `mainspring.client.GapPolicy`."""

    FIRE_AFTER = "fire-after"
    SKIP = "skip"


class RepeatChoice(StrEnum):
    """The names are those of `mainspring.client.RepeatPolicy`."""

    FIRST = "first"
    LAST = "last"
    BOTH = "both"


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions(OptionSet):
    """What the command line says about when; None or nothing where it says nothing. Each field is an option."""

    at: Annotated[
        datetime | None,
        typer.Option(
            parser=instant,
            metavar="TIME",
            help="Once, at this time: RFC 3339 with a zone. Up to 24h ago: runs at once.",
            rich_help_panel=_WHEN,
        ),
    ] = None
    delay: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="Once, this long from now: 90s, 5m, 2h30m, 1d.",
            rich_help_panel=_WHEN,
        ),
    ] = None
    cron: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EXPRESSION",
            help="Whenever this matches: minute, hour, day of month, month, day of week; or six fields with seconds first; "
            "or @hourly, @daily and the like; L, LW, 15W, FRI#2, and H for a value of the task's own. Repeat it for what "
            "several expressions name.",
            rich_help_panel=_WHEN,
        ),
    ] = None
    every: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="At a fixed distance, at least 1s.",
            rich_help_panel=_WHEN,
        ),
    ] = None
    calendar: Annotated[
        str | None,
        typer.Option(
            metavar="INTERVAL",
            help="Every so many days, weeks or months of the local calendar, at --time: day, '2 weeks', '3 months'.",
            rich_help_panel=_WHEN,
        ),
    ] = None

    time_zone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE",
            help="The IANA time zone whose clocks are meant, such as Europe/Berlin. UTC when left out.",
            rich_help_panel=_LOCAL,
        ),
    ] = None
    gap: Annotated[
        GapChoice | None,
        typer.Option(
            metavar="POLICY",
            help="What becomes of a time that the clocks leave out when they are put forward: fire-after fires at the first "
            "instant after it, skip does not fire.",
            show_default=GapChoice.FIRE_AFTER.value,
            rich_help_panel=_LOCAL,
        ),
    ] = None
    repeat: Annotated[
        RepeatChoice | None,
        typer.Option(
            metavar="POLICY",
            help="When a time that the clocks show twice fires: first, last or both.",
            show_default=RepeatChoice.FIRST.value,
            rich_help_panel=_LOCAL,
        ),
    ] = None

    phase: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="How far past the full multiples of the distance, in UTC: --every 1h --phase 20m is twenty past. Left out: "
            "counted from --start, else from now.",
            rich_help_panel=_EVERY,
        ),
    ] = None

    time: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HH:MM",
            help="Required. A time of day, HH:MM or HH:MM:SS. Repeat it, or separate by commas.",
            rich_help_panel=_CALENDAR,
        ),
    ] = None
    on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DAYS",
            help="With weeks days of the week, such as mon,thu; with months days of the month, such as 1,-1, where -1 is "
            "the last. That of --start-date when left out.",
            rich_help_panel=_CALENDAR,
        ),
    ] = None
    start_date: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="The first day, week or month that counts, by any of its dates, and the first date on which something may "
            "run. Today when left out.",
            rich_help_panel=_CALENDAR,
        ),
    ] = None

    start: Annotated[
        datetime | None,
        typer.Option(
            parser=instant,
            metavar="TIME",
            help="Nothing before this. With --every and no --phase the first time.",
            rich_help_panel=_BOUNDS,
        ),
    ] = None
    end: Annotated[
        datetime | None,
        typer.Option(
            parser=instant, metavar="TIME", help="Nothing at or after this.", rich_help_panel=_BOUNDS
        ),
    ] = None
    max_executions: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000_000_000,
            metavar="COUNT",
            help="The task completes after so many scheduled times, run or skipped.",
            rich_help_panel=_BOUNDS,
        ),
    ] = None
    jitter: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="Run up to this much later, always the same part of it for one task: spreads tasks that share a time.",
            rich_help_panel=_BOUNDS,
        ),
    ] = None
    exclude_date: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATE",
            help="Leave out this local date. Repeat it, or separate by commas.",
            rich_help_panel=_BOUNDS,
        ),
    ] = None
    exclude_cron: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EXPRESSION",
            help="Leave out what this matches; five fields cover whole minutes: '* 12-13 * * *' is from 12:00 to 13:59:59. "
            "Repeat it for more.",
            rich_help_panel=_BOUNDS,
        ),
    ] = None
    exclude_time_zone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE",
            help="With --every: the IANA time zone of what is left out. UTC when left out.",
            rich_help_panel=_BOUNDS,
        ),
    ] = None
