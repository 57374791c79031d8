"""The partition hash: the published vectors, and an independent reading of docs/partition-hash.md."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.shard_manager.hashing import partition_of, task_key

VECTORS = Path(__file__).parents[3] / "protos/mainspring/v1/testdata/partition_hash.json"
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
namespaces = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=40
)


def test_published_vectors() -> None:
    vectors = json.loads(VECTORS.read_text("utf-8"))["vectors"]
    assert len(vectors) >= 16
    for vector in vectors:
        key = task_key(vector["namespace"], vector["id"])
        assert key.hex() == vector["key_hex"]
        for partitions, partition in vector["partitions"].items():
            assert partition_of(key, int(partitions)) == partition


def test_vectors_tell_a_signed_remainder_and_a_wrong_byte_order_apart() -> None:
    vectors = json.loads(VECTORS.read_text("utf-8"))["vectors"]
    keys = [(bytes.fromhex(v["key_hex"]), v["partitions"]["1000"]) for v in vectors]
    assert any(int.from_bytes(k[-8:], "big", signed=True) % 1000 != p for k, p in keys)
    assert any(int.from_bytes(k[-8:], "little") % 1000 != p for k, p in keys)
    assert any(int.from_bytes(k, "big") % 1000 != p for k, p in keys)


@given(namespaces, names, st.integers(1, 1 << 20))
def test_definition(namespace: str, task_id: str, partitions: int) -> None:
    name = hashlib.sha256(namespace.encode() + b"\x00" + task_id.encode()).hexdigest()
    key = task_key(namespace, task_id)
    assert key.hex() == hashlib.sha256(namespace.encode()).hexdigest()[:8] + name[:24]
    assert partition_of(key, partitions) == int(name[8:24], 16) % partitions


@given(namespaces, names, namespaces, names)
def test_two_tasks_share_a_key_only_when_they_are_one(
    ns: str, task_id: str, other_ns: str, other_id: str
) -> None:
    assert (task_key(ns, task_id) == task_key(other_ns, other_id)) == ((ns, task_id) == (other_ns, other_id))


def test_partitions_are_filled_evenly() -> None:
    counts = [0] * 256
    for number in range(51_200):
        counts[partition_of(task_key("default", f"task-{number}"), 256)] += 1
    assert min(counts) > 120  # 200 +- 14 expected: 5.6 standard deviations
    assert max(counts) < 280


@pytest.mark.parametrize("namespace", ["", "a\x00b", "\ud800"])
def test_namespace_that_cannot_be_hashed(namespace: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - UnicodeEncodeError and ours share only this
        task_key(namespace, "id")


@pytest.mark.parametrize(("key", "partitions"), [(b"1234567", 4), (bytes(16), 0), (bytes(16), -1)])
def test_partition_of_refuses_nonsense(key: bytes, partitions: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        partition_of(key, partitions)
