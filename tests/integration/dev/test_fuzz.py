"""Random calls about tasks, right and wrong, on either store: the node does what the model does."""

from collections.abc import Callable

import pytest
from fuzz.run import run_session

from mainspring.server.persistence.mysql.migrate import migrate
from mainspring.server.persistence.mysql.settings import MySQLSettings

REQUESTS = 400


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_over_sqlite(seed: int) -> None:
    session = await run_session(seed, REQUESTS)
    assert session.tally["CreateTask", "OK"] >= 5
    refused = sum(count for (_, code), count in session.tally.items() if code != "OK")
    assert session.requests / 8 < refused < session.requests / 2


@pytest.mark.parametrize("seed", [4])
async def test_over_mariadb(seed: int, fresh_database: Callable[..., str]) -> None:
    url = fresh_database()
    await migrate(MySQLSettings.from_url(url), partitions=16)
    await run_session(seed, REQUESTS, url)
