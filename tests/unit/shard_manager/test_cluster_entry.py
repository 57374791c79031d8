"""Whose path it is: the same cluster passes, anything else is named with what to do."""

import pytest

from mainspring.shard_manager.cluster_entry import (
    ClusterIdentity,
    ForeignCluster,
    check_identity,
    encode_identity,
)

OWN = ClusterIdentity("a" * 32, 256)
WHERE = "10.0.0.1:2181/mainspring/cluster"


def test_what_a_node_writes_its_like_accept() -> None:
    check_identity(OWN, encode_identity(OWN), WHERE)
    check_identity(OWN, encode_identity(OWN)[:-1] + b',"later":"field"}', WHERE)


@pytest.mark.parametrize("other", [ClusterIdentity("b" * 32, 256), ClusterIdentity("a" * 32, 64)])
def test_another_cluster_is_named_beside_ones_own(other: ClusterIdentity) -> None:
    with pytest.raises(ForeignCluster) as raised:
        check_identity(OWN, encode_identity(other), WHERE)
    for part in (
        other.cluster_id,
        OWN.cluster_id,
        f"{other.partitions} partitions",
        "256",
        "--zookeeper",
        "delete /mainspring/cluster in",
    ):
        assert part in str(raised.value)


@pytest.mark.parametrize(
    "data", [b"", b"7", b"{}", b"\xff", b'{"format":1,"cluster_id":"x","partitions":"many"}']
)
def test_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(ForeignCluster, match=r"not Mainspring's.*path of its own"):
        check_identity(OWN, data, WHERE)


def test_a_later_format_asks_for_an_update() -> None:
    with pytest.raises(ForeignCluster, match=r"format 2.*update it"):
        check_identity(OWN, b'{"format":2,"cluster_id":"x","partitions":1}', WHERE)
