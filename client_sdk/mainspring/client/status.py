"""gRPC status and google.rpc details -> the exceptions of `errors`. The only place that reads them."""

from collections.abc import Iterable

import grpc
import grpc.aio
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from mainspring.client import errors

DOMAIN = "mainspring.v1"
"""The domain of ErrorInfo whose reasons are part of Mainspring's contract."""

DETAILS_KEY = "grpc-status-details-bin"

_CLASSES: dict[int, type[errors.MainspringError]] = {
    grpc.StatusCode.INVALID_ARGUMENT.value[0]: errors.InvalidArgument,
    grpc.StatusCode.OUT_OF_RANGE.value[0]: errors.InvalidArgument,
    grpc.StatusCode.NOT_FOUND.value[0]: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS.value[0]: errors.AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION.value[0]: errors.FailedPrecondition,
    grpc.StatusCode.ABORTED.value[0]: errors.Aborted,
    grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]: errors.ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE.value[0]: errors.Unavailable,
    # Nobody here cancelled it (that is an asyncio.CancelledError): the node has stopped in the middle of the call.
    grpc.StatusCode.CANCELLED.value[0]: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED.value[0]: errors.DeadlineExceeded,
    grpc.StatusCode.UNIMPLEMENTED.value[0]: errors.Unimplemented,
    grpc.StatusCode.INTERNAL.value[0]: errors.Internal,
}
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


def from_rpc_error(error: grpc.aio.AioRpcError) -> errors.MainspringError:
    """Return the typed exception for a failed call."""
    for key, value in error.trailing_metadata():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                status = status_pb2.Status.FromString(value)
            except DecodeError:
                break
            # The call's own code rules: a proxy may have replaced it on the way.
            return from_status(error.code().value[0], status.message or error.details() or "", status.details)
    return from_status(error.code().value[0], error.details() or "", ())


def from_status(code: int, message: str, details: Iterable[any_pb2.Any]) -> errors.MainspringError:
    """Return the typed exception for a google.rpc status.

    Args:
        code: A google.rpc.Code.
        message: For people.
        details: google.rpc details; kinds that are not known are passed over.
    """
    reason, metadata, fields = "", dict[str, str](), list[errors.FieldViolation]()
    for detail in details:
        info = error_details_pb2.ErrorInfo()
        bad_request = error_details_pb2.BadRequest()
        try:
            if detail.Unpack(info):
                if info.domain == DOMAIN:
                    reason, metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(bad_request):
                fields += [
                    errors.FieldViolation(violation.field, violation.description)
                    for violation in bad_request.field_violations
                ]
        except DecodeError:
            continue
    kind = _CLASSES.get(code)
    if kind is errors.InvalidArgument:
        return errors.InvalidArgument(message, reason=reason, metadata=metadata, fields=fields)
    if kind is None:
        return errors.MainspringError(
            message, reason=reason, metadata=metadata, code=_NAMES.get(code, str(code))
        )
    return kind(message, reason=reason, metadata=metadata)
