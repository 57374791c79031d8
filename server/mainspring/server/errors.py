"""What can go wrong, as exceptions.

    MainspringError
    ├── InvalidRequest           the caller's message is wrong: one or more InvalidField
    │   └── InvalidField         one field of it
    ├── NotFound                 no such task, execution, ...
    ├── AlreadyExists            the id is taken by another definition
    ├── FailedPrecondition       right message, wrong moment
    ├── StaleEtag                the resource is not as the caller believes
    ├── ResourceExhausted        a bound is reached; try again later
    ├── Unavailable              this node cannot serve now; another one, or a later try, may
    ├── StaleEpoch               the partition has (or may have) another owner by now
    ├── WrongPartitionCount      the store was created with another number of partitions
    ├── UnreadableSchedule       a stored schedule that this version cannot read: park the task, do not guess
    ├── UnreadablePolicies       the same of stored policies
    └── StoreError               the store failed
        ├── StoreUnavailable     it did not answer, and nothing was applied
        ├── UnknownOutcome       it did not answer, and the statement may or may not have been applied
        └── Contention           deadlock or lock wait: nothing was applied, retry the whole unit

Each class carries `reason`, a constant that clients may branch on: it travels as google.rpc.ErrorInfo.reason.
An instance may carry `metadata`, facts for that message; neither holds text that is not meant for a caller.
This module knows nothing of gRPC: the status code of each class is one table in `mainspring.server.rpc`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar


class MainspringError(Exception):
    """The base of every error that the server raises on purpose.

    Args:
        message: one sentence for a person; the first line of the docstring when left out.
        metadata: facts for a machine, ErrorInfo.metadata on the wire.
    """

    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str | None = None, *, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message if message is not None else (self.__doc__ or self.reason).splitlines()[0])
        self.metadata: dict[str, str] = dict(metadata or {})

    @property
    def message(self) -> str:
        """The sentence for a person."""
        return str(self.args[0])


class InvalidRequest(MainspringError):
    """The request is not valid.

    Args:
        violations: every wrong field, at least one, in the order in which they are to be reported.
    """

    reason: ClassVar[str] = "INVALID_REQUEST"

    def __init__(
        self, violations: Iterable[InvalidField], *, metadata: Mapping[str, str] | None = None
    ) -> None:
        self.violations: tuple[InvalidField, ...] = tuple(violations)
        if not self.violations:
            raise ValueError("InvalidRequest needs at least one violation")
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in self.violations), metadata=metadata)


class InvalidField(InvalidRequest):
    """One field of the request is not valid.

    It is an `InvalidRequest` with itself as the only violation, so code that reports them handles one type.

    Args:
        field: path of the field in the request message, such as "task.schedule.cron.expression".
        description: what is wrong and what would be right, one sentence fragment for a person.
    """

    reason: ClassVar[str] = "INVALID_FIELD"

    def __init__(self, field: str, description: str) -> None:
        self.field = field
        self.description = description
        super().__init__([self])

    def within(self, prefix: str) -> InvalidField:
        """The same violation, seen from an enclosing message: `prefix` joined to the field path by a dot."""
        return InvalidField(f"{prefix}.{self.field}", self.description)


class NotFound(MainspringError):
    """The named resource does not exist.

    Args:
        resource_type: "task", "execution", ...
        name: the name the caller gave, such as "namespace/id".
    """

    reason: ClassVar[str] = "NOT_FOUND"

    def __init__(self, resource_type: str, name: str) -> None:
        self.resource_type = resource_type
        self.name = name
        super().__init__(
            f"{resource_type} {name!r} does not exist",
            metadata={"resource_type": resource_type, "name": name},
        )


class AlreadyExists(MainspringError):
    """A resource of that name exists, with another definition.

    Args:
        resource_type: "task", ...
        name: the name the caller gave.
        detail: what differs, if known.
    """

    reason: ClassVar[str] = "ALREADY_EXISTS"

    def __init__(self, resource_type: str, name: str, detail: str = "") -> None:
        self.resource_type = resource_type
        self.name = name
        self.detail = detail
        super().__init__(
            f"{resource_type} {name!r} already exists" + (f": {detail}" if detail else ""),
            metadata={"resource_type": resource_type, "name": name},
        )


class FailedPrecondition(MainspringError):
    """The resource is not in a state that allows this call."""

    reason: ClassVar[str] = "FAILED_PRECONDITION"


class StaleEtag(MainspringError):
    """The resource has changed since the caller read it; nothing was done: read it again, and decide anew.

    Args:
        resource_type: "task", ...
        name: the name the caller gave.
        given: the etag of the call.
        current: the resource's etag.
    """

    reason: ClassVar[str] = "STALE_ETAG"

    def __init__(self, resource_type: str, name: str, given: str, current: str) -> None:
        super().__init__(
            f"{resource_type} {name!r} has changed: its etag is {current!r} and not {given!r} any more",
            metadata={"resource_type": resource_type, "name": name, "etag": current},
        )


class ResourceExhausted(MainspringError):
    """A limit is reached; nothing was done, and a later try may succeed."""

    reason: ClassVar[str] = "RESOURCE_EXHAUSTED"


class Unavailable(MainspringError):
    """The node cannot serve this now; nothing was done, and another node or a later try may succeed."""

    reason: ClassVar[str] = "UNAVAILABLE"


class StaleEpoch(MainspringError):
    """The partition was taken by another owner; nothing was written.

    Args:
        partition_id: the partition.
        epoch: the epoch the writer believed in.
        current_epoch: the epoch found in the store, if it is known.
    """

    reason: ClassVar[str] = "STALE_EPOCH"

    def __init__(self, partition_id: int, epoch: int, current_epoch: int | None = None) -> None:
        self.partition_id = partition_id
        self.epoch = epoch
        self.current_epoch = current_epoch
        metadata = {"partition_id": str(partition_id), "epoch": str(epoch)}
        if current_epoch is not None:
            metadata["current_epoch"] = str(current_epoch)
        super().__init__(f"partition {partition_id} is no longer held at epoch {epoch}", metadata=metadata)


class WrongPartitionCount(MainspringError):
    """The store was created with another number of partitions than the configuration says.

    Args:
        configured: the number in the configuration of this process.
        stored: the number fixed in the store when it was created.
    """

    reason: ClassVar[str] = "WRONG_PARTITION_COUNT"

    def __init__(self, configured: int, stored: int) -> None:
        self.configured = configured
        self.stored = stored
        super().__init__(
            f"configured for {configured} partitions, but the store was created with {stored} for good",
            metadata={"configured": str(configured), "stored": str(stored)},
        )


class UnreadableSchedule(MainspringError):
    """A stored schedule cannot be read by this version of the server."""

    reason: ClassVar[str] = "UNREADABLE_SCHEDULE"


class UnreadablePolicies(MainspringError):
    """A task's stored policies cannot be read by this version of the server."""

    reason: ClassVar[str] = "UNREADABLE_POLICIES"


class StoreError(MainspringError):
    """The store failed."""

    reason: ClassVar[str] = "STORE_ERROR"


class StoreUnavailable(StoreError):
    """The store cannot be reached; nothing was applied."""

    reason: ClassVar[str] = "STORE_UNAVAILABLE"


class UnknownOutcome(StoreError):
    """The store did not answer in time; the statement may or may not have been applied."""

    reason: ClassVar[str] = "UNKNOWN_OUTCOME"


class Contention(StoreError):
    """Another transaction was in the way; nothing was applied, retry the whole unit."""

    reason: ClassVar[str] = "CONTENTION"
