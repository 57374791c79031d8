"""Faults on a real cluster, judged by the checker: a minute of what `make chaos` does in full."""

import asyncio
import os
import random

import pytest
from chaos.command import play, tell
from chaos.plan import excerpt

from mainspring.testing.errors import ServerUnavailableError
from mainspring.testing.external import external_sql_server, external_zookeeper

pytestmark = pytest.mark.skipif(
    external_sql_server() is not None or external_zookeeper() is not None,
    reason="breaks only servers of its own",
)


def seed_of_this_run() -> int:
    """MAINSPRING_CHAOS_SEED, else another one each time; it is printed."""
    given = os.environ.get("MAINSPRING_CHAOS_SEED")
    return int(given) if given else random.SystemRandom().randrange(1, 1_000_000)


def endure(seconds: float) -> None:
    seed = seed_of_this_run()
    print(f"MAINSPRING_CHAOS_SEED={seed} plays this again")
    try:
        judgement = asyncio.run(play(excerpt(seed, seconds)))
    except ServerUnavailableError as error:
        reason = str(error)
    else:
        tell(judgement)
        assert judgement.complaints == (), f"seed {seed}"
        return
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.mark.timeout(240)
def test_a_minute_of_faults() -> None:
    endure(60)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_four_minutes_of_faults() -> None:
    endure(240)
