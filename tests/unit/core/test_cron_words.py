"""Cron expressions in words."""

from __future__ import annotations

import random

import pytest

from mainspring.server.core.cron_fields import BadCronExpression, parse_cron
from mainspring.server.core.cron_words import cron_words

TIMES = [
    ("* * * * *", "every minute"),
    ("*/5 * * * *", "every 5 minutes"),
    ("2/5 * * * *", "every 5 minutes from minute 2 of each hour"),
    ("*/7 * * * *", "every 7 minutes from minute 0 to minute 56 of every hour"),
    ("*/5 9-17 * * *", "every 5 minutes from 09:00 to 17:55 every day"),
    ("*/15 9 * * *", "every 15 minutes from 09:00 to 09:45 every day"),
    ("0-4 9 * * *", "every minute from 09:00 to 09:04 every day"),
    ("0 * * * *", "every hour"),
    ("@hourly", "every hour"),
    ("5 * * * *", "every hour at 5 minutes past"),
    ("0 */2 * * *", "every 2 hours from 00:00 to 22:00 every day"),
    ("0 */5 * * *", "every 5 hours from 00:00 to 20:00 every day"),
    ("5 8-20 * * *", "every hour from 08:05 to 20:05 every day"),
    ("0 0-6,18-23 * * *", "every hour from 00:00 to 06:00 and from 18:00 to 23:00 every day"),
    ("0 9 * * *", "at 09:00 every day"),
    ("30 9,12,17 * * *", "at 09:30, 12:30 and 17:30 every day"),
    ("0,7,30 * * * *", "at minutes 0, 7 and 30 of every hour"),
    ("0,7,30 9-17 * * *", "at minutes 0, 7 and 30 of every hour from 09:00 to 17:59 every day"),
    ("0,7,30 8-20/2 * * *", "at minutes 0, 7 and 30 of every 2nd hour from 08:00 to 20:59 every day"),
    ("*/10 0,1,5,9,13 * * *", "every 10 minutes of the hours 00, 01, 05, 09 and 13 every day"),
    ("1,3,7,9,12,15,18,20,24 * * * *", "at minutes 1, 3, 7, 9, 12, 15, 18 and 2 more of every hour"),
    (
        "0 1,3,4,7,9,12,15,18,20 * * *",
        "at 01:00, 03:00, 04:00, 07:00, 09:00, 12:00, 15:00 and 2 more every day",
    ),
    ("* * * * * *", "every second"),
    ("*/10 * * * * *", "every 10 seconds"),
    ("5/10 * * * * *", "every 10 seconds from second 5 of each minute"),
    ("30 0 9 * * *", "at 09:00:30 every day"),
    ("30 5 * * * *", "every hour at 5 minutes and 30 seconds past"),
    ("30 */5 * * * *", "every 5 minutes, at second 30"),
    ("30 */5 9-17 * * *", "every 5 minutes from 09:00:30 to 17:55:30 every day"),
    ("0,7,30 * * * * *", "at seconds 0, 7 and 30 of every minute"),
    ("*/10 30 9 * * *", "every 10 seconds from 09:30:00 to 09:30:50 every day"),
    ("*/10 * 9-17 * * *", "every 10 seconds from 09:00:00 to 17:59:50 every day"),
    ("* */20 * * * *", "every second of minutes 0, 20 and 40 of every hour"),
    ("* */5 * * * *", "every second of every 5th minute from minute 0 to minute 55 of every hour"),
    # Told by the day: Friday's small hours are those before Friday's evening.
    ("*/5 22-2 * * FRI", "every 5 minutes from 00:00 to 02:55 and from 22:00 to 23:55 on Friday"),
]
DAYS = [
    ("@daily", "at 00:00 every day"),
    ("@weekly", "at 00:00 on Sunday"),
    ("@monthly", "at 00:00 on the 1st of the month"),
    ("@yearly", "at 00:00 on the 1st of January"),
    ("0 9 * * MON-FRI", "at 09:00 on Monday to Friday"),
    ("0 9 ? * 6,0", "at 09:00 on Saturday and Sunday"),
    ("0 9 * * FRI-MON", "at 09:00 on Friday to Monday"),
    ("0 9 * * 7,1", "at 09:00 on Monday and Sunday"),
    ("0 9 1,15 * *", "at 09:00 on the 1st and the 15th of the month"),
    ("0 9 1-7,22,23 * *", "at 09:00 on the 1st to the 7th, the 22nd and the 23rd of the month"),
    ("0 9 */2 * *", "at 09:00 on every 2nd day from the 1st to the 31st of the month"),
    ("0 9 L * *", "at 09:00 on the last day of the month"),
    ("0 9 L-1 * *", "at 09:00 on the day before the last day of the month"),
    ("0 9 L-3 * *", "at 09:00 on the 3rd day before the last day of the month"),
    ("0 9 LW * *", "at 09:00 on the last working day of the month"),
    ("0 9 15W * *", "at 09:00 on the working day nearest to the 15th of the month"),
    (
        "0 9 1,15W,L * *",
        "at 09:00 on the 1st, the working day nearest to the 15th and the last day of the month",
    ),
    ("0 9 * * FRI#2", "at 09:00 on the 2nd Friday of the month"),
    ("0 9 * * 5L", "at 09:00 on the last Friday of the month"),
    ("0 9 * * MON#1,L0", "at 09:00 on the 1st Monday and the last Sunday of the month"),
    ("0 9 * 3,10 5L", "at 09:00 on the last Friday of March and October"),
    ("0 9 29 2 *", "at 09:00 on the 29th of February"),
    ("0 9 1 */3 *", "at 09:00 on the 1st of January, April, July and October"),
    ("0 9 1 6-8 *", "at 09:00 on the 1st of each month from June to August"),
    ("0 9 * 6-8 *", "at 09:00 every day from June to August"),
    ("* * * 12,1 *", "every minute in January and December"),
    ("0 9 * NOV-FEB MON", "at 09:00 on Monday from November to February"),
    # One of the two is enough, unless one of them begins with *.
    ("0 0 13 * FRI", "at 00:00 on the 13th of the month and also on Friday"),
    ("0 0 13 1,7 FRI", "at 00:00 on the 13th of the month and also on Friday, in January and July"),
    ("0 9 1 * 5#1", "at 09:00 on the 1st of the month and also on the 1st Friday of the month"),
    ("0 9 */2 * MON", "at 09:00 on every 2nd day from the 1st to the 31st of the month, but only on Monday"),
    ("0 9 1 * */2", "at 09:00 on the 1st of the month, but only on Tuesday, Thursday, Saturday and Sunday"),
    ("0 9 1-31 * MON", "at 09:00 every day"),
    ("0 9 1 * 0-7", "at 09:00 every day"),
]


