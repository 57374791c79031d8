"""Calls that changed tasks, as their clients saw them: a witness of a history."""

import zlib
from dataclasses import dataclass
from typing import Literal

CallKind = Literal["pause", "resume", "update", "cancel", "delete", "trigger"]


def mark_of(payload: bytes) -> int:
    """What an executor's run log tells of a payload: enough to know which of some payloads it was."""
    return zlib.crc32(payload)


@dataclass(frozen=True, slots=True)
class TaskCall:
    """One call about one task, repeated until somebody said what became of it. Instants are microseconds UTC.

    Attributes:
        sent_at: When it was first sent.
        acknowledged_at: When it was first answered; None: never, so it may have taken effect or not.
        payload_mark: `mark_of` the payload from then on (update) or of this execution alone (trigger); None: it stays.
        scheduled_at: Trigger: of the execution that the answer named.
        is_bulk: One of many tasks that a filter named.
    """

    namespace: str
    task_id: str
    kind: CallKind
    sent_at: int
    acknowledged_at: int | None
    payload_mark: int | None = None
    scheduled_at: int | None = None
    is_bulk: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, task id)."""
        return (self.namespace, self.task_id)
