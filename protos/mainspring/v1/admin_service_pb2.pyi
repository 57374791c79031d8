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

class HandoverReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HANDOVER_REASON_UNSPECIFIED: _ClassVar[HandoverReason]
    HANDOVER_REASON_FREE: _ClassVar[HandoverReason]
    HANDOVER_REASON_REBALANCED: _ClassVar[HandoverReason]
    HANDOVER_REASON_LEAVING: _ClassVar[HandoverReason]
    HANDOVER_REASON_DRAINED: _ClassVar[HandoverReason]
    HANDOVER_REASON_STEPPED_ASIDE: _ClassVar[HandoverReason]
    HANDOVER_REASON_OWNER_GONE: _ClassVar[HandoverReason]
    HANDOVER_REASON_FORCED: _ClassVar[HandoverReason]
    HANDOVER_REASON_RETAKEN: _ClassVar[HandoverReason]
    HANDOVER_REASON_REASSERTED: _ClassVar[HandoverReason]
HANDOVER_REASON_UNSPECIFIED: HandoverReason
HANDOVER_REASON_FREE: HandoverReason
HANDOVER_REASON_REBALANCED: HandoverReason
HANDOVER_REASON_LEAVING: HandoverReason
HANDOVER_REASON_DRAINED: HandoverReason
HANDOVER_REASON_STEPPED_ASIDE: HandoverReason
HANDOVER_REASON_OWNER_GONE: HandoverReason
HANDOVER_REASON_FORCED: HandoverReason
HANDOVER_REASON_RETAKEN: HandoverReason
HANDOVER_REASON_REASSERTED: HandoverReason

class ListNodesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListNodesResponse(_message.Message):
    __slots__ = ("nodes", "executors", "partition_count", "is_coordinator_connected", "cluster_time")
    NODES_FIELD_NUMBER: _ClassVar[int]
    EXECUTORS_FIELD_NUMBER: _ClassVar[int]
    PARTITION_COUNT_FIELD_NUMBER: _ClassVar[int]
    IS_COORDINATOR_CONNECTED_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_TIME_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    executors: _containers.RepeatedCompositeFieldContainer[ConnectedExecutor]
    partition_count: int
    is_coordinator_connected: bool
    cluster_time: _timestamp_pb2.Timestamp
    def __init__(self, nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ..., executors: _Optional[_Iterable[_Union[ConnectedExecutor, _Mapping]]] = ..., partition_count: _Optional[int] = ..., is_coordinator_connected: _Optional[bool] = ..., cluster_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("node_id", "address", "version", "is_ready", "partition_count", "is_self", "away_reasons", "time_zone_database")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    IS_READY_FIELD_NUMBER: _ClassVar[int]
    PARTITION_COUNT_FIELD_NUMBER: _ClassVar[int]
    IS_SELF_FIELD_NUMBER: _ClassVar[int]
    AWAY_REASONS_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_DATABASE_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    address: str
    version: str
    is_ready: bool
    partition_count: int
    is_self: bool
    away_reasons: _containers.RepeatedScalarFieldContainer[str]
    time_zone_database: str
    def __init__(self, node_id: _Optional[str] = ..., address: _Optional[str] = ..., version: _Optional[str] = ..., is_ready: _Optional[bool] = ..., partition_count: _Optional[int] = ..., is_self: _Optional[bool] = ..., away_reasons: _Optional[_Iterable[str]] = ..., time_zone_database: _Optional[str] = ...) -> None: ...

class ConnectedExecutor(_message.Message):
    __slots__ = ("executor_id", "handlers", "capacity", "credit", "open_attempts", "is_draining", "connect_time")
    EXECUTOR_ID_FIELD_NUMBER: _ClassVar[int]
    HANDLERS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    OPEN_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    IS_DRAINING_FIELD_NUMBER: _ClassVar[int]
    CONNECT_TIME_FIELD_NUMBER: _ClassVar[int]
    executor_id: str
    handlers: _containers.RepeatedScalarFieldContainer[str]
    capacity: int
    credit: int
    open_attempts: int
    is_draining: bool
    connect_time: _timestamp_pb2.Timestamp
    def __init__(self, executor_id: _Optional[str] = ..., handlers: _Optional[_Iterable[str]] = ..., capacity: _Optional[int] = ..., credit: _Optional[int] = ..., open_attempts: _Optional[int] = ..., is_draining: _Optional[bool] = ..., connect_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListPartitionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPartitionsResponse(_message.Message):
    __slots__ = ("partitions",)
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedCompositeFieldContainer[Partition]
    def __init__(self, partitions: _Optional[_Iterable[_Union[Partition, _Mapping]]] = ...) -> None: ...

class Partition(_message.Message):
    __slots__ = ("partition_id", "epoch", "owner_id", "owner_address")
    PARTITION_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OWNER_ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    partition_id: int
    epoch: int
    owner_id: str
    owner_address: str
    def __init__(self, partition_id: _Optional[int] = ..., epoch: _Optional[int] = ..., owner_id: _Optional[str] = ..., owner_address: _Optional[str] = ...) -> None: ...

class ListHandoversRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "node_id", "since_time")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    node_id: str
    since_time: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., node_id: _Optional[str] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListHandoversResponse(_message.Message):
    __slots__ = ("handovers", "next_page_token")
    HANDOVERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    handovers: _containers.RepeatedCompositeFieldContainer[Handover]
    next_page_token: str
    def __init__(self, handovers: _Optional[_Iterable[_Union[Handover, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Handover(_message.Message):
    __slots__ = ("partition_id", "epoch", "reason", "from_node_id", "to_node_id", "release_time", "notice_time", "fire_time", "gap", "late_execution_count", "max_lateness")
    PARTITION_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FROM_NODE_ID_FIELD_NUMBER: _ClassVar[int]
    TO_NODE_ID_FIELD_NUMBER: _ClassVar[int]
    RELEASE_TIME_FIELD_NUMBER: _ClassVar[int]
    NOTICE_TIME_FIELD_NUMBER: _ClassVar[int]
    FIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    LATE_EXECUTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    MAX_LATENESS_FIELD_NUMBER: _ClassVar[int]
    partition_id: int
    epoch: int
    reason: HandoverReason
    from_node_id: str
    to_node_id: str
    release_time: _timestamp_pb2.Timestamp
    notice_time: _timestamp_pb2.Timestamp
    fire_time: _timestamp_pb2.Timestamp
    gap: _duration_pb2.Duration
    late_execution_count: int
    max_lateness: _duration_pb2.Duration
    def __init__(self, partition_id: _Optional[int] = ..., epoch: _Optional[int] = ..., reason: _Optional[_Union[HandoverReason, str]] = ..., from_node_id: _Optional[str] = ..., to_node_id: _Optional[str] = ..., release_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., notice_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., fire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., gap: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., late_execution_count: _Optional[int] = ..., max_lateness: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DrainNodeRequest(_message.Message):
    __slots__ = ("node_id",)
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    def __init__(self, node_id: _Optional[str] = ...) -> None: ...

class DrainNodeResponse(_message.Message):
    __slots__ = ("node_id",)
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    def __init__(self, node_id: _Optional[str] = ...) -> None: ...

class UndrainNodeRequest(_message.Message):
    __slots__ = ("node_id",)
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    def __init__(self, node_id: _Optional[str] = ...) -> None: ...

class UndrainNodeResponse(_message.Message):
    __slots__ = ("node_id",)
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    def __init__(self, node_id: _Optional[str] = ...) -> None: ...
