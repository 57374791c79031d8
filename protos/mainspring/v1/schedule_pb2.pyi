import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GapPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GAP_POLICY_UNSPECIFIED: _ClassVar[GapPolicy]
    GAP_POLICY_FIRE_AFTER: _ClassVar[GapPolicy]
    GAP_POLICY_SKIP: _ClassVar[GapPolicy]

class RepeatPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPEAT_POLICY_UNSPECIFIED: _ClassVar[RepeatPolicy]
    REPEAT_POLICY_FIRST: _ClassVar[RepeatPolicy]
    REPEAT_POLICY_LAST: _ClassVar[RepeatPolicy]
    REPEAT_POLICY_BOTH: _ClassVar[RepeatPolicy]

class CalendarUnit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CALENDAR_UNIT_UNSPECIFIED: _ClassVar[CalendarUnit]
    CALENDAR_UNIT_DAY: _ClassVar[CalendarUnit]
    CALENDAR_UNIT_WEEK: _ClassVar[CalendarUnit]
    CALENDAR_UNIT_MONTH: _ClassVar[CalendarUnit]

class Weekday(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WEEKDAY_UNSPECIFIED: _ClassVar[Weekday]
    WEEKDAY_MONDAY: _ClassVar[Weekday]
    WEEKDAY_TUESDAY: _ClassVar[Weekday]
    WEEKDAY_WEDNESDAY: _ClassVar[Weekday]
    WEEKDAY_THURSDAY: _ClassVar[Weekday]
    WEEKDAY_FRIDAY: _ClassVar[Weekday]
    WEEKDAY_SATURDAY: _ClassVar[Weekday]
    WEEKDAY_SUNDAY: _ClassVar[Weekday]

class ClockChangeEffect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLOCK_CHANGE_EFFECT_UNSPECIFIED: _ClassVar[ClockChangeEffect]
    CLOCK_CHANGE_EFFECT_MOVED: _ClassVar[ClockChangeEffect]
    CLOCK_CHANGE_EFFECT_LEFT_OUT: _ClassVar[ClockChangeEffect]
    CLOCK_CHANGE_EFFECT_FIRST_ONLY: _ClassVar[ClockChangeEffect]
    CLOCK_CHANGE_EFFECT_LAST_ONLY: _ClassVar[ClockChangeEffect]
    CLOCK_CHANGE_EFFECT_FIRST_OF_TWO: _ClassVar[ClockChangeEffect]
    CLOCK_CHANGE_EFFECT_SECOND_OF_TWO: _ClassVar[ClockChangeEffect]
GAP_POLICY_UNSPECIFIED: GapPolicy
GAP_POLICY_FIRE_AFTER: GapPolicy
GAP_POLICY_SKIP: GapPolicy
REPEAT_POLICY_UNSPECIFIED: RepeatPolicy
REPEAT_POLICY_FIRST: RepeatPolicy
REPEAT_POLICY_LAST: RepeatPolicy
REPEAT_POLICY_BOTH: RepeatPolicy
CALENDAR_UNIT_UNSPECIFIED: CalendarUnit
CALENDAR_UNIT_DAY: CalendarUnit
CALENDAR_UNIT_WEEK: CalendarUnit
CALENDAR_UNIT_MONTH: CalendarUnit
WEEKDAY_UNSPECIFIED: Weekday
WEEKDAY_MONDAY: Weekday
WEEKDAY_TUESDAY: Weekday
WEEKDAY_WEDNESDAY: Weekday
WEEKDAY_THURSDAY: Weekday
WEEKDAY_FRIDAY: Weekday
WEEKDAY_SATURDAY: Weekday
WEEKDAY_SUNDAY: Weekday
CLOCK_CHANGE_EFFECT_UNSPECIFIED: ClockChangeEffect
CLOCK_CHANGE_EFFECT_MOVED: ClockChangeEffect
CLOCK_CHANGE_EFFECT_LEFT_OUT: ClockChangeEffect
CLOCK_CHANGE_EFFECT_FIRST_ONLY: ClockChangeEffect
CLOCK_CHANGE_EFFECT_LAST_ONLY: ClockChangeEffect
CLOCK_CHANGE_EFFECT_FIRST_OF_TWO: ClockChangeEffect
CLOCK_CHANGE_EFFECT_SECOND_OF_TWO: ClockChangeEffect

class Schedule(_message.Message):
    __slots__ = ("at", "delay", "cron", "interval", "calendar_interval", "start_time", "end_time", "max_executions", "jitter", "exclusions")
    AT_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    CALENDAR_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    MAX_EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIONS_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    delay: _duration_pb2.Duration
    cron: CronSchedule
    interval: IntervalSchedule
    calendar_interval: CalendarIntervalSchedule
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    max_executions: int
    jitter: _duration_pb2.Duration
    exclusions: Exclusions
    def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cron: _Optional[_Union[CronSchedule, _Mapping]] = ..., interval: _Optional[_Union[IntervalSchedule, _Mapping]] = ..., calendar_interval: _Optional[_Union[CalendarIntervalSchedule, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., max_executions: _Optional[int] = ..., jitter: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., exclusions: _Optional[_Union[Exclusions, _Mapping]] = ...) -> None: ...

class CronSchedule(_message.Message):
    __slots__ = ("expressions", "time_zone", "gap_policy", "repeat_policy")
    EXPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    GAP_POLICY_FIELD_NUMBER: _ClassVar[int]
    REPEAT_POLICY_FIELD_NUMBER: _ClassVar[int]
    expressions: _containers.RepeatedScalarFieldContainer[str]
    time_zone: str
    gap_policy: GapPolicy
    repeat_policy: RepeatPolicy
    def __init__(self, expressions: _Optional[_Iterable[str]] = ..., time_zone: _Optional[str] = ..., gap_policy: _Optional[_Union[GapPolicy, str]] = ..., repeat_policy: _Optional[_Union[RepeatPolicy, str]] = ...) -> None: ...

class IntervalSchedule(_message.Message):
    __slots__ = ("every", "phase")
    EVERY_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    every: _duration_pb2.Duration
    phase: _duration_pb2.Duration
    def __init__(self, every: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., phase: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CalendarIntervalSchedule(_message.Message):
    __slots__ = ("every", "unit", "weekdays", "days_of_month", "times", "time_zone", "start_date", "gap_policy", "repeat_policy")
    EVERY_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    WEEKDAYS_FIELD_NUMBER: _ClassVar[int]
    DAYS_OF_MONTH_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    START_DATE_FIELD_NUMBER: _ClassVar[int]
    GAP_POLICY_FIELD_NUMBER: _ClassVar[int]
    REPEAT_POLICY_FIELD_NUMBER: _ClassVar[int]
    every: int
    unit: CalendarUnit
    weekdays: _containers.RepeatedScalarFieldContainer[Weekday]
    days_of_month: _containers.RepeatedScalarFieldContainer[int]
    times: _containers.RepeatedScalarFieldContainer[str]
    time_zone: str
    start_date: str
    gap_policy: GapPolicy
    repeat_policy: RepeatPolicy
    def __init__(self, every: _Optional[int] = ..., unit: _Optional[_Union[CalendarUnit, str]] = ..., weekdays: _Optional[_Iterable[_Union[Weekday, str]]] = ..., days_of_month: _Optional[_Iterable[int]] = ..., times: _Optional[_Iterable[str]] = ..., time_zone: _Optional[str] = ..., start_date: _Optional[str] = ..., gap_policy: _Optional[_Union[GapPolicy, str]] = ..., repeat_policy: _Optional[_Union[RepeatPolicy, str]] = ...) -> None: ...

class Exclusions(_message.Message):
    __slots__ = ("dates", "expressions", "time_zone")
    DATES_FIELD_NUMBER: _ClassVar[int]
    EXPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    dates: _containers.RepeatedScalarFieldContainer[str]
    expressions: _containers.RepeatedScalarFieldContainer[str]
    time_zone: str
    def __init__(self, dates: _Optional[_Iterable[str]] = ..., expressions: _Optional[_Iterable[str]] = ..., time_zone: _Optional[str] = ...) -> None: ...

class FireTime(_message.Message):
    __slots__ = ("scheduled_time", "due_time", "local_time", "notes")
    SCHEDULED_TIME_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    LOCAL_TIME_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    scheduled_time: _timestamp_pb2.Timestamp
    due_time: _timestamp_pb2.Timestamp
    local_time: str
    notes: _containers.RepeatedCompositeFieldContainer[ClockChangeNote]
    def __init__(self, scheduled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., local_time: _Optional[str] = ..., notes: _Optional[_Iterable[_Union[ClockChangeNote, _Mapping]]] = ...) -> None: ...

class ClockChangeNote(_message.Message):
    __slots__ = ("effect", "wall_time", "count", "text")
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    WALL_TIME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    effect: ClockChangeEffect
    wall_time: str
    count: int
    text: str
    def __init__(self, effect: _Optional[_Union[ClockChangeEffect, str]] = ..., wall_time: _Optional[str] = ..., count: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...
