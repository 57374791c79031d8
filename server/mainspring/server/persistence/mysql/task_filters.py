"""Filters of tasks as SQL. PURE."""

from __future__ import annotations

from mainspring.server.core.task_filter import TaskFilter, label_fragment
from mainspring.server.persistence.mysql.literals import integer, integers, text


def condition_of(only: TaskFilter) -> str:
    """What follows the WHERE of a statement about tasks `t`: nothing, or conditions that each begin with AND."""
    terms = []
    if only.states:
        terms.append(f"t.state IN ({integers(only.states)})")
    if only.handler:
        terms.append(f"t.handler = {text(only.handler)}")
    if only.next_from_at is not None:
        terms.append(f"t.scheduled_at >= {integer(only.next_from_at)}")
    if only.next_until_at is not None:
        terms.append(f"t.scheduled_at < {integer(only.next_until_at)}")
    terms += [
        f"LOCATE({text(label_fragment(key, value))}, CONCAT(',', SUBSTRING(t.labels, 2))) > 0"
        for key, value in only.labels
    ]
    return "".join(f" AND {term}" for term in terms)
