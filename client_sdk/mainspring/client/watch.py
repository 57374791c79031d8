"""Executions as they change: a stream that is taken up again where it broke."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from mainspring.client import convert
from mainspring.client.execution import Execution
from mainspring.v1 import execution_service_pb2 as pb


class ExecutionWatch(AsyncIterator[Execution]):
    """Iterates over executions as they change; see `MainspringClient.watch_executions`. For one consumer.

    End it with `aclose`, or leave that to `contextlib.aclosing`.

    Attributes:
        resume_token: Goes on behind what was handed out so far, in another watch of the same executions: after a
            restart of this program, for one. Empty before the first word of a node.
    """

    def __init__(
        self, request: pb.WatchExecutionsRequest, responses: AsyncGenerator[pb.WatchExecutionsResponse, None]
    ) -> None:
        """Built by `MainspringClient.watch_executions`.

        Args:
            request: What each stream is opened with; its token is moved on here.
            responses: What all streams have answered, one after the other.
        """
        self._request = request
        self._executions = self._read(responses)

    @property
    def resume_token(self) -> str:
        return self._request.resume_token

    async def __anext__(self) -> Execution:
        return await anext(self._executions)

    async def aclose(self) -> None:
        """End the stream. Safe to call twice."""
        await self._executions.aclose()

    async def _read(
        self, responses: AsyncGenerator[pb.WatchExecutionsResponse, None]
    ) -> AsyncGenerator[Execution, None]:
        async with aclosing(responses):
            async for response in responses:
                for execution in response.executions[:-1]:
                    yield convert.execution_from_proto(execution)
                # The consumer may look at the token as soon as it has the last one.
                self._request.resume_token = response.resume_token
                for execution in response.executions[-1:]:
                    yield convert.execution_from_proto(execution)
