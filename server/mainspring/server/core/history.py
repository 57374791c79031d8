"""What of a task's history is beyond the number of executions that it keeps. PURE.

A history is a chain (`execution_chain`). Rows that are removed are left out of it, so that what is older than they are can
still be reached.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from mainspring.server.core.model import ExecutionState


class Row(NamedTuple):
    """A row of a history, newest first."""

    scheduled_at: int
    previous_at: int | None
    state: ExecutionState


class Relink(NamedTuple):
    """A row that stays, the older one that it named, and the one that follows it from now on."""

    scheduled_at: int
    old_previous_at: int | None
    previous_at: int | None


@dataclass(slots=True)
class Surplus:
    """What is to be removed from a history, found by walking along it.

    Args:
        keep: how many final executions stay, at least 1.
        limit: how many are removed at most.
    """

    keep: int
    limit: int
    remove: list[Row] = field(default_factory=list)
    """Final executions."""
    relinks: list[Relink] = field(default_factory=list)
    is_cut: bool = False
    """Whether the limit was reached: there may be more."""
    _final: int = 0
    _last_kept: Row | None = None
    _is_broken: bool = False
    """Whether something is removed between `_last_kept` and the row looked at."""

    def walk(self, rows: Iterable[Row]) -> int | None:
        """Looks at the next rows; answers where to go on, None at the end of the history or at the limit."""
        head: int | None = None
        for row in rows:
            head = row.previous_at
            if row.state.is_final:
                self._final += 1
                if self._final > self.keep:
                    if len(self.remove) == self.limit:
                        self.is_cut = True
                        self._close(row.scheduled_at)
                        return None
                    self.remove.append(row)
                    self._is_broken = True
                    continue
            self._close(row.scheduled_at)
            self._last_kept = row
        return head

    def end(self) -> None:
        """The history has ended, or is missing from here on."""
        if not self.is_cut:
            self._close(None)

    def _close(self, next_at: int | None) -> None:
        if self._is_broken and self._last_kept is not None:
            self.relinks.append(Relink(self._last_kept.scheduled_at, self._last_kept.previous_at, next_at))
        self._is_broken = False
