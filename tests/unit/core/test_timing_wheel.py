"""The wheel against a plain dict of deadlines."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sampling import draws

from mainspring.server.core.timing_wheel import TimingWheel

KEYS = st.integers(0, 40)
# Small steps, steps around the edges of levels, and far ones.
AHEAD = st.one_of(
    st.integers(-5_000, 20_000),
    st.sampled_from([2**8, 2**16, 2**24, 2**32]).flatmap(
        lambda n: st.integers(n * 1000 - 3_000, n * 1000 + 3_000)
    ),
    st.integers(0, 2**45),
)


class WheelAgainstModel(RuleBasedStateMachine):
    """The model: deadline ticks by key, and a look through all of them at each step."""

    @initialize(start_at=st.integers(-(10**9), 10**15), resolution_us=st.sampled_from([1, 7, 1000, 5000]))
    def begin(self, start_at: int, resolution_us: int) -> None:
        self.start_at, self.resolution_us = start_at, resolution_us
        self.wheel: TimingWheel[int] = TimingWheel(start_at, resolution_us)
        self.now = start_at
        self.deadlines: dict[int, int] = {}

    def due_at(self, deadline_at: int) -> int:
        """The first instant, in whole ticks from the start, at which a deadline has passed."""
        ticks = -((self.start_at - deadline_at) // self.resolution_us)
        return self.start_at + ticks * self.resolution_us

    @rule(key=KEYS, ahead=AHEAD)
    def insert(self, key: int, ahead: int) -> None:
        self.wheel.insert(key, self.now + ahead)
        self.deadlines[key] = self.now + ahead

    @rule(timers=st.lists(st.tuples(KEYS, AHEAD), max_size=30))
    def insert_many(self, timers: list[tuple[int, int]]) -> None:
        items = [(key, self.now + ahead) for key, ahead in timers]
        self.wheel.insert_many(items)
        self.deadlines.update(items)

    @rule(key=KEYS)
    def cancel(self, key: int) -> None:
        assert self.wheel.cancel(key) == (self.deadlines.pop(key, None) is not None)

    def check_advance(self, now: int) -> None:
        self.now = max(self.now, now)
        due = self.wheel.advance(now)
        expected = {
            key for key, at in self.deadlines.items() if at <= self.now and self.due_at(at) <= self.now
        }
        assert len(due) == len(set(due))
        assert set(due) == expected
        order = [self.due_at(self.deadlines[key]) for key in due]
        assert order == sorted(order)
        for key in due:
            del self.deadlines[key]

    @rule(ahead=AHEAD)
    def advance(self, ahead: int) -> None:
        self.check_advance(self.now + ahead)

    @precondition(lambda self: self.deadlines)
    @rule(early_us=st.integers(0, 3_000))
    def advance_close_to_the_next(self, early_us: int) -> None:
        self.check_advance(min(self.deadlines.values()) - early_us)

    @precondition(lambda self: self.deadlines)
    @rule()
    def follow_next_deadline(self) -> None:
        # What the driver does: sleeping from deadline to deadline it meets the earliest timer in its very tick.
        earliest = min(self.due_at(at) for at in self.deadlines.values())
        for _ in range(8):
            next_deadline = self.wheel.next_deadline()
            assert next_deadline is not None
            assert next_deadline <= max(earliest, self.now)
            before = len(self.deadlines)
            self.check_advance(next_deadline)
            if len(self.deadlines) < before:
                return
        pytest.fail("eight advances to the next deadline returned no timer")

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "wheel"):
            return
        assert len(self.wheel) == len(self.deadlines)
        assert all((key in self.wheel) == (key in self.deadlines) for key in range(41))
        next_deadline = self.wheel.next_deadline()
        if not self.deadlines:
            assert next_deadline is None
        else:
            assert next_deadline is not None
            assert next_deadline <= max(self.now, min(map(self.due_at, self.deadlines.values())))


TestWheelAgainstModel = WheelAgainstModel.TestCase
TestWheelAgainstModel.settings = settings(max_examples=draws(150), stateful_step_count=40, deadline=None)


def test_the_example_of_the_docstring_in_digits_of_eight_bits() -> None:
    wheel: TimingWheel[str] = TimingWheel(0, 1)
    wheel.advance(0x107)
    wheel.insert("A", 0x109)
    wheel.insert("B", 0x402)
    wheel.insert("C", 0x408)
    wheel.insert("D", 0x1_03_00)
    assert wheel.next_deadline() == 0x109
    assert wheel.advance(0x108) == []
    assert wheel.advance(0x201) == ["A"]
    assert wheel.next_deadline() == 0x400
    assert wheel.advance(0x405) == ["B"]
    assert wheel.cancel("C")
    assert not wheel.cancel("C")
    assert wheel.advance(0x5_00_00) == ["D"]
    assert wheel.next_deadline() is None
    assert len(wheel) == 0


def test_never_early_and_late_by_less_than_a_tick() -> None:
    wheel: TimingWheel[str] = TimingWheel(1_000_000, 1000)
    wheel.insert("x", 1_001_001)
    assert wheel.next_deadline() == 1_002_000
    assert wheel.advance(1_001_999) == []
    assert wheel.advance(1_002_000) == ["x"]


@pytest.mark.parametrize("level", [1, 2, 3, 7])
def test_the_edges_of_a_slot(level: int) -> None:
    begin, end = 256**level, 2 * 256**level - 1  # slot 1 of the level
    wheel: TimingWheel[str] = TimingWheel(0, 1)
    wheel.insert_many([("last", end), ("first", begin), ("behind", end + 1)])
    assert wheel.advance(begin - 1) == []
    assert wheel.advance(end - 1) == ["first"]
    assert wheel.advance(end) == ["last"]
    assert wheel.advance(end + 1) == ["behind"]

    wheel = TimingWheel(0, 1)
    wheel.insert_many([("last", end), ("first", begin)])
    assert wheel.advance(end - 1) == ["first"]
    assert "last" in wheel


def test_a_passed_deadline_is_due_at_once_and_first() -> None:
    wheel: TimingWheel[str] = TimingWheel(0, 1000)
    wheel.advance(50_000)
    wheel.insert_many([("late", 49_000), ("next", 51_000), ("later", -7), ("now", 50_000)])
    assert wheel.next_deadline() == 50_000
    assert wheel.advance(51_000) == ["later", "late", "now", "next"]


def test_a_clock_that_goes_back_fires_nothing_twice() -> None:
    wheel: TimingWheel[str] = TimingWheel(0, 1000)
    wheel.insert("x", 10_000)
    assert wheel.advance(20_000) == ["x"]
    wheel.insert("y", 25_000)
    assert wheel.advance(5_000) == []
    assert wheel.next_deadline() == 25_000
    assert wheel.advance(25_000) == ["y"]


@given(st.lists(st.integers(0, 10**12), max_size=60))
def test_a_late_advance_returns_all_in_order(deadlines: list[int]) -> None:
    wheel: TimingWheel[int] = TimingWheel(0, 1)
    wheel.insert_many(enumerate(deadlines))
    assert [deadlines[k] for k in wheel.advance(10**12)] == sorted(deadlines)


def test_deadlines_beyond_the_last_level_are_refused_and_change_nothing() -> None:
    wheel: TimingWheel[str] = TimingWheel(0, 1)
    wheel.insert("year 9999", 253_402_300_799_000_000)
    with pytest.raises(ValueError, match="out of range"):
        wheel.insert("year 9999", 2**64)
    assert wheel.advance(253_402_300_799_000_000) == ["year 9999"]
