"""See `contract.store.own_columns`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from contract.store.own_columns import check_own_columns
from integration.sqlite.conftest import OpenStore


async def test_what_an_execution_has_of_its_own(path: Path, open_store: OpenStore) -> None:
    store = await open_store()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        await check_own_columns(store, lambda statement: connection.execute(statement) and None)
