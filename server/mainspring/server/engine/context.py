"""What every part of the engine works with, so that their constructors name only what is particular to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mainspring.server.clock import Clock
from mainspring.server.engine.held_partitions import HeldPartitions
from mainspring.server.engine.settings import EngineSettings
from mainspring.server.observability.metrics import Metrics
from mainspring.server.persistence.store import Store


@dataclass(slots=True)
class Signals:
    """What one part has to tell another; the engine connects them. Each is cheap and may be called at any time."""

    fenced: Callable[[frozenset[int]], None] = lambda partition_ids: None
    """The database showed another owner or epoch of these partitions."""
    queued: Callable[[], None] = lambda: None
    """Executions wait for an executor."""
    slipped: Callable[[], None] = lambda: None
    """Something due was dropped from memory: sweep soon."""


@dataclass(frozen=True, slots=True)
class OwnerContext:
    """One per node."""

    node_id: str
    """Unique per process start; the owner id in every fenced write."""
    clock: Clock
    store: Store
    held: HeldPartitions
    settings: EngineSettings
    metrics: Metrics
    signals: Signals = field(default_factory=Signals)
