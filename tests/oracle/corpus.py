"""The schedules that are compared: every form of the dialect, every policy, every kind, around a clock change.

A case is a stored schedule without its zone. It is placed at an instant, the middle of a window: its bounds, its
exclusions and its start date are then counted from there, so that they meet the clock change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from oracle.schedules import SECOND_US, Record
from oracle.zones import DAY, wall_at, zone

_UNIX_DAY: Final = date(1970, 1, 1).toordinal()
_MINUTE_US: Final = 60 * SECOND_US
_HOUR_US: Final = 60 * _MINUTE_US


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A schedule to compare.

    Attributes:
        group: what it is there for.
        record: the keys of its stored text.
        bounds: `start_at`, `end_at`, `anchor_at` and `at`, in microseconds from the middle.
        dates: dates of `exclude_dates`, in days from the local date of the middle.
        start_day: `start_date`, likewise.
    """

    group: str
    record: Record
    bounds: dict[str, int] = field(default_factory=dict)
    dates: tuple[int, ...] = ()
    start_day: int | None = None

    def text(self, zone_name: str, middle: int) -> str:
        """The stored text, placed in a zone at an instant in UTC seconds."""
        record: dict[str, Any] = dict(self.record)
        has_exclusions = self.dates or "exclude_expressions" in record
        if record["kind"] in ("cron", "calendar"):
            record["time_zone"] = zone_name
        elif has_exclusions:
            record["exclude_time_zone"] = zone_name
        today = wall_at(zone(zone_name), middle) // DAY + _UNIX_DAY
        record |= {name: middle * SECOND_US + distance for name, distance in self.bounds.items()}
        if self.dates:
            record["exclude_dates"] = [date.fromordinal(today + day).isoformat() for day in self.dates]
        if self.start_day is not None:
            record["start_date"] = date.fromordinal(today + self.start_day).isoformat()
        return json.dumps(record, sort_keys=True, separators=(",", ":"))


# One expression each, under the default policies.
DIALECT: Final = (
    # minutes and hours
    "* * * * *",
    "*/7 * * * *",
    "0 * * * *",
    "59 * * * *",
    "10/20 * * * *",
    "59/15 * * * *",
    "50-10/5 * * * *",
    "50-10/7 * * * *",
    "0,30 * * * *",
    "5,15-20,40-50/5 * * * *",
    "0 */2 * * *",
    "30 */2 * * *",
    "0 */3 * * *",
    "*/20 */5 * * *",
    "15 1-23/2 * * *",
    "30 0-23 * * *",
    "*/30 0-23/3 * * *",
    "0 0 * * *",
    "1 0 * * *",
    "30 0 * * *",
    "59 23 * * *",
    "30 23 * * *",
    "0 1 * * *",
    "30 1 * * *",
    "0 2 * * *",
    "15 2 * * *",
    "30 2 * * *",
    "59 2 * * *",
    "0 3 * * *",
    "30 3 * * *",
    "0 4 * * *",
    "0 9-17 * * 1-5",
    "*/15 22-2 * * *",
    "0 22-3/2 * * *",
    "0 20-3/3 * * *",
    "0 13/4 * * *",
    "* 2 * * *",
    "*/20 1-3 * * *",
    "0,30 0-4 * * *",
    "0 0,12 * * *",
    # aliases
    "@HOURLY",
    "@DAILY",
    "@MIDNIGHT",
    "@WEEKLY",
    "@MONTHLY",
    "@YEARLY",
    "@ANNUALLY",
    # days of the month
    "0 2 1 * *",
    "0 2 1,15,31 * *",
    "30 2 */2 * *",
    "30 2 1-31/10 * *",
    "0 12 25-5/4 * *",
    "30 1 20/3 * *",
    "0 0 L * *",
    "30 2 1,L * *",
    "0 3 L-1 * *",
    "30 1 L-3 * *",
    "0 3 L-30 * *",
    "30 2 LW * *",
    "0 0 1W * *",
    "0 3 15W * *",
    "0 3 31W * *",
    "15 2 1,15W,L-2,LW * *",
    "0 2 30 * ?",
    # months
    "30 2 * 3,10 *",
    "0 2 * MAR-NOV *",
    "0 2 * NOV-MAR *",
    "0 2 * SEP-APR/2 *",
    "0 2 * */2 *",
    "0 2 * 3/4 *",
    "0 0 29 2 *",
    # days of the week
    "30 2 * * SUN",
    "0 2 * * 0",
    "0 2 * * 7",
    "30 1 * * MON",
    "0 3 * * TUE",
    "0 2 * * WED",
    "0 0 * * THU",
    "30 2 * * FRI",
    "59 23 * * SAT",
    "30 2 * * FRI-MON",
    "30 2 * * SAT-TUE/3",
    "0 1 * * 5-7",
    "0 1 * * 5-7/2",
    "0 1 * * 0-7/3",
    "0 2 * * */2",
    "0 2 * * MON/2",
    "0 2 ? * SUN#1",
    "30 2 * * SUN#2,SUN#4",
    "0 2 * * 7#5",
    "30 2 * * 0L",
    "0 3 * * L5",
    "0 3 * * L6,SUN#1",
    # day and weekday
    "0 2 13 * FRI",
    "15 2 1,15,29 * 0",
    "0 3 */2 * SUN",
    "0 3 1-15 * */2",
    "30 2 L * SUN#1",
    "0 1 15W * 0L",
    "0 2 1-31 * MON",
)

