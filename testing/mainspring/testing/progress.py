"""The state of a run for whoever shows it: phase, figures, nodes, events. Plain data, changed by one event loop."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mainspring.testing.live_figures import LiveFigures


@dataclass(frozen=True, slots=True)
class MemberLine:
    """A node or an executor as shown.

    Attributes:
        name: Of the process.
        state: "starting", "ready", "leaving", "gone" and the like.
        partitions: How many a node says it holds; None for an executor.
    """

    name: str
    state: str
    partitions: int | None = None


@dataclass(slots=True)
class Progress:
    """What is known now. `on_event` hears of every event as it happens."""

    title: str
    on_event: Callable[[float, str], None] = lambda elapsed_s, text: None
    phase: str = "starting"
    planned: int = 0
    """Tasks to register."""
    registered: int = 0
    expected: int = 0
    """Scheduled times until the window's end, as planned."""
    figures: LiveFigures = field(default_factory=LiveFigures)
    nodes: list[MemberLine] = field(default_factory=list)
    executors: list[MemberLine] = field(default_factory=list)
    events: list[tuple[float, str]] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start of the run."""
        return time.monotonic() - self.began_s

    def event(self, text: str) -> None:
        """Note something that happened now."""
        self.events.append((self.elapsed_s, text))
        self.on_event(self.elapsed_s, text)
