"""When a task runs: one value type per kind of schedule."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mainspring.client.instants import require_aware


@dataclass(frozen=True, slots=True)
class At:
    """Runs once, at this instant.

    Attributes:
        time: Timezone-aware. Up to 24 hours in the past: it then runs at once.

    Raises:
        ValueError: The time is naive.
    """

    time: datetime

    def __post_init__(self) -> None:
        require_aware("time", self.time)


@dataclass(frozen=True, slots=True)
class Delay:
    """Runs once, this long after the server received the call. The created task tells the resulting `At`."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class Cron:
    """Runs whenever a cron expression matches.

    Attributes:
        expression: 5 fields (minute, hour, day of month, month, day of week), or 6 with seconds first, or an
            alias such as `@daily`.
        time_zone: IANA name, such as `Europe/Berlin`.
    """

    expression: str
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Every:
    """Runs at a fixed distance.

    Attributes:
        every: The distance, at least 1 s.
        start: The phase: scheduled times are start + k * every. Timezone-aware. None: counted from creation.

    Raises:
        ValueError: The start is naive.
    """

    every: timedelta
    start: datetime | None = None

    def __post_init__(self) -> None:
        if self.start is not None:
            require_aware("start", self.start)


Schedule = At | Delay | Cron | Every