# Compared second by second, within hours of the middle.
SECONDS: Final = (
    "*/40 * * * * *",
    "* 30 */2 * * *",
    "30 */20 */2 * * *",
    "30 0 2 * * *",
    "0 0 3 * * *",
    "15,45 30 0-4 * * *",
    "59 59 23 * * *",
    "50-10/20 */15 1-3 * * *",
    "1/29 0,30 0 * * SUN",
    "0 0 0 L * *",
)

# Fixed hours, under every pair of policies.
FIXED: Final = (
    "0 0 * * *",
    "30 0 * * *",
    "30 1 * * *",
    "30 2 * * *",
    "0 3 * * *",
    "*/20 0-23 * * *",
    "0,30 22-4 * * *",
    "45 23 * * SAT,SUN",
    "30 0,1,2 L * SUN",
)

POLICIES: Final[tuple[dict[str, Any], ...]] = tuple(
    {name: value for name, value in (("gap", gap), ("repeat", repeat)) if value}
    for gap in ("", "SKIP")
    for repeat in ("", "LAST", "BOTH")
)
"""Every pair of policies; what has its default is left out, as stored texts leave it out."""

UNIONS: Final = (
    ("30 2 * * *", "0 3 * * *"),
    ("0 * * * *", "30 2 * * *"),
    ("*/20 1-3 * * *", "0 */2 * * *", "15 2 * * SUN"),
    ("0 0 * * *", "@DAILY", "0 0 L * *", "30 23 LW * *"),
    ("0 9 * * 1-5", "0 11 * * SAT,SUN", "30 1 * * 0L", "30 1 * * SUN#1"),
)

_DAILY_TIMES: Final = [0, 1_800, 3_600, 5_400, 7_200, 9_000, 10_800, 12_600, 84_600]
_ELAPSED_ONLY: Final = "*/15 * * * *"


def cases() -> Iterator[Case]:
    """The corpus."""
    for expression in DIALECT:
        yield _cron("dialect", expression)
    for expression in SECONDS:
        yield _cron("seconds", expression)
    for policies in POLICIES:
        yield from (_cron("policies", expression, **policies) for expression in FIXED if policies)
        yield _cron("policies", "15,45 0 0-3 * * *", **policies)
        yield _cron("policies", _ELAPSED_ONLY, **policies)
        yield from (_cron("unions", *expressions, **policies) for expressions in UNIONS)
        yield _cron("unions", "30 2 * * *", "20 30 2 * * *", "*/40 */20 * * * *", **policies)
        yield _calendar("DAY", 1, _DAILY_TIMES, -2_000, **policies)
        yield _calendar("WEEK", 1, [1_815, 7_230, 9_000], -300, weekdays=[1, 6, 7], **policies)
        for expression in ("30 2 * * *", "*/20 0-4 * * *"):
            record: dict[str, Any] = {
                "exclude_expressions": ["* 2 * * FRI-MON", "0 20,40 0 * * *"],
                **policies,
            }
            yield _cron("exclusions", expression, **record)
    yield from _calendar_intervals()
    yield from _exclusions()
    yield from _bounds()
    yield from _intervals()


def _cron(
    group: str,
    *expressions: str,
    bounds: dict[str, int] | None = None,
    dates: tuple[int, ...] = (),
    **keys: Any,
) -> Case:
    given = {"expression": expressions[0]} if len(expressions) == 1 else {"expressions": list(expressions)}
    return Case(group, {"kind": "cron", **given, **keys}, bounds or {}, dates)


def _calendar(unit: str, every: int, times: list[int], start_day: int, **keys: Any) -> Case:
    dates = keys.pop("dates", ())
    group, bounds = keys.pop("group", "calendar"), keys.pop("bounds", {})
    record = {"kind": "calendar", "unit": unit, "every": every, "times": times, **keys}
    return Case(group, record, bounds, dates, start_day)


