"""Values of the client SDK -> JSON in the form of the protos: snake_case names, RFC 3339 in UTC, bytes in base64.

A protobuf JSON parser reads each object back as its message. Two liberties that such parsers grant: 64-bit integers
are JSON numbers, and what is not set is null instead of left out, so that every name is always there. PURE.
"""

import base64
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from mainspring.cli.gap_spread import GapSpread
from mainspring.cli.instants import format_instant
from mainspring.client import (
    At,
    Cluster,
    Cron,
    Delay,
    Every,
    Execution,
    Handover,
    MainspringError,
    Partition,
    Schedule,
    Task,
)
from mainspring.client.errors import InvalidArgument

JsonObject = dict[str, Any]

_MICROSECOND = timedelta(microseconds=1)


def task_json(task: Task) -> JsonObject:
    """The task as `mainspring.v1.Task`."""
    return {
        "namespace": task.namespace,
        "id": task.task_id,
        "handler": task.handler,
        "payload": _bytes(task.payload),
        "schedule": _schedule(task.schedule),
        "delivery": f"DELIVERY_MODE_{task.delivery.name}",
        "state": f"TASK_STATE_{task.state.name}",
        "version": task.version,
        "create_time": _instant(task.create_time),
        "update_time": _instant(task.update_time),
        "next_scheduled_time": _instant(task.next_scheduled_time),
        "last_scheduled_time": _instant(task.last_scheduled_time),
        "partition_id": task.partition_id,
    }


def execution_json(execution: Execution) -> JsonObject:
    """The execution as `mainspring.v1.Execution`."""
    gap = None
    if execution.gap is not None:
        gap = {
            "last_scheduled_time": _instant(execution.gap.last_scheduled_time),
            "count": execution.gap.count,
        }
    return {
        "namespace": execution.namespace,
        "task_id": execution.task_id,
        "scheduled_time": _instant(execution.scheduled_time),
        "due_time": _instant(execution.due_time),
        "state": f"EXECUTION_STATE_{execution.state.name}",
        "reason": execution.reason,
        "attempt": execution.attempt,
        "epoch": execution.epoch,
        "task_version": execution.task_version,
        "executor_id": execution.executor_id,
        "node_id": execution.node_id,
        "result": _bytes(execution.result),
        "claim_time": _instant(execution.claim_time),
        "dispatch_time": _instant(execution.dispatch_time),
        "pick_up_time": _instant(execution.pick_up_time),
        "finish_time": _instant(execution.finish_time),
        "save_time": _instant(execution.save_time),
        "gap": gap,
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
            "connect_time": _instant(executor.connect_time),
        }
        for executor in cluster.executors
    ]
    return {
        "nodes": [asdict(node) for node in cluster.nodes],
        "executors": executors,
        "partition_count": cluster.partition_count,
        "is_coordinator_connected": cluster.is_coordinator_connected,
        "cluster_time": _instant(cluster.cluster_time),
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
        "release_time": _instant(handover.release_time),
        "notice_time": _instant(handover.notice_time),
        "fire_time": _instant(handover.fire_time),
        "gap": None if handover.gap is None else _duration(handover.gap),
        "late_execution_count": handover.late_execution_count,
        "max_lateness": _duration(handover.max_lateness),
    }


def gap_spread_json(spread: GapSpread) -> JsonObject:
    """What `cluster handovers` says of all that it lists; no message of the API."""
    return {
        "count": spread.count,
        "p50": _duration(spread.p50),
        "p99": _duration(spread.p99),
        "max": _duration(spread.greatest),
        "late_execution_count": spread.late_execution_count,
        "max_lateness": _duration(spread.max_lateness),
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


def _schedule(schedule: Schedule | None) -> JsonObject | None:
    match schedule:
        case At(time=time):
            return {"at": _instant(time)}
        case Delay(delay=delay):
            return {"delay": _duration(delay)}
        case Cron(expressions=expressions, time_zone=time_zone):
            return {"cron": {"expressions": list(expressions), "time_zone": time_zone}}
        case Every(every=every, start=start):
            return {"interval": {"every": _duration(every)}, "start_time": _instant(start)}
    return None


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else format_instant(instant, utc=True)


def _duration(duration: timedelta) -> str:
    microseconds = duration // _MICROSECOND
    seconds, rest = divmod(abs(microseconds), 1_000_000)
    fraction = f".{rest:06d}" if rest % 1_000 else f".{rest // 1_000:03d}" if rest else ""
    return f"{'-' if microseconds < 0 else ''}{seconds}{fraction}s"


def _bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()
