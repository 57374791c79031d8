import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExecutionOrigin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXECUTION_ORIGIN_UNSPECIFIED: _ClassVar[ExecutionOrigin]
    EXECUTION_ORIGIN_SCHEDULE: _ClassVar[ExecutionOrigin]
    EXECUTION_ORIGIN_CATCH_UP: _ClassVar[ExecutionOrigin]
    EXECUTION_ORIGIN_TRIGGER: _ClassVar[ExecutionOrigin]
    EXECUTION_ORIGIN_BACKFILL: _ClassVar[ExecutionOrigin]

class ExecutionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXECUTION_STATE_UNSPECIFIED: _ClassVar[ExecutionState]
    EXECUTION_STATE_WAITING: _ClassVar[ExecutionState]
    EXECUTION_STATE_DISPATCHED: _ClassVar[ExecutionState]
    EXECUTION_STATE_RUNNING: _ClassVar[ExecutionState]
    EXECUTION_STATE_SUCCEEDED: _ClassVar[ExecutionState]
    EXECUTION_STATE_FAILED: _ClassVar[ExecutionState]
    EXECUTION_STATE_CANCELLED: _ClassVar[ExecutionState]
    EXECUTION_STATE_SKIPPED: _ClassVar[ExecutionState]
    EXECUTION_STATE_EXPIRED: _ClassVar[ExecutionState]
    EXECUTION_STATE_LOST: _ClassVar[ExecutionState]
EXECUTION_ORIGIN_UNSPECIFIED: ExecutionOrigin
EXECUTION_ORIGIN_SCHEDULE: ExecutionOrigin
EXECUTION_ORIGIN_CATCH_UP: ExecutionOrigin
EXECUTION_ORIGIN_TRIGGER: ExecutionOrigin
EXECUTION_ORIGIN_BACKFILL: ExecutionOrigin
EXECUTION_STATE_UNSPECIFIED: ExecutionState
EXECUTION_STATE_WAITING: ExecutionState
EXECUTION_STATE_DISPATCHED: ExecutionState
EXECUTION_STATE_RUNNING: ExecutionState
EXECUTION_STATE_SUCCEEDED: ExecutionState
EXECUTION_STATE_FAILED: ExecutionState
EXECUTION_STATE_CANCELLED: ExecutionState
EXECUTION_STATE_SKIPPED: ExecutionState
EXECUTION_STATE_EXPIRED: ExecutionState
EXECUTION_STATE_LOST: ExecutionState

class Execution(_message.Message):
    __slots__ = ("namespace", "task_id", "scheduled_time", "due_time", "state", "reason", "attempt", "epoch", "task_version", "executor_id", "node_id", "result", "claim_time", "dispatch_time", "pick_up_time", "finish_time", "save_time", "gap", "origin", "failure_count", "error_kind", "retry_time", "progress", "progress_time")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_TIME_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TASK_VERSION_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    CLAIM_TIME_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_TIME_FIELD_NUMBER: _ClassVar[int]
    PICK_UP_TIME_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    SAVE_TIME_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    FAILURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    ERROR_KIND_FIELD_NUMBER: _ClassVar[int]
    RETRY_TIME_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_TIME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    task_id: str
    scheduled_time: _timestamp_pb2.Timestamp
    due_time: _timestamp_pb2.Timestamp
    state: ExecutionState
    reason: str
    attempt: int
    epoch: int
    task_version: int
    executor_id: str
    node_id: str
    result: bytes
    claim_time: _timestamp_pb2.Timestamp
    dispatch_time: _timestamp_pb2.Timestamp
    pick_up_time: _timestamp_pb2.Timestamp
    finish_time: _timestamp_pb2.Timestamp
    save_time: _timestamp_pb2.Timestamp
    gap: Gap
    origin: ExecutionOrigin
    failure_count: int
    error_kind: str
    retry_time: _timestamp_pb2.Timestamp
    progress: bytes
    progress_time: _timestamp_pb2.Timestamp
    def __init__(self, namespace: _Optional[str] = ..., task_id: _Optional[str] = ..., scheduled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[ExecutionState, str]] = ..., reason: _Optional[str] = ..., attempt: _Optional[int] = ..., epoch: _Optional[int] = ..., task_version: _Optional[int] = ..., executor_id: _Optional[str] = ..., node_id: _Optional[str] = ..., result: _Optional[bytes] = ..., claim_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., dispatch_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pick_up_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., save_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., gap: _Optional[_Union[Gap, _Mapping]] = ..., origin: _Optional[_Union[ExecutionOrigin, str]] = ..., failure_count: _Optional[int] = ..., error_kind: _Optional[str] = ..., retry_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., progress: _Optional[bytes] = ..., progress_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ("last_scheduled_time", "count")
    LAST_SCHEDULED_TIME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    last_scheduled_time: _timestamp_pb2.Timestamp
    count: int
    def __init__(self, last_scheduled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., count: _Optional[int] = ...) -> None: ...
