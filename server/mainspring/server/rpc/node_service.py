"""NodeService: what other nodes tell this one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from mainspring.server.clock import Clock
from mainspring.server.dispatch.frames import AttemptId
from mainspring.server.engine.engine import Engine
from mainspring.server.rpc import convert
from mainspring.server.rpc.drainer import Drainer
from mainspring.server.rpc.owner_calls import OwnerCalls
from mainspring.shard_manager.handover import Release
from mainspring.v1 import node_service_pb2, node_service_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]

SETTLE_S = 1.5


class NodeServicer(node_service_pb2_grpc.NodeServiceServicer):
    """Decodes and hands to the engine or the shard manager."""

    def __init__(
        self,
        clock: Clock,
        engine: Engine,
        on_release: Callable[[Sequence[Release]], None],
        drainer: Drainer,
        owner_calls: OwnerCalls,
    ) -> None:
        self._clock = clock
        self._engine = engine
        self._on_release = on_release
        self._drainer = drainer
        self._owner_calls = owner_calls

    async def Hint(
        self, request: node_service_pb2.HintRequest, context: Context
    ) -> node_service_pb2.HintResponse:
        """See the proto."""
        not_mine = self._engine.accept_hints([convert.hint_from_proto(m) for m in request.tasks])
        return node_service_pb2.HintResponse(not_mine=not_mine)

    async def TakeNote(
        self, request: node_service_pb2.TakeNoteRequest, context: Context
    ) -> node_service_pb2.TakeNoteResponse:
        """See the proto."""
        unconfirmed = await self._engine.take_notes([convert.note_from_proto(m) for m in request.tasks])
        return node_service_pb2.TakeNoteResponse(unconfirmed=unconfirmed)

    async def ForwardCall(
        self, request: node_service_pb2.ForwardCallRequest, context: Context
    ) -> node_service_pb2.ForwardCallResponse:
        """See the proto."""
        return await self._owner_calls.answer(request)

    async def ForwardResults(
        self, request: node_service_pb2.ForwardResultsRequest, context: Context
    ) -> node_service_pb2.ForwardResultsResponse:
        """See the proto. Answers with what was settled in time; the executor repeats the rest."""
        saved: set[AttemptId] = set()
        results = convert.results_from_proto(request.results)
        wanted = {result.attempt_id for result in results}
        is_settled = asyncio.Event()

        def answer(attempt_ids: Sequence[AttemptId]) -> None:
            saved.update(attempt_ids)
            if saved >= wanted:
                is_settled.set()

        self._engine.accept_forwarded(results, answer)
        try:
            async with self._clock.timeout(SETTLE_S):
                await is_settled.wait()
        except TimeoutError:
            pass
        return node_service_pb2.ForwardResultsResponse(
            saved=[convert.attempt_to_proto(a) for a in sorted(saved)]
        )

    async def ForwardProgress(
        self, request: node_service_pb2.ForwardProgressRequest, context: Context
    ) -> node_service_pb2.ForwardProgressResponse:
        """See the proto."""
        self._engine.accept_forwarded_progress(convert.progress_from_proto(request.progress))
        return node_service_pb2.ForwardProgressResponse()

    async def AnnounceRelease(
        self, request: node_service_pb2.AnnounceReleaseRequest, context: Context
    ) -> node_service_pb2.AnnounceReleaseResponse:
        """See the proto."""
        releases = [convert.release_from_proto(message) for message in request.releases]
        self._on_release(releases or [Release(p, -1, "", 0) for p in request.partition_ids])
        return node_service_pb2.AnnounceReleaseResponse()

    async def SetDrained(
        self, request: node_service_pb2.SetDrainedRequest, context: Context
    ) -> node_service_pb2.SetDrainedResponse:
        """See the proto."""
        self._drainer.set_own(request.node_id, is_drained=request.is_drained)
        return node_service_pb2.SetDrainedResponse()
