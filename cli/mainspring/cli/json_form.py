"""Values of the client SDK -> JSON in the form of the protos: snake_case names, RFC 3339 in UTC, bytes in base64.

A protobuf JSON parser reads each object back as its message. Two liberties that such parsers grant: 64-bit integers
are JSON numbers, and what is not set is null instead of left out, so that every name is always there. PURE.
"""

from dataclasses import asdict

from mainspring.cli.gap_spread import GapSpread
from mainspring.cli.json_values import JsonObject, bytes_json, duration_json, instant_json
from mainspring.cli.policy_json import delivery_json, policies_json
from mainspring.cli.schedule_json import fire_json, schedule_json
from mainspring.client import (
    ChangedTasks,
    Cluster,
    Execution,
    Explanation,
    Handover,
    MainspringError,
    Namespace,
    Partition,
    ScheduledTask,
    Slo,
    SloFigures,
    Task,
    TaskCount,
)
from mainspring.client.errors import InvalidArgument


def task_json(task: Task) -> JsonObject:
    """The task as `mainspring.v1.Task`."""
    return {
        "namespace": task.namespace,
        "id": task.task_id,
        "handler": task.handler,
        "payload": bytes_json(task.payload),
        "schedule": schedule_json(task.schedule),
        "delivery": delivery_json(task),
        "labels": dict(task.labels),
        **policies_json(task),
        "state": f"TASK_STATE_{task.state.name}",
        "version": task.version,
        "create_time": instant_json(task.create_time),
        "update_time": instant_json(task.update_time),
        "next_scheduled_time": instant_json(task.next_scheduled_time),
        "next_due_time": instant_json(task.next_due_time),
        "last_scheduled_time": instant_json(task.last_scheduled_time),
        "partition_id": task.partition_id,
        "execution_count": task.execution_count,
        "etag": task.etag,
        "note": task.note,
        "changed_by": task.changed_by,
    }


def scheduled_task_json(task: ScheduledTask) -> JsonObject:
    """The task as `mainspring.v1.CreateTaskResponse`, which is also the form of `UpdateTaskResponse`."""
    return {
        "task": task_json(task),
        "meaning": task.meaning,
        "next_fires": [fire_json(fire) for fire in task.next_fires],
    }


def execution_json(execution: Execution) -> JsonObject:
    """The execution as `mainspring.v1.Execution`."""
    gap = None
    if execution.gap is not None:
        gap = {
            "last_scheduled_time": instant_json(execution.gap.last_scheduled_time),
            "count": execution.gap.count,
        }
    return {
        "namespace": execution.namespace,
        "task_id": execution.task_id,
        "scheduled_time": instant_json(execution.scheduled_time),
        "due_time": instant_json(execution.due_time),
        "state": f"EXECUTION_STATE_{execution.state.name}",
        "reason": execution.reason,
        "attempt": execution.attempt,
        "epoch": execution.epoch,
        "task_version": execution.task_version,
        "executor_id": execution.executor_id,
        "node_id": execution.node_id,
        "result": bytes_json(execution.result),
        "claim_time": instant_json(execution.claim_time),
        "dispatch_time": instant_json(execution.dispatch_time),
        "pick_up_time": instant_json(execution.pick_up_time),
        "finish_time": instant_json(execution.finish_time),
        "save_time": instant_json(execution.save_time),
        "gap": gap,
        "origin": f"EXECUTION_ORIGIN_{execution.origin.name}",
        "failure_count": execution.failure_count,
        "error_kind": execution.error_kind,
        "retry_time": instant_json(execution.retry_time),
        "progress": bytes_json(execution.progress),
        "progress_time": instant_json(execution.progress_time),
    }


def watched_json(execution: Execution, resume_token: str) -> JsonObject:
    """An execution that has changed, alone as `mainspring.v1.WatchExecutionsResponse`."""
    return {"executions": [execution_json(execution)], "resume_token": resume_token}


def explanation_json(explanation: Explanation) -> JsonObject:
    """The explanation as `mainspring.v1.ExplainExecutionResponse`."""
    execution = explanation.execution
    return {
        "execution": None if execution is None else execution_json(execution),
        "summary": explanation.summary,
        "stages": [
            {
                "name": stage.name,
                "time": instant_json(stage.time),
                "duration": duration_json(stage.duration),
            }
            for stage in explanation.stages
        ],
        "lateness_objective": duration_json(explanation.lateness_objective),
        "lateness": duration_json(explanation.lateness),
        "broken_stage": explanation.broken_stage,
    }