def _calendar_intervals() -> Iterator[Case]:
    yield _calendar("DAY", 2, [9_000], -2)
    yield _calendar("DAY", 3, [0, 84_600], -1)
    yield _calendar("DAY", 1, [7_200, 9_000], 0)
    yield _calendar("DAY", 1_000, [0, 5_400, 9_000, 86_399], -2_000)
    yield _calendar("WEEK", 2, [9_000, 32_400], -13, weekdays=[1, 5, 7])
    yield _calendar("WEEK", 2, [9_000, 32_400], -7, weekdays=[3, 6, 7])
    yield _calendar("WEEK", 3, [0], -400, weekdays=[1, 2, 3, 4, 5, 6, 7])
    yield _calendar("WEEK", 1, [9_000], 1, weekdays=[6, 7])
    yield _calendar("MONTH", 1, [9_000], -500, days_of_month=[-1, 1, 15])
    yield _calendar("MONTH", 1, [3_600, 7_200], -500, days_of_month=[-31, -7, -2, 25, 29, 30, 31])
    yield _calendar("MONTH", 2, [9_000], -63, days_of_month=[-3, -1, 1, 2, 27])
    yield _calendar("MONTH", 12, [9_000, 10_815], -3_653, days_of_month=list(range(1, 32)))
    yield _calendar("MONTH", 1, [9_000], -1, days_of_month=[-5, -4, -3, -2, -1, 1, 2, 3])


def _exclusions() -> Iterator[Case]:
    for expression in ("30 2 * * *", "0 0 * * *", "*/30 * * * *", "0 0-23 * * *", "30 2 * * SUN"):
        yield _cron("exclusions", expression, dates=(0,))
        yield _cron("exclusions", expression, exclude_expressions=["30 2 8-31 * *", "0 0,12 * * SAT"])
    yield _cron(
        "exclusions", "*/15 1-3 * * *", dates=(-1, 1), exclude_expressions=["0-29 2 * * *", "* 3 * * *"]
    )
    yield _cron("exclusions", "*/15 1-3 * * *", exclude_expressions=["0 */30 * * * *", "15 15 2 * * *"])
    yield _cron("exclusions", "*/20 */15 0-3 * * *", exclude_expressions=["20 * * * * *", "30 2 * * *"])
    yield _cron(
        "exclusions", "30 2 * * *", "0 * * * *", dates=(2,), exclude_expressions=["* 0-2 * * SUN,MON"]
    )
    yield _cron("exclusions", "0 3 * * *", exclude_expressions=["0 2 L * *", "0 3 LW * *", "0 3 1W * *"])
    yield _calendar("DAY", 1, _DAILY_TIMES, -9, group="exclusions", dates=(0, 2))
    yield _calendar("DAY", 1, _DAILY_TIMES, -9, group="exclusions", exclude_expressions=["* 1-2 * * *"])


def _bounds() -> Iterator[Case]:
    for bounds in (
        {"start_at": 0},
        {"start_at": 1},
        {"end_at": 0},
        {"end_at": 1},
        {"start_at": -_HOUR_US, "end_at": _HOUR_US},
        {"start_at": -26 * _HOUR_US + 17, "end_at": 30 * _MINUTE_US},
    ):
        yield _cron("bounds", "30 2 * * *", bounds=bounds)
        yield _cron("bounds", "*/15 0-23 * * *", bounds=bounds, repeat="BOTH")
        yield _cron("bounds", "*/15 * * * *", bounds=bounds)
        yield _calendar("DAY", 1, _DAILY_TIMES, -1, group="bounds", bounds=bounds, repeat="LAST")


def _intervals() -> Iterator[Case]:
    hourly = {"kind": "interval", "every_us": _HOUR_US}
    odd = {"kind": "interval", "every_us": 7 * _MINUTE_US + 333_333}
    yield Case("intervals", hourly, {"anchor_at": -30 * _HOUR_US})
    yield Case("intervals", odd, {"anchor_at": -90 * DAY * SECOND_US + 1})
    yield Case("intervals", odd, {"anchor_at": 5, "end_at": 20 * _HOUR_US})
    yield Case("intervals", hourly, {"anchor_at": -40 * _HOUR_US, "start_at": -_HOUR_US})
    yield Case("intervals", hourly, {"anchor_at": -40 * _HOUR_US}, (0, 2))
    for excluded in (["* 1-2 * * *"], ["0 30 * * * *", "* 9-17 * * MON-FRI"]):
        yield Case(
            "intervals",
            {"kind": "interval", "every_us": 30 * _MINUTE_US, "exclude_expressions": excluded},
            {"anchor_at": -70 * _HOUR_US, "end_at": 50 * _HOUR_US},
            (-1,),
        )
