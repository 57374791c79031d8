"""Ownership decisions: the table of the module, row by row."""

import math
from dataclasses import replace

import pytest

from mainspring.shard_manager.lease import PartitionLease, PartitionRow
from mainspring.shard_manager.membership import DATABASE_AWAY, Member, MembershipView, SessionState
from mainspring.shard_manager.ownership import (
    Decisions,
    Move,
    OwnershipRules,
    Situation,
    TakeReason,
    decide,
)

RULES = OwnershipRules()
NOW = 1000.0


def member(node_id: str, *, ready: bool = True, prepared: frozenset[int] = frozenset()) -> Member:
    return Member(node_id, f"{node_id}:1", "1", ready, {}, prepared)


def view(
    *members: Member, connected: bool = True, session_age: float = 100, age: float = 0
) -> MembershipView:
    return MembershipView(
        members={m.node_id: m for m in members},
        is_connected=connected,
        generation=1,
        session=SessionState.LIVE if connected else SessionState.SUSPENDED,
        session_started_at=NOW - session_age,
        session_expired_at=None,
        read_at=NOW - age,
    )


TWO = view(member("me"), member("other"))


def situation(
    row: PartitionRow,
    *,
    seen: MembershipView = TWO,
    desired: str | None = "me",
    held: int | None = None,
    prepared: bool = False,
    **more: object,
) -> Situation:
    facts = Situation(
        node_id="me",
        view=seen,
        rows={row.partition_id: row},
        held={} if held is None else {row.partition_id: held},
        prepared={row.partition_id} if prepared else frozenset(),
        busy=frozenset(),
        desired={} if desired is None else {row.partition_id: desired},
        highest_epochs={},
        moves={},
        now=NOW,
        ready_changed_at=NOW - 100,
        distrust_before=0.0,
        is_ready=True,
        is_leaving=False,
    )
    return replace(facts, **more)  # type: ignore[arg-type]


def acted(decisions: Decisions) -> dict[str, object]:
    """The lists that are not empty."""
    names = ("revoke", "take", "prepare", "discard", "release", "clear")
    return {name: getattr(decisions, name) for name in names if getattr(decisions, name)}


def taken(decisions: Decisions) -> list[tuple[int, int, int, str | None, TakeReason]]:
    """The takes without their history; there must be nothing else to do."""
    assert set(acted(decisions)) == {"take"}
    return [take[:5] for take in decisions.take]


FREE = PartitionRow(7, 4, None)
GONE = PartitionRow(7, 4, "crashed")
OTHERS = PartitionRow(7, 4, "other")
MINE = PartitionRow(7, 4, "me")


@pytest.mark.parametrize(
    ("row", "reason"),
    [(FREE, TakeReason.FREE), (GONE, TakeReason.OWNER_GONE), (MINE, TakeReason.OWN_ROW)],
)
def test_takes_at_once_what_nobody_else_can_own(row: PartitionRow, reason: TakeReason) -> None:
    decisions = decide(situation(row), RULES)
    assert taken(decisions) == [(7, 4, 5, row.owner_id, reason)]
    assert not decisions.is_calm


@pytest.mark.parametrize(
    ("row", "session_age", "taken"),
    [(FREE, 0.2, False), (FREE, 0.4, True), (GONE, 2.9, False), (GONE, 3.1, True), (MINE, 0.0, True)],
)
def test_young_session_takes_only_what_cannot_be_anybodys(
    row: PartitionRow, session_age: float, taken: bool
) -> None:
    decisions = decide(situation(row, seen=view(member("me"), session_age=session_age)), RULES)
    assert bool(decisions.take) is taken
    assert not decisions.is_calm


@pytest.mark.parametrize(
    "seen",
    [
        view(member("me"), connected=False),
        view(member("other")),
        view(member("me"), age=RULES.view_max_age_s + 0.1),
        view(member("me"), age=1.0),
    ],
    ids=["disconnected", "not registered", "old listing", "listing from before a freeze"],
)
@pytest.mark.parametrize("row", [FREE, GONE, OTHERS])
def test_nothing_is_taken_without_a_fresh_view(seen: MembershipView, row: PartitionRow) -> None:
    decisions = decide(situation(row, seen=seen, distrust_before=NOW - 0.5, prepared=True), RULES)
    assert acted(decisions) == {}
    assert not decisions.is_fresh


@pytest.mark.parametrize("more", [{"is_ready": False}, {"is_leaving": True}])
def test_nothing_is_taken_when_not_on_duty(more: dict[str, object]) -> None:
    assert acted(decide(situation(FREE, **more), RULES)) == {}  # type: ignore[arg-type]


UNABLE = view(
    member("me"), replace(member("other", ready=False), away=frozenset({DATABASE_AWAY, "something else"}))
)


@pytest.mark.parametrize(("asked_for", "taken"), [(0.2, False), (0.4, True)])
def test_owner_that_cannot_free_its_rows_is_overruled_soon(asked_for: float, taken: bool) -> None:
    moves = {7: Move("other", NOW - asked_for)}
    decisions = decide(situation(OTHERS, seen=UNABLE, prepared=True, moves=moves), RULES)
    assert bool(decisions.take) is taken
    able = view(member("me"), replace(member("other", ready=False), away=frozenset({"leaving"})))
    assert not decide(situation(OTHERS, seen=able, prepared=True, moves=moves), RULES).take


