"""Namespaces that were created, as every store keeps them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from contract.store.builders import T0

from mainspring.server.core.model import Delivery
from mainspring.server.core.namespaces import Namespace
from mainspring.server.persistence.store import Store

POLICIES = '{"retry":{"max_attempts":3,"non_retryable":["it\'s 100% \\\\ "ü""]}}'


async def test_one_is_created_once(store: Store, other_store: Store) -> None:
    asked = Namespace("b", 5, delivery=Delivery.AT_MOST_ONCE, policies=POLICIES)
    first, is_new = await store.create_namespace(asked, T0)
    assert (first, is_new) == (replace(asked, created_at=T0, updated_at=T0, version=1), True)
    assert await other_store.create_namespace(Namespace("b", 6), T0 + 1) == (first, False)
    assert await other_store.get_namespace("b") == first
    assert await store.get_namespace("c") is None
    assert await store.get_namespace("b ") is None, "to a database a blank at the end may be none"


async def test_they_are_listed_by_name(store: Store) -> None:
    for name in ("b", "a'\\ü"):
        await store.create_namespace(Namespace(name, policies=POLICIES), T0)
    assert [n.name for n in await store.list_namespaces("", 10)] == ["a'\\ü", "b"]
    assert [n.name for n in await store.list_namespaces("", 1)] == ["a'\\ü"]
    (last,) = await store.list_namespaces("a'\\ü", 10)
    assert (last.name, last.policies, last.version) == ("b", POLICIES, 1)
    assert await store.list_namespaces("b", 10) == []


async def test_one_is_changed_as_it_is(store: Store, other_store: Store) -> None:
    first, _ = await store.create_namespace(Namespace("b", 5), T0)

    def change(stored: Namespace) -> Namespace:
        return replace(stored, retention_us=9, policies=POLICIES, updated_at=T0 + 2, version=2)

    changed = await store.change_namespace("b", change)
    assert changed == change(first)
    assert await other_store.get_namespace("b") == changed
    assert await store.change_namespace("b", lambda stored: None) == changed
    assert await store.change_namespace("c", change) is None


async def test_changes_side_by_side_are_made_one_after_the_other(store: Store, other_store: Store) -> None:
    await store.create_namespace(Namespace("b", 0), T0)

    def one_more(stored: Namespace) -> Namespace:
        return replace(stored, retention_us=stored.retention_us + 1, version=stored.version + 1)

    await asyncio.gather(*(each.change_namespace("b", one_more) for each in (store, other_store) * 10))
    stored = await store.get_namespace("b")
    assert stored is not None
    assert (stored.retention_us, stored.version) == (20, 21)


async def test_what_a_change_raises_comes_out_and_nothing_changes(store: Store) -> None:
    first, _ = await store.create_namespace(Namespace("b", 5), T0)

    def refuse(stored: Namespace) -> Namespace:
        raise LookupError(stored.name)

    with pytest.raises(LookupError, match="b"):
        await store.change_namespace("b", refuse)
    assert await store.get_namespace("b") == first
