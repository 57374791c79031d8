"""How late executions were, asked of the ledger."""

from datetime import datetime, timedelta

from mainspring.client.enum_numbers import from_number
from mainspring.client.instants import from_duration, put_timestamp
from mainspring.client.service_calls import ServiceCalls
from mainspring.client.slo import LatenessCause, Slo, SloFigures
from mainspring.client.task import DEFAULT_NAMESPACE
from mainspring.v1 import execution_service_pb2 as pb
from mainspring.v1 import execution_service_pb2_grpc


class SloCalls(ServiceCalls):
    """GetSlo of ExecutionService; see `MainspringClient`."""

    async def get_slo(
        self,
        start: datetime,
        end: datetime | None = None,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        timeout_s: float | None = None,
    ) -> Slo:
        """Tell how late executions were, how many kept the objective of their task, and what the lateness came from.

        Counts executions of schedules and triggers that started; not those that were made up for or backfilled, nor those
        that failed before.

        Args:
            start: Only scheduled times at or after this; timezone-aware.
            end: Only scheduled times before this; timezone-aware. None: now, cluster time.
            namespace: The namespace.
            timeout_s: Deadline in seconds.

        Raises:
            InvalidArgument: The range is wrong.
            ValueError: A bound is naive.
        """
        request = pb.GetSloRequest(namespace=namespace)
        put_timestamp(request.start_time, "start", start)
        put_timestamp(request.end_time, "end", end)
        response = await self._call(
            execution_service_pb2_grpc.ExecutionServiceStub,
            "GetSlo",
            request,
            pb.GetSloResponse,
            timeout_s,
        )
        return slo_from_proto(response)


def slo_from_proto(response: pb.GetSloResponse) -> Slo:
    """Return the figures; of causes that this client does not know, the last one's."""
    return Slo(
        _figures(response.total),
        {from_number(LatenessCause, each.cause): _figures(each.figures) for each in response.by_cause},
        response.partitions_looked_at,
        response.partition_count,
        response.not_run_count,
    )


def _figures(message: pb.SloFigures) -> SloFigures:
    def of(field: str) -> timedelta | None:
        return from_duration(getattr(message, field)) if message.HasField(field) else None

    return SloFigures(message.count, message.kept_count, of("p50"), of("p99"), of("max"))
