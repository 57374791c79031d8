"""What the database itself saw: I2 (nothing overwritten), I3 (no stale write), I8 (one owner per epoch, and soon one).

Without an audit in the history these rules say nothing.
"""

from collections.abc import Callable, Iterator

from mainspring.testing.checker.case import Evidence
from mainspring.testing.checker.removals import Removals
from mainspring.testing.checker.terms import Term, Terms
from mainspring.testing.checker.verdict import Violation, violation_of
from mainspring.testing.history import OwnershipChange, Run, member_name


def no_stale_write(evidence: Evidence) -> Iterator[Violation]:
    """I3: no execution was ever written under another (epoch, node) than its partition's row showed."""
    if evidence.terms is None:
        return
    for write in evidence.terms.trail.stale_writes:
        message = (
            f"{write.statement} by {write.writer or 'somebody'}, attempt {write.attempt}, node {write.node_id}, epoch "
            f"{write.epoch}, while partition {write.partition_id} was {write.owner_id or 'nobody'}'s under "
            f"{write.owner_epoch}"
        )
        yield violation_of("I3", (write.namespace, write.task_id), write.scheduled_at, message, write)


def no_final_overwritten(evidence: Evidence) -> Iterator[Violation]:
    """I2: no final row was ever changed, and none removed but by a call or as its task or namespace keeps them."""
    if evidence.terms is None:
        return
    removals = Removals(evidence)
    for write in evidence.terms.trail.final_overwrites:
        if write.state_after is None and removals.is_right(write):
            continue
        after = "deleted" if write.state_after is None else f"made {write.state_after}"
        message = (
            f"{write.state_before} in attempt {write.attempt_before} was {after} in {write.attempt_after}"
        )
        yield violation_of("I2", (write.namespace, write.task_id), write.scheduled_at, message, write)


def no_task_vanished(evidence: Evidence) -> Iterator[Violation]:
    """I4: no task was removed but by a call, or when its namespace keeps it no longer."""
    if evidence.terms is None:
        return
    removals = Removals(evidence)
    for removed in evidence.terms.trail.removed_tasks:
        if not removals.is_right_of_task(removed):
            message = f"removed as {removed.state}, and neither a call nor the retention explains it"
            yield violation_of("I4", (removed.namespace, removed.task_id), None, message, removed)


def epochs_rise_by_takes(evidence: Evidence) -> Iterator[Violation]:
    """I3, I8: a take raises the epoch by one, a release keeps it, and nothing else happens to a partition's row."""
    terms = evidence.terms
    if terms is None:
        return
    for partition_id, of_partition in terms.by_partition.items():
        before = of_partition[0]
        for term, change in zip(of_partition[1:], terms.changes.get(partition_id, []), strict=True):
            if found := _wrong_with(before, change):
                yield _violation(found[0], partition_id, found[1], before, term)
            before = term
    last_rows = {row.partition_id: row for row in terms.trail.final_partitions}
    for partition_id, of_partition in terms.by_partition.items():
        last, row = of_partition[-1], last_rows.get(partition_id)
        if row is None or (row.epoch, row.owner_id) != (last.epoch, last.owner_id):
            message = "its row at the end is not what the changes lead to"
            records = [last.evidence] if row is None else [last.evidence, row]
            yield violation_of("I8", ("partition", str(partition_id)), None, message, *records)


def _wrong_with(before: Term, change: OwnershipChange) -> tuple[str, str] | None:
    """Invariant and message, or None for a proper take or release."""
    if (change.old_epoch, change.old_owner_id) != (before.epoch, before.owner_id):
        return "I8", f"it changed unseen: epoch {before.epoch} of {before.owner_id} before"
    rise = change.new_epoch - change.old_epoch
    if rise == 0 and change.new_owner_id is None:
        return None
    if rise == 1 and change.new_owner_id is not None:
        return None
    if rise == 0:
        return "I8", f"epoch {change.new_epoch} passed from {change.old_owner_id} to {change.new_owner_id}"
    who = change.new_owner_id or "nobody"
    return "I3", f"its epoch went from {change.old_epoch} to {change.new_epoch} ({who}): a take adds one"


