"""When a schedule fires, and what clock changes do to it."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from mainspring.client.schedules import Schedule


class ClockChangeEffect(Enum):
    """What a clock change did to wall times that a schedule names."""

    UNSPECIFIED = 0
    """An effect that this client does not know."""
    MOVED = 1
    """They do not exist that day; this scheduled time, the first instant after the gap, stands for them."""
    LEFT_OUT = 2
    """They do not exist that day and nothing stands for them."""
    FIRST_ONLY = 3
    """The wall time comes twice; this is the first time, and the second does not fire."""
    LAST_ONLY = 4
    """The wall time comes twice; this is the last time, and the first did not fire."""
    FIRST_OF_TWO = 5
    """The wall time comes twice and fires both times; this is the first."""
    SECOND_OF_TWO = 6
    """The wall time comes twice and fires both times; this is the second."""


@dataclass(frozen=True, slots=True)
class ClockChangeNote:
    """What one clock change did to wall times that a schedule names.

    Attributes:
        effect: What became of them.
        wall_time: The first of them, on the local clock: naive. None in a form that this client does not know.
        count: How many there are.
        text: The same for people, one sentence.
    """

    effect: ClockChangeEffect
    wall_time: datetime | None
    count: int
    text: str


@dataclass(frozen=True, slots=True)
class FireTime:
    """One scheduled time that is still to come.

    Attributes:
        scheduled_time: The nominal time, in UTC.
        due_time: When it is acted on, in UTC: the scheduled time plus this task's part of the jitter.
        local_time: The scheduled time on the clocks of the schedule's time zone: aware, with the offset of that
            moment. It is the same instant.
        notes: What clock changes did to this scheduled time, and to wall times between the one before it and this one.
    """

    scheduled_time: datetime
    due_time: datetime
    local_time: datetime
    notes: tuple[ClockChangeNote, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What a schedule means and when it would fire.

    Attributes:
        schedule: As a task would have it: normalised, defaults filled in, `H` replaced by its value. None for a kind
            that this client does not know.
        meaning: In words.
        fires: The next scheduled times, ascending.
        is_complete: Whether nothing comes after these.
    """

    schedule: Schedule | None
    meaning: str
    fires: tuple[FireTime, ...]
    is_complete: bool
