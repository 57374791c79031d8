"""What a schedule means and when it fires next, for PreviewSchedule and CreateTask."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from itertools import islice

from mainspring.server.clock import Clock
from mainspring.server.core.adjustments import decode as decode_adjustments
from mainspring.server.core.hashed_fields import has_hash
from mainspring.server.core.meaning import meaning
from mainspring.server.core.model import Task
from mainspring.server.core.next_fire import LAST_FIRE_AT, first_fire, next_fire
from mainspring.server.core.owed_times import first_of_schedule
from mainspring.server.core.preview import upcoming_fires
from mainspring.server.core.schedule import CalendarInterval, Cron
from mainspring.server.core.schedule_text import decode
from mainspring.server.errors import InvalidField, ResourceExhausted
from mainspring.server.rpc import validation
from mainspring.server.rpc.instants import instant
from mainspring.server.rpc.schedule_messages import fire_to_proto, schedule_to_proto
from mainspring.server.rpc.schedule_requests import checked_schedule
from mainspring.v1 import schedule_pb2, task_service_pb2

LARGEST_COUNT = 1_000
DEFAULT_COUNT = 10
AFTER_CREATION = 5
"""So many of its next times CreateTask answers at most."""
SLICE_S = 0.002
"""So long a preview holds the event loop at most; one time takes some 20 us."""
LONGEST_PREVIEW_S = 5.0


async def preview_schedule(
    request: task_service_pb2.PreviewScheduleRequest, clock: Clock, partition_count: int
) -> task_service_pb2.PreviewScheduleResponse:
    """Answers PreviewSchedule.

    Raises:
        InvalidField: a field of the request is wrong; what CreateTask would say of the schedule.
        ResourceExhausted: it would take longer than LONGEST_PREVIEW_S.
    """
    if not request.HasField("schedule"):
        raise InvalidField("schedule", "is required")
    if not 0 <= request.count <= LARGEST_COUNT:
        raise InvalidField("count", f"must lie between 0 and {LARGEST_COUNT}")
    count = request.count or DEFAULT_COUNT
    after_at = instant(request.after_time, "after_time") if request.HasField("after_time") else clock.now()
    if not 0 <= after_at < LAST_FIRE_AT:
        raise InvalidField("after_time", "must lie between 1970-01-01 and 9999-12-29")
    namespace = validation.name(request.namespace, "namespace", default=validation.DEFAULT_NAMESPACE)
    task_key: bytes | None = None
    if request.id:
        task_id = validation.name(request.id, "id")
        task_key = validation.task_ref(namespace, task_id, partition_count).task_key
    elif why := _needs_task(request.schedule):
        raise InvalidField("id", f"is required: {why} depends on the task")
    try:
        requested = checked_schedule(request.schedule, now=after_at, task_key=task_key)
    except InvalidField as violation:
        raise violation.within("schedule") from None
    schedule = requested.schedule
    await asyncio.sleep(0)  # each of these steps may take a few milliseconds the first time
    response = task_service_pb2.PreviewScheduleResponse(
        schedule=schedule_to_proto(schedule), meaning=meaning(schedule)
    )
    await asyncio.sleep(0)
    fires = upcoming_fires(
        schedule, task_key or b"", first_at=first_fire(schedule, after_at), after_at=after_at
    )
    await asyncio.sleep(0)
    try:
        async with clock.timeout(LONGEST_PREVIEW_S):
            slice_began_s = clock.monotonic()
            for fire in islice(fires, count):
                response.fires.append(fire_to_proto(fire))
                if clock.monotonic() - slice_began_s > SLICE_S:
                    await asyncio.sleep(0)
                    slice_began_s = clock.monotonic()
    except TimeoutError:
        raise ResourceExhausted(
            f"found {len(response.fires)} of {count} times in {LONGEST_PREVIEW_S:.0f} s: ask for fewer"
        ) from None
    response.is_complete = next(fires, None) is None
    return response


def put_meaning(
    task: Task, response: task_service_pb2.CreateTaskResponse | task_service_pb2.UpdateTaskResponse
) -> None:
    """Fills in what CreateTask and UpdateTask tell about the schedule of a stored task: its meaning and its next times."""
    schedule = decode(task.schedule)
    is_shared = isinstance(schedule.timing, Cron | CalendarInterval)
    response.meaning = _shared_meaning(task.schedule) if is_shared else meaning(schedule)
    fires = upcoming_fires(
        schedule,
        task.ref.task_key,
        first_at=first_of_schedule(task),
        after_at=max(task.created_at, task.last_scheduled_at or 0),
        already=task.execution_count,
        adjustments=decode_adjustments(task.adjustments),
    )
    if is_shared and task.adjustments is None and not schedule.jitter_us and schedule.max_executions is None:
        for first in islice(fires, 1):  # what comes before the first one differs from task to task
            response.next_fires.append(fire_to_proto(first))
            response.next_fires.extend(_shared_fires(task.schedule, first.scheduled_at))
    else:
        response.next_fires.extend(fire_to_proto(fire) for fire in islice(fires, AFTER_CREATION))


@lru_cache(maxsize=4_096)
def _shared_meaning(text: str) -> str:
    """Remembered by the stored text, for the many tasks that share one."""
    return meaning(decode(text))


@lru_cache(maxsize=4_096)
def _shared_fires(text: str, after_at: int) -> tuple[schedule_pb2.FireTime, ...]:
    """The fires that CreateTask shows behind one, of a schedule that is the same for all its tasks."""
    schedule = decode(text)
    fires = upcoming_fires(schedule, b"", first_at=next_fire(schedule, after_at), after_at=after_at)
    return tuple(fire_to_proto(fire) for fire in islice(fires, AFTER_CREATION - 1))


def _needs_task(schedule: schedule_pb2.Schedule) -> str:
    """What of a schedule depends on the task that has it; empty when nothing does."""
    expressions = [*schedule.cron.expressions, *schedule.exclusions.expressions]
    if any(has_hash(" ".join(expression.upper().split())) for expression in expressions):
        return "H in an expression"
    return "jitter" if schedule.jitter.ToNanoseconds() else ""
