"""What every part of the engine works with, so that their constructors name only what is particular to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mainspring.server.clock import Clock
from mainspring.server.core.model import ExecutionRef
from mainspring.server.core.policies import Policies
from mainspring.server.engine.change_notes import ChangeNotes
from mainspring.server.engine.held_partitions import HeldPartitions
from mainspring.server.engine.open_attempts import OpenAttempt
from mainspring.server.engine.settings import EngineSettings
from mainspring.server.observability.metrics import Metrics
from mainspring.server.persistence.store import Store
from mainspring.shard_manager.lease import PartitionLease


@dataclass(slots=True)
class Signals:
    """What one part has to tell another; the engine connects them. Each is cheap and may be called at any time."""

    fenced: Callable[[Sequence[PartitionLease]], None] = lambda leases: None
    """The database showed another owner or epoch than these, under which something was to be written."""
    queued: Callable[[], None] = lambda: None
    """Executions wait for an executor."""
    decided: Callable[[Sequence[OpenAttempt]], None] = lambda attempts: None
    """The ends of these are to be recorded; told again, for each that is not recorded by its wake time."""
    replaced: Callable[[Sequence[ExecutionRef]], None] = lambda refs: None
    """These are to be cancelled, for a later execution of their task replaces them; told again while they are open."""
    slipped: Callable[[], None] = lambda: None
    """Something due was dropped from memory: sweep soon."""
    ended: Callable[[ExecutionRef, Policies], None] = lambda ref, policies: None
    """An execution has ended, of a task with these policies."""
    demand_changed: Callable[[], None] = lambda: None
    """Another number of tasks or executions waits for executors than before."""


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
    notes: ChangeNotes = field(default_factory=ChangeNotes)

    def refused(self, partition_ids: Iterable[int], epochs: Mapping[int, int]) -> None:
        """Passes on which partitions a write was refused for, with the epochs under which it was tried."""
        leases = [PartitionLease(p, epochs[p]) for p in partition_ids if p in epochs]
        if leases:
            self.signals.fenced(leases)
