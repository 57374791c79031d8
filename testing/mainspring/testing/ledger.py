"""Reads tasks and the whole ledger over the API into the checker's records."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from mainspring.client import Execution, MainspringClient
from mainspring.testing.history import LedgerRow, ListedTask

PAGE_SIZE = 1_000
PAGE_TIMEOUT_S = 20.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


async def read_ledger(client: MainspringClient, namespaces: Iterable[str]) -> tuple[LedgerRow, ...]:
    """Every execution and gap of these namespaces.

    Raises:
        MainspringError: a page could not be read within 20 s.
    """
    return tuple(
        [
            ledger_row(execution)
            for namespace in namespaces
            async for execution in client.list_executions(
                namespace=namespace, page_size=PAGE_SIZE, timeout_s=PAGE_TIMEOUT_S
            )
        ]
    )


async def read_tasks(client: MainspringClient, namespaces: Iterable[str]) -> tuple[ListedTask, ...]:
    """Every task that the API lists. Raises as `read_ledger`."""
    return tuple(
        [
            ListedTask(
                task.namespace, task.task_id, task.execution_count, _optional(task.last_scheduled_time)
            )
            for namespace in namespaces
            async for task in client.list_tasks(
                namespace=namespace, page_size=PAGE_SIZE, omit_payload=True, timeout_s=PAGE_TIMEOUT_S
            )
        ]
    )


def ledger_row(execution: Execution) -> LedgerRow:
    """The execution as the checker wants it."""
    scheduled_at = instant(execution.scheduled_time)
    gap = execution.gap
    return LedgerRow(
        namespace=execution.namespace,
        task_id=execution.task_id,
        scheduled_at=scheduled_at,
        due_at=scheduled_at if execution.due_time is None else instant(execution.due_time),
        state=execution.state.name,
        attempt=execution.attempt,
        epoch=execution.epoch,
        executor_id=execution.executor_id or None,
        node_id=execution.node_id or None,
        claimed_at=_optional(execution.claim_time),
        dispatched_at=_optional(execution.dispatch_time),
        picked_up_at=_optional(execution.pick_up_time),
        finished_at=_optional(execution.finish_time),
        saved_at=_optional(execution.save_time),
        gap_until=None if gap is None else instant(gap.last_scheduled_time),
        gap_count=0 if gap is None else gap.count,
        reason=execution.reason,
        origin=execution.origin.name,
    )


def instant(moment: datetime) -> int:
    """Microseconds UTC of an aware datetime, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(instant_at: int) -> datetime:
    """The aware datetime of an instant in microseconds, exactly."""
    return _EPOCH + timedelta(microseconds=instant_at)


def _optional(moment: datetime | None) -> int | None:
    return None if moment is None else instant(moment)
