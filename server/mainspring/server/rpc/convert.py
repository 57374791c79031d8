"""Domain values as messages and back: the only place where both meet."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp

from mainspring.server.core.fence_token import fence_token
from mainspring.server.core.model import DueTask, Execution, ExecutionRef, Task, TaskRef
from mainspring.server.core.policies import decode as decode_policies
from mainspring.server.core.schedule_text import decode
from mainspring.server.dispatch.frames import (
    AttemptId,
    AttemptResult,
    Knowledge,
    Outcome,
    ProgressReport,
    ReconcileQuestion,
    ReconcileReply,
    WorkItem,
)
from mainspring.server.engine.change_notes import TaskNote
from mainspring.server.engine.peers import Hint
from mainspring.server.rpc.instants import timestamp
from mainspring.server.rpc.labels import labels_of
from mainspring.server.rpc.policy_messages import put_policies
from mainspring.server.rpc.schedule_messages import schedule_to_proto
from mainspring.shard_manager.handover import Handover, Release
from mainspring.v1 import (
    admin_service_pb2,
    execution_pb2,
    executor_service_pb2,
    node_service_pb2,
    task_pb2,
)

MAX_PROGRESS_BYTES = 1_024


def _optional(at: int | None) -> Timestamp | None:
    return None if at is None else timestamp(at)


def etag_of(task: Task) -> str:
    """Names a state of a task, for calls that are to apply to that state alone. Opaque to callers.

    With the registration in it, the etags of a task that was removed fit none that has its id after it.
    """
    return _etag(task, task.version)


def etag_before(task: Task) -> str:
    """The etag that a task had before its latest change."""
    return _etag(task, task.version - 1)


def _etag(task: Task, version: int) -> str:
    return f"v{version}-{task.created_at:x}"


def task_to_proto(task: Task) -> task_pb2.Task:
    """A stored task as the API shows it."""
    schedule = decode(task.schedule)
    message = task_pb2.Task(
        namespace=task.namespace,
        id=task.task_id,
        handler=task.handler,
        payload=task.payload,
        schedule=schedule_to_proto(schedule),
        state=task.state.value,  # type: ignore[arg-type]  # the numbers are the proto's
        version=task.version,
        create_time=timestamp(task.created_at),
        update_time=timestamp(task.updated_at),
        next_scheduled_time=_optional(task.scheduled_at),
        next_due_time=_optional(task.due_at),
        last_scheduled_time=_optional(task.last_scheduled_at),
        execution_count=task.execution_count,
        partition_id=task.ref.partition_id,
        delivery=task.delivery.value,  # type: ignore[arg-type]  # the numbers are the proto's
        etag=etag_of(task),
        note=task.note,
        changed_by=task.changed_by,
        labels=labels_of(task.labels),
    )
    put_policies(decode_policies(task.policies), schedule, message)
    return message


def execution_to_proto(execution: Execution) -> execution_pb2.Execution:
    """A row of the ledger as the API shows it."""
    gap = None
    if execution.gap_last_scheduled_at is not None:
        gap = execution_pb2.Gap(
            last_scheduled_time=timestamp(execution.gap_last_scheduled_at), count=execution.gap_count or 0
        )
    return execution_pb2.Execution(
        namespace=execution.namespace,
        task_id=execution.task_id,
        scheduled_time=timestamp(execution.ref.scheduled_at),
        due_time=timestamp(execution.due_at),
        state=execution.state.value,  # type: ignore[arg-type]  # the numbers are the proto's
        reason=execution.reason,
        attempt=execution.attempt,
        epoch=execution.epoch,
        task_version=execution.task_version,
        executor_id=execution.executor_id or "",
        node_id=execution.node_id or "",
        result=execution.result,
        claim_time=timestamp(execution.claimed_at),
        dispatch_time=_optional(execution.dispatched_at),
        pick_up_time=_optional(execution.picked_up_at),
        finish_time=_optional(execution.finished_at),
        save_time=_optional(execution.saved_at),
        gap=gap,
        origin=execution.origin.value,  # type: ignore[arg-type]  # the numbers are the proto's
        failure_count=execution.failure_count,
        error_kind=execution.error_kind,
        retry_time=_optional(execution.retry_at),
        progress=execution.progress,
        progress_time=_optional(execution.progress_at),
    )


def handover_to_proto(record: Handover) -> admin_service_pb2.Handover:
    """A change of owner as the API shows it."""
    message = admin_service_pb2.Handover(
        partition_id=record.partition_id,
        epoch=record.epoch,
        reason=int(record.reason),  # type: ignore[arg-type]  # the numbers are the proto's
        from_node_id=record.from_node or "",
        to_node_id=record.to_node,
        release_time=_optional(record.released_at),
        notice_time=_optional(record.noticed_at),
        fire_time=timestamp(record.firing_at),
        late_execution_count=record.late_count,
    )
    if record.gap_us is not None:
        message.gap.FromMicroseconds(record.gap_us)
    message.max_lateness.FromMicroseconds(record.max_lateness_us)
    return message


def release_to_proto(release: Release) -> node_service_pb2.Release:
    """A partition that was let go of."""
    return node_service_pb2.Release(
        partition_id=release.partition_id,
        epoch=release.epoch,
        node_id=release.released_by,
        released_at_us=release.released_at,
    )


def release_from_proto(message: node_service_pb2.Release) -> Release:
    """A partition that was let go of."""
    return Release(message.partition_id, message.epoch, message.node_id, message.released_at_us)


# --- the executors' stream ---------------------------------------------------------------------------------------------


def attempt_to_proto(attempt_id: AttemptId) -> executor_service_pb2.AttemptRef:
    """Names an attempt."""
    ref = attempt_id.ref
    return executor_service_pb2.AttemptRef(
        partition_id=ref.partition_id,
        task_key=ref.task_key,
        scheduled_at_us=ref.scheduled_at,
        attempt=attempt_id.attempt,
    )


def attempt_from_proto(message: executor_service_pb2.AttemptRef) -> AttemptId:
    """Names an attempt."""
    return AttemptId(
        ExecutionRef(message.partition_id, message.scheduled_at_us, message.task_key), message.attempt
    )


def work_to_proto(item: WorkItem) -> executor_service_pb2.Work:
    """An attempt on its way."""
    return executor_service_pb2.Work(
        attempt=attempt_to_proto(item.attempt_id),
        epoch=item.epoch,
        namespace=item.namespace,
        task_id=item.task_id,
        handler=item.handler,
        payload=item.payload,
        due_at_us=item.due_at,
        fence_token=fence_token(item.attempt_id.ref.scheduled_at, item.attempt_id.attempt),
    )


def question_to_proto(question: ReconcileQuestion) -> executor_service_pb2.ReconcileItem:
    """An attempt asked about."""
    return executor_service_pb2.ReconcileItem(
        attempt=attempt_to_proto(question.attempt_id), epoch=question.epoch
    )


def replies_from_proto(messages: Iterable[executor_service_pb2.ReconcileAnswer]) -> list[ReconcileReply]:
    """What an executor knows; answers of kinds that this version does not know are left out and asked again."""
    known = {k.value: k for k in Knowledge}
    return [
        ReconcileReply(attempt_from_proto(m.attempt), known[m.knowledge], max(0, m.since_start_us))
        for m in messages
        if m.knowledge in known
    ]


def progress_from_proto(messages: Iterable[executor_service_pb2.Progress]) -> list[ProgressReport]:
    """Signs of progress; what is longer than allowed is cut."""
    return [
        ProgressReport(attempt_from_proto(m.attempt), m.epoch, m.progress[:MAX_PROGRESS_BYTES])
        for m in messages
    ]


def progress_to_proto(report: ProgressReport) -> executor_service_pb2.Progress:
    """A sign of progress, forwarded to its owner."""
    return executor_service_pb2.Progress(
        attempt=attempt_to_proto(report.attempt_id), epoch=report.epoch, progress=report.progress
    )


def results_from_proto(messages: Iterable[executor_service_pb2.Result]) -> list[AttemptResult]:
    """Ends of attempts; an outcome that this version does not know counts as failed."""
    known = {o.value: o for o in Outcome}
    return [
        AttemptResult(
            attempt_from_proto(m.attempt),
            m.epoch,
            known.get(m.outcome, Outcome.FAILED),
            m.output,
            m.error,
            m.error_kind[:200],
            max(0, m.since_start_us),
        )
        for m in messages
    ]


def result_to_proto(result: AttemptResult) -> executor_service_pb2.Result:
    """The end of an attempt, forwarded to its owner."""
    return executor_service_pb2.Result(
        attempt=attempt_to_proto(result.attempt_id),
        epoch=result.epoch,
        outcome=result.outcome.value,  # type: ignore[arg-type]  # the numbers are the proto's
        output=result.output,
        error=result.error,
        error_kind=result.error_kind,
        since_start_us=result.since_start_us,
    )


# --- between nodes -----------------------------------------------------------------------------------------------------


def hint_to_proto(hint: Hint) -> node_service_pb2.TaskHint:
    """A task that its owner should look at."""
    due = hint.due
    if due is None:
        return node_service_pb2.TaskHint(
            partition_id=hint.ref.partition_id,
            task_key=hint.ref.task_key,
            cancelled=True,
        )
    return node_service_pb2.TaskHint(
        partition_id=due.partition_id,
        task_key=due.task_key,
        due_at_us=due.due_at,
        scheduled_at_us=due.scheduled_at,
        version=due.version,
        handler=due.handler,
        schedule=due.schedule,
        execution_count=due.execution_count,
        policies=due.policies,
        adjustments_version=due.adjustments_version,
        adjustments=due.adjustments,
        owed=due.owed,
    )


def hint_from_proto(message: node_service_pb2.TaskHint) -> Hint:
    """A task that its owner should look at."""
    ref = TaskRef(message.partition_id, message.task_key)
    if message.cancelled:
        return Hint(ref, None)
    return Hint(
        ref,
        DueTask(
            message.due_at_us,
            message.partition_id,
            message.task_key,
            message.scheduled_at_us,
            message.version,
            message.handler,
            message.schedule,
            message.execution_count,
            message.policies,
            message.adjustments_version,
            message.adjustments if message.HasField("adjustments") else None,
            message.owed if message.HasField("owed") else None,
        ),
    )


def note_to_proto(note: TaskNote) -> node_service_pb2.TaskNote:
    """A task as a call has left it."""
    return node_service_pb2.TaskNote(
        partition_id=note.ref.partition_id,
        task_key=note.ref.task_key,
        version=note.version,
        is_stopped=note.is_stopped,
        next=None if note.next is None else hint_to_proto(Hint(note.ref, note.next)),
    )


def note_from_proto(message: node_service_pb2.TaskNote) -> TaskNote:
    """A task as a call has left it."""
    ref = TaskRef(message.partition_id, message.task_key)
    following = hint_from_proto(message.next).due if message.HasField("next") else None
    return TaskNote(ref, message.version, message.is_stopped, following)
