"""Calls in any order, right and wrong, over either store: the node does what the model does."""

import asyncio
from collections.abc import Callable

import pytest
from fuzz.caller import Tally
from fuzz.run import run_seed

from mainspring.server.persistence.mysql.migrate import migrate
from mainspring.server.persistence.mysql.settings import MySQLSettings

EXAMPLES = 6

pytestmark = pytest.mark.timeout(900)
"""A difference is shrunk before it is told."""


@pytest.mark.parametrize("seed", [1, 2])
def test_over_sqlite(seed: int) -> None:
    check_worth(run_seed(seed, Tally(), examples=EXAMPLES))


def test_over_mariadb(fresh_database: Callable[..., str]) -> None:
    def new_url() -> str:
        url = fresh_database()
        asyncio.run(migrate(MySQLSettings.from_url(url), partitions=16))
        return url

    check_worth(run_seed(4, Tally(), examples=EXAMPLES, new_url=new_url))


def check_worth(tally: Tally) -> None:
    """The calls were many enough, of both kinds, and something came of them."""
    assert tally.requests > 20 * EXAMPLES
    assert 0.5 < tally.share_answered(tally.codes - tally.look_ups) < 0.95
    assert tally.states.total() > 10
