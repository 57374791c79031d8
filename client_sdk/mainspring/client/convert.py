"""Protobuf messages <-> the client's value types. Both meet here and in `schedule_convert` only."""

import uuid
from dataclasses import fields
from datetime import datetime
from typing import Protocol

from google.protobuf import timestamp_pb2

from mainspring.client.cluster import (
    Cluster,
    ConnectedExecutor,
    Handover,
    HandoverReason,
    Node,
    Partition,
)
from mainspring.client.enum_numbers import from_number
from mainspring.client.execution import Execution, ExecutionState, Gap
from mainspring.client.instants import from_duration, from_timestamp
from mainspring.client.schedule_convert import fire_from_proto, schedule_from_proto, schedule_to_proto
from mainspring.client.task import CreatedTask, Delivery, NewTask, Task, TaskState
from mainspring.v1 import admin_service_pb2, execution_pb2, task_pb2, task_service_pb2


class _HasField(Protocol):
    def HasField(self, field_name: str) -> bool: ...


def new_task_to_proto(task: NewTask) -> task_pb2.Task:
    """Return the task as a message, with an id made here when it has none."""
    payload = task.payload.encode() if isinstance(task.payload, str) else task.payload
    return task_pb2.Task(
        namespace=task.namespace,
        id=uuid.uuid4().hex if task.task_id is None else task.task_id,
        handler=task.handler,
        payload=payload,
        schedule=schedule_to_proto(task.schedule),
        delivery=task.delivery.value,  # type: ignore[arg-type]  # the numbers are the proto's
    )


def task_from_proto(task: task_pb2.Task) -> Task:
    """Return the task."""
    return Task(
        namespace=task.namespace,
        task_id=task.id,
        handler=task.handler,
        payload=task.payload,
        schedule=schedule_from_proto(task.schedule),
        state=from_number(TaskState, task.state),
        version=task.version,
        create_time=_instant(task, "create_time", task.create_time),
        update_time=_instant(task, "update_time", task.update_time),
        next_scheduled_time=_instant(task, "next_scheduled_time", task.next_scheduled_time),
        last_scheduled_time=_instant(task, "last_scheduled_time", task.last_scheduled_time),
        partition_id=task.partition_id,
        delivery=from_number(Delivery, task.delivery),
        execution_count=task.execution_count,
    )


def created_task_from_proto(response: task_service_pb2.CreateTaskResponse) -> CreatedTask:
    """Return the task as registered, with what its schedule means."""
    task = task_from_proto(response.task)
    return CreatedTask(
        **{field.name: getattr(task, field.name) for field in fields(task)},
        meaning=response.meaning,
        next_fires=tuple(map(fire_from_proto, response.next_fires)),
    )


def execution_from_proto(execution: execution_pb2.Execution) -> Execution:
    """Return the execution."""
    gap = None
    if execution.HasField("gap"):
        gap = Gap(from_timestamp(execution.gap.last_scheduled_time), execution.gap.count)
    return Execution(
        namespace=execution.namespace,
        task_id=execution.task_id,
        scheduled_time=from_timestamp(execution.scheduled_time),
        due_time=_instant(execution, "due_time", execution.due_time),
        state=from_number(ExecutionState, execution.state),
        reason=execution.reason,
        attempt=execution.attempt,
        epoch=execution.epoch,
        task_version=execution.task_version,
        executor_id=execution.executor_id,
        node_id=execution.node_id,
        result=execution.result,
        claim_time=_instant(execution, "claim_time", execution.claim_time),
        dispatch_time=_instant(execution, "dispatch_time", execution.dispatch_time),
        pick_up_time=_instant(execution, "pick_up_time", execution.pick_up_time),
        finish_time=_instant(execution, "finish_time", execution.finish_time),
        save_time=_instant(execution, "save_time", execution.save_time),
        gap=gap,
    )


def cluster_from_proto(response: admin_service_pb2.ListNodesResponse) -> Cluster:
    """Return what the node knows of the cluster."""
    nodes = tuple(
        Node(
            node.node_id,
            node.address,
            node.version,
            node.is_ready,
            node.partition_count,
            node.is_self,
            tuple(node.away_reasons),
            node.time_zone_database,
        )
        for node in response.nodes
    )
    executors = tuple(
        ConnectedExecutor(
            executor_id=executor.executor_id,
            handlers=tuple(executor.handlers),
            capacity=executor.capacity,
            credit=executor.credit,
            open_attempts=executor.open_attempts,
            is_draining=executor.is_draining,
            connect_time=_instant(executor, "connect_time", executor.connect_time),
        )
        for executor in response.executors
    )
    return Cluster(
        nodes=nodes,
        executors=executors,
        partition_count=response.partition_count,
        is_coordinator_connected=response.is_coordinator_connected,
        cluster_time=_instant(response, "cluster_time", response.cluster_time),
    )


def partition_from_proto(partition: admin_service_pb2.Partition) -> Partition:
    """Return the partition."""
    return Partition(partition.partition_id, partition.epoch, partition.owner_id, partition.owner_address)


def handover_from_proto(handover: admin_service_pb2.Handover) -> Handover:
    """Return the change of owner."""
    return Handover(
        partition_id=handover.partition_id,
        epoch=handover.epoch,
        reason=from_number(HandoverReason, handover.reason),
        from_node_id=handover.from_node_id,
        to_node_id=handover.to_node_id,
        release_time=_instant(handover, "release_time", handover.release_time),
        notice_time=_instant(handover, "notice_time", handover.notice_time),
        fire_time=_instant(handover, "fire_time", handover.fire_time),
        gap=from_duration(handover.gap) if handover.HasField("gap") else None,
        late_execution_count=handover.late_execution_count,
        max_lateness=from_duration(handover.max_lateness),
    )


def _instant(message: _HasField, field: str, value: timestamp_pb2.Timestamp) -> datetime | None:
    return from_timestamp(value) if message.HasField(field) else None
