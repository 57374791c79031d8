"""Partitions that nobody fires: since when, and the alarm."""

import math
from collections.abc import Iterable, Mapping, Set

import structlog

from mainspring.shard_manager.lease import PartitionRow

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class UnownedWatch:
    """Keeps, for each partition without a live owner, since when it has been seen so."""

    def __init__(self, alarm_s: float) -> None:
        """After `alarm_s` seconds without an owner a partition is an error in the log, repeated as often."""
        self._alarm_s = alarm_s
        self._since: dict[int, float] = {}
        self._alarmed_at = -math.inf

    def look(self, rows: Iterable[PartitionRow], members: Set[str] | None, now: float) -> None:
        """Take in all rows. `members` is None while the membership is not known: then only free rows count anew."""
        for row in rows:
            if row.owner_id is None or (members is not None and row.owner_id not in members):
                self._since.setdefault(row.partition_id, now)
            elif members is not None:
                self._since.pop(row.partition_id, None)
        overdue = sorted(partition for partition, since in self._since.items() if now - since > self._alarm_s)
        if overdue and now - self._alarmed_at > self._alarm_s:
            self._alarmed_at = now
            log.error("partitions_unowned", partition_ids=overdue, for_at_least_s=self._alarm_s)

    @property
    def since(self) -> Mapping[int, float]:
        """Since when each partition has had no owner, seconds of the timer; a copy."""
        return dict(self._since)

    def seconds(self, now: float) -> Mapping[int, float]:
        """Return for how many seconds each partition has had no owner."""
        return {partition: now - since for partition, since in self._since.items()}
