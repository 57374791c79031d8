"""Which node owns a partition, as the nodes themselves publish it: good for hints, never for a decision."""

from __future__ import annotations

from mainspring.shard_manager.membership import Member, Membership


class OwnerRouter:
    """The routing table, rebuilt when the membership changes."""

    def __init__(self, membership: Membership, node_id: str) -> None:
        self._membership = membership
        self._node_id = node_id
        self._generation = -1
        self._owners: dict[int, Member] = {}

    def owner_of(self, partition_id: int) -> Member | None:
        """The other node that says it holds a partition (the highest epoch, when two say so); None for none or oneself."""
        view = self._membership.view()
        if view.generation != self._generation:
            epochs: dict[int, int] = {}
            owners: dict[int, Member] = {}
            for member in view.members.values():
                for held, epoch in member.holds.items():
                    if epoch > epochs.get(held, -1):
                        epochs[held] = epoch
                        owners[held] = member
            self._owners = owners
            self._generation = view.generation
        owner = self._owners.get(partition_id)
        return None if owner is None or owner.node_id == self._node_id else owner
