"""What a node's metrics say of its store."""

from dataclasses import asdict, fields

from prometheus_client import generate_latest

from mainspring.server.observability.metrics import STORE_COUNTERS, Metrics
from mainspring.server.persistence.mysql.connection import StoreStats


def exported(metrics: Metrics) -> dict[str, float]:
    lines = generate_latest(metrics.registry).decode().splitlines()
    return {
        name: float(value)
        for name, value in (line.split() for line in lines if line.startswith("mainspring_store_"))
    }


def test_every_counter_of_the_store_is_described() -> None:
    assert set(STORE_COUNTERS) == {field.name for field in fields(StoreStats)}


def test_the_stores_counters_are_read_when_they_are_asked_for() -> None:
    metrics, stats = Metrics(), StoreStats()
    assert exported(metrics) == {}
    metrics.watch_store(lambda: asdict(stats))
    assert exported(metrics) == dict.fromkeys(
        (f"mainspring_store_{name}_total" for name in STORE_COUNTERS), 0.0
    )
    stats.deadlock_retries += 3
    assert exported(metrics)["mainspring_store_deadlock_retries_total"] == 3.0


def test_a_store_that_counts_less_exports_less() -> None:
    metrics = Metrics()
    metrics.watch_store(lambda: {"transactions": 2, "unheard_of": 1})
    assert exported(metrics) == {"mainspring_store_transactions_total": 2.0}
