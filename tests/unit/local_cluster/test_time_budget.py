"""The figures of the time budget, from evidence to table."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mainspring.client import Handover, HandoverReason
from mainspring.shard_manager.hashing import partition_of, task_key
from mainspring.testing.history import LedgerRow
from mainspring.testing.time_budget import (
    CLAIMED,
    HERD,
    NOTICED,
    PICKED_UP,
    PROMISE_US,
    SENT,
    SITUATIONS,
    STAGES,
    TAKEN,
    Evidence,
    complaints,
    figures,
    lateness,
    page,
)

SECOND = 1_000_000
PARTITIONS = 4


def row(task_id: str, due_s: float, claimed_s: float, *, namespace: str = "lateness") -> LedgerRow:
    """Sent 20 ms after its claim, picked up 5 ms later."""
    at, claimed_at = int(due_s * SECOND), int(claimed_s * SECOND)
    return LedgerRow(
        namespace,
        task_id,
        at,
        at,
        "SUCCEEDED",
        attempt=1,
        claimed_at=claimed_at,
        dispatched_at=claimed_at + 20_000,
        picked_up_at=claimed_at + 25_000,
    )


def instant(second: float) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=second)


def handover(
    partition: int,
    reason: HandoverReason,
    fire_s: float,
    *,
    released_s: float | None,
    noticed_s: float | None,
) -> Handover:
    begun_s = released_s if released_s is not None else noticed_s
    assert begun_s is not None
    return Handover(
        partition,
        7,
        reason,
        "node-3",
        "node-1",
        None if released_s is None else instant(released_s),
        None if noticed_s is None else instant(noticed_s),
        instant(fire_s),
        timedelta(seconds=fire_s - begun_s),
        0,
        timedelta(0),
    )


MOVED = partition_of(task_key("lateness", "moved"), PARTITIONS)
ORPHAN = next(
    name for name in map(str, range(100)) if partition_of(task_key("lateness", name), PARTITIONS) != MOVED
)
ORPHANED = partition_of(task_key("lateness", ORPHAN), PARTITIONS)
EVIDENCE = Evidence(
    begins_at=(0, 15 * SECOND, 30 * SECOND, 45 * SECOND),
    ends_at=60 * SECOND,
    killed_at=46 * SECOND,
    ledger=(
        row("calm", 3, 3.01),
        row("first", 16, 16.5, namespace=HERD),
        row("last", 16, 19, namespace=HERD),
        row("beside the herd", 17, 17.1),
        row("moved", 31, 31.5),
        row(ORPHAN, 47, 50.5),
    ),
    handovers=(
        handover(MOVED, HandoverReason.DRAINED, 31.4, released_s=31.1, noticed_s=None),
        handover(ORPHANED, HandoverReason.OWNER_GONE, 50.4, released_s=None, noticed_s=49.9),
        handover(ORPHANED, HandoverReason.DRAINED, 33.0, released_s=32.9, noticed_s=None),
    ),
    partitions=PARTITIONS,
)


def test_each_stage_counts_from_the_one_before_it() -> None:
    found = figures(EVIDENCE)
    assert found[CLAIMED, "steady"].max_us == 10_000
    assert (found[CLAIMED, "herd"].count, found[CLAIMED, "herd"].max_us) == (2, 3 * SECOND)
    assert found[TAKEN, "hand-over"].max_us == 300_000
    assert found[CLAIMED, "hand-over"].max_us == 100_000, "from when somebody fired its partition again"
    assert found[NOTICED, "fail-over"].max_us == 3_900_000
    assert found[TAKEN, "fail-over"].max_us == 500_000
    assert found[CLAIMED, "fail-over"].max_us == 100_000
    for situation in SITUATIONS:
        assert found[SENT, situation].max_us == 20_000
        assert found[PICKED_UP, situation].max_us == 5_000
    late = lateness(EVIDENCE)
    assert late["fail-over"].max_us == 3_525_000
    assert complaints(found, late) == []


def test_what_took_longer_than_promised_or_was_not_measured_is_told() -> None:
    slow = replace(EVIDENCE, ledger=(*EVIDENCE.ledger, row("late", 4, 15)))
    told = complaints(figures(slow), lateness(slow))
    assert [line.partition(",")[0].partition(":")[0] for line in told] == [
        CLAIMED.name.partition(":")[0],
        "steady",
    ]
    unharmed = replace(EVIDENCE, handovers=())
    assert len(complaints(figures(unharmed), lateness(unharmed))) == 3, (
        "an overlong wait, and two stages unseen"
    )


def test_the_promised_bounds_add_up_to_the_promise() -> None:
    for number, situation in enumerate(SITUATIONS):
        assert 0 < sum(stage.bounds_us[number] for stage in STAGES) <= PROMISE_US, situation


def test_the_table_shows_bounds_and_figures() -> None:
    lines = page(figures(EVIDENCE), lateness(EVIDENCE)).splitlines()
    assert len(lines) == 2 + len(STAGES) + 1
    assert "6 · 3,900.0 / 3,900.0 / 3,900.0" in lines[2]
    assert lines[-1].endswith("| 9.25 · 3,525.0 / 3,525.0 / 3,525.0 |")
