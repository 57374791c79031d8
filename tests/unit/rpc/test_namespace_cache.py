"""What a node knows of namespaces without asking the database again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from unit.engine.virtual_time import LoopClock, in_virtual_time

from mainspring.server.core.namespaces import Namespace
from mainspring.server.core.task_defaults import NO_DEFAULTS
from mainspring.server.errors import StoreUnavailable
from mainspring.server.persistence.sqlite.store import SQLiteStore
from mainspring.server.rpc import namespace_cache
from mainspring.server.rpc.namespace_cache import OLDEST_S, NamespaceCache
from mainspring.v1 import task_pb2

POLICIES = '{"keep":7}'


class CountedStore(SQLiteStore):
    """Counts the reads of each name; each takes 10 ms, and fails while the database is away."""

    def __init__(self) -> None:
        super().__init__(":memory:", 4)
        self.reads: Counter[str] = Counter()
        self.is_away = False

    async def get_namespace(self, name: str) -> Namespace | None:
        self.reads[name] += 1
        found = await super().get_namespace(name)
        await asyncio.sleep(0.01)
        if self.is_away:
            raise StoreUnavailable("away")
        return found


@asynccontextmanager
async def cached() -> AsyncIterator[tuple[CountedStore, NamespaceCache]]:
    """A store with the namespace "a", and a cache over it."""
    store = CountedStore()
    await store.start()
    await store.create_namespace(Namespace("a", policies=POLICIES), 1)
    yield store, NamespaceCache(LoopClock(), store)
    await store.close()


@in_virtual_time
async def test_calls_share_a_read_and_what_was_read_serves_for_a_while() -> None:
    async with cached() as (store, cache):
        for _ in range(2):
            found = await asyncio.gather(*(cache.get(name) for name in ("a", "b") * 50))
            assert {namespace.name for namespace in found} == {"a", "b"}
            assert store.reads == {"a": 1, "b": 1}, "one that nobody created, too"
        assert (await cache.get("a")).policies == POLICIES
        await asyncio.sleep(OLDEST_S)
        await store.change_namespace("a", lambda stored: Namespace("a", 5, 1, 1, 2))
        assert (await cache.get("a")).version == 2
        assert store.reads["a"] == 2


@in_virtual_time
async def test_what_was_changed_here_is_read_at_once_also_while_it_is_being_read() -> None:
    async with cached() as (store, cache):
        reading = asyncio.create_task(cache.get("a"))
        await asyncio.sleep(0.005)  # virtual: in the middle of the read
        await store.change_namespace("a", lambda stored: Namespace("a", 5, 1, 1, 2))
        cache.forget("a")
        assert (await cache.get("a")).version == 2
        await reading
        assert (await cache.get("a")).version == 2


@in_virtual_time
async def test_a_reader_that_is_cancelled_or_fails_holds_nobody_up() -> None:
    async with cached() as (store, cache):
        first, second = (asyncio.create_task(cache.get("a")) for _ in range(2))
        await asyncio.sleep(0.005)
        first.cancel()
        assert (await second).policies == POLICIES
        store.is_away = True
        assert (await cache.get("a")).policies == POLICIES
        with pytest.raises(StoreUnavailable):
            await cache.get("b")
        store.is_away = False
        assert (await cache.get("b")).version == 0


@in_virtual_time
async def test_no_more_names_are_kept_than_a_bound() -> None:
    async with cached() as (store, cache):
        for number in range(namespace_cache.MOST + 5):
            await cache.get("a")
            await cache.get(f"n{number}")
        assert store.reads["a"] <= 1 + 0.01 * (namespace_cache.MOST + 5) / OLDEST_S, "it is used all the time"
        await cache.get("n0")
        assert store.reads["n0"] == 2


@in_virtual_time
async def test_a_name_that_cannot_be_one_is_not_looked_for() -> None:
    async with cached() as (store, cache):
        for name in ("x" * 201, "a\n"):
            assert await cache.defaults_of(task_pb2.Task(namespace=name)) is NO_DEFAULTS
        assert await cache.defaults_of(task_pb2.Task()) is NO_DEFAULTS
        assert (await cache.defaults_of(task_pb2.Task(namespace="a"))).policies.keep == 7
        assert store.reads == {"default": 1, "a": 1}


@in_virtual_time
async def test_calls_share_a_read_that_fails() -> None:
    async with cached() as (store, cache):
        store.is_away = True
        for reads in (1, 2):
            answers = await asyncio.gather(*(cache.get("a") for _ in range(10)), return_exceptions=True)
            assert all(isinstance(answer, StoreUnavailable) for answer in answers)
            assert store.reads["a"] == reads, "ten calls wait for one time-out, and not for ten"
        store.is_away = False
        assert (await cache.get("a")).policies == POLICIES
