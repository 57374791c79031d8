"""Just enough of MySQL's protocol to see the COMMIT of a claim pass, and what to do about one. PURE."""

import enum
from dataclasses import dataclass

_COMMIT = b"\x03COMMIT"
"""The command byte of a query, and its text."""
_CLAIM = b"INSERT INTO executions"


class CommitAction(enum.Enum):
    """What happens to the next COMMIT of a claim."""

    CUT_REPLY = "cut-reply"
    """The server commits; its answer is lost with the connection."""
    CUT_REQUEST = "cut-request"
    """The server never hears of it; the connection is lost."""
    STOP_SENDER = "stop-sender"
    """The client's process is stopped (SIGSTOP), and its COMMIT is kept on the way until it is released."""


@dataclass(frozen=True, slots=True)
class Trap:
    """Waits for COMMITs of claims: acts on the next `count` of them.

    Attributes:
        pid: Process to stop, for STOP_SENDER.
    """

    action: CommitAction
    count: int = 1
    pid: int | None = None


class ClaimWatch:
    """Looks at what one client sends over one connection."""

    def __init__(self) -> None:
        """Nothing was seen."""
        self._has_claimed = False

    def is_commit_of_claim(self, data: bytes) -> bool:
        """Whether these bytes of the client commit a transaction that inserted executions.

        A COMMIT is a packet of its own that begins a read: the client waits for the answer of each packet.
        """
        if _CLAIM in data:
            self._has_claimed = True
        if data[4:].startswith(_COMMIT):
            had_claimed, self._has_claimed = self._has_claimed, False
            return had_claimed
        return False
