"""How fast and how much at once: the settings of the manager, and the counters it keeps."""

from collections import Counter
from dataclasses import dataclass, field

from mainspring.shard_manager.ownership import OwnershipRules, TakeReason


@dataclass(frozen=True, slots=True)
class ActionLimits:
    """Bounds of the actions, durations in seconds."""

    chunk: int = 16
    """Partitions an action works on: prepared in one call."""
    step: int = 4
    """Partitions of an action that change hands at a time; nobody fires them for that long."""
    concurrent_prepares: int = 4
    concurrent_takes: int = 4
    concurrent_releases: int = 2
    """Steps under way at once. More only queue for the store's connections and the disk, and nobody fires what waits."""
    prepare_s: float = 5.0
    prepared_max_age_s: float = 5.0
    """What was prepared longer ago is prepared again before it is taken."""
    surrender_s: float = 2.0
    """As long as the successor waits before it takes by force."""
    statement_s: float = 3.0
    """For the statements of one step."""
    announce_s: float = 1.0
    retry_first_s: float = 0.1
    retry_most_s: float = 2.0


@dataclass(frozen=True, slots=True)
class ManagerSettings:
    """Pace of the manager's loop, durations in seconds, and the settings of its parts."""

    round_s: float = 2.0
    moving_round_s: float = 0.1
    """While a partition is on its way."""
    min_pause_s: float = 0.02
    """Between two rounds, so that a burst of news is read once."""
    read_s: float = 2.0
    """Limit of one reading of the rows."""
    gap_s: float = 2.0
    """A pause of our own process longer than this makes older views void."""
    unowned_alarm_s: float = 15.0
    rules: OwnershipRules = field(default_factory=OwnershipRules)
    limits: ActionLimits = field(default_factory=ActionLimits)


@dataclass(slots=True)
class OwnershipStats:
    """Counters since the start, of partitions unless the name says otherwise."""

    rounds: int = 0
    failed_rounds: int = 0
    time_gaps: int = 0
    """Freezes of this process that were noticed."""
    taken: Counter[TakeReason] = field(default_factory=Counter)
    lost_takes: int = 0
    """Another node was faster, or the row was not what we thought."""
    failed_takes: int = 0
    failed_prepares: int = 0
    released: int = 0
    failed_releases: int = 0
    revoked: int = 0
    failed_announcements: int = 0
