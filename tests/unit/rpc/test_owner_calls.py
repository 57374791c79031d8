"""A call finds the owner of its task, wherever that is by now."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from mainspring.server.clock import ClusterClock
from mainspring.server.engine.peers import PeerUnreachable
from mainspring.server.errors import (
    FailedPrecondition,
    InvalidField,
    MainspringError,
    StaleEpoch,
    Unavailable,
)
from mainspring.server.rpc import owner_calls
from mainspring.server.rpc.owner_calls import OwnerCalls
from mainspring.server.rpc.status import status_of
from mainspring.v1 import node_service_pb2, task_service_pb2

Request, Response = task_service_pb2.DeleteTaskRequest, task_service_pb2.GetTaskResponse


class Nodes:
    """Some nodes that know each other; `owner` is who owns partition 0, `believed` who is said to."""

    def __init__(self, count: int) -> None:
        self.owner: int | None = 0
        self.believed: int | None = 0
        self.away: set[int] = set()
        self.error: MainspringError | None = None
        self.keys: list[bytes] = []
        self.calls = [self._node(number) for number in range(count)]

    def _node(self, number: int) -> OwnerCalls:
        def owner_of(partition_id: int) -> Any:
            is_other = self.believed is not None and self.believed != number
            return SimpleNamespace(address=str(self.believed)) if is_other else None

        router: Any = SimpleNamespace(owner_of=owner_of)
        made = OwnerCalls(ClusterClock(), router, self)

        async def carry_out(request: Request, call_key: bytes) -> Response:
            self.keys.append(call_key)
            if self.owner != number:
                raise StaleEpoch(0, 1)
            if self.error is not None:
                raise self.error
            response = Response()
            response.task.id = f"{request.id} at {number}"
            return response

        made.register("Do", Request, Response, carry_out)
        return made

    async def forward_call(
        self, address: str, request: node_service_pb2.ForwardCallRequest
    ) -> node_service_pb2.ForwardCallResponse:
        if int(address) in self.away:
            raise PeerUnreachable("away")
        return await self.calls[int(address)].answer(request)

    async def call(self, number: int) -> str:
        return (await self.calls[number].call("Do", 0, Request(id="t"))).task.id  # type: ignore[no-any-return]


async def test_the_owner_does_it_and_others_carry_it_there() -> None:
    nodes = Nodes(2)
    assert await nodes.call(0) == "t at 0"
    assert await nodes.call(1) == "t at 0"
    assert len(set(nodes.keys)) == 2  # one a call, however often it is carried


async def test_who_owns_it_by_now_is_looked_for_again() -> None:
    nodes = Nodes(3)
    nodes.owner, nodes.believed, nodes.away = 2, 1, {1}
    calling = asyncio.create_task(nodes.call(0))
    await asyncio.sleep(0)
    nodes.away = set()
    await asyncio.sleep(owner_calls.LOOK_AGAIN_S)
    nodes.believed = 2
    assert await calling == "t at 2"
    assert len(set(nodes.keys)) == 1


async def test_what_the_owner_raises_comes_back_as_it_is() -> None:
    nodes = Nodes(2)
    nodes.error = FailedPrecondition("not now")
    with pytest.raises(FailedPrecondition) as here:
        await nodes.call(0)
    with pytest.raises(MainspringError) as there:
        await nodes.call(1)
    assert status_of(there.value) == status_of(here.value)


async def test_without_an_owner_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_calls, "LONGEST_SEARCH_S", 0.1)
    nodes = Nodes(1)
    nodes.owner = nodes.believed = None
    with pytest.raises(Unavailable):
        await nodes.call(0)


async def test_a_call_of_newer_nodes_is_refused() -> None:
    nodes = Nodes(1)
    with pytest.raises(InvalidField):
        await nodes.calls[0].answer(node_service_pb2.ForwardCallRequest(method="Undo"))
    with pytest.raises(InvalidField):
        await nodes.calls[0].answer(node_service_pb2.ForwardCallRequest(method="Do", request=b"\xff"))
