"""From a task's name to its partition. PURE; the words and the test vectors are in docs/partition-hash.md.

The mapping is part of the product's public contract: clients in any language may compute it, and stored
rows depend on it. It never changes for a cluster that exists.
"""

import hashlib
from functools import lru_cache

KEY_BYTES = 16
PREFIX_BYTES = 4


@lru_cache(maxsize=4096)
def namespace_prefix(namespace: str) -> bytes:
    """Return the 4 bytes that every key of a namespace begins with.

    Within a partition the rows of one namespace therefore lie together: listing a small namespace does not
    read the rows of a large one. Two namespaces may share a prefix, so readers compare the name too.

    Raises:
        ValueError: The namespace is empty or holds a NUL (two different pairs would share their bytes), or
            cannot be written in UTF-8 (a lone surrogate).
    """
    if not namespace or "\x00" in namespace:
        raise ValueError("the namespace of a task key must not be empty nor hold a NUL character")
    return hashlib.sha256(namespace.encode()).digest()[:PREFIX_BYTES]


def task_key(namespace: str, task_id: str) -> bytes:
    """Return the 16-byte key of a task: the namespace's 4 bytes, then 12 of SHA-256 over the whole name.

    Args:
        namespace: The namespace as it is stored; an empty one in a request stands for ``default`` and must
            have been replaced before, else one task would have two keys.
        task_id: The task's id.

    Raises:
        ValueError: As `namespace_prefix`, and for an id that cannot be written in UTF-8.
    """
    prefix = namespace_prefix(namespace)
    return prefix + hashlib.sha256(f"{namespace}\x00{task_id}".encode()).digest()[: KEY_BYTES - PREFIX_BYTES]


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key: its last 8 bytes as an unsigned big-endian number, modulo `partitions`.

    Raises:
        ValueError: `partitions` is below 1, or the key is not 16 bytes long.
    """
    if partitions < 1 or len(key) != KEY_BYTES:
        raise ValueError("partition_of needs a key of 16 bytes and at least 1 partition")
    return int.from_bytes(key[-8:], "big") % partitions
