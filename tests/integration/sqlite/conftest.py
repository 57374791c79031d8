"""A file of the test's own, and stores on it that are closed at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from mainspring.server.persistence.sqlite.store import SQLiteStore

OpenStore = Callable[..., Awaitable[SQLiteStore]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mainspring.db"


@pytest.fixture
async def open_store(path: Path) -> AsyncIterator[OpenStore]:
    """Opens a started store: on the test's file, or with the arguments given."""
    stores: list[SQLiteStore] = []

    async def open_one(where: str | Path = path, partitions: int | None = 8) -> SQLiteStore:
        store = SQLiteStore(where, partitions)
        stores.append(store)
        await store.start()
        return store

    yield open_one
    for store in stores:
        await store.close()
