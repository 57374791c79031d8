"""I2, I3 and I8 by the word of the database's own triggers, one mistake each."""

from dataclasses import replace

import pytest
from unit.checker.tiny import (
    AUDITED,
    CRON,
    CRON_AT,
    DATABASE_AWAY,
    EVERY_AT,
    NOW,
    ONCE,
    ONCE_AT,
    OTHER,
    OWNED_SINCE,
    OWNER,
    READ_AT,
    TAKEN,
    TINY,
    UNTIL,
    S,
    change,
    found,
    messages,
    run,
    with_changes,
    with_faults,
    with_row,
    with_runs,
    with_trail,
)

from mainspring.testing.checker import Limits, check
from mainspring.testing.history import (
    Fault,
    FinalOverwrite,
    History,
    OwnershipChange,
    PartitionState,
    StaleWrite,
    member_name,
)

PARTITION = ("I8", "partition/1", None)
KILLED = Fault("kill", "node-1", NOW + 3 * S, NOW + 6 * S)
ZOOKEEPER_AWAY = Fault("stop", "ZooKeeper", NOW + 2 * S, NOW + 22 * S)


def taken_over(at: int, *, released_at: int | None = None, epoch: int = 5) -> History:
    """Partition 1 passes to OTHER, which runs nothing; what is due later still runs in the audit's sense before it."""
    if released_at is None:
        return with_changes(AUDITED, change(4, epoch, OWNER, OTHER, at))
    return with_changes(AUDITED, change(4, 4, OWNER, None, released_at), change(4, epoch, None, OTHER, at))


def ownership_only(history: History) -> set[tuple[str, str, int | None]]:
    """Violations by a partition as a whole."""
    return {violation for violation in found(history) if violation[1].startswith("partition/")}


def test_a_sound_audit_is_clean_and_counted() -> None:
    verdict = check(AUDITED)
    assert verdict.is_ok
    assert verdict.counts["ownership_changes"] == 1
    assert "ownership_changes" not in check(TINY).counts


@pytest.mark.parametrize(("epoch", "node_id"), [(3, OWNER), (4, OTHER), (4, None)])
def test_a_stale_write_is_i3(epoch: int, node_id: str | None) -> None:
    write = StaleWrite("INSERT", 1, *ONCE.key, ONCE_AT, 1, epoch, node_id, 4, OWNER, ONCE_AT + 5)
    assert found(with_trail(AUDITED, stale_writes=(write,))) == {("I3", "default/once", ONCE_AT)}
    # No fault excuses it.
    assert found(with_faults(with_trail(AUDITED, stale_writes=(write,)), KILLED)) >= {
        ("I3", "default/once", ONCE_AT)
    }


@pytest.mark.parametrize(
    ("statement", "after"), [("UPDATE", "FAILED"), ("UPDATE", "SUCCEEDED"), ("DELETE", None)]
)
def test_an_overwritten_final_row_is_i2(statement: str, after: str | None) -> None:
    attempt = None if after is None else 1
    write = FinalOverwrite(statement, 1, *ONCE.key, ONCE_AT, "SUCCEEDED", after, 1, attempt, ONCE_AT + 5)
    assert found(with_trail(AUDITED, final_overwrites=(write,))) == {("I2", "default/once", ONCE_AT)}


def test_releases_and_takes_are_what_happens_to_a_partition() -> None:
    late = UNTIL + 5 * S
    assert ownership_only(taken_over(late)) == set()
    assert ownership_only(taken_over(late, released_at=late - S)) == set()
    # A node that takes again what it had.
    assert ownership_only(with_changes(AUDITED, change(4, 5, OWNER, OWNER, late))) == set()


@pytest.mark.parametrize(
    ("step", "invariant"),
    [
        pytest.param(change(4, 6, OWNER, OTHER, UNTIL), "I3", id="jump"),
        pytest.param(change(4, 3, OWNER, OTHER, UNTIL), "I3", id="fall"),
        pytest.param(change(4, 5, OWNER, None, UNTIL), "I3", id="raised-by-nobody"),
        pytest.param(change(4, 4, OWNER, OTHER, UNTIL), "I8", id="two-owners-of-one-epoch"),
        pytest.param(change(4, 5, OTHER, OWNER, UNTIL), "I8", id="another-owner-before"),
        pytest.param(change(5, 6, OWNER, OTHER, UNTIL), "I8", id="another-epoch-before"),
    ],
)
def test_any_other_change_of_a_partition_is_found(step: OwnershipChange, invariant: str) -> None:
    assert (invariant, "partition/1", None) in found(with_changes(AUDITED, step))


