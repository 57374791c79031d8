"""Credit and leases of connected executors."""

from hypothesis import given
from hypothesis import strategies as st

from mainspring.server.dispatch.connected_executors import ConnectedExecutors
from mainspring.server.dispatch.executor_session import ExecutorSession


def session(
    executor_id: str, credit: int = 0, handlers: tuple[str, ...] = ("noop",), at_s: float = 0.0
) -> ExecutorSession:
    made = ExecutorSession(executor_id, handlers, 100, version="", connected_at=0, heard_at_s=at_s)
    made.credit = credit
    return made


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.integers(0, 60))
def test_reservations_never_exceed_the_credit_and_use_all_of_it_when_asked(
    credits: list[int], count: int
) -> None:
    registry = ConnectedExecutors(3.0)
    sessions = [session(f"e{i}", credit) for i, credit in enumerate(credits)]
    for s in sessions:
        registry.connect(s)
    reserved = registry.reserve("noop", count)
    assert len(reserved) == min(count, sum(credits))
    for i, s in enumerate(sessions):
        assert s.credit == credits[i] - reserved.count(s) >= 0
    registry.give_back(reserved)
    assert [s.credit for s in sessions] == credits


def test_work_is_spread_towards_who_has_most_room() -> None:
    registry = ConnectedExecutors(3.0)
    registry.connect(session("small", 2))
    registry.connect(session("large", 10))
    reserved = [s.executor_id for s in registry.reserve("noop", 9)]
    assert reserved.count("large") >= 8


def test_only_executors_with_the_handler_and_not_draining_are_asked() -> None:
    registry = ConnectedExecutors(3.0)
    other, draining = session("other", 5, ("echo",)), session("draining", 5)
    draining.is_draining = True
    registry.connect(other)
    registry.connect(draining)
    assert registry.free_credit("noop") == 0
    assert registry.reserve("noop", 3) == []


def test_who_is_quiet_for_half_a_lease_gets_no_new_work_until_it_is_heard_again() -> None:
    registry = ConnectedExecutors(3.0)
    quiet, loud = session("quiet", 5, at_s=10.0), session("loud", 5, at_s=10.0)
    registry.connect(quiet)
    registry.connect(loud)
    registry.heard(loud, 11.6)
    registry.look_who_is_quiet(11.6)
    assert {s.executor_id for s in registry.reserve("noop", 10)} == {"loud"}
    assert registry.free_credit("noop") == 0
    told = []
    registry.on_credit = lambda: told.append(registry.free_credit("noop"))
    registry.heard(quiet, 11.7)
    assert told == [5]


def test_a_broken_stream_keeps_its_lease_and_an_orderly_goodbye_ends_it() -> None:
    registry = ConnectedExecutors(3.0)
    broken, orderly = session("broken", at_s=10.0), session("orderly", at_s=10.0)
    registry.connect(broken)
    registry.connect(orderly)
    registry.disconnect(broken, orderly=False)
    registry.disconnect(orderly, orderly=True)
    assert registry.lapsed(11.0) == ["orderly"]
    assert registry.is_alive("broken")
    assert registry.lapsed(13.5) == ["broken"]


def test_a_silent_executor_lapses_although_its_stream_is_open() -> None:
    registry = ConnectedExecutors(3.0)
    silent = session("silent", 5, at_s=10.0)
    registry.connect(silent)
    assert registry.lapsed(13.5) == ["silent"]
    assert silent.is_closed
    assert registry.free_credit("noop") == 0


def test_after_standing_still_everybody_gets_a_full_lease() -> None:
    registry = ConnectedExecutors(3.0)
    registry.connect(session("e", at_s=10.0))
    registry.restart_leases(30.0)
    assert registry.lapsed(32.0) == []


def test_a_second_session_of_an_executor_closes_the_first() -> None:
    registry = ConnectedExecutors(3.0)
    first, second = session("e", 5), session("e", 1)
    registry.connect(first)
    registry.connect(second)
    assert first.is_closed
    registry.disconnect(first, orderly=True)
    assert registry.get("e") is second
    assert registry.free_credit("noop") == 1
