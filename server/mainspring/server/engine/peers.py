"""What a node asks of other nodes. All of it is best effort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mainspring.server.core.model import DueTask, TaskRef
from mainspring.server.dispatch.frames import AttemptId, AttemptResult, ProgressReport
from mainspring.server.engine.change_notes import TaskNote


@dataclass(frozen=True, slots=True)
class Hint:
    """A task registered or changed at one node that its owner should know of soon."""

    ref: TaskRef
    due: DueTask | None
    """None: it was cancelled and must not fire."""


class PeerUnreachable(Exception):
    """The other node did not answer in time."""


class PeerClient(Protocol):
    """Calls to other nodes. Each ends within a second or two, with `PeerUnreachable` when the other node is away."""

    async def send_hints(self, address: str, hints: Sequence[Hint]) -> list[Hint]:
        """Tells the owner at this address of tasks; answers those whose partition it does not hold."""
        ...

    async def take_note(self, address: str, notes: Sequence[TaskNote]) -> list[TaskNote]:
        """Tells the owner at this address of changed tasks, as `NoteTaker.take`; answers those that it did not confirm.

        Takes as long as that does: its caller bounds it.
        """
        ...

    async def forward_results(
        self, address: str, executor_id: str, results: Sequence[AttemptResult]
    ) -> list[AttemptId]:
        """Hands results to the owner at this address; answers those that are settled."""
        ...

    async def forward_progress(self, address: str, reports: Sequence[ProgressReport]) -> None:
        """Hands signs of progress to the owner at this address; what does not arrive is not missed."""
        ...