def test_an_epoch_that_comes_back_with_another_owner_is_found() -> None:
    again = with_changes(AUDITED, change(4, 4, OWNER, None, UNTIL), change(4, 4, None, OTHER, UNTIL + S))
    assert ownership_only(again) == {PARTITION}


def test_a_row_that_the_changes_do_not_lead_to_is_i8() -> None:
    assert found(with_trail(AUDITED, final_partitions=(PartitionState(1, 4, OTHER),))) == {PARTITION}
    assert found(with_trail(AUDITED, final_partitions=())) == {PARTITION}


def test_a_release_is_followed_by_a_take_within_the_bound() -> None:
    assert ownership_only(taken_over(UNTIL + 15 * S, released_at=UNTIL)) == set()
    assert ownership_only(taken_over(UNTIL + 15 * S + 1, released_at=UNTIL)) == {PARTITION}
    assert found(taken_over(UNTIL + 3 * S, released_at=UNTIL), Limits(ownerless_us=2 * S)) == {PARTITION}
    released = with_changes(AUDITED, change(4, 4, OWNER, None, UNTIL))
    assert ownership_only(released) == {PARTITION}
    assert "nobody owned it for 61000000 us after it was released" in messages(released)[0]


def test_a_partition_that_nobody_ever_took_is_i8() -> None:
    both = (PartitionState(1, 4, OWNER), PartitionState(2, 0, None))
    never = with_trail(
        AUDITED, initial_partitions=(PartitionState(1, 3, None), both[1]), final_partitions=both
    )
    assert found(never) == {("I8", "partition/2", None)}


def test_before_the_window_nodes_are_only_starting() -> None:
    early = with_trail(AUDITED, installed_at=NOW - 600 * S)
    assert found(early) == set()
    late_take = replace(TAKEN, at=NOW + 16 * S)
    assert PARTITION in found(with_trail(AUDITED, ownership_changes=(late_take,)))


def test_the_partitions_of_a_killed_node_are_taken_within_the_bound() -> None:
    assert ownership_only(with_faults(taken_over(KILLED.from_at + 15 * S), KILLED)) == set()
    late = taken_over(KILLED.from_at + 15 * S + 1)
    assert ownership_only(late) == set()
    assert ownership_only(with_faults(late, KILLED)) == {PARTITION}
    assert ownership_only(with_faults(late, replace(KILLED, target="nodes"))) == {PARTITION}
    assert ownership_only(with_faults(late, replace(KILLED, target="node-2"))) == set()
    assert ownership_only(with_faults(late, replace(KILLED, kind="freeze"))) == set()
    # Never taken at all.
    assert ownership_only(with_faults(AUDITED, KILLED)) == {PARTITION}


def test_a_node_that_is_told_to_stop_is_gone_when_it_has_ended() -> None:
    stopped = replace(KILLED, kind="stop")
    assert ownership_only(with_faults(taken_over(stopped.until_at + 15 * S), stopped)) == set()
    assert ownership_only(with_faults(taken_over(stopped.until_at + 15 * S + 1), stopped)) == {PARTITION}


def test_a_node_started_again_is_another_process() -> None:
    """It has the old name, takes partitions, and did not die in the fault of the old one."""
    again = "node-1-300-cccc"
    restarted = with_changes(AUDITED, change(4, 5, OWNER, again, KILLED.from_at + 5 * S))
    assert ownership_only(with_faults(restarted, KILLED)) == set()
    second = replace(KILLED, from_at=NOW + 15 * S, until_at=NOW + 16 * S)
    assert ownership_only(with_faults(restarted, KILLED, second)) == {PARTITION}


