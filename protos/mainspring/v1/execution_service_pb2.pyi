import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from mainspring.v1 import execution_pb2 as _execution_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LatenessCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LATENESS_CAUSE_UNSPECIFIED: _ClassVar[LatenessCause]
    LATENESS_CAUSE_STEADY: _ClassVar[LatenessCause]
    LATENESS_CAUSE_HERD: _ClassVar[LatenessCause]
    LATENESS_CAUSE_HANDOVER: _ClassVar[LatenessCause]
    LATENESS_CAUSE_FAILOVER: _ClassVar[LatenessCause]
    LATENESS_CAUSE_NO_EXECUTOR: _ClassVar[LatenessCause]
    LATENESS_CAUSE_OVERLOAD: _ClassVar[LatenessCause]
LATENESS_CAUSE_UNSPECIFIED: LatenessCause
LATENESS_CAUSE_STEADY: LatenessCause
LATENESS_CAUSE_HERD: LatenessCause
LATENESS_CAUSE_HANDOVER: LatenessCause
LATENESS_CAUSE_FAILOVER: LatenessCause
LATENESS_CAUSE_NO_EXECUTOR: LatenessCause
LATENESS_CAUSE_OVERLOAD: LatenessCause

class ListExecutionsRequest(_message.Message):
    __slots__ = ("namespace", "task_id", "start_time", "end_time", "page_size", "page_token", "states", "handler", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    HANDLER_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    task_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[_execution_pb2.ExecutionState]
    handler: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, namespace: _Optional[str] = ..., task_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_execution_pb2.ExecutionState, str]]] = ..., handler: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ListExecutionsResponse(_message.Message):
    __slots__ = ("executions", "next_page_token")
    EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    executions: _containers.RepeatedCompositeFieldContainer[_execution_pb2.Execution]
    next_page_token: str
    def __init__(self, executions: _Optional[_Iterable[_Union[_execution_pb2.Execution, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetExecutionRequest(_message.Message):
    __slots__ = ("namespace", "task_id", "scheduled_time")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_TIME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    task_id: str
    scheduled_time: _timestamp_pb2.Timestamp
    def __init__(self, namespace: _Optional[str] = ..., task_id: _Optional[str] = ..., scheduled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetExecutionResponse(_message.Message):
    __slots__ = ("execution",)
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    execution: _execution_pb2.Execution
    def __init__(self, execution: _Optional[_Union[_execution_pb2.Execution, _Mapping]] = ...) -> None: ...

class CancelExecutionRequest(_message.Message):
    __slots__ = ("namespace", "task_id", "scheduled_time", "note")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_TIME_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    task_id: str
    scheduled_time: _timestamp_pb2.Timestamp
    note: str
    def __init__(self, namespace: _Optional[str] = ..., task_id: _Optional[str] = ..., scheduled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., note: _Optional[str] = ...) -> None: ...

class CancelExecutionResponse(_message.Message):
    __slots__ = ("execution",)
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    execution: _execution_pb2.Execution
    def __init__(self, execution: _Optional[_Union[_execution_pb2.Execution, _Mapping]] = ...) -> None: ...

class RetryExecutionRequest(_message.Message):
    __slots__ = ("namespace", "task_id", "scheduled_time", "request_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_TIME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    task_id: str
    scheduled_time: _timestamp_pb2.Timestamp
    request_id: str
    def __init__(self, namespace: _Optional[str] = ..., task_id: _Optional[str] = ..., scheduled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class RetryExecutionResponse(_message.Message):
    __slots__ = ("execution",)
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    execution: _execution_pb2.Execution
    def __init__(self, execution: _Optional[_Union[_execution_pb2.Execution, _Mapping]] = ...) -> None: ...

class AdjustExecutionRequest(_message.Message):
    __slots__ = ("namespace", "task_id", "scheduled_time", "skip", "due_time", "payload", "reset")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_TIME_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    task_id: str
    scheduled_time: _timestamp_pb2.Timestamp
    skip: bool
    due_time: _timestamp_pb2.Timestamp
    payload: bytes
    reset: bool
    def __init__(self, namespace: _Optional[str] = ..., task_id: _Optional[str] = ..., scheduled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., skip: _Optional[bool] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., payload: _Optional[bytes] = ..., reset: _Optional[bool] = ...) -> None: ...

class AdjustExecutionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchExecutionsRequest(_message.Message):
    __slots__ = ("namespace", "task_id", "resume_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    task_id: str
    resume_token: str
    def __init__(self, namespace: _Optional[str] = ..., task_id: _Optional[str] = ..., resume_token: _Optional[str] = ...) -> None: ...

class WatchExecutionsResponse(_message.Message):
    __slots__ = ("executions", "resume_token")
    EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    executions: _containers.RepeatedCompositeFieldContainer[_execution_pb2.Execution]
    resume_token: str
    def __init__(self, executions: _Optional[_Iterable[_Union[_execution_pb2.Execution, _Mapping]]] = ..., resume_token: _Optional[str] = ...) -> None: ...

class ExplainExecutionRequest(_message.Message):
    __slots__ = ("namespace", "task_id", "scheduled_time")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_TIME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    task_id: str
    scheduled_time: _timestamp_pb2.Timestamp
    def __init__(self, namespace: _Optional[str] = ..., task_id: _Optional[str] = ..., scheduled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExplainExecutionResponse(_message.Message):
    __slots__ = ("execution", "summary", "stages", "lateness_objective", "lateness", "broken_stage")
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    LATENESS_OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    LATENESS_FIELD_NUMBER: _ClassVar[int]
    BROKEN_STAGE_FIELD_NUMBER: _ClassVar[int]
    execution: _execution_pb2.Execution
    summary: str
    stages: _containers.RepeatedCompositeFieldContainer[ExecutionStage]
    lateness_objective: _duration_pb2.Duration
    lateness: _duration_pb2.Duration
    broken_stage: str
    def __init__(self, execution: _Optional[_Union[_execution_pb2.Execution, _Mapping]] = ..., summary: _Optional[str] = ..., stages: _Optional[_Iterable[_Union[ExecutionStage, _Mapping]]] = ..., lateness_objective: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., lateness: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., broken_stage: _Optional[str] = ...) -> None: ...

class ExecutionStage(_message.Message):
    __slots__ = ("name", "time", "duration")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    time: _timestamp_pb2.Timestamp
    duration: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class GetSloRequest(_message.Message):
    __slots__ = ("namespace", "start_time", "end_time")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, namespace: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetSloResponse(_message.Message):
    __slots__ = ("total", "by_cause", "partitions_looked_at", "partition_count", "not_run_count")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    BY_CAUSE_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_LOOKED_AT_FIELD_NUMBER: _ClassVar[int]
    PARTITION_COUNT_FIELD_NUMBER: _ClassVar[int]
    NOT_RUN_COUNT_FIELD_NUMBER: _ClassVar[int]
    total: SloFigures
    by_cause: _containers.RepeatedCompositeFieldContainer[SloCause]
    partitions_looked_at: int
    partition_count: int
    not_run_count: int
    def __init__(self, total: _Optional[_Union[SloFigures, _Mapping]] = ..., by_cause: _Optional[_Iterable[_Union[SloCause, _Mapping]]] = ..., partitions_looked_at: _Optional[int] = ..., partition_count: _Optional[int] = ..., not_run_count: _Optional[int] = ...) -> None: ...

class SloFigures(_message.Message):
    __slots__ = ("count", "kept_count", "p50", "p99", "max")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    KEPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    P50_FIELD_NUMBER: _ClassVar[int]
    P99_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    count: int
    kept_count: int
    p50: _duration_pb2.Duration
    p99: _duration_pb2.Duration
    max: _duration_pb2.Duration
    def __init__(self, count: _Optional[int] = ..., kept_count: _Optional[int] = ..., p50: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., p99: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SloCause(_message.Message):
    __slots__ = ("cause", "figures")
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    cause: LatenessCause
    figures: SloFigures
    def __init__(self, cause: _Optional[_Union[LatenessCause, str]] = ..., figures: _Optional[_Union[SloFigures, _Mapping]] = ...) -> None: ...
