"""Values of the client SDK with nothing left at its default."""

from datetime import UTC, date, datetime, time, timedelta, timezone

from mainspring.client import (
    CalendarInterval,
    CalendarUnit,
    ClockChangeEffect,
    ClockChangeNote,
    Cron,
    Delivery,
    Every,
    Exclusions,
    Execution,
    ExecutionOrigin,
    ExecutionStage,
    ExecutionState,
    Explanation,
    FireTime,
    Gap,
    GapPolicy,
    Handover,
    HandoverReason,
    MisfireMode,
    MisfirePolicy,
    OverlapPolicy,
    RepeatPolicy,
    RetryPolicy,
    Task,
    TaskState,
    Timeouts,
    Weekday,
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
    next_due_time=instant(5),
    last_scheduled_time=instant(4),
    partition_id=17,
    delivery=Delivery.AT_MOST_ONCE,
    execution_count=1_234,
    labels={"team": "billing", "tier": "1"},
    misfire=MisfirePolicy(MisfireMode.ALL, timedelta(hours=6), 1_000),
    overlap=OverlapPolicy.BUFFER_ONE,
    retry=RetryPolicy(5, timedelta(seconds=10), timedelta(minutes=5), 1.5, 0.25, ["ValueError", "KeyError"]),
    timeouts=Timeouts(timedelta(minutes=1), timedelta(hours=2), timedelta(seconds=30)),
    lateness_objective=timedelta(milliseconds=2500),
    keep_executions=1_000,
    etag="v3",
    note="moving house",
    changed_by="ada",
)

BOUNDED = Every(
    timedelta(hours=1),
    timedelta(minutes=20),
    start=NOON,
    end=NOON + timedelta(days=1),
    max_executions=1_000,
    jitter=timedelta(seconds=90),
    exclusions=Exclusions([date(2030, 12, 24)], ["* 12 * * *"], "Europe/Berlin"),
)

CRON = Cron(["0 9 * * *", "@daily"], "Europe/Berlin", GapPolicy.SKIP, RepeatPolicy.BOTH)

CALENDAR_INTERVAL = CalendarInterval(
    CalendarUnit.WEEK,
    [time(9), time(17, 30, 5)],
    every=2,
    weekdays=[Weekday.MONDAY, Weekday.THURSDAY],
    days_of_month=[1, -1],
    time_zone="Europe/Berlin",
    start_date=date(2026, 11, 30),
    gap=GapPolicy.SKIP,
    repeat=RepeatPolicy.LAST,
)

FIRE = FireTime(
    scheduled_time=datetime(2026, 3, 29, 1, tzinfo=UTC),
    due_time=datetime(2026, 3, 29, 1, 0, 7, tzinfo=UTC),
    local_time=datetime(2026, 3, 29, 3, tzinfo=timezone(timedelta(hours=2))),
    notes=(
        ClockChangeNote(
            ClockChangeEffect.MOVED,
            datetime(2026, 3, 29, 2, 30),  # noqa: DTZ001  # a wall time that no zone has
            2,
            "02:30 does not exist.",
        ),
    ),
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
    origin=ExecutionOrigin.CATCH_UP,
    failure_count=2,
    error_kind="ValueError",
    retry_time=instant(8),
    progress=b"page 3",
    progress_time=instant(4.75),
)

EXPLANATION = Explanation(
    execution=EXECUTION,
    summary="It failed twice.",
    stages=(
        ExecutionStage("due", instant(1), None),
        ExecutionStage("claimed", instant(2), timedelta(milliseconds=1)),
    ),
    lateness_objective=timedelta(seconds=10),
    lateness=timedelta(milliseconds=3.5),
    broken_stage="claimed",
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
