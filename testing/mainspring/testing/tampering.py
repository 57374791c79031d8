"""Plants a lie in the evidence of a run, to show that the verdict can be red. Pure."""

from collections.abc import Callable
from dataclasses import replace

from mainspring.testing.history import History, Kind, Run


def lose_run(history: History) -> History:
    """As if an executor had never run what the ledger says it ran: one run is taken out."""
    victim = _victim(history)
    return replace(history, runs=tuple(run for run in history.runs if run is not victim))


def double_run(history: History) -> History:
    """As if two executors had run the same attempt: one run is copied, under another executor's name."""
    victim = _victim(history)
    others = sorted({run.executor_id for run in history.runs} - {victim.executor_id})
    copy = replace(
        victim, executor_id=others[0] if others else "another-executor", started_at=victim.started_at + 1
    )
    return replace(history, runs=(*history.runs, copy))


def silence_kind(history: History, kind: Kind) -> History:
    """As if the clock of one kind of schedule had never struck: neither rows nor runs of it."""
    silenced = {task.key for task in history.tasks if task.kind == kind}
    return replace(
        history,
        runs=tuple(run for run in history.runs if run.key not in silenced),
        ledger=tuple(row for row in history.ledger if row.key not in silenced),
        earlier_ledger=tuple(row for row in history.earlier_ledger if row.key not in silenced),
    )


PLANTS: dict[str, Callable[[History], History]] = {"lost-run": lose_run, "double-run": double_run}


def _victim(history: History) -> Run:
    """A run from the middle of the window."""
    inside = [
        run for run in history.runs if history.window_from_at <= run.scheduled_at < history.window_until_at
    ]
    return inside[len(inside) // 2]