@pytest.mark.parametrize(
    ("steady_since", "asked"), [(-math.inf, True), (NOW - 3.1, True), (NOW - 2.9, False), (math.inf, False)]
)
def test_nothing_is_asked_of_it_before_our_own_database_is_steady(steady_since: float, asked: bool) -> None:
    facts = situation(OTHERS, seen=UNABLE, store_steady_since=steady_since)
    assert acted(decide(facts, RULES)) == ({"prepare": (7,)} if asked else {})
    assert not decide(facts, RULES).is_calm
    long_asked = replace(facts, prepared={7}, moves={7: Move("other", NOW - 100)})
    assert bool(decide(long_asked, RULES).take) is asked
    # The rows of the dead and of those that are able do not wait for it.
    assert decide(situation(GONE, store_steady_since=steady_since), RULES).take
    assert decide(situation(OTHERS, store_steady_since=steady_since), RULES).prepare


def test_live_owner_is_asked_first_and_overruled_after_two_seconds() -> None:
    assert acted(decide(situation(OTHERS), RULES)) == {"prepare": (7,)}
    asking = decide(situation(OTHERS, prepared=True), RULES)
    assert acted(asking) == {}
    assert asking.moves == {7: Move("other", NOW)}
    assert not asking.is_calm
    for waited, taken in ((1.9, False), (2.1, True)):
        later = replace(situation(OTHERS, prepared=True), moves={7: Move("other", NOW - waited)})
        assert [take.reason for take in decide(later, RULES).take] == [TakeReason.FORCED] * taken


def test_two_seconds_start_anew_with_another_owner_and_after_an_outage() -> None:
    old = {7: Move("third", NOW - 60)}
    assert decide(situation(OTHERS, prepared=True, moves=old), RULES).moves == {7: Move("other", NOW)}
    away = view(member("me"), member("other"), connected=False)
    waiting = {7: Move("other", NOW - 60)}
    assert decide(situation(OTHERS, seen=away, prepared=True, moves=waiting), RULES).moves == {}


@pytest.mark.parametrize("more", [{"ready_changed_at": NOW - 0.2}, {"seen": "young"}])
def test_live_owner_is_left_alone_while_the_members_settle(more: dict[str, object]) -> None:
    if more.get("seen") == "young":
        more = {"seen": view(member("me"), member("other"), session_age=2.9)}
    assert acted(decide(situation(OTHERS, **more), RULES)) == {}  # type: ignore[arg-type]
    successor = view(member("me"), member("other", prepared=frozenset({7})), session_age=2.9)
    given = situation(MINE, held=4, desired="other", seen=successor, ready_changed_at=NOW - 0.2)
    assert acted(decide(given, RULES)) == {}


def test_owner_lets_go_when_the_successor_is_prepared() -> None:
    waiting = decide(situation(MINE, held=4, desired="other"), RULES)
    assert acted(waiting) == {}
    assert not waiting.is_calm
    prepared = view(member("me"), member("other", prepared=frozenset({7})))
    decisions = decide(situation(MINE, held=4, desired="other", seen=prepared), RULES)
    assert acted(decisions) == {"release": ((PartitionLease(7, 4), "other"),)}


def test_leaving_node_lets_go_when_there_is_nobody_to_wait_for() -> None:
    alone = view(member("me", ready=False))
    decisions = decide(situation(MINE, held=4, desired=None, seen=alone, is_leaving=True), RULES)
    assert acted(decisions) == {"release": ((PartitionLease(7, 4), None),)}
    assert acted(decide(situation(MINE, held=4, desired=None, seen=alone), RULES)) == {}


def test_holder_is_calm() -> None:
    assert decide(situation(MINE, held=4), RULES).is_calm
    assert decide(situation(OTHERS, desired="other"), RULES).is_calm


@pytest.mark.parametrize(
    "row", [PartitionRow(7, 5, "other"), PartitionRow(7, 5, None), PartitionRow(7, 4, "other"), FREE]
)
@pytest.mark.parametrize("busy", [frozenset(), frozenset({7})])
def test_revoked_when_the_row_says_so_view_or_no_view(row: PartitionRow, busy: frozenset[int]) -> None:
    away = view(member("me"), connected=False)
    decisions = decide(situation(row, held=4, seen=away, busy=busy), RULES)
    assert acted(decisions) == {"revoke": (PartitionLease(7, 4),)}


def test_lower_epoch_is_reasserted_as_max_plus_one_also_without_zookeeper() -> None:
    away = view(member("me"), connected=False)
    facts = situation(PartitionRow(7, 2, "other"), held=4, seen=away, highest_epochs={7: 6})
    assert taken(decide(facts, RULES)) == [(7, 2, 7, "me", TakeReason.REASSERTED)]


def test_no_epoch_comes_twice_after_lost_commits() -> None:
    take = decide(situation(GONE, highest_epochs={7: 9}), RULES).take[0]
    assert (take.expected_epoch, take.new_epoch) == (4, 10)


def test_own_row_that_is_not_to_be_ours_is_cleared() -> None:
    for facts in (situation(MINE, desired="other"), situation(MINE, is_leaving=True)):
        assert acted(decide(facts, RULES)) == {"clear": (PartitionLease(7, 4),)}


def test_prepared_for_nothing_is_discarded() -> None:
    assert acted(decide(situation(OTHERS, desired="other", prepared=True), RULES)) == {"discard": (7,)}


def test_busy_partition_is_waited_for() -> None:
    for facts in (situation(FREE), situation(MINE, held=4, desired="other")):
        decisions = decide(replace(facts, busy={7}), RULES)
        assert acted(decisions) == {}
        assert not decisions.is_calm
