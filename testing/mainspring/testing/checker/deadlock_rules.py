"""Deadlocks of the database (error 1213): none, or each retried."""

from collections.abc import Callable, Iterator

from mainspring.testing.checker.case import Evidence
from mainspring.testing.checker.verdict import Violation, violation_of


def every_deadlock_was_retried(evidence: Evidence) -> Iterator[Violation]:
    """The nodes retried as many units as the server broke; where the counts have gaps, outside of these."""
    counts = evidence.history.deadlocks
    if counts is None:
        return
    unretried = counts.unretried
    if unretried is None:
        unretried = 0 if counts.has_gaps else counts.on_server - counts.retried
    if unretried <= 0:
        return
    gaps = f", with gaps: {unretried} outside of these were not retried" if counts.has_gaps else ""
    message = f"the server counted {counts.on_server}, the nodes retried {counts.retried}{gaps}"
    yield violation_of("deadlocks", ("database", "1213"), None, message, counts)


WHOLE_RULES: tuple[Callable[[Evidence], Iterator[Violation]], ...] = (every_deadlock_was_retried,)
