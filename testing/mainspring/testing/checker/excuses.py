"""What the faults of a history excuse, and the calls about its tasks, and what they do not."""

from collections.abc import Collection, Iterable
from typing import Protocol

from mainspring.testing.checker.lives import Lives
from mainspring.testing.checker.verdict import Limits
from mainspring.testing.history import Fault, History, LedgerRow, Run, TaskKey, member_name

EVERY_EXECUTOR = "executors"
EVERY_NODE = "nodes"
COORDINATOR = "zookeeper"
_DEADLY = ("kill", "stop")
# The executor lives and says so, or leaves in order: whoever gives its work to another one has not waited for its lease.
_KEEPS_ITS_WORK = frozenset({"slow", "join", "stop"})
# What takes a process out of its work without a word, as a kind begins; and what does so to a server alone: a member that is
# told to stop leaves in order.
_BREAKING = ("kill", "freeze", "stall", "cut")
_BREAKING_A_SERVER = (*_BREAKING, "stop", "read-only", "outage")
_SERVERS = frozenset({"commit", "database", "mariadb", "mysql", COORDINATOR})


def ends_process(fault: Fault) -> bool:
    """Whether the target's process is gone after it; what is started in its place is another one."""
    return fault.kind.startswith(_DEADLY)


class Excuses:
    """The faults of a history, asked by time and by victim."""

    def __init__(self, history: History, limits: Limits) -> None:
        self.history = history
        self.limits = limits
        self.lives = Lives(history.tasks, history.calls)
        self._outages = sorted(
            (fault for fault in history.faults if fault.is_outage), key=lambda fault: fault.from_at
        )
        # Without a coordinator nobody learns that a node is gone: ownership waits for it, firing does not. Executors that
        # are away are the other way round.
        self._standstills = sorted(
            (
                fault
                for fault in history.faults
                if (fault.is_outage and fault.target != EVERY_EXECUTOR) or fault.target.lower() == COORDINATOR
            ),
            key=lambda fault: fault.from_at,
        )

    def deadline(self, due_at: int, key: TaskKey | None = None) -> int:
        """Latest instant of a pick-up in time: the bound after due, or after the last outage that reaches into it.

        Of a task that was paused then, given its key: after it was resumed.
        """
        return self.counted_from(due_at, key) + self.limits.lateness_us

    def counted_from(self, due_at: int, key: TaskKey | None = None) -> int:
        """Where lateness counts from: the due time, or the heal of the last outage that reaches into the bound.

        Or the end of a pause of the task that does, given its key.
        """
        return after_pauses(self._rests(key), due_at, self.limits.lateness_us)

    def written_by(self, at: int) -> int:
        """When a write that was begun at an instant may have been carried out: then, or after the outages upon it."""
        return after_pauses(self._outages, at, self.limits.unknown_end_us)

    def reaches_back(self, key: TaskKey, at: int) -> int:
        """The earliest due time of a task on which nobody need have acted by an instant."""
        for rest in sorted(self._rests(key), key=lambda rest: rest.until_at, reverse=True):
            if rest.from_at <= at and rest.until_at >= at - self.limits.lateness_us:
                at = min(at, rest.from_at)
        return at - self.limits.lateness_us

    def _rests(self, key: TaskKey | None) -> list["Rest"]:
        """Outages, and pauses of a task, in order."""
        pauses = self.lives.pauses.get(key, ()) if key is not None else ()
        if not pauses:
            return [*self._outages]
        return sorted([*self._outages, *pauses], key=lambda rest: rest.from_at)

    def owned_by(self, from_at: int) -> int:
        """Latest instant at which a partition that lost its owner at `from_at` must have one again."""
        bound_us = self.limits.ownerless_us
        return after_pauses(self._standstills, from_at, bound_us) + bound_us

    def outages_at(self, due_at: int) -> list[Fault]:
        """Outages that excuse skipping a time due then: they lasted while it could have been picked up in time."""
        margin_us, bound_us = self.limits.clock_margin_us, self.limits.lateness_us
        return [
            o
            for o in self._outages
            if o.from_at - margin_us <= due_at + bound_us and due_at <= o.until_at + margin_us
        ]

    def faults_during(self, from_at: int, until_at: int) -> list[Fault]:
        """Faults of any kind whose time, tail included, meets [from_at, until_at]."""
        margin_us, tail_us = self.limits.clock_margin_us, self.limits.fault_tail_us
        return [
            fault
            for fault in self.history.faults
            if fault.from_at - margin_us <= until_at and from_at <= fault.until_at + tail_us
        ]

    def executor_faults(self, executor_id: str, from_at: int, until_at: int) -> list[Fault]:
        """Faults that befell this executor meanwhile, whatever they were."""
        return [
            fault
            for fault in self.faults_during(from_at, until_at)
            if fault.target in (executor_id, EVERY_EXECUTOR) and not fault.peer
        ]

    def cuts_between(self, executor_id: str, node_id: str, from_at: int, until_at: int) -> list[Fault]:
        """Faults that kept what a node had sent from an executor, or may have, until it started: cuts between the two."""
        margin_us = self.limits.clock_margin_us
        return [
            fault
            for fault in self.faults_during(from_at, until_at)
            if fault.peer
            and until_at <= fault.until_at + margin_us
            and {fault.target, fault.peer} & {executor_id, EVERY_EXECUTOR}
            and {fault.target, fault.peer} & {member_name(node_id), EVERY_NODE}
        ]

    def silences(self, run: Run, until_at: int, node_ids: Collection[str]) -> list[Fault]:
        """Faults for which an executor that had this run had to be given up: it was dead, frozen or cut off.

        A cut between one node and this executor alone counts when that node had sent it or owned its partition since. A cut
        between one node and all executors counts for nothing: the node is replaced as owner, and the new one asks the
        executor first. What began when the fault was healed is not its victim: the tail after the heal is there for the
        giving up alone.

        Args:
            run: the run that another one followed, or that was lost.
            until_at: when it was given up.
            node_ids: who had sent it, and who owned its partition since.
        """
        names = {member_name(node_id) for node_id in node_ids}

        def is_silent(fault: Fault) -> bool:
            sides = {fault.target, fault.peer}
            return not fault.peer or EVERY_NODE in sides or (run.executor_id in sides and bool(sides & names))

        return [fault for fault in self.mutes(run, until_at) if is_silent(fault)]

    def mutes(self, run: Run, until_at: int) -> list[Fault]:
        """Faults for which some node may not have heard of a run by an instant: its executor was dead, frozen or cut off.

        What began when the fault was healed is not its victim: the tail after the heal is there for the giving up alone.
        """
        margin_us = self.limits.clock_margin_us
        return [
            fault
            for fault in self.faults_during(run.started_at, max(until_at, run.started_at))
            if fault.kind not in _KEEPS_ITS_WORK
            and run.started_at <= fault.until_at + margin_us
            and {fault.target, fault.peer} & {run.executor_id, EVERY_EXECUTOR}
        ]

    def breaks(self, row: LedgerRow, until_at: int) -> list[Fault]:
        """Faults for which an attempt that was recorded may never have started: they hit who sent it, who was to run it,
        or a server, between the record and `until_at`.

        Orderly changes (a stop, a join, a drain) and what only slows down or lies about the time break nothing.
        """
        sent_at = max(row.due_at, row.claimed_at or 0, row.dispatched_at or 0)
        until_at, margin_us = max(until_at, sent_at), self.limits.clock_margin_us
        sides = {row.executor_id, None if row.node_id is None else member_name(row.node_id)}
        return [
            fault
            for fault in self.history.faults
            if fault.from_at - margin_us <= until_at
            and sent_at <= fault.until_at + margin_us
            and _breaks(fault, sides)
        ]

    def deaths(self, name: str) -> list[tuple[int, int]]:
        """When processes of a node's name ended: (seen alive until, gone from), in order.

        Told to stop, a process goes on giving away what it has until it ends.
        """
        return sorted(
            (fault.from_at, fault.from_at if fault.kind.startswith("kill") else fault.until_at)
            for fault in self.history.faults
            if ends_process(fault) and fault.target in (name, EVERY_NODE)
        )


def _breaks(fault: Fault, names: set[str | None]) -> bool:
    """Whether a fault takes a server, or one of these members, out of its work."""
    if not fault.peer and fault.target.lower() in _SERVERS:
        return fault.kind.startswith(_BREAKING_A_SERVER)
    # Of a cut between one member and many the one is meant.
    sides = {fault.target, fault.peer} - {""}
    members = sides - {EVERY_EXECUTOR, EVERY_NODE}
    return fault.kind.startswith(_BREAKING) and (not members or bool(members & names))


class Rest(Protocol):
    """A time in which nothing is due to happen: an outage, or the pause of a task."""

    @property
    def from_at(self) -> int:
        """Its begin."""
        ...

    @property
    def until_at(self) -> int:
        """Its end."""
        ...


def after_pauses(pauses: Iterable[Rest], at: int, bound_us: int) -> int:
    """`at`, or the end of the last pause that begins within the bound after it or after an earlier such pause."""
    for pause in pauses:
        if pause.from_at > at + bound_us:
            break
        at = max(at, pause.until_at)
    return at
