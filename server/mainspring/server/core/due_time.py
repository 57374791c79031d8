"""The due time of a scheduled time: the jitter, as a pure function of the schedule and the task.

A herd of tasks that share a scheduled time is spread over the jitter: each task has a constant part of it, made from its
key. The part is taken of less than the jitter where the next scheduled time comes sooner, so that due times keep the
order of the scheduled times:

    scheduled <= due < next scheduled      and      due - scheduled < jitter

Instants are int microseconds UTC. Cost: a comparison without jitter; with it 2 us and one look-up of the next fire.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from mainspring.server.core.next_fire import next_fire
from mainspring.server.core.schedule import Schedule

_PART_BYTES: Final = 8


def due_at(schedule: Schedule, task_key: bytes, scheduled_at: int) -> int:
    """When a scheduled time of a task is acted on. It need not be a fire of the schedule (a moved one).

    Raises:
        BadCronExpression, UnknownTimeZone: as `next_fire`, for schedules with jitter.
    """
    if not schedule.jitter_us:
        return scheduled_at
    span_us = schedule.jitter_us
    following = next_fire(schedule, scheduled_at)
    if following is not None:
        span_us = min(span_us, following - scheduled_at)
    return scheduled_at + (_part(task_key) * span_us >> 8 * _PART_BYTES)


def _part(task_key: bytes) -> int:
    """The task's part of any jitter, in 2 ** -64. Frozen: stored due times were made with it.

    A hash of its own, for the bytes of the key say already which namespace and which partition the task is of.
    """
    return int.from_bytes(blake2b(task_key, digest_size=_PART_BYTES, person=b"jitter").digest(), "big")
