"""What is read off counters."""

import pytest
from benchmarks.counters import difference, executed, quantile


def buckets(name: str, *counts: tuple[str, float]) -> dict[str, float]:
    return {f'{name}_bucket{{le="{bound}"}}': count for bound, count in counts}


def test_a_quantile_lies_within_its_bucket_in_proportion() -> None:
    counted = buckets("lag", ("0.1", 50), ("0.5", 90), ("1.0", 100), ("+Inf", 100))
    assert quantile(counted, "lag", 0.5) == 0.1
    assert quantile(counted, "lag", 0.7) == pytest.approx(0.3)
    assert quantile(counted, "lag", 0.95) == 0.75


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    assert quantile(buckets("lag", ("0.1", 1), ("1.0", 1), ("+Inf", 100)), "lag", 0.99) == 1.0


def test_a_quantile_of_nothing_is_0() -> None:
    assert quantile({}, "lag", 0.99) == 0.0
    assert quantile(buckets("lag", ("0.1", 0), ("+Inf", 0)), "lag", 0.99) == 0.0


def test_what_was_counted_is_what_came_since() -> None:
    assert difference({"old": 3}, {"old": 5, "new": 2}) == {"old": 2, "new": 2}


def test_executions_in_every_final_state_have_been_executed() -> None:
    reading = {
        'mainspring_executions_total{state="SUCCEEDED"}': 3.0,
        'mainspring_executions_total{state="FAILED"}': 2.0,
        'mainspring_removed_rows_total{kind="execution"}': 9.0,
    }
    assert executed(reading) == 5
