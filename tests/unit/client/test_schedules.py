"""Schedules: easy to write, wrong types refused where they are written, and the same after any way over the wire."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from hypothesis import given
from hypothesis import strategies as st
from unit.client.schedule_strategies import SCHEDULES

from mainspring.client import (
    At,
    CalendarInterval,
    CalendarUnit,
    ClockChangeEffect,
    ClockChangeNote,
    Cron,
    Delay,
    Every,
    Exclusions,
    FireTime,
    GapPolicy,
    Recurring,
    RepeatPolicy,
    Schedule,
    Weekday,
)
from mainspring.client.schedule_convert import (
    fire_from_proto,
    preview_from_proto,
    schedule_from_proto,
    schedule_to_proto,
)
from mainspring.v1 import schedule_pb2 as pb
from mainspring.v1 import task_service_pb2

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
NAIVE = datetime(2030, 6, 1, 12)  # noqa: DTZ001
HOUR = timedelta(hours=1)


@given(SCHEDULES)
def test_every_schedule_survives_the_way_there_and_back(schedule: Schedule) -> None:
    sent = pb.Schedule.FromString(schedule_to_proto(schedule).SerializeToString())
    assert schedule_from_proto(sent) == schedule


def test_a_message_says_what_the_value_says() -> None:
    schedule = CalendarInterval(
        CalendarUnit.WEEK,
        [time(9), time(17, 30, 5)],
        every=2,
        weekdays=[Weekday.MONDAY, Weekday.SUNDAY],
        time_zone="Europe/Berlin",
        start_date=date(2026, 11, 30),
        gap=GapPolicy.SKIP,
        repeat=RepeatPolicy.BOTH,
        start=NOON,
        max_executions=7,
        jitter=HOUR,
        exclusions=Exclusions([date(2026, 12, 24)], "* 12 * * *"),
    )
    expected = pb.Schedule(
        calendar_interval=pb.CalendarIntervalSchedule(
            every=2,
            unit=pb.CALENDAR_UNIT_WEEK,
            weekdays=[pb.WEEKDAY_MONDAY, pb.WEEKDAY_SUNDAY],
            times=["09:00", "17:30:05"],
            time_zone="Europe/Berlin",
            start_date="2026-11-30",
            gap_policy=pb.GAP_POLICY_SKIP,
            repeat_policy=pb.REPEAT_POLICY_BOTH,
        ),
        max_executions=7,
        exclusions=pb.Exclusions(dates=["2026-12-24"], expressions=["* 12 * * *"]),
    )
    expected.start_time.FromDatetime(NOON)
    expected.jitter.FromTimedelta(HOUR)
    assert schedule_to_proto(schedule) == expected


def test_what_is_not_said_is_not_sent() -> None:
    message = schedule_to_proto(Every(HOUR))
    assert message == pb.Schedule(interval=pb.IntervalSchedule(every={"seconds": 3_600}))
    assert schedule_to_proto(Every(HOUR, timedelta(0))).interval.HasField("phase"), "a phase of 0 is a phase"


def test_the_defaults_of_the_protos_are_filled_in() -> None:
    assert schedule_from_proto(pb.Schedule(cron=pb.CronSchedule(expressions=["@daily"]))) == Cron("@daily")
    sparse = pb.CalendarIntervalSchedule(unit=pb.CALENDAR_UNIT_DAY, times=["09:00"])
    assert schedule_from_proto(pb.Schedule(calendar_interval=sparse)) == CalendarInterval(
        CalendarUnit.DAY, [time(9)]
    )


numbers: Any = st.integers(0, 8) | st.integers(-(2**31), 2**31 - 1)


@given(gap=numbers, repeat=numbers, unit=numbers, weekday=numbers)
def test_numbers_of_a_newer_server_are_read_and_never_sent(
    gap: Any, repeat: Any, unit: Any, weekday: Any
) -> None:
    message = pb.Schedule(
        calendar_interval=pb.CalendarIntervalSchedule(
            every=1, gap_policy=gap, repeat_policy=repeat, unit=unit, weekdays=[weekday], time_zone="UTC"
        )
    )
    schedule = schedule_from_proto(message)
    assert isinstance(schedule, CalendarInterval)
    if gap in range(3) and repeat in range(4) and unit in range(1, 4) and weekday in range(1, 8):
        message.calendar_interval.gap_policy = gap or pb.GAP_POLICY_FIRE_AFTER
        message.calendar_interval.repeat_policy = repeat or pb.REPEAT_POLICY_FIRST
        assert schedule_to_proto(schedule) == message
    else:
        with pytest.raises(ValueError, match="UNSPECIFIED"):
            schedule_to_proto(schedule)


@pytest.mark.parametrize(
    "schedule",
    [
        Cron("@daily", gap=GapPolicy.UNSPECIFIED),
        Cron("@daily", repeat=RepeatPolicy.UNSPECIFIED),
        CalendarInterval(CalendarUnit.UNSPECIFIED, [time(9)]),
        CalendarInterval(CalendarUnit.WEEK, [time(9)], weekdays=[Weekday.UNSPECIFIED]),
        CalendarInterval(CalendarUnit.WEEK, [time(9)], gap=GapPolicy.UNSPECIFIED),
        CalendarInterval(CalendarUnit.WEEK, [time(9)], repeat=RepeatPolicy.UNSPECIFIED),
    ],
)
def test_what_this_client_does_not_know_is_not_sent_as_a_default(schedule: Schedule) -> None:
    with pytest.raises(ValueError, match="UNSPECIFIED: this client does not know"):
        schedule_to_proto(schedule)


@pytest.mark.parametrize(
    "message",
    [
        pb.Schedule(),
        pb.Schedule.FromString(b"\xa2\x06\x02hi"),  # field 100: a kind of a newer server
        pb.Schedule(calendar_interval=pb.CalendarIntervalSchedule(times=["25:00"])),
        pb.Schedule(calendar_interval=pb.CalendarIntervalSchedule(times=["09:00:00.5"])),
        pb.Schedule(calendar_interval=pb.CalendarIntervalSchedule(start_date="easter")),
        pb.Schedule(interval=pb.IntervalSchedule(), exclusions=pb.Exclusions(dates=["easter"])),
    ],
)
def test_kinds_and_forms_of_a_newer_server_are_none(message: pb.Schedule) -> None:
    assert schedule_from_proto(message) is None


def test_anything_else_is_no_schedule() -> None:
    with pytest.raises(TypeError, match="At, Delay, Cron, Every or CalendarInterval"):
        schedule_to_proto("* * * * *")  # type: ignore[arg-type]


def test_sequences_are_kept_as_tuples_so_that_equal_schedules_are_equal() -> None:
    assert Cron("@daily").expressions == ("@daily",)
    assert Exclusions(expressions="@daily").expressions == ("@daily",)
    days = [Weekday.MONDAY]
    made = CalendarInterval(CalendarUnit.WEEK, [time(9)], weekdays=days)
    days.clear()
    assert made == CalendarInterval(CalendarUnit.WEEK, (time(9),), weekdays=(Weekday.MONDAY,))
    assert len({Cron(["a", "b"]), Cron(("a", "b")), Cron("a")}) == 2


def test_a_schedule_shows_what_was_said() -> None:
    assert repr(Cron("@daily", max_executions=3)) == "Cron(expressions=('@daily',), max_executions=3)"
    assert repr(Every(HOUR)) == "Every(every=datetime.timedelta(seconds=3600))"
    assert repr(CalendarInterval(CalendarUnit.DAY, [time(9)], every=2, end=NOON)) == (
        "CalendarInterval(unit=<CalendarUnit.DAY: 1>, times=(datetime.time(9, 0),), end=datetime.datetime("
        "2030, 6, 1, 12, 0, tzinfo=datetime.timezone.utc), every=2)"
    )


def test_recurring_ones_can_be_told_from_the_others() -> None:
    calendar = CalendarInterval(CalendarUnit.DAY, [time(9)])
    assert all(isinstance(schedule, Recurring) for schedule in (Cron("@daily"), Every(HOUR), calendar))
    assert not any(isinstance(schedule, Recurring) for schedule in (At(NOON), Delay(HOUR)))


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: At("noon"), "time must be datetime; got str 'noon'"),
        (lambda: At(NOON.date()), "time must be datetime; got date"),
        (lambda: At(NOON, jitter=5), "jitter must be timedelta; got int 5"),
        (lambda: Delay(5), "delay must be timedelta; got int 5"),
        (lambda: Delay(HOUR, jitter=None), "jitter must be timedelta; got NoneType"),
        (lambda: Cron(5), "expressions must be a sequence of str; got int 5"),
        (lambda: Cron({"@daily"}), "expressions must be a sequence of str; got set"),
        (lambda: Cron(["@daily", None]), r"expressions\[1\] must be str; got NoneType"),
        (lambda: Cron("@daily", ZoneInfo("UTC")), "time_zone must be str; got ZoneInfo"),
        (lambda: Cron("@daily", gap="skip"), "gap must be GapPolicy; got str 'skip'"),
        (lambda: Cron("@daily", repeat=GapPolicy.SKIP), "repeat must be RepeatPolicy; got GapPolicy"),
        (lambda: Cron("@daily", start=NOON.date()), "start must be datetime; got date"),
        (lambda: Cron("@daily", max_executions=1.5), "max_executions must be int or None; got float 1.5"),
        (lambda: Cron("@daily", jitter=5), "jitter must be timedelta; got int 5"),
        (lambda: Cron("@daily", exclusions=["@daily"]), "exclusions must be Exclusions; got list"),
        (lambda: Every(90), "every must be timedelta; got int 90"),
        (lambda: Every(HOUR, 5), "phase must be timedelta or None; got int 5"),
        (lambda: Every(HOUR, end="noon"), "end must be datetime; got str 'noon'"),
        (lambda: CalendarInterval("week", [time(9)]), "unit must be CalendarUnit; got str 'week'"),
        (lambda: CalendarInterval(CalendarUnit.DAY, time(9)), "times must be a sequence of time; got time"),
        (lambda: CalendarInterval(CalendarUnit.DAY, "09:00"), "times must be a sequence of time; got str"),
        (lambda: CalendarInterval(CalendarUnit.DAY, ["09:00"]), r"times\[0\] must be time; got str '09:00'"),
        (lambda: CalendarInterval(CalendarUnit.DAY, [], every=True), "every must be int; got bool True"),
        (lambda: CalendarInterval(CalendarUnit.DAY, [], weekdays=[1]), r"weekdays\[0\] must be Weekday"),
        (
            lambda: CalendarInterval(CalendarUnit.DAY, [], days_of_month=["1"]),
            r"days_of_month\[0\] must be int",
        ),
        (lambda: CalendarInterval(CalendarUnit.DAY, [], time_zone=None), "time_zone must be str"),
        (lambda: CalendarInterval(CalendarUnit.DAY, [], start_date=NOON), "start_date must be date or None"),
        (lambda: CalendarInterval(CalendarUnit.DAY, [], gap=1), "gap must be GapPolicy; got int 1"),
        (lambda: CalendarInterval(CalendarUnit.DAY, [], repeat=1), "repeat must be RepeatPolicy; got int 1"),
        (lambda: CalendarInterval(CalendarUnit.DAY, [], jitter=1), "jitter must be timedelta; got int 1"),
        (lambda: Exclusions([NOON]), r"dates\[0\] must be date; got datetime"),
        (lambda: Exclusions(time_zone=None), "time_zone must be str; got NoneType"),
    ],
)
def test_a_wrong_type_is_refused_where_it_is_written(make: Callable[[], Any], complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        make()


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: At(NAIVE), "time must be timezone-aware"),
        (lambda: Every(HOUR, start=NAIVE), "start must be timezone-aware"),
        (lambda: Cron("@daily", end=NAIVE), "end must be timezone-aware"),
        (lambda: CalendarInterval(CalendarUnit.DAY, [], start=NAIVE), "start must be timezone-aware"),
        (lambda: Every(HOUR, max_executions=0), "max_executions must be at least 1; got 0"),
        (lambda: CalendarInterval(CalendarUnit.DAY, [], every=0), "every must be at least 1; got 0"),
        (lambda: CalendarInterval(CalendarUnit.DAY, [NOON.timetz()]), "without a time zone"),
        (lambda: CalendarInterval(CalendarUnit.DAY, [time(9, 0, 0, 1)]), "whole seconds"),
    ],
)
def test_what_a_message_could_not_say_is_refused(make: Callable[[], Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


@pytest.mark.parametrize(
    ("client", "proto", "prefix"),
    [
        (GapPolicy, pb.GapPolicy, "GAP_POLICY"),
        (RepeatPolicy, pb.RepeatPolicy, "REPEAT_POLICY"),
        (CalendarUnit, pb.CalendarUnit, "CALENDAR_UNIT"),
        (Weekday, pb.Weekday, "WEEKDAY"),
        (ClockChangeEffect, pb.ClockChangeEffect, "CLOCK_CHANGE_EFFECT"),
    ],
)
def test_the_enums_are_those_of_the_proto(client: type[Enum], proto: EnumTypeWrapper, prefix: str) -> None:
    assert {f"{prefix}_{member.name}": member.value for member in client} == dict(proto.items())


FIRE = pb.FireTime(
    scheduled_time={"seconds": 1_774_746_000},
    due_time={"seconds": 1_774_746_007, "nanos": 5_000},
    local_time="2026-03-29T03:00:00+02:00",
    notes=[
        pb.ClockChangeNote(
            effect=pb.CLOCK_CHANGE_EFFECT_MOVED,
            wall_time="2026-03-29T02:30:00",
            count=2,
            text="02:30 does not exist.",
        )
    ],
)


def test_a_fire_tells_its_time_in_the_zone_of_the_schedule() -> None:
    fire = fire_from_proto(FIRE)
    assert fire.scheduled_time == fire.local_time == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert fire.scheduled_time.tzinfo is UTC
    assert fire.local_time.utcoffset() == timedelta(hours=2)
    assert fire.due_time == datetime(2026, 3, 29, 1, 0, 7, 5, tzinfo=UTC)
    assert fire.notes == (
        ClockChangeNote(
            ClockChangeEffect.MOVED,
            datetime(2026, 3, 29, 2, 30),  # noqa: DTZ001  # a wall time that no zone has
            2,
            "02:30 does not exist.",
        ),
    )


def test_a_fire_of_a_newer_server_does_not_break_the_answer() -> None:
    message = pb.FireTime(
        local_time="half past two",
        notes=[pb.ClockChangeNote(effect=99, wall_time="02:30 or so")],  # type: ignore[arg-type]
    )
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    note = ClockChangeNote(ClockChangeEffect.UNSPECIFIED, None, 0, "")
    assert fire_from_proto(message) == FireTime(epoch, epoch, epoch, (note,))


def test_a_preview_holds_what_was_answered() -> None:
    response = task_service_pb2.PreviewScheduleResponse(
        schedule=schedule_to_proto(Cron("30 2 * * *", "Europe/Berlin")),
        meaning="At 02:30.",
        fires=[FIRE],
        is_complete=True,
    )
    preview = preview_from_proto(response)
    assert preview.schedule == Cron("30 2 * * *", "Europe/Berlin")
    assert (preview.meaning, preview.fires, preview.is_complete) == (
        "At 02:30.",
        (fire_from_proto(FIRE),),
        True,
    )
