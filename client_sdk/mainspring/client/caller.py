"""Calls over several addresses: retries what is safe to retry, within the call's deadline."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, TypeVar

import grpc
import grpc.aio

from mainspring.client.backoff import Backoff
from mainspring.client.channel import open_channel
from mainspring.client.errors import DeadlineExceeded, MainspringError, Unavailable
from mainspring.client.status import from_rpc_error

Response = TypeVar("Response")

MIN_TRY_S = 0.005
"""No try is started with less time than this left."""


class Caller:
    """Sends calls to one of several nodes and sticks to one that works.

    UNAVAILABLE, and only that, is tried again: on the next address at once, and after a jittered wait when
    every address has failed in a row. Safe for many calls at the same time on one event loop.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        credentials: grpc.ChannelCredentials | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._addresses = tuple(addresses)
        self._credentials = credentials
        self._backoff = backoff or Backoff()
        self._random = random.Random()
        self._channels: dict[int, grpc.aio.Channel] = {}
        self._stubs: dict[tuple[int, object], Any] = {}
        self._current = 0

    async def call(
        self,
        stub: Callable[[grpc.aio.Channel], Any],
        method: str,
        request: object,
        response_type: type[Response],
        *,
        timeout_s: float,
    ) -> Response:
        """Return the response.

        Args:
            stub: The class of the service's stub.
            method: The name of the method.
            request: The message to send, the same on each try.
            response_type: The message answered.
            timeout_s: Deadline over all tries, in seconds.

        Raises:
            MainspringError: What the node answered; `Unavailable` when no try succeeded in time.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        failures = 0
        heard: Unavailable | None = None
        while True:
            index = self._current
            remaining_s = deadline - loop.time()
            try:
                response = await getattr(self._stub(index, stub), method)(
                    request, timeout=max(remaining_s, MIN_TRY_S)
                )
            except grpc.aio.AioRpcError as error:
                mapped = from_rpc_error(error)
                if heard is not None and isinstance(mapped, DeadlineExceeded):
                    raise heard from error  # the last try was cut short; the one before said why
                if not isinstance(mapped, Unavailable):
                    raise mapped from error
                heard = mapped
                failures += 1
                wait_s = self._move_on(index, failures)
                if loop.time() + wait_s + MIN_TRY_S > deadline:
                    raise mapped from error
                await asyncio.sleep(wait_s)
            else:
                if not isinstance(response, response_type):
                    raise TypeError(f"{method} answered {type(response).__name__}")
                return response

    async def stream(
        self,
        stub: Callable[[grpc.aio.Channel], Any],
        method: str,
        request: Callable[[], object],
        response_type: type[Response],
        *,
        silence_s: float,
        timeout_s: float,
    ) -> AsyncGenerator[Response, None]:
        """Yield the responses of a stream without end, which is opened again, there or elsewhere, when it ends.

        Args:
            stub: The class of the service's stub.
            method: The name of the method.
            request: Makes the message to send, for each stream anew.
            response_type: The messages answered.
            silence_s: A stream that says nothing for this long, in seconds, counts as broken.
            timeout_s: How long streams may break one after the other without a word in between, in seconds.

        Raises:
            MainspringError: What a node answered; `Unavailable` when no stream could be had in time.
        """
        loop = asyncio.get_running_loop()
        failures = 0
        deadline = loop.time() + timeout_s
        while True:
            index = self._current
            call = getattr(self._stub(index, stub), method)(request())
            broken: MainspringError = Unavailable("the node has ended the stream")
            try:
                while True:
                    async with asyncio.timeout(silence_s):
                        response = await call.read()
                    if response is grpc.aio.EOF:
                        break
                    if not isinstance(response, response_type):
                        raise TypeError(f"{method} answered {type(response).__name__}")
                    failures = 0
                    yield response
            except TimeoutError:
                broken = Unavailable(f"the node has said nothing for {silence_s:g} s")
            except grpc.aio.AioRpcError as error:
                broken = from_rpc_error(error)
                # A node that stops cancels its streams.
                if not isinstance(broken, Unavailable) and error.code() is not grpc.StatusCode.CANCELLED:
                    raise broken from error
            finally:
                call.cancel()
            if not failures:
                deadline = loop.time() + timeout_s
            failures += 1
            # Never at once: nodes that each end the stream after a word would be asked without a pause.
            wait_s = self._move_on(index, failures) or self._backoff.delay_s(1, self._random)
            if loop.time() + wait_s + MIN_TRY_S > deadline:
                raise broken
            await asyncio.sleep(wait_s)

    async def close(self) -> None:
        """Close every channel; calls still open end as cancelled. Safe to call twice."""
        channels, self._channels, self._stubs = list(self._channels.values()), {}, {}
        for channel in channels:
            await channel.close()

    def _move_on(self, index: int, failures: int) -> float:
        """Turn from the address that has failed to the next; return how long to wait first, in seconds."""
        if self._current == index:  # else another call has moved on already
            self._current = (index + 1) % len(self._addresses)
        if failures % len(self._addresses):
            return 0.0
        return self._backoff.delay_s(failures // len(self._addresses), self._random)

    def _stub(self, index: int, kind: Callable[[grpc.aio.Channel], Any]) -> Any:
        stub = self._stubs.get((index, kind))
        if stub is None:
            if index not in self._channels:
                self._channels[index] = open_channel(self._addresses[index], self._credentials)
            stub = self._stubs[index, kind] = kind(self._channels[index])
        return stub
