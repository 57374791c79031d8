"""From a task's name to its partition. PURE; the words and the test vectors are in docs/partition-hash.md.

The mapping is part of the product's public contract: clients in any language may compute it, and stored
rows depend on it. It never changes for a cluster that exists.
"""

import hashlib

KEY_BYTES = 16


def task_key(namespace: str, task_id: str) -> bytes:
    """Return the 16-byte key of a task: half of SHA-256 over ``namespace + NUL + task_id`` in UTF-8.

    Args:
        namespace: The namespace as it is stored; an empty one in a request stands for ``default`` and must
            have been replaced before, else one task would have two keys.
        task_id: The task's id.

    Raises:
        ValueError: The namespace is empty or holds a NUL (two different pairs would share their bytes), or
            one of the two cannot be written in UTF-8 (a lone surrogate).
    """
    if not namespace or "\x00" in namespace:
        raise ValueError("the namespace of a task key must not be empty nor hold a NUL character")
    return hashlib.sha256(f"{namespace}\x00{task_id}".encode()).digest()[:KEY_BYTES]


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key: its first 8 bytes as an unsigned big-endian number, modulo `partitions`.

    Raises:
        ValueError: `partitions` is below 1, or the key is shorter than 8 bytes.
    """
    if partitions < 1 or len(key) < 8:
        raise ValueError("partition_of needs a key of at least 8 bytes and at least 1 partition")
    return int.from_bytes(key[:8], "big") % partitions
