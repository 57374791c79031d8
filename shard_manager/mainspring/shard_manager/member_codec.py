"""A member as the small JSON document that is published. PURE.

```
{"format": 1, "address": "10.0.0.7:7070", "version": "0.1.0", "ready": true, "new": false,
 "holds": "0-5:3,7:4", "prepared": "8,11-12", "away": ["database"], "executors": 2, "protocol": [1, 1],
 "time_zone_database": "2026f"}
```

`holds` lists runs of partitions with one epoch, `prepared` runs of partitions; about 1.5 KB for 256 partitions in the
worst case. `away`, `executors` and `time_zone_database` are left out when empty; without `protocol` it is version 1
alone. Readers ignore fields they do not know; a document of a higher format is still read as far as it goes.
"""

import json
from collections.abc import Iterable, Mapping

from mainspring.shard_manager.membership import FIRST_PROTOCOL, Member, ProtocolRange

FORMAT = 1


def encode(member: Member) -> bytes:
    """Return the document of a member; the node id is not in it (it is the entry's name)."""
    document: dict[str, object] = {
        "format": FORMAT,
        "address": member.address,
        "version": member.version,
        "ready": member.ready,
        "new": member.is_new,
        "holds": _runs(member.holds),
        "prepared": ",".join(_span(run) for run in _consecutive(sorted(member.prepared))),
    }
    if member.away:
        document["away"] = sorted(member.away)
    if member.executors:
        document["executors"] = member.executors
    document["protocol"] = list(member.protocol)
    if member.time_zone_database:
        document["time_zone_database"] = member.time_zone_database
    return json.dumps(document, separators=(",", ":")).encode()


def decode(node_id: str, data: bytes) -> Member:
    """Return the member of a document.

    Raises:
        ValueError: It is none.
    """
    try:
        document = json.loads(data)
        holds: dict[int, int] = {}
        for item in filter(None, document.get("holds", "").split(",")):
            span, _, epoch = item.partition(":")
            holds.update(dict.fromkeys(_partitions(span), int(epoch)))
        prepared = [
            p for span in filter(None, document.get("prepared", "").split(",")) for p in _partitions(span)
        ]
        return Member(
            node_id=node_id,
            address=str(document["address"]),
            version=str(document["version"]),
            ready=document["ready"] is True,
            holds=holds,
            prepared=frozenset(prepared),
            is_new=document.get("new") is True,
            away=frozenset(str(reason) for reason in document.get("away", ())),
            executors=int(document.get("executors", 0)),
            protocol=ProtocolRange(*map(int, document.get("protocol", FIRST_PROTOCOL))),
            time_zone_database=str(document.get("time_zone_database", "")),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not the document of a member: {error!r}") from error


def _runs(holds: Mapping[int, int]) -> str:
    by_epoch: dict[int, list[int]] = {}
    for partition in sorted(holds):
        by_epoch.setdefault(holds[partition], []).append(partition)
    runs = [(run, epoch) for epoch, partitions in by_epoch.items() for run in _consecutive(partitions)]
    return ",".join(f"{_span(run)}:{epoch}" for run, epoch in sorted(runs))


def _consecutive(partitions: Iterable[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for partition in partitions:
        if runs and runs[-1][1] == partition - 1:
            runs[-1] = (runs[-1][0], partition)
        else:
            runs.append((partition, partition))
    return runs


def _span(run: tuple[int, int]) -> str:
    return str(run[0]) if run[0] == run[1] else f"{run[0]}-{run[1]}"


def _partitions(span: str) -> range:
    first, _, last = span.partition("-")
    partitions = range(int(first), int(last or first) + 1)
    if len(partitions) > 1 << 20:  # a damaged document must not eat the memory
        raise ValueError(f"span too long: {span}")
    return partitions
