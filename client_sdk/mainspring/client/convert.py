"""Protobuf messages <-> the client's value types. Both meet here, in `schedule_convert` and in
`policy_convert` only."""

import uuid
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Protocol

from google.protobuf import duration_pb2, field_mask_pb2, timestamp_pb2

from mainspring.client.cluster import (
    Cluster,
    ConnectedExecutor,
    Handover,
    HandoverReason,
    Node,
    Partition,
)
from mainspring.client.enum_numbers import from_number, to_number
from mainspring.client.execution import (
    Execution,
    ExecutionOrigin,
    ExecutionStage,
    ExecutionState,
    Explanation,
    Gap,
)
from mainspring.client.filters import TaskCount, TaskFilter
from mainspring.client.instants import from_duration, from_timestamp, put_timestamp
from mainspring.client.policy_convert import (
    misfire_from_proto,
    overlap_from_proto,
    put_policies,
    retry_from_proto,
    timeouts_from_proto,
)
from mainspring.client.schedule_convert import fire_from_proto, schedule_from_proto, schedule_to_proto
from mainspring.client.task import DEFAULT_NAMESPACE, Delivery, NewTask, ScheduledTask, Task, TaskState
from mainspring.client.task_update import TaskUpdate
from mainspring.client.unchanged import UNCHANGED
from mainspring.v1 import (
    admin_service_pb2,
    execution_pb2,
    execution_service_pb2,
    task_pb2,
    task_service_pb2,
)


class _HasField(Protocol):
    def HasField(self, field_name: str) -> bool: ...


def new_task_to_proto(task: NewTask) -> task_pb2.Task:
    """Return the task as a message, with an id made here when it has none."""
    message = task_pb2.Task(
        namespace=task.namespace,
        id=uuid.uuid4().hex if task.task_id is None else task.task_id,
        handler=task.handler,
        payload=payload_bytes(task.payload),
        schedule=schedule_to_proto(task.schedule),
        delivery=None if task.delivery is None else to_number("delivery", task.delivery),
        labels=task.labels,
    )
    put_policies(message, task)
    return message


def new_task_from_proto(task: task_pb2.Task) -> NewTask:
    """Return what a message says of a task to register; what the server alone fills in is left out.

    Raises:
        ValueError: It has no schedule, or one that this client does not know.
    """
    schedule = schedule_from_proto(task.schedule)
    if schedule is None:
        raise ValueError("schedule is required: at, delay, cron, interval or calendar_interval")
    return NewTask(
        task.handler,
        schedule,
        task.payload,
        task.namespace or DEFAULT_NAMESPACE,
        task.id or None,
        delivery=from_number(Delivery, task.delivery) if task.delivery else None,
        labels=task.labels,
        misfire=misfire_from_proto(task),
        overlap=overlap_from_proto(task),
        retry=retry_from_proto(task),
        timeouts=timeouts_from_proto(task),
        lateness_objective=_duration(task, "lateness_objective", task.lateness_objective),
        keep_executions=task.keep_executions or None,
    )


def update_to_proto(namespace: str, task_id: str, update: TaskUpdate) -> task_service_pb2.UpdateTaskRequest:
    """Return the request that changes these fields of a task, the others left out of its mask.

    Raises:
        TypeError: The schedule is none of the kinds of schedule.
        ValueError: It holds something that a newer server has answered and this client does not know.
    """
    message = task_pb2.Task(namespace=namespace, id=task_id)
    if update.handler is not UNCHANGED:
        message.handler = update.handler
    if update.payload is not UNCHANGED:
        message.payload = payload_bytes(update.payload)
    if update.schedule is not UNCHANGED:
        message.schedule.CopyFrom(schedule_to_proto(update.schedule))
    if update.delivery is not UNCHANGED and update.delivery is not None:
        message.delivery = to_number("delivery", update.delivery)
    if update.labels is not UNCHANGED:
        message.labels.update(update.labels)
    put_policies(message, update)
    mask = field_mask_pb2.FieldMask(paths=update.changed())
    return task_service_pb2.UpdateTaskRequest(task=message, update_mask=mask)


def filter_to_proto(chosen: TaskFilter | None) -> task_service_pb2.TaskFilter | None:
    """Return the filter as a message; none for none."""
    if chosen is None:
        return None
    message = task_service_pb2.TaskFilter(
        states=[to_number("states", state) for state in chosen.states],
        handler=chosen.handler,
        labels=chosen.labels,
    )
    put_timestamp(message.next_from_time, "next_from", chosen.next_from)
    put_timestamp(message.next_until_time, "next_until", chosen.next_until)
    return message


def payload_bytes(payload: bytes | str) -> bytes:
    """Return the payload as bytes; a string is encoded in UTF-8."""
    return payload.encode() if isinstance(payload, str) else payload


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
        labels=dict(task.labels),
        misfire=misfire_from_proto(task),
        overlap=overlap_from_proto(task),
        retry=retry_from_proto(task),
        timeouts=timeouts_from_proto(task),
        lateness_objective=_duration(task, "lateness_objective", task.lateness_objective),
        keep_executions=task.keep_executions or None,
        etag=task.etag,
        note=task.note,
        changed_by=task.changed_by,
        next_due_time=_instant(task, "next_due_time", task.next_due_time),
    )


def scheduled_task_from_proto(
    response: task_service_pb2.CreateTaskResponse | task_service_pb2.UpdateTaskResponse,
) -> ScheduledTask:
    """Return the task as registered or updated, with what its schedule means."""
    task = task_from_proto(response.task)
    return ScheduledTask(
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
        origin=from_number(ExecutionOrigin, execution.origin),
        failure_count=execution.failure_count,
        error_kind=execution.error_kind,
        retry_time=_instant(execution, "retry_time", execution.retry_time),
        progress=execution.progress,
        progress_time=_instant(execution, "progress_time", execution.progress_time),
    )


def explanation_from_proto(response: execution_service_pb2.ExplainExecutionResponse) -> Explanation:
    """Return why an execution went as it did."""
    return Explanation(
        execution=execution_from_proto(response.execution) if response.HasField("execution") else None,
        summary=response.summary,
        stages=tuple(
            ExecutionStage(
                stage.name,
                _instant(stage, "time", stage.time),
                _duration(stage, "duration", stage.duration),
            )
            for stage in response.stages
        ),
        lateness_objective=_duration(response, "lateness_objective", response.lateness_objective),
        lateness=_duration(response, "lateness", response.lateness),
        broken_stage=response.broken_stage,
    )


def task_count_from_proto(response: task_service_pb2.CountTasksResponse) -> TaskCount:
    """Return how many tasks there are; states that this client does not know count as one."""
    by_state: dict[TaskState, int] = {}
    for each in response.by_state:
        state = from_number(TaskState, each.state)
        by_state[state] = by_state.get(state, 0) + each.count
    return TaskCount(response.count, by_state)


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
        gap=_duration(handover, "gap", handover.gap),
        late_execution_count=handover.late_execution_count,
        max_lateness=from_duration(handover.max_lateness),
    )


def _instant(message: _HasField, field: str, value: timestamp_pb2.Timestamp) -> datetime | None:
    return from_timestamp(value) if message.HasField(field) else None


def _duration(message: _HasField, field: str, value: duration_pb2.Duration) -> timedelta | None:
    return from_duration(value) if message.HasField(field) else None
