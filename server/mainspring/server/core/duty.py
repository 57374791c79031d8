"""Whether a node can do its job. PURE: facts and an instant in, reasons for stepping aside out.

| reason | when | back |
| --- | --- | --- |
| `database` | it has not answered for 3 s | with its next answer |
| `executors` | none was heard for 3.5 s (2.5 s if there never was one), and ready others had some | when one is heard |

What goes away for all nodes is nobody's fault. Then two waits keep partitions where they are:

- An executor counts for the others only while it is heard within 1.8 s, and a node goes by executors only after 3.5 s: when
  all executors fall silent, everybody has said so before anybody draws a conclusion.
- The database is *steady* since the end of the last silence longer than 1 s. Until it has been steady for a while, a node
  takes nothing from members that are aside for their database: they may only be slower to return
  (`shard_manager.ownership`). A silence that sends one node aside (3 s, less the two check intervals by which nodes may
  see it differently) is noticed by all.

A node that stood still was deaf: silence counts from the end of the stand-still. An event loop that is stuck cannot
judge anything; `shard_manager.watchdog` takes its node out of office.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

DATABASE = "database"
EXECUTORS = "executors"


@dataclass(frozen=True, slots=True)
class DutyLimits:
    """The waits of the module docstring, in seconds."""

    database_silent_s: float = 3.0
    database_steady_s: float = 1.0
    """More than a check takes on a busy machine, less than `database_silent_s` less two check intervals."""
    executor_fresh_s: float = 1.8
    """A heartbeat, and what a busy machine adds to it."""
    executor_silent_s: float = 3.5
    """`executor_fresh_s`, a heartbeat, and the time in which a change is published and read."""
    executor_first_s: float = 2.5
    """For a node that never had one: less than the 3 s after which a new member is given partitions."""
    deaf_s: float = 1.0
    """Judgements further apart than this mean that the node stood still."""


@dataclass(frozen=True, slots=True)
class DutyFacts:
    """What is known now. Instants are monotonic seconds, -inf for never."""

    executor_heard_s: float
    """The last sign of life of any executor that is or was connected here."""
    others_have_executors: bool
    """Whether another member that is ready says that it has executors."""


class DutyJudge:
    """Remembers since when what has been so. Not safe for threads; belongs to one event loop."""

    def __init__(self, now_s: float, limits: DutyLimits | None = None) -> None:
        """Nothing is missed before it has had time to arrive. `now_s`: monotonic seconds."""
        self._limits = limits or DutyLimits()
        self._deaf_until_s = self._judged_s = now_s
        self._answered_s = now_s
        self._steady_since_s = -math.inf
        self._others_since_s: float | None = None

    def answered(self, now_s: float) -> None:
        """Takes in that the database has answered just now."""
        if now_s - self._answered_s > self._limits.database_steady_s:
            self._steady_since_s = now_s
        self._answered_s = now_s

    def is_silent(self, now_s: float) -> bool:
        """Whether the database owes an answer for so long that it is not steady any more."""
        return now_s - self._answered_s > self._limits.database_steady_s

    def steady_since_s(self, now_s: float) -> float:
        """Since when the database has answered without a break: -inf for always, +inf while it is silent."""
        return math.inf if self.is_silent(now_s) else self._steady_since_s

    def is_fresh(self, heard_s: float, now_s: float) -> bool:
        """Whether an executor heard last at `heard_s` counts as one that this node has."""
        return now_s - heard_s <= self._limits.executor_fresh_s

    def is_deaf(self, facts: DutyFacts, now_s: float) -> bool:
        """Whether it may be this node that hears nothing, and not the executors that are silent."""
        return facts.others_have_executors and not self.is_fresh(facts.executor_heard_s, now_s)

    def judge(self, facts: DutyFacts, now_s: float) -> frozenset[str]:
        """Returns why this node should be aside; nothing when it should be on duty."""
        limits = self._limits
        if now_s - self._judged_s > limits.deaf_s:
            self._deaf_until_s = now_s
        self._judged_s = now_s
        if not facts.others_have_executors:
            self._others_since_s = None
        elif self._others_since_s is None:
            self._others_since_s = now_s
        reasons = set()
        if now_s - max(self._answered_s, self._deaf_until_s) >= limits.database_silent_s:
            reasons.add(DATABASE)
        if self._others_since_s is not None:
            lacking_since_s = max(facts.executor_heard_s, self._deaf_until_s, self._others_since_s)
            is_first = facts.executor_heard_s == -math.inf
            limit_s = limits.executor_first_s if is_first else limits.executor_silent_s
            if now_s - lacking_since_s >= limit_s:
                reasons.add(EXECUTORS)
        return frozenset(reasons)
