"""Cuts many tasks into calls that stay below the limits of one call. PURE."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

MAX_ITEMS = 1_000
"""Most tasks in one call."""

MAX_BYTES = 3 * 1024 * 1024
"""Most bytes of tasks in one call: below the 4 MiB that gRPC receives by default."""

ITEM_OVERHEAD_BYTES = 8
"""What an item costs beside its own bytes: tag and length, rounded up."""


class Sized(Protocol):
    """A message that knows its size on the wire."""

    def ByteSize(self) -> int:
        """Return the size in bytes."""
        ...


Item = TypeVar("Item", bound=Sized)


def cut(
    items: Iterable[Item], *, max_items: int = MAX_ITEMS, max_bytes: int = MAX_BYTES
) -> Iterator[list[Item]]:
    """Yield the items in order, in lists within both limits; an item above the limit goes alone."""
    batch: list[Item] = []
    batch_bytes = 0
    for item in items:
        item_bytes = item.ByteSize() + ITEM_OVERHEAD_BYTES
        if batch and (len(batch) >= max_items or batch_bytes + item_bytes > max_bytes):
            yield batch
            batch, batch_bytes = [], 0
        batch.append(item)
        batch_bytes += item_bytes
    if batch:
        yield batch
