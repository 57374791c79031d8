"""What happened, in order: hashed for proof that a seed is replayed, kept whole when somebody wants to read it."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter

from mainspring.testing.virtual_time import START_S, current_process


class Trace:
    """Events of one run. `counts` are by kind of event.

    Args:
        is_kept: whether `lines` holds them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, is_kept: bool = False) -> None:
        self._loop = loop
        self._hash = hashlib.blake2b(digest_size=12)
        self.counts: Counter[str] = Counter()
        self.lines: list[str] | None = [] if is_kept else None

    def note(self, event: str, *facts: object) -> None:
        """Adds an event; the facts' `repr` must be the same in each run."""
        self.counts[event] += 1
        line = f"{self._loop.time() - START_S:10.6f} {event} {facts!r}"
        self._hash.update(line.encode())
        if self.lines is not None:
            self.lines.append(line)

    def remark(self, kind: str, facts: object) -> None:
        """Adds a line that is not part of the proof."""
        if self.lines is not None:
            self.lines.append(f"{self._loop.time() - START_S:10.6f}   {current_process():8} {kind} {facts!r}")

    @property
    def digest(self) -> str:
        """Of all events so far."""
        return self._hash.hexdigest()
