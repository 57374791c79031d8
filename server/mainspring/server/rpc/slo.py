"""How late executions were, and why, for GetSlo."""

from __future__ import annotations

from mainspring.server.clock import Clock
from mainspring.server.core.execution_filter import ExecutionFilter
from mainspring.server.core.model import Execution, ExecutionOrigin, ExecutionRef, ExecutionState
from mainspring.server.core.policies import decode
from mainspring.server.core.slo import Cause, Figures, Sample, Unowned, causes, figures
from mainspring.server.errors import InvalidField
from mainspring.server.persistence.store import Store
from mainspring.server.persistence.store.handovers import HandoverCursor
from mainspring.server.rpc import validation
from mainspring.server.rpc.instants import instant
from mainspring.shard_manager.handover import ChangeReason, Handover
from mainspring.v1 import execution_service_pb2 as pb

MOST_ROWS = 20_000
MOST_HANDOVERS = 5_000
PAGE = 500
"""Rows a statement; a page takes the event loop some milliseconds."""
HANDOVERS_PAGE = 1_000
BEFORE_NOTICE_US = 15_000_000
"""How long nobody may have fired a partition before anybody noticed: the coordinator's session, and what is rounded up."""
_IN_ORDER = frozenset(
    {ChangeReason.REBALANCED, ChangeReason.LEAVING, ChangeReason.DRAINED, ChangeReason.STEPPED_ASIDE}
)


async def get_slo(request: pb.GetSloRequest, store: Store, clock: Clock) -> pb.GetSloResponse:
    """Answers GetSlo.

    Raises:
        InvalidField: a field of the request is wrong.
    """
    namespace = validation.name(request.namespace, "namespace", default=validation.DEFAULT_NAMESPACE)
    if not request.HasField("start_time"):
        raise InvalidField("start_time", "is required")
    start_at = instant(request.start_time, "start_time")
    end_at = instant(request.end_time, "end_time") if request.HasField("end_time") else clock.now()
    if start_at > end_at:
        raise InvalidField("end_time", "lies before start_time")
    response = pb.GetSloResponse(partition_count=store.partition_count)
    samples: list[Sample] = []
    after: ExecutionRef | None = None
    only = ExecutionFilter(start_at=start_at, end_at=end_at)
    looked_at = 0
    while True:
        page = await store.list_executions(namespace, only=only, after=after, limit=PAGE)
        looked_at += len(page.executions)
        for execution in page.executions:
            if execution.state in (ExecutionState.SKIPPED, ExecutionState.EXPIRED):
                response.not_run_count += execution.gap_count or 1
            elif (sample := _sample(execution)) is not None:
                samples.append(sample)
        after = page.next
        if after is None:
            response.partitions_looked_at = store.partition_count
            break
        if looked_at >= MOST_ROWS:
            response.partitions_looked_at = after.partition_id
            break
    of_cause = causes(samples, await _unowned(store, start_at))
    _put(figures(samples), response.total)
    for cause in Cause:
        own = [sample for sample, its in zip(samples, of_cause, strict=True) if its is cause]
        if own:
            _put(figures(own), response.by_cause.add(cause=cause.value).figures)
    return response


def _sample(execution: Execution) -> Sample | None:
    """None: it does not count."""
    if execution.origin not in (ExecutionOrigin.SCHEDULE, ExecutionOrigin.TRIGGER):
        return None
    # The pick-up is that of the latest attempt: a failure counts when it is the end of the first one.
    earlier_failures = execution.failure_count - (execution.state is ExecutionState.FAILED)
    if execution.picked_up_at is None or earlier_failures > 0:
        return None
    return Sample(
        execution.ref.partition_id,
        execution.due_at,
        execution.picked_up_at if execution.dispatched_at is None else execution.dispatched_at,
        execution.picked_up_at,
        execution.handler,
        decode(execution.policies).objective_us,
    )


async def _unowned(store: Store, since_at: int) -> list[Unowned]:
    """The stretches without an owner that ended at or after an instant, the newest ones."""
    stretches: list[Unowned] = []
    before: HandoverCursor | None = None
    for _ in range(0, MOST_HANDOVERS, HANDOVERS_PAGE):
        records = await store.list_handovers(
            node_id=None, since_at=since_at, before=before, limit=HANDOVERS_PAGE
        )
        stretches += [stretch for record in records if (stretch := _stretch(record)) is not None]
        if len(records) < HANDOVERS_PAGE:
            break
        before = HandoverCursor(records[-1].firing_at, records[-1].partition_id, records[-1].epoch)
    return stretches


def _stretch(record: Handover) -> Unowned | None:
    if record.released_at is not None:
        from_at = record.released_at
    elif record.noticed_at is not None:
        from_at = record.noticed_at - BEFORE_NOTICE_US
    else:
        return None
    return Unowned(record.partition_id, from_at, record.firing_at, record.reason in _IN_ORDER)


def _put(own: Figures, message: pb.SloFigures) -> None:
    message.count, message.kept_count = own.count, own.kept
    if own.count:
        message.p50.FromMicroseconds(own.p50_us)
        message.p99.FromMicroseconds(own.p99_us)
        message.max.FromMicroseconds(own.max_us)
