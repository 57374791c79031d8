"""Which node makes way when two speak no common version of the nodes' protocol. PURE."""

from collections.abc import Iterable

from mainspring.shard_manager.membership import Member, ProtocolRange


def makes_way_for(own: ProtocolRange, is_ready: bool, others: Iterable[Member]) -> dict[str, ProtocolRange]:
    """Return the ready members for whose sake this node must not be ready.

    A node that is not ready yet waits for every ready member that it cannot talk to. When two are ready already (they
    came up together), the newer one makes way: the update comes when the old ones have left.

    Args:
        own: What this node speaks.
        is_ready: Whether it is ready, but for this.
        others: The other members.

    Returns:
        By node id, what they speak; empty when nothing is in the way.
    """
    return {
        member.node_id: member.protocol
        for member in others
        if member.ready and not own.overlaps(member.protocol) and (not is_ready or member.protocol < own)
    }
