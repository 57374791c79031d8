"""Schedules as the API answers them."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from mainspring.server.core.preview import ClockChangeEffect, ClockChangeNote, UpcomingFire
from mainspring.server.core.schedule import CalendarUnit, GapPolicy, RepeatPolicy
from mainspring.server.rpc.schedule_messages import fire_to_proto, schedule_to_proto
from mainspring.server.rpc.schedule_requests import checked_schedule
from mainspring.v1 import schedule_pb2

NOW = 1_795_683_600_000_000  # 2026-11-26T09:00:00Z, a Thursday
KEY = bytes(range(16))

# What is asked for, and the answer where it is another.
ANSWERS: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "at": ({"at": "2026-12-01T00:00:00.001500Z", "jitter": "60s"}, None),
    "delay": ({"delay": "90s"}, {"at": "2026-11-26T09:01:30Z"}),
    "cron": (
        {"cron": {"expressions": [" 0 9 * *  mon-fri", "H 3 * * *"]}},
        {
            "cron": {
                "expressions": ["0 9 * * MON-FRI", "39 3 * * *"],
                "time_zone": "UTC",
                "gap_policy": "GAP_POLICY_FIRE_AFTER",
                "repeat_policy": "REPEAT_POLICY_FIRST",
            }
        },
    ),
    "cron with everything": (
        {
            "cron": {
                "expressions": ["0 9 * * *"],
                "time_zone": "Europe/Berlin",
                "gap_policy": "GAP_POLICY_SKIP",
                "repeat_policy": "REPEAT_POLICY_BOTH",
            },
            "start_time": "2026-12-01T00:00:00Z",
            "end_time": "2027-12-01T00:00:00Z",
            "max_executions": "5",
            "jitter": "30s",
            "exclusions": {"dates": ["2026-12-24"], "expressions": ["* * 25 12 *"]},
        },
        None,
    ),
    "interval": (
        {"interval": {"every": "600s"}},
        {"interval": {"every": "600s"}, "start_time": "2026-11-26T09:00:00Z"},
    ),
    "interval from a start": ({"interval": {"every": "1.5s"}, "start_time": "2026-12-01T00:00:00Z"}, None),
    "interval with a phase": (
        {
            "interval": {"every": "3600s", "phase": "1200s"},
            "start_time": "2026-12-01T00:00:00Z",
            "exclusions": {"expressions": ["* 12 * * *"], "time_zone": "Europe/Berlin"},
        },
        None,
    ),
    "interval on the hour": ({"interval": {"every": "3600s", "phase": "0s"}}, None),
    "weeks": (
        {"calendar_interval": {"every": 2, "unit": "CALENDAR_UNIT_WEEK", "times": ["17:00", "09:00:30"]}},
        {
            "calendar_interval": {
                "every": 2,
                "unit": "CALENDAR_UNIT_WEEK",
                "weekdays": ["WEEKDAY_THURSDAY"],
                "times": ["09:00:30", "17:00"],
                "time_zone": "UTC",
                "start_date": "2026-11-26",
                "gap_policy": "GAP_POLICY_FIRE_AFTER",
                "repeat_policy": "REPEAT_POLICY_FIRST",
            }
        },
    ),
    "months": (
        {
            "calendar_interval": {
                "every": 3,
                "unit": "CALENDAR_UNIT_MONTH",
                "days_of_month": [-1, 15],
                "times": ["09:00"],
                "time_zone": "Asia/Tokyo",
                "start_date": "2026-12-01",
                "gap_policy": "GAP_POLICY_SKIP",
                "repeat_policy": "REPEAT_POLICY_LAST",
            }
        },
        None,
    ),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_answers(case: str) -> None:
    asked, answer = ANSWERS[case]
    message = json_format.ParseDict(asked, schedule_pb2.Schedule())
    checked = checked_schedule(message, now=NOW, task_key=KEY)
    answered = schedule_to_proto(checked.schedule)
    assert answered == json_format.ParseDict(answer or asked, schedule_pb2.Schedule())
    assert checked_schedule(answered, now=NOW + 5_000_000, task_key=None).text == checked.text


def test_a_fire() -> None:
    note = ClockChangeNote(ClockChangeEffect.MOVED, "2026-03-29T02:30:00", 1, "02:30 does not exist.")
    assert json_format.MessageToDict(
        fire_to_proto(UpcomingFire(1_500_000, 2_000_000, "1970-01-01T00:00:01.500000+00:00", (note,))),
        preserving_proto_field_name=True,
    ) == {
        "scheduled_time": "1970-01-01T00:00:01.500Z",
        "due_time": "1970-01-01T00:00:02Z",
        "local_time": "1970-01-01T00:00:01.500000+00:00",
        "notes": [
            {
                "effect": "CLOCK_CHANGE_EFFECT_MOVED",
                "wall_time": "2026-03-29T02:30:00",
                "count": 1,
                "text": "02:30 does not exist.",
            }
        ],
    }


@pytest.mark.parametrize(
    ("members", "descriptor", "prefix"),
    [
        (ClockChangeEffect, schedule_pb2.ClockChangeEffect, "CLOCK_CHANGE_EFFECT_"),
        (GapPolicy, schedule_pb2.GapPolicy, "GAP_POLICY_"),
        (RepeatPolicy, schedule_pb2.RepeatPolicy, "REPEAT_POLICY_"),
        (CalendarUnit, schedule_pb2.CalendarUnit, "CALENDAR_UNIT_"),
    ],
)
def test_the_numbers_are_those_of_the_proto(members: Any, descriptor: Any, prefix: str) -> None:
    known = {name: number for name, number in descriptor.items() if number}
    assert {prefix + member.name: member.value for member in members} == known
