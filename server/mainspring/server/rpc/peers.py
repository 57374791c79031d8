"""Calls to other nodes over gRPC: one channel an address, short deadlines, no retries (the callers have better ones)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from mainspring.server.dispatch.frames import AttemptId, AttemptResult, ProgressReport
from mainspring.server.engine.change_notes import TaskNote
from mainspring.server.engine.peers import Hint, PeerUnreachable
from mainspring.server.errors import FailedPrecondition, NotFound, Unavailable
from mainspring.server.rpc import convert
from mainspring.server.rpc.channel_options import CHANNEL_OPTIONS
from mainspring.shard_manager.handover import Release
from mainspring.v1 import node_service_pb2, node_service_pb2_grpc

HINT_DEADLINE_S = 1.0
FORWARD_DEADLINE_S = 2.5
CALL_DEADLINE_S = 10.0
"""Of calls that clients wait for: their own deadline ends them sooner."""
NOTE_DEADLINE_S = 5.0
"""Longer than anybody waits: who asks gives up by itself."""
DRAIN_DEADLINE_S = 2.5


class GrpcPeers:
    """Implements the engine's `PeerClient` and the shard manager's `Peers`."""

    def __init__(self) -> None:
        self._channels: dict[str, grpc.aio.Channel] = {}

    def _stub(self, address: str) -> Any:
        return node_service_pb2_grpc.NodeServiceStub(self._channel(address))

    def _channel(self, address: str) -> grpc.aio.Channel:
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        return channel

    async def send_hints(self, address: str, hints: Sequence[Hint]) -> list[Hint]:
        """See `PeerClient.send_hints`."""
        request = node_service_pb2.HintRequest(tasks=[convert.hint_to_proto(h) for h in hints])
        try:
            response = await self._stub(address).Hint(request, timeout=HINT_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            raise PeerUnreachable(error.details() or error.code().name) from None
        return [hints[position] for position in response.not_mine if 0 <= position < len(hints)]

    async def take_note(self, address: str, notes: Sequence[TaskNote]) -> list[TaskNote]:
        """See `PeerClient.take_note`."""
        request = node_service_pb2.TakeNoteRequest(tasks=[convert.note_to_proto(note) for note in notes])
        try:
            response = await self._stub(address).TakeNote(request, timeout=NOTE_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            raise PeerUnreachable(error.details() or error.code().name) from None
        return [notes[position] for position in response.unconfirmed if 0 <= position < len(notes)]

    async def forward_call(
        self, address: str, request: node_service_pb2.ForwardCallRequest
    ) -> node_service_pb2.ForwardCallResponse:
        """See `CallForwarder.forward_call`."""
        try:
            response: node_service_pb2.ForwardCallResponse = await self._stub(address).ForwardCall(
                request, timeout=CALL_DEADLINE_S
            )
        except grpc.aio.AioRpcError as error:
            raise PeerUnreachable(error.details() or error.code().name) from None
        return response

    async def forward_results(
        self, address: str, executor_id: str, results: Sequence[AttemptResult]
    ) -> list[AttemptId]:
        """See `PeerClient.forward_results`."""
        request = node_service_pb2.ForwardResultsRequest(
            results=[convert.result_to_proto(r) for r in results], executor_id=executor_id
        )
        try:
            response = await self._stub(address).ForwardResults(request, timeout=FORWARD_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            raise PeerUnreachable(error.details() or error.code().name) from None
        return [convert.attempt_from_proto(m) for m in response.saved]

    async def forward_progress(self, address: str, reports: Sequence[ProgressReport]) -> None:
        """See `PeerClient.forward_progress`."""
        request = node_service_pb2.ForwardProgressRequest(
            progress=[convert.progress_to_proto(report) for report in reports]
        )
        try:
            await self._stub(address).ForwardProgress(request, timeout=HINT_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            raise PeerUnreachable(error.details() or error.code().name) from None

    async def answers(self, address: str) -> bool:
        """Whether the node at an address answers within a second."""
        try:
            await self._stub(address).Hint(node_service_pb2.HintRequest(), timeout=HINT_DEADLINE_S)
        except grpc.aio.AioRpcError:
            return False
        return True

    async def announce_release(self, node_id: str, address: str, releases: Sequence[Release]) -> None:
        """See `Peers.announce_release`."""
        request = node_service_pb2.AnnounceReleaseRequest(
            partition_ids=[release.partition_id for release in releases],
            releases=[convert.release_to_proto(release) for release in releases],
        )
        try:
            await self._stub(address).AnnounceRelease(request, timeout=HINT_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            raise PeerUnreachable(error.details() or error.code().name) from None

    async def set_drained(self, address: str, node_id: str, *, is_drained: bool) -> None:
        """Drains the node at an address, or ends that.

        Raises:
            NotFound, FailedPrecondition: as the node says.
            Unavailable: it did not answer.
        """
        request = node_service_pb2.SetDrainedRequest(node_id=node_id, is_drained=is_drained)
        try:
            await self._stub(address).SetDrained(request, timeout=DRAIN_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            message = error.details() or error.code().name
            if error.code() is grpc.StatusCode.NOT_FOUND:
                raise NotFound("node", node_id) from None
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                raise FailedPrecondition(message) from None
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise FailedPrecondition(
                    f"node {node_id} is too old to be drained: stop it instead"
                ) from None
            raise Unavailable(f"node {node_id} at {address} could not be reached: {message}") from None

    def get_ready(self, addresses: Sequence[str]) -> None:
        """Connects to nodes ahead of the first call: that may be one on which a hand-over waits."""
        for address in addresses:
            self._channel(address).get_state(try_to_connect=True)

    async def forget(self, addresses: Sequence[str]) -> None:
        """Closes the channels to nodes that are no longer members."""
        for address in addresses:
            channel = self._channels.pop(address, None)
            if channel is not None:
                await channel.close()

    def addresses(self) -> list[str]:
        """The addresses to which channels are open."""
        return list(self._channels)

    async def close(self) -> None:
        """Closes every channel."""
        await self.forget(self.addresses())
