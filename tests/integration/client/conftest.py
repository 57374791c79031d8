"""A node for the client."""

from collections.abc import AsyncIterator

import pytest
from integration.memory_node import MemoryNode, serving


@pytest.fixture
async def memory_node() -> AsyncIterator[MemoryNode]:
    """A node on a free loopback port."""
    node = MemoryNode()
    async with serving(node):
        yield node
