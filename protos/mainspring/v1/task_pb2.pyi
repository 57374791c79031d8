import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from mainspring.v1 import policy_pb2 as _policy_pb2
from mainspring.v1 import schedule_pb2 as _schedule_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeliveryMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_MODE_UNSPECIFIED: _ClassVar[DeliveryMode]
    DELIVERY_MODE_AT_LEAST_ONCE: _ClassVar[DeliveryMode]
    DELIVERY_MODE_AT_MOST_ONCE: _ClassVar[DeliveryMode]

class TaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATE_UNSPECIFIED: _ClassVar[TaskState]
    TASK_STATE_ACTIVE: _ClassVar[TaskState]
    TASK_STATE_PAUSED: _ClassVar[TaskState]
    TASK_STATE_COMPLETED: _ClassVar[TaskState]
    TASK_STATE_CANCELLED: _ClassVar[TaskState]
DELIVERY_MODE_UNSPECIFIED: DeliveryMode
DELIVERY_MODE_AT_LEAST_ONCE: DeliveryMode
DELIVERY_MODE_AT_MOST_ONCE: DeliveryMode
TASK_STATE_UNSPECIFIED: TaskState
TASK_STATE_ACTIVE: TaskState
TASK_STATE_PAUSED: TaskState
TASK_STATE_COMPLETED: TaskState
TASK_STATE_CANCELLED: TaskState

class Task(_message.Message):
    __slots__ = ("namespace", "id", "handler", "payload", "schedule", "delivery", "labels", "misfire", "overlap", "retry", "timeouts", "lateness_objective", "keep_executions", "state", "version", "create_time", "update_time", "next_scheduled_time", "next_due_time", "last_scheduled_time", "partition_id", "execution_count", "etag", "note", "changed_by")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    HANDLER_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MISFIRE_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
    LATENESS_OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    KEEP_EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_SCHEDULED_TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SCHEDULED_TIME_FIELD_NUMBER: _ClassVar[int]
    PARTITION_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_BY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    id: str
    handler: str
    payload: bytes
    schedule: _schedule_pb2.Schedule
    delivery: DeliveryMode
    labels: _containers.ScalarMap[str, str]
    misfire: _policy_pb2.MisfirePolicy
    overlap: _policy_pb2.OverlapPolicy
    retry: _policy_pb2.RetryPolicy
    timeouts: _policy_pb2.Timeouts
    lateness_objective: _duration_pb2.Duration
    keep_executions: int
    state: TaskState
    version: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    next_scheduled_time: _timestamp_pb2.Timestamp
    next_due_time: _timestamp_pb2.Timestamp
    last_scheduled_time: _timestamp_pb2.Timestamp
    partition_id: int
    execution_count: int
    etag: str
    note: str
    changed_by: str
    def __init__(self, namespace: _Optional[str] = ..., id: _Optional[str] = ..., handler: _Optional[str] = ..., payload: _Optional[bytes] = ..., schedule: _Optional[_Union[_schedule_pb2.Schedule, _Mapping]] = ..., delivery: _Optional[_Union[DeliveryMode, str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., misfire: _Optional[_Union[_policy_pb2.MisfirePolicy, _Mapping]] = ..., overlap: _Optional[_Union[_policy_pb2.OverlapPolicy, str]] = ..., retry: _Optional[_Union[_policy_pb2.RetryPolicy, _Mapping]] = ..., timeouts: _Optional[_Union[_policy_pb2.Timeouts, _Mapping]] = ..., lateness_objective: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., keep_executions: _Optional[int] = ..., state: _Optional[_Union[TaskState, str]] = ..., version: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_scheduled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_scheduled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., partition_id: _Optional[int] = ..., execution_count: _Optional[int] = ..., etag: _Optional[str] = ..., note: _Optional[str] = ..., changed_by: _Optional[str] = ...) -> None: ...
