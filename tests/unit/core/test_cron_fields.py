"""The dialect: what each form means, frozen, and what is refused."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.server.core.cron_fields import BadCronExpression, parse_cron

EVERY_MINUTE = tuple(range(60))
EVERY_HOUR = tuple(range(24))
DAY = 86_400


def days_in(expression: str, year: int, month: int) -> list[int]:
    """The days of a month on which an expression fires, by way of its walls."""
    walls = parse_cron(expression)
    first = (date(year, month, 1) - date(1970, 1, 1)).days
    following = date(year + month // 12, month % 12 + 1, 1)
    length = (following - date(1970, 1, 1)).days - first
    return [d + 1 for d in range(length) if walls.count_walls((first + d) * DAY, (first + d + 1) * DAY)]


# expression, seconds, minutes, hours. What stored schedules mean: no release of any parser may change a line.
TIMES = [
    ("* * * * *", (0,), EVERY_MINUTE, EVERY_HOUR),
    ("*/5 * * * * *", tuple(range(0, 60, 5)), EVERY_MINUTE, EVERY_HOUR),
    ("59/15 * * * *", (0,), (59,), EVERY_HOUR),
    ("50-51/15 0 * * *", (0,), (50,), (0,)),
    ("*/7 9-17 * * *", (0,), (0, 7, 14, 21, 28, 35, 42, 49, 56), tuple(range(9, 18))),
    ("10/20 22-2 * * *", (0,), (10, 30, 50), (0, 1, 2, 22, 23)),
    ("0,30 1,3,5-7 * * *", (0,), (0, 30), (1, 3, 5, 6, 7)),
    ("30 15 10 1 1 *", (30,), (15,), (10,)),
    ("*/100 */23 * * *", (0,), (0,), (0, 23)),
    ("@hourly", (0,), (0,), EVERY_HOUR),
    ("@Daily", (0,), (0,), (0,)),
    ("@midnight", (0,), (0,), (0,)),
]


@pytest.mark.parametrize(("expression", "seconds", "minutes", "hours"), TIMES, ids=[t[0] for t in TIMES])
def test_times(
    expression: str, seconds: tuple[int, ...], minutes: tuple[int, ...], hours: tuple[int, ...]
) -> None:
    walls = parse_cron(expression)
    assert (walls.seconds, walls.minutes, walls.hours) == (seconds, minutes, hours)


# expression, month of 2026, days. January 2026 begins on a Thursday, February on a Sunday and has 28 days.
DAYS = [
    ("0 0 1,15 * *", 1, [1, 15]),
    ("0 0 */10 * *", 1, [1, 11, 21, 31]),
    ("0 0 31/5 * *", 1, [31]),
    ("0 0 L * *", 2, [28]),
    ("0 0 L,15 * *", 1, [15, 31]),
    ("0 0 15W * *", 2, [16]),
    ("0 0 1W * *", 2, [2]),
    ("0 0 1W,15W,LW * *", 2, [2, 16, 27]),
    ("0 0 1,15W * *", 2, [1, 16]),
    ("0 0 LW * *", 5, [29]),
    ("0 0 LW * *", 6, [30]),
    ("0 0 L-1 * *", 2, [27]),
    ("0 0 L-3,L * *", 6, [27, 30]),
    ("0 0 5,L-30 * *", 1, [1, 5]),
    ("0 0 5,L-30 * *", 6, [5]),
    ("0 0 LW * MON", 5, [4, 11, 18, 25, 29]),
    ("0 0 1W * *", 8, [3]),
    ("0 0 31W * *", 1, [30]),
    ("0 0 31W * *", 5, [29]),
    ("0 0 ? * MON", 1, [5, 12, 19, 26]),
    ("0 0 * * 0", 1, [4, 11, 18, 25]),
    ("0 0 * * 7", 1, [4, 11, 18, 25]),
    ("0 0 * * 5-7", 1, [2, 3, 4, 9, 10, 11, 16, 17, 18, 23, 24, 25, 30, 31]),
    ("0 0 * * 5-7/2", 1, [2, 4, 9, 11, 16, 18, 23, 25, 30]),
    ("0 0 * * FRI-MON", 2, [1, 2, 6, 7, 8, 9, 13, 14, 15, 16, 20, 21, 22, 23, 27, 28]),
    ("0 0 * * 0-7", 2, list(range(1, 29))),
    ("0 0 * * 6/1", 1, [3, 10, 17, 24, 31]),
    ("0 0 * * */3", 1, [3, 4, 7, 10, 11, 14, 17, 18, 21, 24, 25, 28, 31]),
    ("0 0 * * 5#2", 1, [9]),
    ("0 0 * * thu#5", 1, [29]),
    ("0 0 * * thu#5", 2, []),
    ("0 0 * * MON#1,MON#3", 1, [5, 19]),
    ("0 0 * * 7#1", 2, [1]),
    ("0 0 * * L5", 1, [30]),
    ("0 0 * * 5L", 2, [27]),
    ("0 0 * * 0L", 1, [25]),
    ("0 0 13 * FRI", 1, [2, 9, 13, 16, 23, 30]),
    ("0 0 1 * MON#1", 1, [1, 5]),
    ("0 0 */2 * MON", 1, [5, 19]),
    ("0 0 1-15 * */2", 1, [1, 3, 4, 6, 8, 10, 11, 13, 15]),
    ("0 0 1-31 * MON", 2, list(range(1, 29))),
    ("0 0 5 NOV-FEB *", 1, [5]),
    ("0 0 5 NOV-FEB *", 3, []),
    ("0 0 5 3/4 *", 7, [5]),
    ("0 0 29 2 *", 2, []),
    ("@weekly", 1, [4, 11, 18, 25]),
    ("@monthly", 1, [1]),
    ("@yearly", 1, [1]),
    ("@annually", 2, []),
]


@pytest.mark.parametrize(("expression", "month", "days"), DAYS, ids=[f"{d[0]} in {d[1]}" for d in DAYS])
def test_days(expression: str, month: int, days: list[int]) -> None:
    assert days_in(expression, 2026, month) == days


REFUSED = [
    ("", "not 0"),
    ("* * * *", "not 4"),
    ("* * * * * * *", "not 7"),
    ("* " * 200, "longer than 256"),
    ("@reboot", "@reboot is not supported"),
    ("@", "not supported"),
    ("R * * * *", "R (a random value) is not supported"),
    ("* R(0-5) * * *", "R (a random value) is not supported"),
    ("H/5 * * * *", "H needs a task"),
    ("60 * * * *", "minute '60' is out of range 0-59"),
    ("60 * * * * *", "second '60' is out of range"),
    ("* 24 * * *", "hour '24'"),
    ("* * 0 * *", "day-of-month '0'"),
    ("* * 32 * *", "day-of-month '32'"),
    ("* * 0W * *", "day-of-month '0W'"),
    ("* * * 13 *", "month '13'"),
    ("* * * MON *", "month 'MON' is not understood"),
    ("* * * * 8", "day-of-week '8'"),
    ("* * * * MON#6", "not understood"),
    ("* * * * MON#0", "not understood"),
    ("* * * * MON,FRI#2", "mixes"),
    ("* * * * 1-5#2", "not understood"),
    ("*/0 * * * *", "step must be at least 1"),
    ("5-5 * * * *", "range of one value"),
    ("* * * JAN-1 *", "range of one value"),
    ("* * * * 7-0", "range of one value"),
    ("* * L-0 * *", "out of range L-1 to L-30"),
    ("* * L-31 * *", "out of range L-1 to L-30"),
    ("* * L/2 * *", "not understood"),
    ("* * LW-1 * *", "not understood"),
    ("* * L-3W * *", "not understood"),
    ("* * * * LW", "not understood"),
    ("0 0 L-30 2 *", "never fires"),
    ("L * * * *", "not understood"),
    ("? * * * *", "not understood"),
    ("1,,2 * * * *", "not understood"),
    ("-1 * * * *", "not understood"),
    ("1-2-3 * * * *", "not understood"),
    ("*-5 * * * *", "not understood"),
    ("** * * * *", "not understood"),
    ("١ * * * *", "ASCII"),
    ("0\xa00 * * * *", "ASCII"),
    ("\x00 * * * *", "ASCII"),
    ("0 0 31 2 *", "never fires"),
    ("0 0 30,31 FEB *", "never fires"),
    ("0 0 31 4,6,9,11 *", "never fires"),
]


@pytest.mark.parametrize(("expression", "reason"), REFUSED, ids=lambda v: repr(v)[:20])
def test_refused(expression: str, reason: str) -> None:
    with pytest.raises(BadCronExpression) as error:
        parse_cron(expression)
    assert reason in str(error.value)


@given(st.text(alphabet="0123456789*/-,#?LWHRSUNMOJAFEB@ ", max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        walls = parse_cron(text)
    except BadCronExpression:
        return
    assert walls.next_wall(0) is not None


def test_star_hours_are_told_apart_by_their_text() -> None:
    assert parse_cron("0 * * * *").wildcard_hour
    assert parse_cron("0 */2 * * *").wildcard_hour
    assert parse_cron("@hourly").wildcard_hour
    assert not parse_cron("0 0-23 * * *").wildcard_hour
    assert not parse_cron("* 2 * * *").wildcard_hour


def test_expressions_are_normalised() -> None:
    assert parse_cron("  0\t9 * *   mon-Fri ").expression == "0 9 * * MON-FRI"


@given(
    first=st.integers(-70 * 365 * DAY, 230 * 365 * DAY),
    span=st.integers(0, 900 * DAY),
    expression=st.sampled_from(
        ["7,9 */6 * * *", "30 59 23 L * *", "0 0 13 * FRI", "5 4 29 2 *", "0 12 31 * *", "0 1 */2 1,3 1-5"]
    ),
)
def test_counting_agrees_with_walking(first: int, span: int, expression: str) -> None:
    walls = parse_cron(expression)
    end = first + span
    walked = 0
    wall = walls.next_wall(first - 1)
    while wall is not None and wall < end:
        walked += 1
        wall = walls.next_wall(wall)
    assert walls.count_walls(first, end) == walked
