import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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
    __slots__ = ("node_id", "address", "version", "is_ready", "partition_count", "is_self")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    IS_READY_FIELD_NUMBER: _ClassVar[int]
    PARTITION_COUNT_FIELD_NUMBER: _ClassVar[int]
    IS_SELF_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    address: str
    version: str
    is_ready: bool
    partition_count: int
    is_self: bool
    def __init__(self, node_id: _Optional[str] = ..., address: _Optional[str] = ..., version: _Optional[str] = ..., is_ready: _Optional[bool] = ..., partition_count: _Optional[int] = ..., is_self: _Optional[bool] = ...) -> None: ...

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
