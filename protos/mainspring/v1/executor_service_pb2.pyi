import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResultOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESULT_OUTCOME_UNSPECIFIED: _ClassVar[ResultOutcome]
    RESULT_OUTCOME_SUCCEEDED: _ClassVar[ResultOutcome]
    RESULT_OUTCOME_FAILED: _ClassVar[ResultOutcome]
    RESULT_OUTCOME_CANCELLED: _ClassVar[ResultOutcome]
    RESULT_OUTCOME_REFUSED: _ClassVar[ResultOutcome]

class AttemptKnowledge(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTEMPT_KNOWLEDGE_UNSPECIFIED: _ClassVar[AttemptKnowledge]
    ATTEMPT_KNOWLEDGE_NOT_MINE: _ClassVar[AttemptKnowledge]
    ATTEMPT_KNOWLEDGE_RUNNING: _ClassVar[AttemptKnowledge]
    ATTEMPT_KNOWLEDGE_QUEUED: _ClassVar[AttemptKnowledge]
    ATTEMPT_KNOWLEDGE_FINISHED: _ClassVar[AttemptKnowledge]
RESULT_OUTCOME_UNSPECIFIED: ResultOutcome
RESULT_OUTCOME_SUCCEEDED: ResultOutcome
RESULT_OUTCOME_FAILED: ResultOutcome
RESULT_OUTCOME_CANCELLED: ResultOutcome
RESULT_OUTCOME_REFUSED: ResultOutcome
ATTEMPT_KNOWLEDGE_UNSPECIFIED: AttemptKnowledge
ATTEMPT_KNOWLEDGE_NOT_MINE: AttemptKnowledge
ATTEMPT_KNOWLEDGE_RUNNING: AttemptKnowledge
ATTEMPT_KNOWLEDGE_QUEUED: AttemptKnowledge
ATTEMPT_KNOWLEDGE_FINISHED: AttemptKnowledge

class ConnectRequest(_message.Message):
    __slots__ = ("hello", "credit", "started", "heartbeat", "result", "reconcile", "drain", "goodbye", "progress")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    RECONCILE_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    hello: _containers.RepeatedCompositeFieldContainer[ExecutorHello]
    credit: _containers.RepeatedCompositeFieldContainer[Credit]
    started: _containers.RepeatedCompositeFieldContainer[Started]
    heartbeat: _containers.RepeatedCompositeFieldContainer[Heartbeat]
    result: _containers.RepeatedCompositeFieldContainer[Result]
    reconcile: _containers.RepeatedCompositeFieldContainer[ReconcileAnswer]
    drain: _containers.RepeatedCompositeFieldContainer[Drain]
    goodbye: _containers.RepeatedCompositeFieldContainer[Goodbye]
    progress: _containers.RepeatedCompositeFieldContainer[Progress]
    def __init__(self, hello: _Optional[_Iterable[_Union[ExecutorHello, _Mapping]]] = ..., credit: _Optional[_Iterable[_Union[Credit, _Mapping]]] = ..., started: _Optional[_Iterable[_Union[Started, _Mapping]]] = ..., heartbeat: _Optional[_Iterable[_Union[Heartbeat, _Mapping]]] = ..., result: _Optional[_Iterable[_Union[Result, _Mapping]]] = ..., reconcile: _Optional[_Iterable[_Union[ReconcileAnswer, _Mapping]]] = ..., drain: _Optional[_Iterable[_Union[Drain, _Mapping]]] = ..., goodbye: _Optional[_Iterable[_Union[Goodbye, _Mapping]]] = ..., progress: _Optional[_Iterable[_Union[Progress, _Mapping]]] = ...) -> None: ...

class ConnectResponse(_message.Message):
    __slots__ = ("hello", "credit", "work", "heartbeat", "result_saved", "cancel", "node_list", "reconcile", "drain", "goodbye")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    RESULT_SAVED_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    NODE_LIST_FIELD_NUMBER: _ClassVar[int]
    RECONCILE_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    hello: _containers.RepeatedCompositeFieldContainer[NodeHello]
    credit: _containers.RepeatedCompositeFieldContainer[CreditDemand]
    work: _containers.RepeatedCompositeFieldContainer[Work]
    heartbeat: _containers.RepeatedCompositeFieldContainer[Heartbeat]
    result_saved: _containers.RepeatedCompositeFieldContainer[ResultSaved]
    cancel: _containers.RepeatedCompositeFieldContainer[Cancel]
    node_list: _containers.RepeatedCompositeFieldContainer[NodeList]
    reconcile: _containers.RepeatedCompositeFieldContainer[Reconcile]
    drain: _containers.RepeatedCompositeFieldContainer[Drain]
    goodbye: _containers.RepeatedCompositeFieldContainer[Goodbye]
    def __init__(self, hello: _Optional[_Iterable[_Union[NodeHello, _Mapping]]] = ..., credit: _Optional[_Iterable[_Union[CreditDemand, _Mapping]]] = ..., work: _Optional[_Iterable[_Union[Work, _Mapping]]] = ..., heartbeat: _Optional[_Iterable[_Union[Heartbeat, _Mapping]]] = ..., result_saved: _Optional[_Iterable[_Union[ResultSaved, _Mapping]]] = ..., cancel: _Optional[_Iterable[_Union[Cancel, _Mapping]]] = ..., node_list: _Optional[_Iterable[_Union[NodeList, _Mapping]]] = ..., reconcile: _Optional[_Iterable[_Union[Reconcile, _Mapping]]] = ..., drain: _Optional[_Iterable[_Union[Drain, _Mapping]]] = ..., goodbye: _Optional[_Iterable[_Union[Goodbye, _Mapping]]] = ...) -> None: ...

class ExecutorHello(_message.Message):
    __slots__ = ("executor_id", "handlers", "capacity", "version")
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    HANDLERS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    executor_id: str
    handlers: _containers.RepeatedScalarFieldContainer[str]
    capacity: int
    version: str
    def __init__(self, executor_id: _Optional[str] = ..., handlers: _Optional[_Iterable[str]] = ..., capacity: _Optional[int] = ..., version: _Optional[str] = ...) -> None: ...

class NodeHello(_message.Message):
    __slots__ = ("node_id", "heartbeat_interval", "lease", "version", "address")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    heartbeat_interval: _duration_pb2.Duration
    lease: _duration_pb2.Duration
    version: str
    address: str
    def __init__(self, node_id: _Optional[str] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., lease: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., version: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class AttemptRef(_message.Message):
    __slots__ = ("partition_id", "task_key", "scheduled_at_us", "attempt")
    PARTITION_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_KEY_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_AT_US_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    partition_id: int
    task_key: bytes
    scheduled_at_us: int
    attempt: int
    def __init__(self, partition_id: _Optional[int] = ..., task_key: _Optional[bytes] = ..., scheduled_at_us: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("granted", "wanted_back")
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    WANTED_BACK_FIELD_NUMBER: _ClassVar[int]
    granted: int
    wanted_back: int
    def __init__(self, granted: _Optional[int] = ..., wanted_back: _Optional[int] = ...) -> None: ...

class CreditDemand(_message.Message):
    __slots__ = ("waiting", "returned")
    WAITING_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    waiting: int
    returned: int
    def __init__(self, waiting: _Optional[int] = ..., returned: _Optional[int] = ...) -> None: ...

class Work(_message.Message):
    __slots__ = ("attempt", "epoch", "namespace", "task_id", "handler", "payload", "due_at_us", "fence_token")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    HANDLER_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_US_FIELD_NUMBER: _ClassVar[int]
    FENCE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    attempt: AttemptRef
    epoch: int
    namespace: str
    task_id: str
    handler: str
    payload: bytes
    due_at_us: int
    fence_token: int
    def __init__(self, attempt: _Optional[_Union[AttemptRef, _Mapping]] = ..., epoch: _Optional[int] = ..., namespace: _Optional[str] = ..., task_id: _Optional[str] = ..., handler: _Optional[str] = ..., payload: _Optional[bytes] = ..., due_at_us: _Optional[int] = ..., fence_token: _Optional[int] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ("attempt", "epoch")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    attempt: AttemptRef
    epoch: int
    def __init__(self, attempt: _Optional[_Union[AttemptRef, _Mapping]] = ..., epoch: _Optional[int] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("attempt", "epoch", "progress")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    attempt: AttemptRef
    epoch: int
    progress: bytes
    def __init__(self, attempt: _Optional[_Union[AttemptRef, _Mapping]] = ..., epoch: _Optional[int] = ..., progress: _Optional[bytes] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("attempt", "epoch", "outcome", "output", "error", "error_kind", "since_start_us")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_KIND_FIELD_NUMBER: _ClassVar[int]
    SINCE_START_US_FIELD_NUMBER: _ClassVar[int]
    attempt: AttemptRef
    epoch: int
    outcome: ResultOutcome
    output: bytes
    error: str
    error_kind: str
    since_start_us: int
    def __init__(self, attempt: _Optional[_Union[AttemptRef, _Mapping]] = ..., epoch: _Optional[int] = ..., outcome: _Optional[_Union[ResultOutcome, str]] = ..., output: _Optional[bytes] = ..., error: _Optional[str] = ..., error_kind: _Optional[str] = ..., since_start_us: _Optional[int] = ...) -> None: ...

class ResultSaved(_message.Message):
    __slots__ = ("attempt",)
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    attempt: AttemptRef
    def __init__(self, attempt: _Optional[_Union[AttemptRef, _Mapping]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("attempt", "error", "error_kind")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_KIND_FIELD_NUMBER: _ClassVar[int]
    attempt: AttemptRef
    error: str
    error_kind: str
    def __init__(self, attempt: _Optional[_Union[AttemptRef, _Mapping]] = ..., error: _Optional[str] = ..., error_kind: _Optional[str] = ...) -> None: ...

class NodeList(_message.Message):
    __slots__ = ("addresses",)
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    addresses: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, addresses: _Optional[_Iterable[str]] = ...) -> None: ...

class Reconcile(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ReconcileItem]
    def __init__(self, items: _Optional[_Iterable[_Union[ReconcileItem, _Mapping]]] = ...) -> None: ...

class ReconcileItem(_message.Message):
    __slots__ = ("attempt", "epoch")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    attempt: AttemptRef
    epoch: int
    def __init__(self, attempt: _Optional[_Union[AttemptRef, _Mapping]] = ..., epoch: _Optional[int] = ...) -> None: ...

class ReconcileAnswer(_message.Message):
    __slots__ = ("attempt", "knowledge", "since_start_us")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    KNOWLEDGE_FIELD_NUMBER: _ClassVar[int]
    SINCE_START_US_FIELD_NUMBER: _ClassVar[int]
    attempt: AttemptRef
    knowledge: AttemptKnowledge
    since_start_us: int
    def __init__(self, attempt: _Optional[_Union[AttemptRef, _Mapping]] = ..., knowledge: _Optional[_Union[AttemptKnowledge, str]] = ..., since_start_us: _Optional[int] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...
