"""The client: one method per call, plain Python values in and out."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import grpc

from mainspring.client.addresses import parse_addresses
from mainspring.client.admin_calls import AdminCalls
from mainspring.client.backoff import Backoff
from mainspring.client.caller import Caller
from mainspring.client.execution_calls import ExecutionCalls
from mainspring.client.life_cycle_calls import LifeCycleCalls
from mainspring.client.namespace_calls import NamespaceCalls
from mainspring.client.slo_calls import SloCalls
from mainspring.client.task_calls import TaskCalls


class MainspringClient(TaskCalls, LifeCycleCalls, ExecutionCalls, SloCalls, NamespaceCalls, AdminCalls):
    """Registers tasks and reads the ledger, over any of the given nodes.

    Every method raises `MainspringError` subclasses for what the server answers, and `Unavailable` when no
    node could be reached within the deadline. Calls that lost their connection are repeated: each is safe to
    repeat, because a created task, a trigger and a retry have an id before they are first sent. One client
    serves many concurrent calls of one event loop. Use it as `async with`, or call `close`.

    Args:
        addresses: host:port of one node or of several (a list, or one string with commas).
        default_timeout_s: Deadline of a call that names none, over all its tries, in seconds.
        credentials: For TLS. None: plain text.
        backoff: How long to wait when every address has failed.
        parallel_calls: How many calls `create_tasks` has open at once.

    Raises:
        ValueError: There is no address, or a limit is not above 0.
    """

    def __init__(
        self,
        addresses: str | Sequence[str],
        *,
        default_timeout_s: float = 10.0,
        credentials: grpc.ChannelCredentials | None = None,
        backoff: Backoff | None = None,
        parallel_calls: int = 4,
    ) -> None:
        if default_timeout_s <= 0 or parallel_calls < 1:
            raise ValueError("default_timeout_s and parallel_calls must be above 0")
        caller = Caller(parse_addresses(addresses), credentials=credentials, backoff=backoff)
        super().__init__(caller, default_timeout_s=default_timeout_s, parallel_calls=parallel_calls)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._caller.close()
