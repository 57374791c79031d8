"""Schedules of callers: what is understood, what is refused and with which field."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from mainspring.server.core.next_fire import first_fire
from mainspring.server.errors import InvalidField, InvalidRequest
from mainspring.server.rpc.schedule_requests import checked_schedule
from mainspring.server.rpc.validation import Limits, new_task
from mainspring.v1 import schedule_pb2, task_pb2

NOW = 1_795_683_600_000_000  # 2026-11-26T09:00:00Z, a Thursday
KEY = bytes(range(16))


def message(**fields: Any) -> schedule_pb2.Schedule:
    return json_format.ParseDict(fields, schedule_pb2.Schedule())


def cron(*expressions: str, zone: str = "UTC", **fields: Any) -> dict[str, Any]:
    return {"cron": {"expressions": list(expressions), "time_zone": zone, **fields}}


def calendar(unit: str = "WEEK", **fields: Any) -> dict[str, Any]:
    return {"calendar_interval": {"unit": f"CALENDAR_UNIT_{unit}", "times": ["09:00"], **fields}}


UNDERSTOOD = {
    "at": ({"at": "2026-12-01T00:00:00Z"}, '{"at":1796083200000000,"kind":"once"}'),
    "delay": (
        {"delay": "90s", "jitter": "60s"},
        '{"at":1795683690000000,"jitter_us":60000000,"kind":"once"}',
    ),
    "cron": (cron(" 0 9 * *  mon-fri"), '{"expression":"0 9 * * MON-FRI","kind":"cron","time_zone":"UTC"}'),
    "no zone": (
        {"cron": {"expressions": ["@Daily"]}},
        '{"expression":"@daily","kind":"cron","time_zone":"UTC"}',
    ),
    "H": (cron("H H * * *"), '{"expression":"39 4 * * *","kind":"cron","time_zone":"UTC"}'),
    "several": (
        cron("0 9 * * *", "0 9 * * *", "30 17 * * 5", gap_policy=2, repeat_policy=3),
        '{"expressions":["0 9 * * *","30 17 * * 5"],"gap":"SKIP","kind":"cron","repeat":"BOTH","time_zone":"UTC"}',
    ),
    "defaults said": (
        cron("0 9 * * *", gap_policy=1, repeat_policy=1)
        | {"max_executions": 0, "exclusions": {}, "jitter": "0s"},
        '{"expression":"0 9 * * *","kind":"cron","time_zone":"UTC"}',
    ),
    "interval": (
        {"interval": {"every": "600s"}},
        '{"anchor_at":1795683600000000,"every_us":600000000,"kind":"interval"}',
    ),
    "interval from a start": (
        {"interval": {"every": "600s"}, "start_time": "2026-12-01T00:00:00Z"},
        '{"anchor_at":1796083200000000,"every_us":600000000,"kind":"interval"}',
    ),
    "interval with a phase": (
        {"interval": {"every": "3600s", "phase": "1200.5s"}, "start_time": "2026-12-01T00:00:00Z"},
        '{"anchor_at":1200500000,"every_us":3600000000,"kind":"interval","start_at":1796083200000000}',
    ),
    "calendar": (
        calendar(every=2, weekdays=["WEEKDAY_MONDAY"], time_zone="Europe/Berlin", start_date="2026-11-30"),
        '{"every":2,"kind":"calendar","start_date":"2026-11-30","time_zone":"Europe/Berlin","times":[32400],'
        '"unit":"WEEK","weekdays":[1]}',
    ),
    "calendar left open": (
        {"calendar_interval": {"unit": 3, "times": ["17:30:05", "09:00"], "time_zone": "Pacific/Kiritimati"}},
        '{"days_of_month":[26],"every":1,"kind":"calendar","start_date":"2026-11-26","time_zone":"Pacific/Kiritimati",'
        '"times":[32400,63005],"unit":"MONTH"}',
    ),
    "bounds": (
        cron("0 9 * * *", zone="Asia/Tokyo")
        | {
            "start_time": "2026-12-01T00:00:00Z",
            "end_time": "2027-12-01T00:00:00Z",
            "max_executions": 5,
            "jitter": "300s",
            "exclusions": {
                "dates": ["2026-12-25", "2026-12-24"],
                "expressions": ["H * * * *"],
                "time_zone": "Asia/Tokyo",
            },
        },
        '{"end_at":1827619200000000,"exclude_dates":["2026-12-24","2026-12-25"],"exclude_expressions":["39 * * * *"],'
        '"expression":"0 9 * * *","jitter_us":300000000,"kind":"cron","max_executions":5,'
        '"start_at":1796083200000000,"time_zone":"Asia/Tokyo"}',
    ),
}


@pytest.mark.parametrize(("fields", "text"), UNDERSTOOD.values(), ids=UNDERSTOOD)
def test_understood(fields: dict[str, Any], text: str) -> None:
    requested = checked_schedule(message(**fields), now=NOW, task_key=KEY)
    assert requested.text == text
    assert first_fire(requested.schedule, NOW) > NOW
    later = checked_schedule(message(**fields), now=NOW + 10**9, task_key=KEY)
    assert later.words == requested.words


REFUSED = {
    "nothing": ({}, "kind", "is required"),
    "no expression": (cron(), "cron.expressions", "holds 0"),
    "17 expressions": (cron(*["0 0 * * *"] * 17), "cron.expressions", "holds 17"),
    "the second expression": (cron("0 0 * * *", "0 0 31 2 *"), "cron.expressions[1]", "never fires"),
    "bad H": (cron("H(9-3) * * * *"), "cron.expressions[0]", "cannot wrap"),
    "gap policy": (cron("0 0 * * *", gap_policy=7), "cron.gap_policy", "it knows 1 FIRE_AFTER, 2 SKIP"),
    "repeat policy": (cron("0 0 * * *", repeat_policy=-1), "cron.repeat_policy", "does not know"),
    "jitter beyond year 9999": (
        {"at": "9999-12-31T12:00:00Z", "jitter": "86400s"},
        "jitter",
        "beyond the year 9999",
    ),
    "digits of another script": (
        {"calendar_interval": {"unit": 1, "times": ["0\u0669:00"]}},
        "calendar_interval.times[0]",
        "write it as",
    ),
    "phase too long": ({"interval": {"every": "60s", "phase": "60s"}}, "interval.phase", "less than every"),
    "no unit": ({"calendar_interval": {"times": ["09:00"]}}, "calendar_interval.unit", "is required"),
    "unknown unit": (
        {"calendar_interval": {"unit": 9, "times": ["09:00"]}},
        "calendar_interval.unit",
        "does not know",
    ),
    "no times": ({"calendar_interval": {"unit": 1}}, "calendar_interval.times", "holds 0"),
    "bad time": (calendar(times=["09:00", "24:00"]), "calendar_interval.times[1]", "'24:00' is not a time"),
    "every 1,001": (calendar(every=1_001), "calendar_interval.every", "between 1 and 1,000"),
    "every -1": (calendar(every=-1), "calendar_interval.every", "between 1 and 1,000"),
    "weekday of days": (calendar("DAY", weekdays=[1]), "calendar_interval.weekdays", "weeks only"),
    "weekday 8": (calendar(weekdays=[8]), "calendar_interval.weekdays", "outside"),
    "day of weeks": (calendar(days_of_month=[1]), "calendar_interval.days_of_month", "months only"),
    "day 0": (calendar("MONTH", days_of_month=[0]), "calendar_interval.days_of_month", "outside"),
    "day 32": (calendar("MONTH", days_of_month=[32]), "calendar_interval.days_of_month", "outside"),
    "start date": (calendar(start_date="30.11.2026"), "calendar_interval.start_date", "'2026-12-24'"),
    "no such date": (calendar(start_date="2026-02-30"), "calendar_interval.start_date", "not a date"),
    "calendar zone": (calendar(time_zone="Mars/Olympus"), "calendar_interval.time_zone", "IANA"),
    "end before start": (
        cron("0 0 * * *") | {"start_time": "2027-01-01T00:00:00Z", "end_time": "2027-01-01T00:00:00Z"},
        "end_time",
        "after start_time",
    ),
    "end of one time": ({"delay": "5s", "end_time": "2027-01-01T00:00:00Z"}, "end_time", "recurring"),
    "start of one time": ({"delay": "5s", "start_time": "2027-01-01T00:00:00Z"}, "start_time", "recurring"),
    "count of one time": ({"delay": "5s", "max_executions": 2}, "max_executions", "recurring"),
    "exclusions of one time": (
        {"delay": "5s", "exclusions": {"dates": ["2027-01-01"]}},
        "exclusions",
        "recurring",
    ),
    "negative count": (cron("0 0 * * *") | {"max_executions": -1}, "max_executions", "between 1 and"),
    "jitter": (cron("0 0 * * *") | {"jitter": "86401s"}, "jitter", "over 24 hours"),
    "negative jitter": (cron("0 0 * * *") | {"jitter": "-1s"}, "jitter", "negative"),
    "excluded date": (
        cron("0 0 * * *") | {"exclusions": {"dates": ["2027-01-01", "2027-1-2"]}},
        "exclusions.dates[1]",
        "not a date",
    ),
    "367 dates": (
        cron("0 0 * * *") | {"exclusions": {"dates": ["2027-01-01"] * 367}},
        "exclusions.dates",
        "367",
    ),
    "excluded expression": (
        cron("0 0 * * *") | {"exclusions": {"expressions": ["0 0 * * *", "61 * * * *"]}},
        "exclusions.expressions[1]",
        "out of range",
    ),
    "17 excluded": (
        cron("0 0 * * *") | {"exclusions": {"expressions": ["0 0 * * *"] * 17}},
        "exclusions.expressions",
        "17",
    ),
    "two zones": (
        cron("0 0 * * *") | {"exclusions": {"dates": ["2027-01-01"], "time_zone": "Asia/Tokyo"}},
        "exclusions.time_zone",
        "a zone of its own",
    ),
    "excluded zone": (
        {"interval": {"every": "60s"}, "exclusions": {"dates": ["2027-01-01"], "time_zone": "x"}},
        "exclusions.time_zone",
        "IANA",
    ),
    "too long to store": (
        cron("0 0 * * *")
        | {
            "exclusions": {
                "dates": [f"{2000 + n // 28}-02-{n % 28 + 1:02d}" for n in range(366)],
                "expressions": [f"{n} " + "0," * 110 + "0 * * *" for n in range(16)],
            }
        },
        "exclusions",
        "at most 8,000",
    ),
}


@pytest.mark.parametrize(("fields", "field", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused(fields: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(InvalidField) as error:
        checked_schedule(message(**fields), now=NOW, task_key=KEY)
    assert error.value.field == field
    assert reason in error.value.description


def test_a_delay_ends_with_the_year_9999() -> None:
    with pytest.raises(InvalidField) as error:
        checked_schedule(message(delay="86400s"), now=253_402_300_000_000_000, task_key=KEY)
    assert error.value.field == "delay"


def test_h_needs_a_task() -> None:
    with pytest.raises(InvalidField) as error:
        checked_schedule(message(**cron("0 0 * * *", "H * * * *")), now=NOW, task_key=None)
    assert error.value.field == "cron.expressions[1]"
    assert "give the task's id" in error.value.description


NEVER = {
    "end has passed": (cron("0 0 * * *") | {"end_time": "2026-11-01T00:00:00Z"}, "its end has passed"),
    "end too early": (cron("0 0 1 1 *") | {"end_time": "2026-12-01T00:00:00Z"}, "at or after its end"),
    "all excluded": (cron("0 0 * * *") | {"exclusions": {"expressions": ["* 0 * * *"]}}, "leave nothing"),
    "all of an interval excluded": (
        {"interval": {"every": "3600s", "phase": "0s"}, "exclusions": {"expressions": ["0 * * * *"]}},
        "leave nothing",
    ),
    "no such day": (
        calendar("MONTH", every=12, days_of_month=[30], start_date="2026-02-01"),
        "up to the end of year 9999",
    ),
}


@pytest.mark.parametrize(("fields", "reason"), NEVER.values(), ids=NEVER)
def test_what_never_fires_is_refused(fields: dict[str, Any], reason: str) -> None:
    task = task_pb2.Task(id="t", handler="h", schedule=message(**fields))
    with pytest.raises(InvalidRequest) as error:
        new_task(task, prefix="task", now=NOW, partition_count=16, limits=Limits())
    (violation,) = error.value.violations
    assert violation.field == "task.schedule"
    assert reason in violation.description


def test_what_a_definition_hashed_to_it_must_hash_to() -> None:
    hashes = {}
    for name, (fields, _) in UNDERSTOOD.items():
        task = task_pb2.Task(id="t", handler="h", schedule=message(**fields))
        hashes[name] = new_task(
            task, prefix="task", now=NOW, partition_count=16, limits=Limits()
        ).definition_hash
    assert len({*hashes.values()}) == len(hashes)
    assert {name: value.hex()[:8] for name, value in hashes.items()} == {
        "at": "bd21a52e",
        "delay": "b2e40662",
        "cron": "7e1ada26",
        "no zone": "a00d457d",
        "H": "39b33d11",
        "several": "7b02d5f7",
        "defaults said": "60cfad85",
        "interval": "07301918",
        "interval from a start": "6d0179f2",
        "interval with a phase": "157324f2",
        "calendar": "fb918995",
        "calendar left open": "a61d0a70",
        "bounds": "1ae587c8",
    }
