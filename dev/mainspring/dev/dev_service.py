"""DevService: the calls that move a virtual clock. Only `mainspring dev --virtual-clock` has it."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration

from mainspring.dev.virtual_clock_mover import (
    ClockBusyError,
    LimitReachedError,
    NothingRunsItError,
    TimeMover,
)
from mainspring.server.errors import FailedPrecondition, InvalidField, ResourceExhausted
from mainspring.server.rpc.instants import LARGEST_AT, instant, timestamp
from mainspring.v1 import dev_service_pb2 as pb
from mainspring.v1 import dev_service_pb2_grpc

log = structlog.get_logger(__name__)

SERVICE = pb.DESCRIPTOR.services_by_name["DevService"].full_name
LONGEST_MOVE_US = 3_650 * 86_400 * 1_000_000
LONGEST_CALL_S = 3_600.0
"""Of a call that sent no deadline."""
ANSWER_MARGIN_S = 0.3

Context = grpc.aio.ServicerContext[Any, Any]


class DevServicer(dev_service_pb2_grpc.DevServiceServicer):
    """Decodes, moves the clock, encodes."""

    def __init__(self, mover: TimeMover) -> None:
        self._mover = mover

    async def GetTime(self, request: pb.GetTimeRequest, context: Context) -> pb.GetTimeResponse:
        """See the proto."""
        return pb.GetTimeResponse(time=timestamp(self._mover.clock.now()))

    async def AdvanceTime(self, request: pb.AdvanceTimeRequest, context: Context) -> pb.AdvanceTimeResponse:
        """See the proto."""
        to_at = self._target(request)
        finished_before = self._mover.finished
        await self._move(self._mover.advance(to_at), context)
        return pb.AdvanceTimeResponse(
            time=timestamp(self._mover.clock.now()),
            finished_executions=self._mover.finished - finished_before,
        )

    async def RunUntilIdle(
        self, request: pb.RunUntilIdleRequest, context: Context
    ) -> pb.RunUntilIdleResponse:
        """See the proto."""
        limit_us = _length(request.limit, "limit") if request.HasField("limit") else LONGEST_MOVE_US
        limit_at = min(self._mover.clock.now() + limit_us, LARGEST_AT)
        finished_before = self._mover.finished
        await self._move(self._mover.run_until_idle(limit_at), context)
        return pb.RunUntilIdleResponse(
            time=timestamp(self._mover.clock.now()),
            finished_executions=self._mover.finished - finished_before,
        )

    def _target(self, request: pb.AdvanceTimeRequest) -> int:
        now = self._mover.clock.now()
        kind = request.WhichOneof("target")
        if kind == "by":
            return min(now + _length(request.by, "by"), LARGEST_AT)
        if kind == "to":
            to_at = instant(request.to, "to")
            if to_at < now:
                raise InvalidField("to", f"lies before the virtual time, {_text(now)}: it runs forward only")
            return to_at
        raise InvalidField("target", "is required: by or to")

    async def _move(self, moving: Awaitable[None], context: Context) -> None:
        """Move within the call's deadline, less what an answer takes."""
        remaining_s = context.time_remaining()
        limit_s = LONGEST_CALL_S if remaining_s is None else max(0.0, remaining_s - _margin_s(remaining_s))
        try:
            async with asyncio.timeout(limit_s):
                await moving
        except TimeoutError:
            mover = self._mover
            reason = f" because {mover.waits_for}" if mover.waits_for else ""
            log.warning("virtual_time_call_too_long", now=_text(mover.clock.now()), reason=mover.waits_for)
            await context.abort(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"virtual time has come to {_text(mover.clock.now())}{reason}: call again with the rest",
            )
        except ClockBusyError as error:
            await context.abort(grpc.StatusCode.ABORTED, f"{error}: wait for its end")
        except LimitReachedError as error:
            raise ResourceExhausted(f"the limit is reached: {error}") from None
        except NothingRunsItError as error:
            raise FailedPrecondition(f"{error}: connect an executor that offers them") from None


def _text(at: int) -> str:
    return timestamp(at).ToJsonString()


def _margin_s(remaining_s: float) -> float:
    return min(ANSWER_MARGIN_S, remaining_s / 10)


def _length(duration: Duration, field: str) -> int:
    """Microseconds; nanoseconds are cut off."""
    length_us = duration.seconds * 1_000_000 + duration.nanos // 1_000
    if not 0 <= length_us <= LONGEST_MOVE_US:
        raise InvalidField(field, "must lie between 0 s and 3,650 days")
    return length_us
