"""What the harness did to a cluster, and what it counted meanwhile. Pure records; see `history`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """Something done to the cluster from `from_at` until it was healed at `until_at`, on the harness's clock.

    A fault excuses little. One whose `target` is an executor's id, or "executors", excuses a second run of
    what that executor had, and a missing end in its log. One with `is_outage` (it left no MySQL, ZooKeeper,
    node or executor) excuses skipped times and lets lateness count from the heal. Any fault excuses an
    attempt that was assigned and never started when another one followed; when none did (LOST, FAILED), only one that
    killed, froze, stalled or cut off its sender, its executor or a server, or stopped a server. A planned join or
    stop is listed too: it excuses no double run and no loss, but the checker sees to it that something was due.

    Attributes:
        target: Name of the member or server, or "executors" for all of them.
        peer: For a cut between two only: the other side, named likewise. A node ("node-1") cut off from
            "executors" excuses no double run: others own its work soon, and they ask the executor first. Cut
            off from one executor of several, it excuses doubles of that node's work on that executor.
        bound_us: Greatest lateness, in microseconds, of what is due from `from_at` until `until_at` and
            the settling after it; None: only the general bound holds.
        facts: What shows that the fault really happened, by name. Every fact that stands here had to be: one
            that is false, zero or empty makes the run prove nothing. Known names: `was_alive_before`,
            `sessions_expired`, `epochs_moved`, `commits_cut`, `herd_at` (the instant, in microseconds, of a
            herd that had to meet the fault).
    """

    kind: str
    target: str
    from_at: int
    until_at: int
    is_outage: bool = False
    peer: str = ""
    bound_us: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Deadlocks:
    """Error 1213 as both sides counted it during the run.

    Attributes:
        on_server: By the database server.
        retried: By the nodes, which retried the whole unit each time.
        has_gaps: Whether a count lacks something: the server began anew, or it counted some between the last two
            readings of a node that has gone.
        unretried: How many of `on_server` no node retried, of those counted while nothing was missed; None: only the totals
            are known.
    """

    on_server: int
    retried: int
    has_gaps: bool = False
    unretried: int | None = None

    def __str__(self) -> str:
        """For a column: those of the server, those retried, and whether there are gaps."""
        return f"{self.on_server}/{self.retried}{' with gaps' if self.has_gaps else ''}"
