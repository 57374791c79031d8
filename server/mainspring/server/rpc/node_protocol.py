"""Which versions of the protocol between nodes this software speaks."""

from mainspring.shard_manager.membership import ProtocolRange

NODE_PROTOCOL = ProtocolRange(lowest=1, highest=1)
"""Raise `highest` with each change of `node_service.proto`, of the partition rows or of the hand-over that older nodes
would misunderstand, and `lowest` once the older form is no longer spoken: a rolling update needs one release that speaks
both."""
