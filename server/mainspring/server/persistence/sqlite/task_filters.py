"""Filters of tasks as SQL. PURE."""

from __future__ import annotations

from mainspring.server.core.task_filter import TaskFilter, label_fragment


def condition_of(only: TaskFilter) -> tuple[str, tuple[object, ...]]:
    """What follows the WHERE of a statement about tasks: nothing, or conditions that each begin with AND; their values."""
    terms: list[tuple[str, object]] = []
    if only.handler:
        terms.append(("handler = ?", only.handler))
    if only.next_from_at is not None:
        terms.append(("scheduled_at >= ?", only.next_from_at))
    if only.next_until_at is not None:
        terms.append(("scheduled_at < ?", only.next_until_at))
    for key, value in only.labels:
        terms.append(("instr(',' || substr(labels, 2), ?) > 0", label_fragment(key, value)))
    condition = "".join(f" AND {term}" for term, _ in terms)
    if only.states:
        condition += f" AND state IN ({','.join(str(int(state)) for state in only.states)})"
    return condition, tuple(value for _, value in terms)