def task_count_json(count: TaskCount) -> JsonObject:
    """The count as `mainspring.v1.CountTasksResponse`."""
    return {
        "count": count.count,
        "by_state": [
            {"state": f"TASK_STATE_{state.name}", "count": number} for state, number in count.by_state.items()
        ],
    }


def changed_tasks_json(changed: ChangedTasks) -> JsonObject:
    """What became of a change of many tasks, as `mainspring.v1.ChangeTasksResponse`."""
    return asdict(changed)


def namespace_json(namespace: Namespace) -> JsonObject:
    """The namespace as `mainspring.v1.Namespace`."""
    defaults = namespace.task_defaults
    return {
        "name": namespace.name,
        "retention": duration_json(namespace.retention),
        "create_time": instant_json(namespace.create_time),
        "update_time": instant_json(namespace.update_time),
        "task_defaults": {"delivery": delivery_json(defaults), **policies_json(defaults)},
        "etag": namespace.etag,
    }


def slo_json(slo: Slo) -> JsonObject:
    """The figures as `mainspring.v1.GetSloResponse`."""
    return {
        "total": _figures_json(slo.total),
        "by_cause": [
            {"cause": f"LATENESS_CAUSE_{cause.name}", "figures": _figures_json(figures)}
            for cause, figures in slo.by_cause.items()
        ],
        "partitions_looked_at": slo.partitions_looked_at,
        "partition_count": slo.partition_count,
        "not_run_count": slo.not_run_count,
    }


def _figures_json(figures: SloFigures) -> JsonObject:
    return {
        "count": figures.count,
        "kept_count": figures.kept_count,
        "p50": duration_json(figures.p50),
        "p99": duration_json(figures.p99),
        "max": duration_json(figures.max),
    }


def cluster_json(cluster: Cluster) -> JsonObject:
    """The cluster as `mainspring.v1.ListNodesResponse`."""
    executors = [
        {
            "executor_id": executor.executor_id,
            "handlers": list(executor.handlers),
            "capacity": executor.capacity,
            "credit": executor.credit,
            "open_attempts": executor.open_attempts,
            "is_draining": executor.is_draining,
            "connect_time": instant_json(executor.connect_time),
        }
        for executor in cluster.executors
    ]
    return {
        "nodes": [asdict(node) for node in cluster.nodes],
        "executors": executors,
        "partition_count": cluster.partition_count,
        "is_coordinator_connected": cluster.is_coordinator_connected,
        "cluster_time": instant_json(cluster.cluster_time),
    }


def partition_json(partition: Partition) -> JsonObject:
    """The partition as `mainspring.v1.Partition`."""
    return asdict(partition)


def handover_json(handover: Handover) -> JsonObject:
    """The change of owner as `mainspring.v1.Handover`."""
    return {
        "partition_id": handover.partition_id,
        "epoch": handover.epoch,
        "reason": f"HANDOVER_REASON_{handover.reason.name}",
        "from_node_id": handover.from_node_id,
        "to_node_id": handover.to_node_id,
        "release_time": instant_json(handover.release_time),
        "notice_time": instant_json(handover.notice_time),
        "fire_time": instant_json(handover.fire_time),
        "gap": duration_json(handover.gap),
        "late_execution_count": handover.late_execution_count,
        "max_lateness": duration_json(handover.max_lateness),
    }


def gap_spread_json(spread: GapSpread) -> JsonObject:
    """What `cluster handovers` says of all that it lists; no message of the API."""
    return {
        "count": spread.count,
        "p50": duration_json(spread.p50),
        "p99": duration_json(spread.p99),
        "max": duration_json(spread.greatest),
        "late_execution_count": spread.late_execution_count,
        "max_lateness": duration_json(spread.max_lateness),
    }


def error_json(error: MainspringError) -> JsonObject:
    """The error: code, stable reason, message, metadata, and the fields at fault."""
    fields = error.fields if isinstance(error, InvalidArgument) else []
    return {
        "error": {
            "code": error.code,
            "reason": error.reason,
            "message": error.message,
            "metadata": error.metadata,
            "field_violations": [{"field": v.field, "description": v.description} for v in fields],
        }
    }
