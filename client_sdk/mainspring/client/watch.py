"""Executions as they change: a stream that is taken up again where it broke."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator

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
        self._responses = responses
        self._waiting: deque[tuple[Execution, str]] = deque()
        """What is to be handed out, each with the token from then on."""

    @property
    def resume_token(self) -> str:
        return self._request.resume_token

    async def begin(self) -> str:
        """Wait until a node watches, which it says at once; return the token of that moment.

        What changes from then on will be handed out. Not needed before the iteration, which begins by itself.

        Raises:
            MainspringError: As the iteration does.
        """
        if not self._request.resume_token:
            await self._read()
        return self._request.resume_token

    async def __anext__(self) -> Execution:
        while not self._waiting:
            await self._read()
        execution, self._request.resume_token = self._waiting.popleft()
        return execution

    async def aclose(self) -> None:
        """End the stream. Safe to call twice."""
        await self._responses.aclose()

    async def _read(self) -> None:
        response = await anext(self._responses)
        if not response.executions:
            self._request.resume_token = response.resume_token
            return
        *others, last = map(convert.execution_from_proto, response.executions)
        self._waiting += [(each, self._request.resume_token) for each in others]
        # The consumer may look at the token as soon as it has the last one.
        self._waiting.append((last, response.resume_token))
