"""The benchmark's burst on a real cluster, small: it is measured, and what the checker does not accept is no figure."""

import contextlib
from collections.abc import Iterator

import pytest
from benchmarks.burst import BurstSettings, measure
from benchmarks.bursts import Bursts, started
from benchmarks.evidence import WrongLedgerError
from benchmarks.results import Results
from benchmarks.rig import RigSettings

from mainspring.testing.sql_server import connect

pytestmark = pytest.mark.slow
SIZE = 500


@contextlib.contextmanager
def losing_a_row(bursts: Bursts) -> Iterator[None]:
    """At the end of the block the ledger's latest row is gone."""
    yield
    with connect(bursts.rig.cluster.mysql_url) as connection, connection.cursor() as cursor:
        assert cursor.execute("DELETE FROM executions ORDER BY scheduled_at DESC LIMIT 1") == 1


async def test_a_burst_is_measured_and_judged() -> None:
    results = Results()
    async with started("test", RigSettings()) as bursts:
        ledgers = await measure(bursts, BurstSettings((SIZE,), repeats=2), results)
        assert len(ledgers[f"burst {SIZE}"]) == SIZE
        drains = [
            results[f"burst {SIZE} drain{word} (executions/s)"] for word in (", least", "", ", greatest")
        ]
        assert 0 < drains[0] <= drains[1] <= drains[2]
        for name in ("node CPU (us/execution)", "commits (per execution)", "node memory (MiB)"):
            assert results[f"burst {SIZE} {name}"] > 0
        bursts.final_timeout_s = 1.0
        with pytest.raises(WrongLedgerError, match="I1 "):
            await bursts.run(SIZE, beside=lambda: losing_a_row(bursts))
