"""What surrounds every call with one request: decoding errors, deadlines, error mapping, metrics, the access log."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from grpc_status import rpc_status

from mainspring.server.clock import Clock
from mainspring.server.errors import InvalidField, MainspringError, Unavailable
from mainspring.server.observability.metrics import Metrics
from mainspring.server.rpc.status import internal_status, status_of

log = structlog.get_logger(__name__)

LONGEST_CALL_S = 15.0
ANSWER_MARGIN_S = 0.3
OWN_SERVICES = "/mainspring.v1."
UNBOUNDED = "/mainspring.v1.DevService/"
"""Not on real nodes. Its calls take as long as the work that they set off, and mind their deadline themselves."""


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the methods with one request of the project's own services."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Puts the wrapper around a method's handler."""
        handler = await continuation(handler_call_details)
        method: str = handler_call_details.method
        if handler is None or not method.startswith(OWN_SERVICES):
            return handler
        if handler.unary_stream is not None:
            return self._streaming(method, handler)
        if handler.unary_unary is None:
            return handler
        decode = handler.request_deserializer
        assert decode is not None
        call = handler.unary_unary

        async def wrapped(raw: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            begun_s = self._clock.monotonic()
            status: status_pb2.Status | None = None
            try:
                return await self._call(method, lambda: _decoded(raw, decode), call, context)
            except MainspringError as error:
                status = status_of(error)
            except grpc.aio.AbortError:
                raise
            except Exception:
                log_id = uuid.uuid4().hex[:12]
                log.exception("call_crashed", method=method, log_id=log_id)
                status = internal_status(log_id)
            finally:
                code = "OK" if status is None else grpc_code_name(status.code)
                self._metrics.calls.labels(method, code).observe(self._clock.monotonic() - begun_s)
                if status is not None:
                    log.debug("call_failed", method=method, status=code, message=status.message)
            await context.abort_with_status(rpc_status.to_status(status))
            raise AssertionError("abort_with_status returned")

        return grpc.unary_unary_rpc_method_handler(
            wrapped, request_deserializer=None, response_serializer=handler.response_serializer
        )

    def _streaming(
        self, method: str, handler: grpc.RpcMethodHandler[Any, Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """The wrapper around a method that answers a stream: no deadline of its own, errors as of other calls."""
        decode = handler.request_deserializer
        assert decode is not None
        call: Any = handler.unary_stream  # its type is that of servers with threads

        async def wrapped(raw: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            try:
                async for response in call(_decoded(raw, decode), context):
                    yield response
                return
            except MainspringError as error:
                status = status_of(error)
            except grpc.aio.AbortError:
                raise
            except Exception:
                log_id = uuid.uuid4().hex[:12]
                log.exception("call_crashed", method=method, log_id=log_id)
                status = internal_status(log_id)
            log.debug(
                "call_failed", method=method, status=grpc_code_name(status.code), message=status.message
            )
            await context.abort_with_status(rpc_status.to_status(status))

        return grpc.unary_stream_rpc_method_handler(
            wrapped, request_deserializer=None, response_serializer=handler.response_serializer
        )

    async def _call(
        self,
        method: str,
        decode: Callable[[], Any],
        call: Callable[[Any, Any], Awaitable[Any]],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> Any:
        request = decode()
        limit_s = None if method.startswith(UNBOUNDED) else time_limit_s(context.time_remaining())
        try:
            async with asyncio.timeout(limit_s):
                return await call(request, context)
        except TimeoutError:
            raise Unavailable(f"no answer within {limit_s:.1f} s: call again") from None


def _decoded(raw: bytes, decode: Callable[[bytes], Any]) -> Any:
    try:
        return decode(raw)
    except (DecodeError, UnicodeDecodeError, ValueError) as error:
        raise InvalidField("request", f"is not a message of the method's request type: {error}") from error


def time_limit_s(remaining_s: float | None) -> float:
    """How long a call may take here, so that its caller still hears why it failed before its own deadline passes."""
    if remaining_s is None:
        return LONGEST_CALL_S
    return min(LONGEST_CALL_S, max(0.0, remaining_s - min(ANSWER_MARGIN_S, remaining_s / 10)))


def grpc_code_name(number: int) -> str:
    """The name of a google.rpc.Code."""
    return next((code.name for code in grpc.StatusCode if code.value[0] == number), "UNKNOWN")