def test_a_partition_taken_by_a_node_that_dies_too_counts_from_the_first_death() -> None:
    second = Fault("kill", "node-2", KILLED.from_at + 5 * S, KILLED.until_at + 5 * S)
    third = change(5, 6, OTHER, "node-3-300-cccc", second.from_at + 14 * S)
    both = with_changes(AUDITED, change(4, 5, OWNER, OTHER, KILLED.from_at + 4 * S), third)
    assert ownership_only(with_faults(both, KILLED, second)) == set()
    # OTHER was dead when its take shows.
    ghost = with_changes(
        AUDITED,
        change(4, 5, OWNER, OTHER, NOW + S),
        change(5, 5, OTHER, None, KILLED.from_at + 4 * S),
        change(5, 6, None, OTHER, KILLED.from_at + 5 * S + 1),
        change(6, 7, OTHER, "node-3-300-cccc", KILLED.from_at + 22 * S),
    )
    assert ownership_only(with_faults(ghost, second)) == {PARTITION}


@pytest.mark.parametrize("pause", [DATABASE_AWAY, ZOOKEEPER_AWAY])
def test_time_without_database_or_coordinator_does_not_count(pause: Fault) -> None:
    in_time = taken_over(pause.until_at + 15 * S)
    assert ownership_only(with_faults(in_time, KILLED)) == {PARTITION}
    assert ownership_only(with_faults(in_time, KILLED, pause)) == set()
    late = taken_over(pause.until_at + 15 * S + 1)
    assert ownership_only(with_faults(late, KILLED, pause)) == {PARTITION}


def test_executors_that_are_away_hold_up_no_change_of_owner() -> None:
    away = replace(DATABASE_AWAY, target="executors")
    assert ownership_only(with_faults(taken_over(away.until_at + 15 * S), KILLED, away)) == {PARTITION}


def test_a_row_written_by_a_node_that_never_owned_its_epoch_is_i8() -> None:
    history = with_row(AUDITED, ONCE, ONCE_AT, node_id=OTHER)
    assert ("I8", "default/once", ONCE_AT) in found(history)


def test_a_run_under_an_epoch_that_nobody_had_taken_is_i3() -> None:
    ahead = with_runs(AUDITED, CRON, CRON_AT, run(CRON, CRON_AT, epoch=5))
    ahead = with_row(ahead, CRON, CRON_AT, epoch=5)
    assert ("I3", "default/cron", CRON_AT) in found(ahead)
    assert any("which nobody had taken" in message for message in messages(ahead))
    # Taken, but only after the run began.
    later = with_changes(ahead, change(4, 5, OWNER, OWNER, CRON_AT + S))
    assert ("I3", "default/cron", CRON_AT) in found(later)
    before = with_changes(ahead, change(4, 5, OWNER, OWNER, CRON_AT))
    assert ("I3", "default/cron", CRON_AT) not in found(before)


def test_a_start_long_after_the_next_take_is_i3() -> None:
    """EVERY starts 20 ms after its second scheduled time; nothing at all ran under epoch 5."""
    starts_at = EVERY_AT + 10 * S + 20_000
    just = with_changes(AUDITED, change(4, 5, OWNER, OTHER, starts_at - 2_500_000))
    here = ("I3", "default/every", EVERY_AT + 10 * S)
    assert here not in found(just)
    late = with_changes(AUDITED, change(4, 5, OWNER, OTHER, starts_at - 2_500_001))
    assert here in found(late)
    held_up = Fault("freeze", "executor-0", starts_at - 3 * S, starts_at)
    assert here not in found(with_faults(late, held_up))
    assert here in found(with_faults(late, replace(held_up, target="node-1")))


def test_an_audit_that_saw_nothing_proves_nothing() -> None:
    blind = with_trail(AUDITED, ownership_changes=(), initial_partitions=(), final_partitions=())
    assert "the audit saw no owner of any partition" in check(blind).vacuous
    early = with_trail(AUDITED, read_at=UNTIL - S)
    assert check(early).vacuous == ("the audit was read before the window had ended",)


def test_the_tiny_history_is_owned_before_it_begins() -> None:
    assert OWNED_SINCE < NOW < UNTIL < READ_AT
    assert member_name(OWNER) == "node-1"
