"""Calls that only the owner of a task may carry out: done here when that is this node, else carried to it.

Whoever the partition belongs to may change at any moment; then the owner is looked for again, until the call takes too long.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol, TypeVar

import structlog
from google.protobuf.message import DecodeError, Message

from mainspring.server.clock import Clock
from mainspring.server.engine.owner_router import OwnerRouter
from mainspring.server.engine.peers import PeerUnreachable
from mainspring.server.errors import InvalidField, MainspringError, StaleEpoch, Unavailable
from mainspring.server.rpc.status import Forwarded, status_of
from mainspring.v1 import node_service_pb2, task_service_pb2

log = structlog.get_logger(__name__)

LOOK_AGAIN_S = 0.05
LONGEST_SEARCH_S = 8.0
"""A change of owner takes a few seconds after a crash: below the 10 s that clients usually give a call."""

_Request = TypeVar("_Request", bound=Message)
_Response = TypeVar("_Response", bound=Message)


class CallForwarder(Protocol):
    """Carries calls to other nodes."""

    async def forward_call(
        self, address: str, request: node_service_pb2.ForwardCallRequest
    ) -> node_service_pb2.ForwardCallResponse:
        """See NodeService.ForwardCall.

        Raises:
            PeerUnreachable: it did not answer; it may have done what was asked.
        """
        ...


class _Method(NamedTuple):
    request: type[Any]
    response: type[Any]
    carry_out: Callable[[Any, bytes], Awaitable[Any]]


class OwnerCalls:
    """The calls by name. What a method does must be safe to do again: an answer may be lost on the way."""

    def __init__(self, clock: Clock, router: OwnerRouter, peers: CallForwarder) -> None:
        self._clock = clock
        self._router = router
        self._peers = peers
        self._methods: dict[str, _Method] = {}

    def register(
        self,
        name: str,
        request: type[_Request],
        response: type[_Response],
        carry_out: Callable[[_Request, bytes], Awaitable[_Response]],
    ) -> None:
        """Adds a method.

        Args:
            carry_out: does it, given the request and the key of the call. Raises StaleEpoch when this node does not own the
                task.
        """
        self._methods[name] = _Method(request, response, carry_out)

    async def call(self, name: str, partition_id: int, request: Message) -> Any:
        """Has the owner of a partition carry a method out; answers what it answers.

        Raises:
            MainspringError: what the owner raises.
            Unavailable: no owner was found in time.
        """
        method = self._methods[name]
        call_key = uuid.uuid4().bytes
        until_s = self._clock.monotonic() + LONGEST_SEARCH_S
        while True:
            try:
                return await method.carry_out(request, call_key)
            except StaleEpoch:
                pass
            owner = self._router.owner_of(partition_id)
            if owner is not None:
                carried = node_service_pb2.ForwardCallRequest(
                    partition_id=partition_id,
                    method=name,
                    request=request.SerializeToString(),
                    call_key=call_key,
                )
                answer = await self._ask(owner.address, carried)
                if answer is not None and not answer.is_not_mine:
                    if answer.HasField("error"):
                        raise Forwarded(answer.error)
                    return method.response.FromString(answer.response)
            if self._clock.monotonic() >= until_s:
                raise Unavailable("the owner of the task could not be reached: call again")
            await self._clock.sleep(LOOK_AGAIN_S)

    async def _ask(
        self, address: str, carried: node_service_pb2.ForwardCallRequest
    ) -> node_service_pb2.ForwardCallResponse | None:
        try:
            return await self._peers.forward_call(address, carried)
        except PeerUnreachable as error:
            log.info("peer_unreachable", address=address, error=str(error))
            return None

    async def answer(
        self, request: node_service_pb2.ForwardCallRequest
    ) -> node_service_pb2.ForwardCallResponse:
        """Carries out what another node was asked for.

        Raises:
            InvalidField: it is no call that this node knows.
        """
        method = self._methods.get(request.method)
        if method is None:
            raise InvalidField("method", f"is {request.method!r}, which this node does not know")
        try:
            wanted = method.request.FromString(request.request)
        except DecodeError as error:
            raise InvalidField("request", f"is no request of {request.method}: {error}") from error
        try:
            done = await method.carry_out(wanted, request.call_key)
        except StaleEpoch:
            return node_service_pb2.ForwardCallResponse(is_not_mine=True)
        except MainspringError as error:
            status = status_of(error)
            return node_service_pb2.ForwardCallResponse(
                error=task_service_pb2.ItemError(
                    code=status.code, message=status.message, details=status.details
                )
            )
        return node_service_pb2.ForwardCallResponse(response=done.SerializeToString())