def soon_owned_again(evidence: Evidence) -> Iterator[Violation]:
    """I8: after a release, or the death of its owner, a partition has a living owner within the bound.

    The time in which the database or the coordinator is away does not count: nobody can know or take then.
    """
    terms = evidence.terms
    if terms is None:
        return
    end_at = terms.trail.read_at
    for partition_id, of_partition in terms.by_partition.items():
        lost_at: int | None = None
        lost_by: Term | None = None
        for term in of_partition:
            died_at = _gone_at(evidence, terms, term)
            is_owned = died_at is None or died_at > term.from_at
            if is_owned and lost_at is not None and lost_by is not None:
                yield from _too_long(evidence, partition_id, lost_at, term.from_at, lost_by, term)
                lost_at = None
            if died_at is not None and lost_at is None and (term.until_at is None or died_at < term.until_at):
                lost_at, lost_by = max(died_at, term.from_at), term
        if lost_at is not None and lost_by is not None:
            yield from _too_long(evidence, partition_id, lost_at, end_at, lost_by, None)


def _gone_at(evidence: Evidence, terms: Terms, term: Term) -> int | None:
    """Since when nobody lives who owns the partition in this term; None: somebody does through all of it."""
    if term.owner_id is None:
        return term.from_at
    seen_at = terms.first_seen[term.owner_id]
    # Of several processes of that name the first death after it was seen is its own.
    for alive_until, gone_at in evidence.deaths(member_name(term.owner_id)):
        if seen_at <= alive_until + evidence.limits.clock_margin_us:
            return gone_at
    return None


def _too_long(
    evidence: Evidence, partition_id: int, from_at: int, until_at: int, lost_by: Term, taken_by: Term | None
) -> Iterator[Violation]:
    # Before the window begins the nodes are only starting.
    from_at = max(from_at, evidence.history.window_from_at)
    if until_at <= evidence.owned_by(from_at):
        return
    whose = f"{lost_by.owner_id} was gone" if lost_by.owner_id else "it was released"
    message = f"nobody owned it for {until_at - from_at} us after {whose}"
    records = [lost_by.evidence] if taken_by is None else [lost_by.evidence, taken_by.evidence]
    yield violation_of("I8", ("partition", str(partition_id)), None, message, *records)


def ledger_agrees_with_owners(evidence: Evidence) -> Iterator[Violation]:
    """I8: the node that a row names owned the partition under the row's epoch."""
    terms = evidence.terms
    if terms is None:
        return
    for case in evidence.cases:
        row = case.row
        run = case.runs[-1] if case.runs else None
        if row is None or run is None or row.node_id is None:
            continue
        owner_id = terms.owner_of(run.partition_id, row.epoch)
        if owner_id != row.node_id:
            message = f"written by {row.node_id} under epoch {row.epoch}, which was {owner_id or 'nobody'}'s"
            yield violation_of("I8", row.key, row.scheduled_at, message, row, run)


def runs_belong_to_terms(evidence: Evidence) -> Iterator[Violation]:
    """I3: nothing starts before its epoch was taken, nor long after the next one was."""
    terms = evidence.terms
    if terms is None:
        return
    margin_us = evidence.limits.executor_clock_margin_us
    for run in evidence.history.runs:
        own = terms.take_of(run.partition_id, run.epoch)
        if own is None or run.started_at < own.from_at - margin_us:
            message = (
                f"started under epoch {run.epoch} of partition {run.partition_id}, which nobody had taken"
            )
            yield violation_of("I3", run.key, run.scheduled_at, message, run)
            continue
        following = terms.take_after(run.partition_id, run.epoch)
        if following is None:
            continue
        late_us = run.started_at - following.from_at
        if late_us > evidence.limits.stale_send_us and not _was_held_up(evidence, run, following):
            message = (
                f"partition {run.partition_id}: started under epoch {run.epoch}, {late_us} us after "
                f"epoch {following.epoch} was taken"
            )
            yield violation_of("I3", run.key, run.scheduled_at, message, following.evidence, run)


def _was_held_up(evidence: Evidence, run: Run, following: Term) -> bool:
    """Whether the executor had it before and could not begin."""
    return bool(evidence.executor_faults(run.executor_id, following.from_at, run.started_at))


def _violation(invariant: str, partition_id: int, message: str, before: Term, term: Term) -> Violation:
    return violation_of(
        invariant, ("partition", str(partition_id)), None, message, before.evidence, term.evidence
    )


WHOLE_RULES: tuple[Callable[[Evidence], Iterator[Violation]], ...] = (
    no_stale_write,
    no_final_overwritten,
    no_task_vanished,
    epochs_rise_by_takes,
    soon_owned_again,
    ledger_agrees_with_owners,
    runs_belong_to_terms,
)
