"""What a simulation file says. PURE.

Seconds of the time line count from its beginning, `lead_s` after the registration has begun.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from mainspring.dev.simulate.keys import key, key_of
from mainspring.server.core.new_schedule import validate_cron, validate_time_zone
from mainspring.server.errors import InvalidField
from mainspring.testing.expected import Cron as CheckersCron
from mainspring.testing.expected import CronError

MAX_SECONDS = 3_600
MAX_TASKS = 100_000
"""Of all loads together: the evidence of a run is held in memory."""
MAX_DURATION_MS = 20_000.0
"""Longer ones would still run when the evidence is taken."""

Problem = tuple[str, str]
"""The key within its section ("" for the section as a whole), and what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class General:
    """`[simulation]`."""

    title: str = key("Heads the live view, the report and the charts", "", shown="the file's name")
    seconds: float = key("How long the time line is", 30.0, unit="s", low=2, high=MAX_SECONDS)
    seed: int = key("The same seed and file give the same tasks", 1, low=0, high=2**63 - 1)
    lead_s: float = key(
        "Time to register the tasks before the time line begins", 4.0, unit="s", low=1, high=600
    )
    lateness_bound_s: float = key(
        "Lateness above this turns the verdict red. The run goes on this long after the time line",
        10.0,
        unit="s",
        low=1,
        high=600,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """`[nodes]`."""

    count: int = key("Scheduler nodes at the beginning", 3, low=1, high=16)
    partitions: int = key("Partitions that the nodes share", 32, low=1, high=1_024)
    session_s: float = key("How long a dead node stays a member", 3.0, unit="s", low=2, high=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Executors:
    """`[executors]`."""

    count: int = key("Executors at the beginning", 2, low=1, high=64)
    capacity: int = key("Executions that each runs at once", 100, low=1, high=100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """`duration = { kind = "fixed", ... }`."""

    ms: float = key("How long", unit="ms", low=0, high=MAX_DURATION_MS)

    def problems(self) -> Iterator[Problem]:
        """What is wrong beyond single keys."""
        return iter(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """`duration = { kind = "uniform", ... }`."""

    min_ms: float = key("Shortest", 0.0, unit="ms", low=0, high=MAX_DURATION_MS)
    max_ms: float = key("Longest", unit="ms", low=0, high=MAX_DURATION_MS)

    def problems(self) -> Iterator[Problem]:
        """What is wrong beyond single keys."""
        if self.max_ms < self.min_ms:
            yield "max_ms", f"{self.max_ms:g} is below min_ms ({self.min_ms:g})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lognormal:
    """`duration = { kind = "lognormal", ... }`: most are short, a few are long."""

    median_ms: float = key("Half of them are shorter", unit="ms", low=0.001, high=MAX_DURATION_MS)
    sigma: float = key("Spread: at 1, one in 40 takes over 7 times the median", 1.0, low=0, high=5)
    max_ms: float = key(
        "Longer ones are cut to this", MAX_DURATION_MS, unit="ms", low=0, high=MAX_DURATION_MS
    )

    def problems(self) -> Iterator[Problem]:
        """What is wrong beyond single keys."""
        if self.max_ms < self.median_ms:
            yield "max_ms", f"{self.max_ms:g} is below median_ms ({self.median_ms:g})"


Duration = Fixed | Uniform | Lognormal
DURATIONS: dict[str, type[Fixed] | type[Uniform] | type[Lognormal]] = {
    "fixed": Fixed,
    "uniform": Uniform,
    "lognormal": Lognormal,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load(ABC):
    """`[[load]]`: some tasks alike. One class for each `schedule`."""

    name: str = key("Unique; begins the ids of its tasks. 1 to 40 of A-Z a-z 0-9 . _ -")
    failures: float = key("Share of its tasks whose handler fails, each time", 0.0, low=0, high=1)
    duration: Duration | None = key(  # noqa: RUF009 (it is a field)
        "How long a handler takes, drawn once for each task: see below", None, shown="no time"
    )

    def problems(self, seconds: float) -> Iterator[Problem]:
        """What is wrong beyond single keys, on a time line of so many seconds."""
        return iter(())

    @abstractmethod
    def task_count(self, seconds: float) -> int:
        """How many tasks it registers."""

    def stretched(self, factor: float) -> Self:
        """The same on a time line longer by this factor: instants move in proportion, tasks and rates stay."""
        moved: dict[str, Any] = {
            of.name: value * factor
            for of in fields(self)
            if of.name in ("at_s", "from_s", "until_s") and (value := getattr(self, of.name)) is not None
        }
        return replace(self, **moved)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread(Load):
    """`schedule = "spread"`: one-time tasks at random instants."""

    tasks: int = key("How many", low=1, high=MAX_TASKS)
    from_s: float = key("Beginning of the instants", 0.0, unit="s", low=0, high=MAX_SECONDS)
    until_s: float | None = key(
        "End of the instants", None, unit="s", low=0, high=MAX_SECONDS, shown="the time line's"
    )

    def problems(self, seconds: float) -> Iterator[Problem]:
        """See `Load.problems`."""
        return _span_problems(self.from_s, self.until_s, seconds)

    def task_count(self, seconds: float) -> int:
        """See `Load.task_count`."""
        return self.tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate(Load):
    """`schedule = "rate"`: one-time tasks at a steady rate."""

    per_s: float = key("How many in a second", unit="1/s", low=0.01, high=10_000)
    from_s: float = key("Beginning of the instants", 0.0, unit="s", low=0, high=MAX_SECONDS)
    until_s: float | None = key(
        "End of the instants", None, unit="s", low=0, high=MAX_SECONDS, shown="the time line's"
    )

    def problems(self, seconds: float) -> Iterator[Problem]:
        """See `Load.problems`."""
        return _span_problems(self.from_s, self.until_s, seconds)

    def task_count(self, seconds: float) -> int:
        """See `Load.task_count`."""
        return max(1, round(self.per_s * ((seconds if self.until_s is None else self.until_s) - self.from_s)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Herd(Load):
    """`schedule = "herd"`: one-time tasks that are all due at one instant."""

    tasks: int = key("How many", low=1, high=MAX_TASKS)
    at_s: float = key("The instant", unit="s", low=0, high=MAX_SECONDS)

    def problems(self, seconds: float) -> Iterator[Problem]:
        """See `Load.problems`."""
        if self.at_s >= seconds:
            yield "at_s", f"{self.at_s:g} is not before the end of the time line ({seconds:g})"

    def task_count(self, seconds: float) -> int:
        """See `Load.task_count`."""
        return self.tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval(Load):
    """`schedule = "interval"`: tasks that fire again and again, first at a random instant of their first period."""

    tasks: int = key("How many", low=1, high=MAX_TASKS)
    every_min_s: int = key(
        "Shortest period; each task draws a whole number of seconds", unit="s", low=1, high=86_400
    )
    every_max_s: int = key("Longest period", unit="s", low=1, high=86_400)

    def problems(self, seconds: float) -> Iterator[Problem]:
        """See `Load.problems`."""
        if self.every_max_s < self.every_min_s:
            yield "every_max_s", f"{self.every_max_s} is below every_min_s ({self.every_min_s})"

    def task_count(self, seconds: float) -> int:
        """See `Load.task_count`."""
        return self.tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron(Load):
    """`schedule = "cron"`: tasks that fire by the wall clock of a time zone; each expression meets each zone."""

    tasks: int = key("How many", low=1, high=MAX_TASKS)
    expressions: tuple[str, ...] = key("Cron expressions of 5 fields, or 6 with seconds first; taken in turn")
    zones: tuple[str, ...] = key("IANA time zones, taken in turn", ("UTC",), shown='["UTC"]')

    def problems(self, seconds: float) -> Iterator[Problem]:
        """See `Load.problems`."""
        for zone in self.zones:
            try:
                validate_time_zone(zone)
            except InvalidField as error:
                yield "zones", error.description
        for expression in self.expressions:
            try:
                validate_cron([expression], "UTC")
                CheckersCron.parse(expression)
            except InvalidField as error:
                yield "expressions", f"{expression!r} {error.description}"
            except CronError as error:
                yield "expressions", f"{expression!r}: the checker does not know this form: {error}"

    def task_count(self, seconds: float) -> int:
        """See `Load.task_count`."""
        return self.tasks


LOADS: dict[str, type[Load]] = {
    "spread": Spread,
    "rate": Rate,
    "herd": Herd,
    "interval": Interval,
    "cron": Cron,
}

WHAT = ("node joins", "node leaves", "node dies", "executor joins", "executor dies")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`[[event]]`: something that happens to the cluster."""

    at_s: float = key("When, on the time line", unit="s", low=0, high=MAX_SECONDS)
    what: str = key("What happens", choices=WHAT)
    which: str = key(
        "Who leaves or dies: node-1, executor-2, ... as numbered from 1 in the order of starting",
        "",
        shown="whoever is there longest",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A whole file."""

    simulation: General = General()
    nodes: Nodes = Nodes()
    executors: Executors = Executors()
    load: tuple[Load, ...] = ()
    event: tuple[Event, ...] = ()

    @property
    def task_count(self) -> int:
        """How many tasks are registered."""
        return sum(load.task_count(self.simulation.seconds) for load in self.load)

    def over(self, seconds: float) -> "Simulation":
        """The same on a time line of another length: instants move in proportion; tasks, rates and periods stay.

        Raises:
            ValueError: The length is out of bounds.
        """
        described = key_of(next(of for of in fields(General) if of.name == "seconds"))
        assert described.low is not None
        assert described.high is not None
        if not described.low <= seconds <= described.high:
            raise ValueError(f"{seconds:g} is not between {described.low:g} and {described.high:g}")
        factor = seconds / self.simulation.seconds
        return replace(
            self,
            simulation=replace(self.simulation, seconds=seconds),
            load=tuple(load.stretched(factor) for load in self.load),
            event=tuple(replace(event, at_s=event.at_s * factor) for event in self.event),
        )

    def seeded(self, seed: int) -> "Simulation":
        """The same with another seed."""
        return replace(self, simulation=replace(self.simulation, seed=seed))


def _span_problems(from_s: float, until_s: float | None, seconds: float) -> Iterator[Problem]:
    until = seconds if until_s is None else until_s
    if until > seconds:
        yield "until_s", f"{until:g} is after the end of the time line ({seconds:g})"
    if from_s >= until:
        yield "from_s", f"{from_s:g} is not before its end ({until:g})"
