"""See `contract.store.own_columns`."""

from __future__ import annotations

from contextlib import closing

from contract.store.builders import PARTITIONS
from contract.store.own_columns import check_own_columns

from mainspring.server.persistence.mysql.migrate import migrate
from mainspring.server.persistence.mysql.settings import MySQLSettings
from mainspring.server.persistence.mysql.store import MySQLStore
from mainspring.testing.sql_server import connect


async def test_what_an_execution_has_of_its_own(database_url: str) -> None:
    settings = MySQLSettings.from_url(database_url)
    await migrate(settings, PARTITIONS)
    store = MySQLStore(settings)
    await store.start()
    try:
        with closing(connect(database_url)) as connection, connection.cursor() as cursor:
            await check_own_columns(store, lambda statement: cursor.execute(statement) and None)
    finally:
        await store.close()
