"""Two nodes at once: no time is claimed twice, and nothing is written under an epoch that is over."""

from __future__ import annotations

import asyncio
import random

import pytest
from contract.store.builders import (
    ALL,
    T0,
    cancel,
    claim,
    completion,
    create,
    every_execution,
    item,
    load_due,
    own_all,
)

from mainspring.server.core.model import ExecutionRef, ExecutionState
from mainspring.server.errors import Contention
from mainspring.server.persistence.store import Store


async def test_concurrent_claims_give_each_time_to_one_of_them(store: Store, other_store: Store) -> None:
    epochs = await own_all(store, "me")
    await create(store, 300)
    items = [item(due) for due in await load_due(store)]
    seed = random.randrange(2**32)
    shuffled = random.Random(seed)
    calls = []
    for number in range(8):
        part = shuffled.sample(items, 200)
        calls.append(claim((store, other_store)[number % 2], "me", epochs, part))

    outcomes = await asyncio.gather(*calls)

    refs = [sent.ref for outcome in outcomes for sent in outcome.claimed]
    assert len(refs) == len(set(refs)), f"seed {seed}"
    rest = await claim(store, "me", epochs, items)
    assert len(refs) + len(rest.claimed) == 300, f"seed {seed}"
    rows = await store.load_open_executions(ALL, until_at=None, after=None, limit=1000)
    assert len(rows) == 300


async def _take_from(store: Store, epochs: dict[int, int], delay_s: float) -> set[ExecutionRef]:
    """Takes all partitions and answers the open executions that are visible right after."""
    await asyncio.sleep(delay_s)
    terms = list(epochs.items())
    leases = await store.take_partitions(terms, "you")
    assert len(leases) == len(terms)
    rows = await store.load_open_executions(ALL, until_at=None, after=None, limit=10_000)
    return {row.ref for row in rows}


@pytest.mark.parametrize("attempt", range(6))
async def test_a_take_waits_for_a_claim_or_defeats_it(store: Store, other_store: Store, attempt: int) -> None:
    """What a claim answers as claimed, the next owner sees when its take returns: never a row that comes later."""
    epochs = await own_all(store, "me")
    await create(store, 600)
    items = [item(due) for due in await load_due(store)]

    (outcomes, seen) = await asyncio.gather(
        asyncio.gather(*(claim(store, "me", epochs, items[n::3]) for n in range(3))),
        _take_from(other_store, epochs, attempt * 0.004),
    )

    claimed = {sent.ref for outcome in outcomes for sent in outcome.claimed}
    assert claimed <= seen
    refused = frozenset[int]().union(*(outcome.refused for outcome in outcomes))
    left = await load_due(store)
    assert len(claimed) + len(left) == 600
    assert {due.partition_id for due in left} <= refused | {
        dropped.due.partition_id for outcome in outcomes for dropped in outcome.dropped
    }
    late = await claim(store, "me", epochs, items)
    assert late.claimed == []
    assert late.refused == set(ALL)


@pytest.mark.parametrize("attempt", range(4))
async def test_after_a_take_nothing_of_the_old_owner_changes_a_row(
    store: Store, other_store: Store, attempt: int
) -> None:
    epochs = await own_all(store, "me")
    await create(store, 600)
    outcome = await claim(store, "me", epochs, [item(due) for due in await load_due(store)])
    parts = [outcome.claimed[n::4] for n in range(4)]

    async def complete(part_number: int) -> frozenset[int]:
        return await store.complete("me", [completion(s) for s in parts[part_number]], now=T0)

    refusals, open_after_take = await asyncio.gather(
        asyncio.gather(*(complete(n) for n in range(4))), _take_from(other_store, epochs, attempt * 0.004)
    )

    rows = await store.load_open_executions(ALL, until_at=None, after=None, limit=10_000)
    assert {row.ref for row in rows} == open_after_take
    for part, refused in zip(parts, refusals, strict=True):
        open_in_part = {s.ref.partition_id for s in part if s.ref in open_after_take}
        assert open_in_part <= refused


async def test_takes_of_one_epoch_have_one_winner(store: Store, other_store: Store) -> None:
    rows = await store.read_partitions()
    terms = [(row.partition_id, row.epoch) for row in rows]

    mine, yours = await asyncio.gather(
        store.take_partitions(terms, "me"), other_store.take_partitions(list(reversed(terms)), "you")
    )

    assert {lease.partition_id for lease in mine} | {lease.partition_id for lease in yours} == set(ALL)
    assert not {lease.partition_id for lease in mine} & {lease.partition_id for lease in yours}
    owners = {row.partition_id: row.owner_id for row in await store.read_partitions()}
    assert {p for p, owner in owners.items() if owner == "me"} == {lease.partition_id for lease in mine}


async def test_claims_of_overlapping_batches_and_completions_do_not_starve(store: Store) -> None:
    """Claims, completions and cancellations side by side: all end, and the states say who was first."""
    epochs = await own_all(store, "me")
    tasks = await create(store, 200)
    items = [item(due) for due in await load_due(store)]

    async def claim_and_complete(part: int) -> int:
        outcome = await claim(store, "me", epochs, items[part::4])
        await store.complete("me", [completion(sent) for sent in outcome.claimed], now=T0)
        return len(outcome.claimed)

    async def cancel_part(part: int) -> int:
        changed = 0
        for task in tasks[part::20]:
            try:
                answer = await cancel(store, task.ref, T0)
            except Contention:
                continue
            changed += answer is not None and answer.is_changed
        return changed

    claimed = asyncio.gather(*(claim_and_complete(part) for part in range(4)))
    cancelled = asyncio.gather(*(cancel_part(part) for part in range(4)))
    done, stopped = sum(await claimed), sum(await cancelled)

    left = await load_due(store)
    assert done + stopped + len(left) == 200
    rows = await every_execution(store)
    assert len(rows) == done
    assert {row.state for row in rows} == {ExecutionState.SUCCEEDED}
