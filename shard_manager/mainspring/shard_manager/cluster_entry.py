"""Whose path in ZooKeeper it is: one lasting entry ``<chroot>/cluster``, made by the first node. PURE.

```
{"format": 1, "cluster_id": "9f2c...", "partitions": 256}
```

Two clusters on one path would divide each other's nodes, so a node that finds another's entry takes no part.
"""

import json
from dataclasses import dataclass

FORMAT = 1


class ForeignCluster(Exception):
    """The path belongs to another cluster."""


@dataclass(frozen=True, slots=True)
class ClusterIdentity:
    """What tells clusters apart."""

    cluster_id: str
    """Random, kept in the cluster's database."""
    partitions: int
    """N."""


def encode_identity(identity: ClusterIdentity) -> bytes:
    """Return the entry's document."""
    document = {"format": FORMAT, "cluster_id": identity.cluster_id, "partitions": identity.partitions}
    return json.dumps(document, separators=(",", ":")).encode()


def check_identity(own: ClusterIdentity, data: bytes, where: str) -> None:
    """Compare what is found with what we are.

    Args:
        own: This node's cluster.
        data: The entry's document.
        where: Its place, for people.

    Raises:
        ForeignCluster: It is another cluster's, or unreadable. Names both, and what to do.
    """
    try:
        document = json.loads(data)
        format_ = int(document["format"])
        found = ClusterIdentity(str(document["cluster_id"]), int(document["partitions"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ForeignCluster(
            f"{where} in ZooKeeper is not Mainspring's ({error!r}): give this cluster a path of its own"
            " (--zookeeper host:port/path)"
        ) from error
    if format_ > FORMAT:
        raise ForeignCluster(
            f"{where} in ZooKeeper has format {format_}, this software knows {FORMAT}: update it"
        )
    if found != own:
        raise ForeignCluster(
            f"{where} in ZooKeeper belongs to cluster {found.cluster_id} with {found.partitions} partitions; the"
            f" database of this node is cluster {own.cluster_id} with {own.partitions}. Check the database's URL; if it"
            " is right, give this cluster a path of its own (--zookeeper host:port/path), or, if that other cluster is"
            f" gone for good, delete {where.partition('/')[2] and '/' + where.partition('/')[2]} in ZooKeeper"
        )
