"""How well lateness objectives were kept, and what lateness came from. PURE.

The causes are told from the ledger's rows and the record of changes of owner; the rules, in order:

1. it was due while its partition had no owner, and sent by the next one: HANDOVER when the owner before gave it away
   in order, FAILOVER when it died, was cut off or did not let go;
2. it was sent a second or more after its due time, and nothing of its handler was started from then until it was sent:
   NO_EXECUTOR. A claim waits for an executor's free credit, so no executor offered the handler, or those that did were
   busy with what they had started before;
3. at least HERD executions were due in the same second: HERD;
4. it was a second late or more: OVERLOAD. Executors were busy with others of its handler, or an executor, the network, a
   node or the database was slow;
5. STEADY.

All instants are int microseconds on cluster time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from mainspring.server.core.instants import SECOND_US

LATE_US: Final = SECOND_US
HERD: Final = 200


class Cause(IntEnum):
    """Where an execution's lateness came from. The numbers are the proto's."""

    STEADY = 1
    HERD = 2
    HANDOVER = 3
    FAILOVER = 4
    NO_EXECUTOR = 5
    OVERLOAD = 6


class Sample(NamedTuple):
    """An execution that was picked up."""

    partition_id: int
    due_at: int
    dispatched_at: int
    picked_up_at: int
    handler: str
    objective_us: int

    @property
    def lateness_us(self) -> int:
        """Pick-up minus due time."""
        return max(0, self.picked_up_at - self.due_at)


class Unowned(NamedTuple):
    """A stretch in which nobody fired a partition. `from_at` may be a guess on the early side."""

    partition_id: int
    from_at: int
    until_at: int
    is_orderly: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a number of executions; lateness is 0 where there are none.

    Attributes:
        count: how many.
        kept: how many of them within the objective of their task.
    """

    count: int
    kept: int
    p50_us: int
    p99_us: int
    max_us: int


def causes(samples: Sequence[Sample], unowned: Iterable[Unowned]) -> list[Cause]:
    """The cause of each sample's lateness, in order."""
    stretches: dict[int, list[Unowned]] = defaultdict(list)
    for stretch in unowned:
        stretches[stretch.partition_id].append(stretch)
    due_together = Counter(sample.due_at // SECOND_US for sample in samples)
    starts: dict[str, list[int]] = defaultdict(list)
    for sample in samples:
        starts[sample.handler].append(sample.picked_up_at)
    for times in starts.values():
        times.sort()

    def cause(sample: Sample) -> Cause:
        for stretch in stretches.get(sample.partition_id, ()):
            if stretch.from_at <= sample.due_at < stretch.until_at <= sample.dispatched_at:
                return Cause.HANDOVER if stretch.is_orderly else Cause.FAILOVER
        if sample.dispatched_at - sample.due_at >= LATE_US:
            times = starts[sample.handler]
            if bisect_left(times, sample.due_at) == bisect_left(times, sample.dispatched_at):
                return Cause.NO_EXECUTOR
        if due_together[sample.due_at // SECOND_US] >= HERD:
            return Cause.HERD
        return Cause.OVERLOAD if sample.lateness_us >= LATE_US else Cause.STEADY

    return [cause(sample) for sample in samples]


def figures(samples: Iterable[Sample]) -> Figures:
    """Percentiles are those of the nearest rank."""
    kept = 0
    lateness_us: list[int] = []
    for sample in samples:
        lateness_us.append(sample.lateness_us)
        kept += sample.lateness_us <= sample.objective_us
    if not lateness_us:
        return Figures(0, 0, 0, 0, 0)
    lateness_us.sort()
    count = len(lateness_us)
    return Figures(
        count, kept, lateness_us[-(-count // 2) - 1], lateness_us[-(-count * 99 // 100) - 1], lateness_us[-1]
    )
