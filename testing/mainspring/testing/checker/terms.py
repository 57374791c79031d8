"""Who owned which partition, when and under which epoch, as the database's audit tells it."""

from bisect import bisect_right
from dataclasses import dataclass

from mainspring.testing.history import AuditTrail, OwnershipChange, PartitionState, Record


@dataclass(frozen=True, slots=True)
class Term:
    """One stretch of a partition between two changes of its row; `until_at` None: it still stood at the reading."""

    epoch: int
    owner_id: str | None
    from_at: int
    until_at: int | None
    evidence: Record
    """The change that began it, or the row as it was first seen."""


class Terms:
    """The terms of every partition, in order."""

    def __init__(self, trail: AuditTrail) -> None:
        self.trail = trail
        self.by_partition: dict[int, list[Term]] = {}
        self.changes: dict[int, list[OwnershipChange]] = {}
        for change in trail.ownership_changes:
            self.changes.setdefault(change.partition_id, []).append(change)
        first_rows = {row.partition_id: row for row in trail.initial_partitions}
        for partition_id in sorted({*first_rows, *self.changes}):
            first = first_rows.get(partition_id, PartitionState(partition_id, 0, None))
            self.by_partition[partition_id] = _terms(
                first, trail.installed_at, self.changes.get(partition_id, [])
            )
        self.first_seen: dict[str, int] = {}
        for terms in self.by_partition.values():
            for term in terms:
                if term.owner_id is not None:
                    seen_at = self.first_seen.get(term.owner_id, term.from_at)
                    self.first_seen[term.owner_id] = min(seen_at, term.from_at)
        self._takes = {
            partition_id: [term for term in terms if term.owner_id is not None]
            for partition_id, terms in self.by_partition.items()
        }
        self._take_of = {
            (partition_id, term.epoch): term for partition_id, takes in self._takes.items() for term in takes
        }

    def owner_of(self, partition_id: int, epoch: int) -> str | None:
        """Who owned a partition under an epoch; None when nobody did."""
        term = self._take_of.get((partition_id, epoch))
        return None if term is None else term.owner_id

    def take_after(self, partition_id: int, epoch: int) -> Term | None:
        """The first term of a partition under a higher epoch."""
        takes = self._takes.get(partition_id, [])
        index = bisect_right(takes, epoch, key=lambda term: term.epoch)
        return takes[index] if index < len(takes) else None

    def take_of(self, partition_id: int, epoch: int) -> Term | None:
        """The term in which a partition was owned under an epoch, the last one when there are several."""
        return self._take_of.get((partition_id, epoch))


def _terms(first: PartitionState, installed_at: int, changes: list[OwnershipChange]) -> list[Term]:
    begins: list[tuple[int, str | None, int, Record]] = [(first.epoch, first.owner_id, installed_at, first)]
    begins += [(change.new_epoch, change.new_owner_id, change.at, change) for change in changes]
    ends: list[int | None] = [*(begin[2] for begin in begins[1:]), None]
    return [
        Term(epoch, owner_id, from_at, until_at, evidence)
        for (epoch, owner_id, from_at, evidence), until_at in zip(begins, ends, strict=True)
    ]
