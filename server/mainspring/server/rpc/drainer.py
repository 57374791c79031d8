"""Drains nodes: this one, or another by a call to it."""

from __future__ import annotations

from collections.abc import Mapping

from mainspring.server.errors import FailedPrecondition, InvalidField, NotFound
from mainspring.server.rpc.peers import GrpcPeers
from mainspring.shard_manager.manager import PartitionManager
from mainspring.shard_manager.membership import DRAINED, Member, Membership


class NoSuchNode(NotFound):
    """There is no member of that id or name."""

    def __init__(self, wanted: str, members: Mapping[str, Member]) -> None:
        super().__init__("node", wanted)
        known = ", ".join(sorted(members)) or "none"
        self.args = (f"node {wanted!r} is no member of the cluster; the members are: {known}",)
        self.metadata["known"] = known


class Drainer:
    """A drained node steps aside for as long as it lives, or until it is told otherwise."""

    def __init__(
        self, node_id: str, manager: PartitionManager, membership: Membership, peers: GrpcPeers
    ) -> None:
        self._node_id = node_id
        self._manager = manager
        self._membership = membership
        self._peers = peers

    async def set(self, wanted: str, *, is_drained: bool) -> str:
        """Drains the member of this id or unique name, or ends that; answers its id.

        Raises:
            NotFound: there is no such member.
            InvalidField: several have this name, or none was given.
            FailedPrecondition: nobody else is ready.
            Unavailable: the node could not be reached.
        """
        members = self._membership.view().members
        member = find_member(members, wanted)
        if member.node_id == self._node_id:
            self.set_own(member.node_id, is_drained=is_drained)
        else:
            await self._peers.set_drained(member.address, member.node_id, is_drained=is_drained)
        return member.node_id

    def set_own(self, node_id: str, *, is_drained: bool) -> None:
        """Drains this node, or ends that.

        Raises:
            NotFound: another node is meant, which had this address before.
            FailedPrecondition: nobody else is ready.
        """
        members = self._membership.view().members
        if node_id != self._node_id:
            raise NoSuchNode(node_id, members)
        if not is_drained:
            self._manager.return_to_duty(DRAINED)
            return
        if DRAINED in self._manager.away_reasons:
            return
        if not any(member.ready for member in members.values() if member.node_id != node_id):
            raise FailedPrecondition(
                f"no other node is ready to take the partitions of {node_id}: start one, or undrain one"
            )
        self._manager.step_aside(DRAINED)


def node_name(node_id: str) -> str:
    """The name that a node was given: its id is name, process id and chance, with dashes between (`NodeConfig.node_id`)."""
    return node_id.rsplit("-", 2)[0]


def find_member(members: Mapping[str, Member], wanted: str) -> Member:
    """The member of this id, or of this name when only one has it.

    Raises:
        NotFound: there is none; names the members.
        InvalidField: several have the name, or it is empty.
    """
    if not wanted:
        raise InvalidField("node_id", "is required")
    if wanted in members:
        return members[wanted]
    named = sorted(node_id for node_id in members if node_name(node_id) == wanted)
    if len(named) > 1:
        raise InvalidField(
            "node_id", f"{wanted!r} is the name of several nodes, give an id: {', '.join(named)}"
        )
    if not named:
        raise NoSuchNode(wanted, members)
    return members[named[0]]
