"""Deadlocks of the database (error 1213): none, or each retried."""

from collections.abc import Callable, Iterator

from mainspring.testing.checker.case import Evidence
from mainspring.testing.checker.verdict import Violation, violation_of


def every_deadlock_was_retried(evidence: Evidence) -> Iterator[Violation]:
    """The nodes retried as many units as the server broke; without a claim where one of the counts has gaps."""
    counts = evidence.history.deadlocks
    if counts is None or counts.has_gaps or counts.on_server <= counts.retried:
        return
    message = f"the server counted {counts.on_server}, the nodes retried {counts.retried}"
    yield violation_of("deadlocks", ("database", "1213"), None, message, counts)


WHOLE_RULES: tuple[Callable[[Evidence], Iterator[Violation]], ...] = (every_deadlock_was_retried,)
