"""Why an execution went as it did, or why there is none, for ExplainExecution."""

from __future__ import annotations

from mainspring.server.clock import Clock
from mainspring.server.core.absence import why_none
from mainspring.server.core.explain import Explanation, explain
from mainspring.server.core.namespaces import Namespace
from mainspring.server.core.policies import decode as decode_policies
from mainspring.server.core.schedule_text import decode
from mainspring.server.errors import NotFound
from mainspring.server.persistence.store import Store
from mainspring.server.rpc import validation
from mainspring.server.rpc.convert import execution_to_proto
from mainspring.server.rpc.instants import instant, timestamp
from mainspring.v1 import execution_service_pb2 as pb


async def explain_execution(
    request: pb.ExplainExecutionRequest, store: Store, clock: Clock
) -> pb.ExplainExecutionResponse:
    """Answers ExplainExecution.

    Raises:
        InvalidField: a field of the request is wrong.
        NotFound: there is no such task, or none of its scheduled times is in the ledger and none was asked about.
    """
    namespace = validation.name(request.namespace, "namespace", default=validation.DEFAULT_NAMESPACE)
    task_id = validation.name(request.task_id, "task_id")
    ref = validation.task_ref(namespace, task_id, store.partition_count)
    asked_at = None
    if request.HasField("scheduled_time"):
        asked_at = instant(request.scheduled_time, "scheduled_time")
    task = await store.get_task(ref)
    if task is None:
        raise NotFound("task", f"{namespace}/{task_id}")
    execution = await store.get_execution(ref, asked_at)
    if execution is None and asked_at is not None:
        execution = await store.get_gap(ref, asked_at)
    schedule, policies, now = decode(task.schedule), decode_policies(task.policies), clock.now()
    if execution is not None:
        explanation = explain(execution, task, schedule, policies, now, asked_at=asked_at)
    elif asked_at is not None:
        known = await store.get_namespace(namespace) or Namespace(namespace)
        kept_from_at = now - known.retention_us
        summary = why_none(task, schedule, asked_at, now, kept_from_at=kept_from_at)
        explanation = Explanation(summary, (), policies.objective_us, None, "")
    else:
        raise NotFound("execution", f"{namespace}/{task_id} yet")
    response = _to_proto(explanation)
    if execution is not None:
        response.execution.CopyFrom(execution_to_proto(execution))
    return response


def _to_proto(explanation: Explanation) -> pb.ExplainExecutionResponse:
    response = pb.ExplainExecutionResponse(summary=explanation.summary, broken_stage=explanation.broken_stage)
    response.lateness_objective.FromMicroseconds(explanation.objective_us)
    if explanation.lateness_us is not None:
        response.lateness.FromMicroseconds(explanation.lateness_us)
    for stage in explanation.stages:
        message = response.stages.add(name=stage.name, time=timestamp(stage.at))
        message.duration.FromMicroseconds(stage.duration_us)
    return response
