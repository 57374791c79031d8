"""A perfect history is always clean; one mistake in it is always found."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sampling import draws
from unit.checker.perfect import KILL, OUTAGE, S, perfect_history

from mainspring.testing.checker import check
from mainspring.testing.history import (
    FINAL_STATES,
    OPEN_STATES,
    Deadlocks,
    FinalOverwrite,
    History,
    LedgerRow,
    Run,
    StaleWrite,
)

SEEDS = st.integers(0, 2**32 - 1)
FAULTS = st.sampled_from([(), (OUTAGE,), (KILL,), (OUTAGE, KILL)])
SIZES = st.integers(1, 12)


@given(SEEDS, SIZES, FAULTS)
@example(0, 40, (OUTAGE, KILL))
@settings(deadline=None, max_examples=draws(150))
def test_a_perfect_history_is_clean(seed: int, size: int, faults: tuple) -> None:
    verdict = check(perfect_history(seed, size, faults))
    assert [str(violation) for violation in verdict.violations] == []
    assert verdict.vacuous == ()
    assert verdict.is_ok


def _runs_of(history: History, row: LedgerRow) -> list[Run]:
    return [run for run in history.runs if run.key == row.key and run.scheduled_at == row.scheduled_at]


def _is_far_from_faults(history: History, at: int) -> bool:
    return all(not fault.from_at - 11 * S <= at <= fault.until_at + 11 * S for fault in history.faults)


def _judged_rows(history: History) -> list[LedgerRow]:
    return [
        row
        for row in history.ledger
        if row.attempt == 1
        and history.window_from_at <= row.due_at < history.window_until_at
        and _is_far_from_faults(history, row.due_at)
    ]


def drop_row(history: History, rng: random.Random) -> History:
    acknowledged = {task.key for task in history.tasks if task.outcome == "ok"}
    skipped = [row for row in history.ledger if row.state == "SKIPPED" and row.key in acknowledged]
    row = rng.choice([row for row in history.ledger if _runs_of(history, row)] + skipped)
    # The earlier reading must not give it away.
    earlier = tuple(before for before in history.earlier_ledger if before != row)
    return replace(
        history, ledger=tuple(other for other in history.ledger if other is not row), earlier_ledger=earlier
    )


def drop_run(history: History, rng: random.Random) -> History:
    # An earlier attempt may be missing when a fault explains that it never started: take the ledger's own one.
    last = {(row.key, row.scheduled_at): row.attempt for row in history.ledger}
    run = rng.choice([run for run in history.runs if last[run.key, run.scheduled_at] == run.attempt])
    return replace(history, runs=tuple(other for other in history.runs if other is not run))


def double_run(history: History, rng: random.Random) -> History:
    run = rng.choice(history.runs)
    return replace(
        history,
        runs=(*history.runs, replace(run, started_at=run.started_at + 1_000, executor_id="executor-9")),
    )


def double_run_with_a_new_attempt(history: History, rng: random.Random) -> History:
    """The scheduler itself sends again, and its ledger agrees."""
    rows = [
        row for row in history.ledger if row.state == "SUCCEEDED" and _is_far_from_faults(history, row.due_at)
    ]
    row = rng.choice(rows)
    run = next(run for run in _runs_of(history, row) if run.attempt == row.attempt)
    again = replace(run, attempt=run.attempt + 1, started_at=run.started_at + S // 10)
    ledger = tuple(replace(row, attempt=again.attempt) if other is row else other for other in history.ledger)
    return replace(history, runs=(*history.runs, again), ledger=ledger, earlier_ledger=())


def raise_lateness(history: History, rng: random.Random) -> History:
    late_us = 10 * S + rng.randrange(1, S)
    row = rng.choice(_judged_rows(history))
    late = replace(row, picked_up_at=row.due_at + late_us)
    return replace(
        history, ledger=tuple(late if other is row else other for other in history.ledger), earlier_ledger=()
    )


def raise_lateness_by_both_witnesses(history: History, rng: random.Random) -> History:
    row = rng.choice(_judged_rows(history))
    late = replace(row, picked_up_at=row.due_at + 11 * S)
    runs = tuple(
        replace(run, started_at=row.due_at + 11 * S - 500) if run in _runs_of(history, row) else run
        for run in history.runs
    )
    ledger = tuple(late if other is row else other for other in history.ledger)
    return replace(history, ledger=ledger, runs=runs, earlier_ledger=())


def change_state(history: History, rng: random.Random) -> History:
    """Any row to any other state; near a fault LOST or SKIPPED may be the truth, so it is left alone there."""
    rows = [row for row in history.ledger if _is_far_from_faults(history, row.due_at)]
    row = rng.choice([row for row in rows if row.due_at < history.window_until_at])
    state = rng.choice(sorted((FINAL_STATES | OPEN_STATES) - {row.state}))
    ledger = tuple(
        replace(row, state=state, reason="x") if other is row else other for other in history.ledger
    )
    return replace(history, ledger=ledger, earlier_ledger=())


def change_state_between_readings(history: History, rng: random.Random) -> History:
    row = rng.choice(history.earlier_ledger)
    state = rng.choice(sorted(FINAL_STATES - {row.state}))
    earlier = tuple(replace(row, state=state) if other is row else other for other in history.earlier_ledger)
    return replace(history, earlier_ledger=earlier)


def start_early(history: History, rng: random.Random) -> History:
    run = rng.choice(history.runs)
    early = replace(run, started_at=run.scheduled_at - 200_000)
    return replace(history, runs=tuple(early if other is run else other for other in history.runs))


def shift_due(history: History, rng: random.Random) -> History:
    row = rng.choice([row for row in history.ledger if row.gap_until is None])
    shifted = replace(row, due_at=row.due_at + 20 * S)
    return replace(
        history,
        ledger=tuple(shifted if other is row else other for other in history.ledger),
        earlier_ledger=(),
    )


def invent_row(history: History, rng: random.Random) -> History:
    row = rng.choice([row for row in history.ledger if row.gap_until is None])
    # No schedule here has two times one microsecond apart.
    return replace(history, ledger=(*history.ledger, replace(row, scheduled_at=row.scheduled_at + 1)))


def plant_stale_write(history: History, rng: random.Random) -> History:
    row = rng.choice([row for row in history.ledger if row.attempt])
    statement, epoch = rng.choice(["INSERT", "UPDATE"]), row.epoch - 1
    write = StaleWrite(
        statement, 1, *row.key, row.scheduled_at, row.attempt, epoch, row.node_id, row.epoch, "x", row.due_at
    )
    return with_audit(history, stale_writes=(write,))


def plant_overwrite(history: History, rng: random.Random) -> History:
    row = rng.choice(history.ledger)
    write = FinalOverwrite(
        "UPDATE", 1, *row.key, row.scheduled_at, row.state, row.state, row.attempt, row.attempt, row.due_at
    )
    return with_audit(history, final_overwrites=(write,))


def lose_ownership_change(history: History, rng: random.Random) -> History:
    assert history.audit is not None
    changes = list(history.audit.ownership_changes)
    del changes[rng.randrange(len(changes))]
    return with_audit(history, ownership_changes=tuple(changes))


def bend_epoch(history: History, rng: random.Random) -> History:
    assert history.audit is not None
    changes = list(history.audit.ownership_changes)
    index = rng.randrange(len(changes))
    by = rng.choice([-1, 1, 2])
    changes[index] = replace(changes[index], new_epoch=changes[index].new_epoch + by)
    return with_audit(history, ownership_changes=tuple(changes))


def bend_owner(history: History, rng: random.Random) -> History:
    assert history.audit is not None
    changes = list(history.audit.ownership_changes)
    index = rng.randrange(len(changes))
    changes[index] = replace(changes[index], new_owner_id="node-9-900-abcd")
    return with_audit(history, ownership_changes=tuple(changes))


def take_late(history: History, rng: random.Random) -> History:
    """After the bound, which an outage may have put off; a kill of an executor puts off nothing."""
    assert history.audit is not None
    changes = list(history.audit.ownership_changes)
    index = rng.choice([n for n, change in enumerate(changes) if change.new_epoch == 4])
    changes[index] = replace(changes[index], at=changes[index].at + 16 * S)
    return with_audit(history, ownership_changes=tuple(changes))


def lose_retry_of_deadlock(history: History, rng: random.Random) -> History:
    return replace(history, deadlocks=Deadlocks(rng.randrange(3, 9), 2))


def lose_at_least_once(history: History, rng: random.Random) -> History:
    deliveries = {task.key: task.delivery for task in history.tasks}
    rows = [
        row for row in history.ledger if row.state == "SUCCEEDED" and deliveries[row.key] == "at-least-once"
    ]
    row = rng.choice(rows)
    lost = replace(row, state="LOST", reason="silent")
    ledger = tuple(lost if other is row else other for other in history.ledger)
    return replace(history, ledger=ledger, earlier_ledger=())


def with_audit(history: History, **fields: object) -> History:
    assert history.audit is not None
    return replace(history, audit=replace(history.audit, **fields))


MUTATIONS = [
    plant_stale_write,
    plant_overwrite,
    lose_ownership_change,
    bend_epoch,
    bend_owner,
    take_late,
    lose_retry_of_deadlock,
    lose_at_least_once,
    drop_row,
    drop_run,
    double_run,
    double_run_with_a_new_attempt,
    raise_lateness,
    raise_lateness_by_both_witnesses,
    change_state,
    change_state_between_readings,
    start_early,
    shift_due,
    invent_row,
]


@pytest.mark.parametrize("mutate", MUTATIONS)
@given(SEEDS, SIZES, FAULTS)
@settings(deadline=None, max_examples=draws(60))
def test_one_mistake_is_always_found(
    mutate: Callable[[History, random.Random], History], seed: int, size: int, faults: tuple
) -> None:
    mutated = mutate(perfect_history(seed, size, faults), random.Random(seed))
    verdict = check(mutated)
    assert verdict.violations
    assert not verdict.is_ok
    assert all(violation.evidence for violation in verdict.violations)
