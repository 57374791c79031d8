"""The clock of `mainspring dev --virtual-clock`, from Python: real nodes do not have it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from mainspring.client.addresses import parse_addresses
from mainspring.client.caller import Caller
from mainspring.client.instants import from_timestamp, to_duration, to_timestamp
from mainspring.v1 import dev_service_pb2 as pb
from mainspring.v1 import dev_service_pb2_grpc

_DEV = dev_service_pb2_grpc.DevServiceStub

DEFAULT_TIMEOUT_S = 60.0
"""Of real time: a move takes as long as the work that falls due on the way."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """What a move of the clock came to.

    Attributes:
        time: The virtual time now, in UTC.
        finished_executions: How many executions reached a final state on the way.
    """

    time: datetime
    finished_executions: int


class DevClient:
    """Reads and moves the virtual clock. For one event loop; use it as `async with`, or call `close`.

    Methods raise `MainspringError` subclasses: `Unimplemented` where the clock is not virtual, `Aborted` while another
    call moves it, `DeadlineExceeded` when the work on the way took longer than `timeout_s`; virtual time then stays where
    it has come to.

    Args:
        address: host:port of `mainspring dev --virtual-clock`.

    Raises:
        ValueError: That is no address.
    """

    def __init__(self, address: str) -> None:
        self._caller = Caller(parse_addresses(address))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection. Safe to call twice."""
        await self._caller.close()

    async def now(self) -> datetime:
        """Return the virtual time, in UTC."""
        request = pb.GetTimeRequest()
        response = await self._caller.call(_DEV, "GetTime", request, pb.GetTimeResponse, timeout_s=10.0)
        return from_timestamp(response.time)

    async def advance(self, to: timedelta | datetime, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Advanced:
        """Move the clock on, by a duration or to an instant; return when all that fell due has finished.

        Raises:
            InvalidArgument: That would be back, or more than 3,650 days.
            ValueError: The instant is naive.
        """
        # A call that lost its connection is repeated: only a target means the same the second time.
        target = await self.now() + to if isinstance(to, timedelta) else to
        response = await self._caller.call(
            _DEV, "AdvanceTime", advance_request(target), pb.AdvanceTimeResponse, timeout_s=timeout_s
        )
        return Advanced(from_timestamp(response.time), response.finished_executions)

    async def run_until_idle(
        self, limit: timedelta | None = None, *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Advanced:
        """Move the clock on until no one-time task is left and nothing runs.

        Args:
            limit: How far at most. None: 3,650 days.
            timeout_s: Deadline of the call, in seconds of real time.

        Raises:
            ResourceExhausted: Something was left at the limit.
            FailedPrecondition: No connected executor offers the handlers of what is left.
        """
        response = await self._caller.call(
            _DEV, "RunUntilIdle", idle_request(limit), pb.RunUntilIdleResponse, timeout_s=timeout_s
        )
        return Advanced(from_timestamp(response.time), response.finished_executions)


def advance_request(to: timedelta | datetime) -> pb.AdvanceTimeRequest:
    """Return the message that moves the clock by a duration or to an instant.

    Raises:
        ValueError: The instant is naive.
    """
    if isinstance(to, timedelta):
        return pb.AdvanceTimeRequest(by=to_duration(to))
    return pb.AdvanceTimeRequest(to=to_timestamp("to", to))


def idle_request(limit: timedelta | None) -> pb.RunUntilIdleRequest:
    """Return the message that moves the clock until nothing is left to do."""
    return pb.RunUntilIdleRequest(limit=to_duration(limit) if limit is not None else None)
