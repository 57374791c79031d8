from mainspring.v1 import executor_service_pb2 as _executor_service_pb2
from mainspring.v1 import task_service_pb2 as _task_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HintRequest(_message.Message):
    __slots__ = ("tasks",)
    TASKS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[TaskHint]
    def __init__(self, tasks: _Optional[_Iterable[_Union[TaskHint, _Mapping]]] = ...) -> None: ...

class TaskHint(_message.Message):
    __slots__ = ("partition_id", "task_key", "due_at_us", "scheduled_at_us", "version", "handler", "schedule", "cancelled", "execution_count", "policies", "adjustments_version", "adjustments", "owed")
    PARTITION_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_KEY_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_US_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_AT_US_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HANDLER_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENTS_VERSION_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENTS_FIELD_NUMBER: _ClassVar[int]
    OWED_FIELD_NUMBER: _ClassVar[int]
    partition_id: int
    task_key: bytes
    due_at_us: int
    scheduled_at_us: int
    version: int
    handler: str
    schedule: str
    cancelled: bool
    execution_count: int
    policies: str
    adjustments_version: int
    adjustments: str
    owed: str
    def __init__(self, partition_id: _Optional[int] = ..., task_key: _Optional[bytes] = ..., due_at_us: _Optional[int] = ..., scheduled_at_us: _Optional[int] = ..., version: _Optional[int] = ..., handler: _Optional[str] = ..., schedule: _Optional[str] = ..., cancelled: _Optional[bool] = ..., execution_count: _Optional[int] = ..., policies: _Optional[str] = ..., adjustments_version: _Optional[int] = ..., adjustments: _Optional[str] = ..., owed: _Optional[str] = ...) -> None: ...

class HintResponse(_message.Message):
    __slots__ = ("not_mine",)
    NOT_MINE_FIELD_NUMBER: _ClassVar[int]
    not_mine: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, not_mine: _Optional[_Iterable[int]] = ...) -> None: ...

class TakeNoteRequest(_message.Message):
    __slots__ = ("tasks",)
    TASKS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[TaskNote]
    def __init__(self, tasks: _Optional[_Iterable[_Union[TaskNote, _Mapping]]] = ...) -> None: ...

class TaskNote(_message.Message):
    __slots__ = ("partition_id", "task_key", "version", "is_stopped", "next")
    PARTITION_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_KEY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    IS_STOPPED_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    partition_id: int
    task_key: bytes
    version: int
    is_stopped: bool
    next: TaskHint
    def __init__(self, partition_id: _Optional[int] = ..., task_key: _Optional[bytes] = ..., version: _Optional[int] = ..., is_stopped: _Optional[bool] = ..., next: _Optional[_Union[TaskHint, _Mapping]] = ...) -> None: ...

class TakeNoteResponse(_message.Message):
    __slots__ = ("unconfirmed",)
    UNCONFIRMED_FIELD_NUMBER: _ClassVar[int]
    unconfirmed: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, unconfirmed: _Optional[_Iterable[int]] = ...) -> None: ...

class ForwardCallRequest(_message.Message):
    __slots__ = ("partition_id", "method", "request", "call_key")
    PARTITION_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    CALL_KEY_FIELD_NUMBER: _ClassVar[int]
    partition_id: int
    method: str
    request: bytes
    call_key: bytes
    def __init__(self, partition_id: _Optional[int] = ..., method: _Optional[str] = ..., request: _Optional[bytes] = ..., call_key: _Optional[bytes] = ...) -> None: ...

class ForwardCallResponse(_message.Message):
    __slots__ = ("response", "error", "is_not_mine")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    IS_NOT_MINE_FIELD_NUMBER: _ClassVar[int]
    response: bytes
    error: _task_service_pb2.ItemError
    is_not_mine: bool
    def __init__(self, response: _Optional[bytes] = ..., error: _Optional[_Union[_task_service_pb2.ItemError, _Mapping]] = ..., is_not_mine: _Optional[bool] = ...) -> None: ...

class ForwardResultsRequest(_message.Message):
    __slots__ = ("results", "executor_id")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[_executor_service_pb2.Result]
    executor_id: str
    def __init__(self, results: _Optional[_Iterable[_Union[_executor_service_pb2.Result, _Mapping]]] = ..., executor_id: _Optional[str] = ...) -> None: ...

class ForwardResultsResponse(_message.Message):
    __slots__ = ("saved",)
    SAVED_FIELD_NUMBER: _ClassVar[int]
    saved: _containers.RepeatedCompositeFieldContainer[_executor_service_pb2.AttemptRef]
    def __init__(self, saved: _Optional[_Iterable[_Union[_executor_service_pb2.AttemptRef, _Mapping]]] = ...) -> None: ...

class ForwardProgressRequest(_message.Message):
    __slots__ = ("progress",)
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    progress: _containers.RepeatedCompositeFieldContainer[_executor_service_pb2.Progress]
    def __init__(self, progress: _Optional[_Iterable[_Union[_executor_service_pb2.Progress, _Mapping]]] = ...) -> None: ...

class ForwardProgressResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AnnounceReleaseRequest(_message.Message):
    __slots__ = ("partition_ids", "releases")
    PARTITION_IDS_FIELD_NUMBER: _ClassVar[int]
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    partition_ids: _containers.RepeatedScalarFieldContainer[int]
    releases: _containers.RepeatedCompositeFieldContainer[Release]
    def __init__(self, partition_ids: _Optional[_Iterable[int]] = ..., releases: _Optional[_Iterable[_Union[Release, _Mapping]]] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("partition_id", "epoch", "node_id", "released_at_us")
    PARTITION_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    RELEASED_AT_US_FIELD_NUMBER: _ClassVar[int]
    partition_id: int
    epoch: int
    node_id: str
    released_at_us: int
    def __init__(self, partition_id: _Optional[int] = ..., epoch: _Optional[int] = ..., node_id: _Optional[str] = ..., released_at_us: _Optional[int] = ...) -> None: ...

class AnnounceReleaseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetDrainedRequest(_message.Message):
    __slots__ = ("node_id", "is_drained")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    IS_DRAINED_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    is_drained: bool
    def __init__(self, node_id: _Optional[str] = ..., is_drained: _Optional[bool] = ...) -> None: ...

class SetDrainedResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
