"""Namespaces: what is said about all of a namespace's tasks. PURE."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from mainspring.server.core.instants import SECOND_US
from mainspring.server.core.model import Delivery
from mainspring.server.core.policies import decode
from mainspring.server.core.task_defaults import NO_DEFAULTS, TaskDefaults

DAY_US: Final = 24 * 3_600 * SECOND_US
DEFAULT_RETENTION_US: Final = 30 * DAY_US
SHORTEST_RETENTION_US: Final = 3_600 * SECOND_US
LONGEST_RETENTION_US: Final = 3_650 * DAY_US
EARLIEST: Final = -(2**62)
"""Before every scheduled time."""
OVERLAP_US: Final = 3_600 * SECOND_US
"""Most executions end sooner than this after their scheduled time."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace. One that nobody created has the defaults.

    Attributes:
        name: 1 to 200 characters.
        retention_us: how long what has ended is kept.
        created_at: when it was created; None for one that nobody created.
        updated_at: when it last changed.
        version: rises with each change by a call; 0 for one that nobody created.
        delivery, policies: of the tasks created in it that leave them open, see `TaskDefaults`; policies as stored text.
    """

    name: str
    retention_us: int = DEFAULT_RETENTION_US
    created_at: int | None = None
    updated_at: int | None = None
    version: int = 0
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    policies: str = ""

    @property
    def task_defaults(self) -> TaskDefaults:
        """What tasks get that leave it open."""
        if self.delivery is NO_DEFAULTS.delivery and not self.policies:
            return NO_DEFAULTS
        return TaskDefaults(self.delivery, decode(self.policies))

    def says(self, other: Namespace) -> bool:
        """Whether another one says the same."""
        return (self.retention_us, self.delivery, self.policies) == (
            other.retention_us,
            other.delivery,
            other.policies,
        )


class Span(NamedTuple):
    """from_at <= scheduled time < until_at."""

    from_at: int
    until_at: int


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Instants: what ended before is removed.

    Attributes:
        default_at: of namespaces that nobody created.
        by_name: of the others.
    """

    default_at: int
    by_name: Mapping[str, int]

    def of(self, namespace: str) -> int:
        """Of a namespace."""
        return self.by_name.get(namespace, self.default_at)

    def by_beginning(self, beginning_of: Callable[[str], bytes]) -> dict[bytes, int]:
        """Of the keys of tasks that begin as those of these namespaces do: the earliest, where several begin alike."""
        by_beginning: dict[bytes, int] = {}
        for name, at in self.by_name.items():
            beginning = beginning_of(name)
            by_beginning[beginning] = min(at, by_beginning.get(beginning, at))
        return by_beginning

    def spans(self, before: Cutoffs | None) -> list[Span]:
        """Where the scheduled times of what is to be removed lie, ascending.

        Args:
            before: those by which everything was removed the last time; what became old since then lies just before
                each cutoff of now, unless it ended long after its scheduled time. None, or other namespaces and
                retentions than now: everywhere.
        """
        latest = max((self.default_at, *self.by_name.values()))
        passed_us = 0 if before is None else self.default_at - before.default_at
        if before is None or before.by_name != {n: at - passed_us for n, at in self.by_name.items()}:
            return [Span(EARLIEST, latest)]
        spans: list[Span] = []
        for until_at in sorted({self.default_at, *self.by_name.values()}):
            from_at = until_at - passed_us - OVERLAP_US
            if spans and from_at <= spans[-1].until_at:
                from_at = spans.pop().from_at
            spans.append(Span(from_at, until_at))
        return spans


def cutoffs_at(now: int, namespaces: Iterable[Namespace]) -> Cutoffs:
    """What is old enough at an instant, cluster time, given all namespaces that were created."""
    return Cutoffs(
        now - DEFAULT_RETENTION_US,
        {namespace.name: now - namespace.retention_us for namespace in namespaces},
    )
