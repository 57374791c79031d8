"""The record of changes of owner: written once, listed newest first, bounded."""

from __future__ import annotations

import asyncio

from mainspring.server.persistence.store import Store
from mainspring.server.persistence.store.handovers import HandoverCursor
from mainspring.shard_manager.handover import ChangeReason, Handover

T0 = 1_800_000_000_000_000
KEEP = 100


def record(partition_id: int, epoch: int, firing_at: int = T0, **more: object) -> Handover:
    facts: dict[str, object] = {
        "reason": ChangeReason.REBALANCED,
        "from_node": "a",
        "to_node": "b",
        "released_at": firing_at - 50_000,
        "noticed_at": None,
        "late_count": 3,
        "max_lateness_us": 40_000,
    }
    return Handover(partition_id=partition_id, epoch=epoch, firing_at=firing_at, **{**facts, **more})  # type: ignore[arg-type]


async def listed(
    store: Store,
    node_id: str | None = None,
    since_at: int | None = None,
    before: HandoverCursor | None = None,
    limit: int = 1000,
) -> list[Handover]:
    return await store.list_handovers(node_id=node_id, since_at=since_at, before=before, limit=limit)


async def test_what_is_written_is_read_back_newest_first(store: Store) -> None:
    first_owner = record(0, 1, T0, from_node=None, released_at=None, reason=ChangeReason.FREE)
    crash = record(
        1, 7, T0 + 1, released_at=None, noticed_at=T0 - 9, reason=ChangeReason.OWNER_GONE, late_count=0
    )
    moved = record(2, 3, T0 + 1, from_node="it's \\ 100%")
    await store.record_handovers([first_owner, crash, moved], keep=KEEP)
    assert await listed(store) == [moved, crash, first_owner]
    assert [(await listed(store))[i].gap_us for i in range(3)] == [50_000, 10, None]


async def test_a_record_is_written_once(store: Store, other_store: Store) -> None:
    await store.record_handovers([record(0, 1)], keep=KEEP)
    await other_store.record_handovers([record(0, 1, T0 + 5, to_node="c"), record(0, 2)], keep=KEEP)
    assert await listed(store) == [record(0, 2), record(0, 1)]
    await store.record_handovers([], keep=KEEP)


async def test_pages_continue_behind_the_cursor(store: Store) -> None:
    """Also where many begin to fire in the same microsecond."""
    records = [record(p, epoch, T0 + (epoch == 2)) for p in range(5) for epoch in (1, 2, 3)]
    await store.record_handovers(records, keep=KEEP)
    found: list[Handover] = []
    before: HandoverCursor | None = None
    while page := await listed(store, before=before, limit=4):
        found += page
        before = HandoverCursor(page[-1].firing_at, page[-1].partition_id, page[-1].epoch)
    assert found == sorted(records, key=lambda r: (r.firing_at, r.partition_id, r.epoch), reverse=True)


async def test_filters_by_node_and_time(store: Store) -> None:
    records = [
        record(0, 1, T0, from_node=None, to_node="a"),
        record(0, 2, T0 + 1, from_node="a", to_node="b"),
        record(0, 3, T0 + 2, from_node="b", to_node="c"),
    ]
    await store.record_handovers(records, keep=KEEP)
    assert await listed(store, node_id="a") == [records[1], records[0]]
    assert await listed(store, node_id="c") == [records[2]]
    assert await listed(store, node_id="x") == []
    assert await listed(store, since_at=T0 + 1) == [records[2], records[1]]
    before = HandoverCursor(T0 + 2, 0, 3)
    assert await listed(store, node_id="b", since_at=T0 + 1, before=before) == [records[1]]


async def test_only_the_newest_of_each_partition_are_kept(store: Store) -> None:
    for epoch in range(1, 13):
        await store.record_handovers([record(3, epoch), record(4, 5), record(5, epoch + 20)], keep=10)
    kept = [(r.partition_id, r.epoch) for r in await listed(store)]
    assert sorted(kept) == [
        *((3, epoch) for epoch in range(3, 13)),
        (4, 5),
        *((5, epoch) for epoch in range(23, 33)),
    ]


async def test_two_nodes_write_at_once(store: Store, other_store: Store) -> None:
    await asyncio.gather(
        *(
            (store if node else other_store).record_handovers(
                [record(p, 200 + node + 2 * n) for p in range(8)], keep=10
            )
            for n in range(10)
            for node in (0, 1)
        )
    )
    epochs = {r.epoch for r in await listed(store)}
    assert epochs >= set(range(219, 209, -1))
