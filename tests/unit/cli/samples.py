"""Values of the client SDK with nothing left at its default."""

from datetime import UTC, datetime, timedelta

from mainspring.client import (
    Delivery,
    Every,
    Execution,
    ExecutionState,
    Gap,
    Handover,
    HandoverReason,
    Task,
    TaskState,
)

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)


def instant(milliseconds: float) -> datetime:
    return NOON + timedelta(milliseconds=milliseconds)


TASK = Task(
    namespace="billing",
    task_id="daily",
    handler="report",
    payload=b"\x00\xffpay",
    schedule=Every(timedelta(minutes=90), start=NOON),
    state=TaskState.ACTIVE,
    version=3,
    create_time=instant(1),
    update_time=instant(2),
    next_scheduled_time=instant(3),
    last_scheduled_time=instant(4),
    partition_id=17,
    delivery=Delivery.AT_MOST_ONCE,
)

EXECUTION = Execution(
    namespace="billing",
    task_id="daily",
    scheduled_time=NOON,
    due_time=instant(1),
    state=ExecutionState.FAILED,
    reason="no paper",
    attempt=2,
    epoch=2**53 - 1,
    task_version=3,
    executor_id="executor-1",
    node_id="node-1",
    result=b"out",
    claim_time=instant(2),
    dispatch_time=instant(3.001),
    pick_up_time=instant(4.5),
    finish_time=instant(5),
    save_time=instant(6),
    gap=Gap(instant(7), 12),
)

HANDOVER = Handover(
    partition_id=7,
    epoch=2**53 - 1,
    reason=HandoverReason.OWNER_GONE,
    from_node_id="node-1",
    to_node_id="node-2",
    release_time=None,
    notice_time=instant(5),
    fire_time=instant(50),
    gap=timedelta(milliseconds=45),
    late_execution_count=12,
    max_lateness=timedelta(seconds=5),
)
