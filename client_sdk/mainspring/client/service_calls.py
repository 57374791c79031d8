"""What the calls of every service share."""

from collections.abc import Callable
from typing import Any, TypeVar

import grpc.aio

from mainspring.client.caller import Caller

Response = TypeVar("Response")


class ServiceCalls:
    """Calls through one `Caller`, with the deadline of the client where a call names none.

    The base of the classes that `MainspringClient` is made of, one for each service.

    Attributes:
        default_timeout_s: Deadline of a call that names none, over all its tries, in seconds.
    """

    def __init__(self, caller: Caller, *, default_timeout_s: float) -> None:
        self._caller = caller
        self.default_timeout_s = default_timeout_s

    async def _call(
        self,
        stub: Callable[[grpc.aio.Channel], Any],
        method: str,
        request: object,
        response_type: type[Response],
        timeout_s: float | None,
    ) -> Response:
        return await self._caller.call(
            stub,
            method,
            request,
            response_type,
            timeout_s=self._timeout_s(timeout_s),
        )

    def _timeout_s(self, timeout_s: float | None) -> float:
        return self.default_timeout_s if timeout_s is None else timeout_s
