"""What the client raises.

MainspringError
├── InvalidArgument      a field of the request is wrong: `fields` names it
├── NotFound             no task or execution of that name
├── AlreadyExists        the id is in use with another definition
├── FailedPrecondition   not possible in the present state
├── Aborted              another change came first
├── ResourceExhausted    a limit or a queue is full
├── Unavailable          no node, or the database behind it, could be reached in time; safe to repeat
├── DeadlineExceeded     no answer in time; the outcome is unknown
├── Unimplemented        the node is older than this client
└── Internal             a fault of the server

Tell errors apart by class or by `reason`, a stable word, never by the message, which is for people.
"""

from collections.abc import Mapping
from typing import NamedTuple


class FieldViolation(NamedTuple):
    """One field at fault."""

    field: str
    """Path of the field in the request, such as `task.schedule.cron.expression`."""
    description: str
    """What is wrong with it, for people."""


class MainspringError(Exception):
    """Base of everything the server answers other than success.

    Attributes:
        message: For people.
        reason: The stable word of the server's ErrorInfo, such as `TASK_NOT_FOUND`; empty when it sent none.
        metadata: Facts that go with the reason.
        code: The name of the gRPC status code.
    """

    code = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.metadata: dict[str, str] = dict(metadata or {})
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return (
            f"{self.code} ({self.reason}): {self.message}" if self.reason else f"{self.code}: {self.message}"
        )


class InvalidArgument(MainspringError):
    """A field of the request is wrong; nothing was changed.

    Attributes:
        fields: The fields at fault, as the server named them.
    """

    code = "INVALID_ARGUMENT"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        fields: list[FieldViolation] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.fields: list[FieldViolation] = list(fields or [])


class NotFound(MainspringError):
    """There is no task or execution of that name."""

    code = "NOT_FOUND"


class AlreadyExists(MainspringError):
    """The id is in use with another definition."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(MainspringError):
    """Not possible in the present state."""

    code = "FAILED_PRECONDITION"


class Aborted(MainspringError):
    """Another change came first; read again and repeat."""

    code = "ABORTED"


class ResourceExhausted(MainspringError):
    """A limit was reached or a queue is full; repeat later."""

    code = "RESOURCE_EXHAUSTED"


class Unavailable(MainspringError):
    """No node could be reached in time, or none could reach its database. Safe to repeat."""

    code = "UNAVAILABLE"


class DeadlineExceeded(MainspringError):
    """No answer came in time; whether the call took effect is unknown."""

    code = "DEADLINE_EXCEEDED"


class Unimplemented(MainspringError):
    """The node does not know this call."""

    code = "UNIMPLEMENTED"


class Internal(MainspringError):
    """A fault of the server; its log tells more."""

    code = "INTERNAL"
