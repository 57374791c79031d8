"""Tells owners of tasks that a call changed, and returns when nothing older of them is sent any more (I5).

An owner that cannot be asked is waited out: whatever it sends was recorded by a transaction that began less than
`stale_commit_s` ago, or has been looked up in the database since (`FenceCheck`), and there it finds the change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from mainspring.server.core.model import Task, TaskState
from mainspring.server.engine.change_notes import TaskNote
from mainspring.server.engine.context import OwnerContext
from mainspring.server.engine.note_taker import NoteTaker
from mainspring.server.engine.owner_router import OwnerRouter
from mainspring.server.engine.peers import PeerClient, PeerUnreachable
from mainspring.server.engine.planning import due_task_of
from mainspring.server.engine.post import Post

log = structlog.get_logger(__name__)

MARGIN_S = 0.25
"""What may pass between the look at the clock before a send and the bytes on their way, on top of `stale_commit_s`."""
LOOK_AGAIN_S = 0.05
NOTES_A_CALL = 1_000


class Announcer:
    """For any node, owner or not."""

    def __init__(
        self, context: OwnerContext, router: OwnerRouter, peers: PeerClient, own: NoteTaker, post: Post
    ) -> None:
        self._context = context
        self._router = router
        self._peers = peers
        self._own = own
        self._post = post

    async def announce(self, tasks: Sequence[Task]) -> None:
        """Returns when nothing is sent any more that is older than these tasks, whose change has just been committed."""
        bound_s = self._context.settings.stale_commit_s + MARGIN_S
        notes = [_note_of(task) for task in tasks]
        try:
            async with self._context.clock.timeout(bound_s):
                while notes := await self._tell(notes):
                    await self._context.clock.sleep(LOOK_AGAIN_S)
        except TimeoutError:
            log.info("change_waited_out", tasks=len(notes))
            for note in notes:
                self._post.hint(note.ref, note.next)

    async def _tell(self, notes: Sequence[TaskNote]) -> list[TaskNote]:
        """Tells each task's owner once; answers what nobody has confirmed."""
        by_address: dict[str | None, list[TaskNote]] = {}
        unknown: list[TaskNote] = []
        for note in notes:
            if self._context.held.epoch_of(note.ref.partition_id) is not None:
                by_address.setdefault(None, []).append(note)
            elif (owner := self._router.owner_of(note.ref.partition_id)) is not None:
                by_address.setdefault(owner.address, []).append(note)
            else:
                unknown.append(note)
        calls = [
            self._ask(address, mine[start : start + NOTES_A_CALL])
            for address, mine in by_address.items()
            for start in range(0, len(mine), NOTES_A_CALL)
        ]
        return [*unknown, *(note for left in await asyncio.gather(*calls) for note in left)]

    async def _ask(self, address: str | None, notes: list[TaskNote]) -> list[TaskNote]:
        if address is None:
            return [notes[position] for position in await self._own.take(notes)]
        try:
            return await self._peers.take_note(address, notes)
        except PeerUnreachable as error:
            log.info("peer_unreachable", address=address, error=str(error))
            return notes


def _note_of(task: Task) -> TaskNote:
    is_stopped = task.state in (TaskState.PAUSED, TaskState.CANCELLED)
    return TaskNote(task.ref, task.version, is_stopped, due_task_of(task))
