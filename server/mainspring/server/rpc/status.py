"""Domain errors as gRPC statuses, in one table, with google.rpc details."""

from __future__ import annotations

from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from mainspring.server import errors
from mainspring.v1 import task_service_pb2

DOMAIN = "mainspring.v1"

# The most specific class first.
_CODES: tuple[tuple[type[errors.MainspringError], int], ...] = (
    (errors.InvalidRequest, code_pb2.INVALID_ARGUMENT),
    (errors.NotFound, code_pb2.NOT_FOUND),
    (errors.AlreadyExists, code_pb2.ALREADY_EXISTS),
    (errors.FailedPrecondition, code_pb2.FAILED_PRECONDITION),
    (errors.ResourceExhausted, code_pb2.RESOURCE_EXHAUSTED),
    (errors.StaleEpoch, code_pb2.ABORTED),
    (errors.StaleEtag, code_pb2.ABORTED),
    (errors.Unavailable, code_pb2.UNAVAILABLE),
    (errors.StoreError, code_pb2.UNAVAILABLE),
)
_RETRY_S = {code_pb2.UNAVAILABLE: 1, code_pb2.RESOURCE_EXHAUSTED: 2}


class Forwarded(errors.MainspringError):
    """What another node answered, in its words.

    Args:
        error: the status, as `ItemError`.
    """

    def __init__(self, error: task_service_pb2.ItemError) -> None:
        super().__init__(error.message)
        self.status = status_pb2.Status(code=error.code, message=error.message, details=error.details)


def status_of(error: errors.MainspringError) -> status_pb2.Status:
    """The status of a domain error: code, sentence, ErrorInfo, and BadRequest or RetryInfo where they fit."""
    if isinstance(error, Forwarded):
        return error.status
    code = next((code for kind, code in _CODES if isinstance(error, kind)), code_pb2.INTERNAL)
    details: list[any_pb2.Any] = []

    def add(
        detail: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo,
    ) -> None:
        packed = any_pb2.Any()
        packed.Pack(detail)
        details.append(packed)

    add(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata))
    if isinstance(error, errors.InvalidRequest):
        add(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description)
                    for v in error.violations
                ]
            )
        )
    if code in _RETRY_S:
        add(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=_RETRY_S[code])))
    return status_pb2.Status(code=code, message=error.message, details=details)


def internal_status(log_id: str) -> status_pb2.Status:
    """A bug: a neutral sentence with the id under which the log has the traceback."""
    packed = any_pb2.Any()
    packed.Pack(error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"log_id": log_id}))
    return status_pb2.Status(
        code=code_pb2.INTERNAL,
        message=f"internal error: the node's log has it under id {log_id}",
        details=[packed],
    )