@pytest.mark.parametrize(("expression", "words"), TIMES + DAYS)
def test_words(expression: str, words: str) -> None:
    assert cron_words(expression) == words


def test_words_of_an_expression_outside_the_dialect() -> None:
    with pytest.raises(BadCronExpression):
        cron_words("0 9 * *")


def test_equal_words_mean_equal_wall_times() -> None:
    """Nothing that makes a difference goes unsaid: of 1,500 expressions, those with the same words are the same."""
    rng = random.Random(5)
    minutes = ["*", "0", "5", "*/5", "*/7", "2/5", "0,30", "0-4", "10-40/10", "0,7,30", "55-5", "*/30", "3,9"]
    hours = [
        "*",
        "9",
        "*/2",
        "*/5",
        "1/6",
        "9-17",
        "22-2",
        "0-6,18-23",
        "8,20",
        "8-20/4",
        "1,2,5,9",
        "0,1,2,3",
    ]
    seconds = ["0", "*", "*/10", "*/7", "30", "5/10", "1,2,9", "0-4", "0-30"]
    days = [
        "*",
        "?",
        "1",
        "1,15",
        "1-7",
        "*/2",
        "1-31",
        "L",
        "L-3",
        "LW",
        "15W",
        "1,L",
        "*/10",
        "1/10",
        "31",
        "1,2,4",
    ]
    months = ["*", "1", "1,7", "6-8", "11-2", "*/3", "2-12", "12,1"]
    weekdays = [
        "*",
        "?",
        "MON",
        "MON-FRI",
        "FRI-MON",
        "6,0",
        "*/2",
        "0-7",
        "FRI#2",
        "5L",
        "MON#1,FRI#3",
        "7,1",
    ]
    seen: dict[str, object] = {}
    for _ in range(1_500):
        fields = [rng.choice(of) for of in (seconds, minutes, hours, days, months, weekdays)]
        walls = parse_cron(" ".join(fields))
        means = (walls.seconds, walls.minutes, walls.hours, walls.months, walls.days)
        assert seen.setdefault(cron_words(" ".join(fields)), means) == means, fields
    assert len(seen) > 1_000
