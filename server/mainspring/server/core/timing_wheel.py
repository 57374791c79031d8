"""A hierarchical timing wheel: millions of timers, each operation at the cost of a few dict accesses.

Time is cut into *ticks* of the wheel's resolution, counted from its start. A timer belongs to the first tick that
is not before its deadline, so it is never early, and late by less than one tick. The wheel stands at tick `now` and
reads ticks as numbers with 8-bit digits. A timer's *level* is the highest digit in which its tick differs from
`now`, its *slot* the value of that digit in its own tick. Level 0 thus holds the timers of the next ticks up to 255,
one slot per tick; a slot of level 1 holds a span of 256 ticks, of level 2 one of 65,536, and so on.

Two things follow. All timers of level 0 are due before all of level 1, those before all of level 2, ...; and within
a level, a lower slot is due first. So the earliest slot is the lowest set bit of the lowest level that is not
empty. And a timer on level n moves down at most n times until it is due, however many others there are.

An example with digits of one decimal place instead of 8 bits, so that it can be read off. The wheel stands at 17.

    insert A at 19   differs from 17 in the ones      level 0, slot 9
    insert B at 42   differs in the tens              level 1, slot 4
    insert C at 48   differs in the tens              level 1, slot 4, with B
    insert D at 130  differs in the hundreds          level 2, slot 1

    next_deadline    19: level 0, slot 9, exact
    advance to 18    the earliest slot begins at 19: nothing to do. The wheel stands at 18
    advance to 21    [A]. The next slot begins at 40. The wheel stands at 21, no timer has moved
    next_deadline    40: level 1, slot 4. A lower bound, B is due at 42
    advance to 45    at 40 slot 4 is emptied: B and C differ from 40 in the ones, so they go to level 0, slots 2
                     and 8. Then [B] at 42. The wheel stands at 45
    cancel C         C is on level 0 now, slot 8
    advance to 500   at 100 D moves down to level 1, slot 3; at 130 it is due: [D]. The wheel stands at 500

When an advance passes the whole span of a higher slot, its timers are sorted and returned and never moved down.
Slots exist while they hold timers, and levels are enough for any 64-bit deadline; there is no horizon and no heap.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from operator import itemgetter
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_BITS: Final = 8
_MASK: Final = (1 << _BITS) - 1
_LEVELS: Final = 8
_by_tick: Final = itemgetter(1)


class TimingWheel(Generic[K]):
    """Timers by key. Never reads a clock; not safe for use by several threads at once.

    Args:
        start_at: where the wheel stands at first, microseconds UTC.
        resolution_us: microseconds of a tick. A timer is returned up to this late.
    """

    __slots__ = ("_levels", "_now", "_occupied", "_overdue", "_resolution_us", "_start_at", "_ticks")

    def __init__(self, start_at: int, resolution_us: int = 1000) -> None:
        if resolution_us < 1:
            raise ValueError("resolution_us must be at least 1")
        self._start_at = start_at
        self._resolution_us = resolution_us
        self._now = 0
        self._ticks: dict[K, int] = {}
        self._overdue: dict[K, int] = {}
        self._levels: list[dict[int, dict[K, int]]] = [{} for _ in range(_LEVELS)]
        self._occupied = [0] * _LEVELS  # per level, the slots that hold timers, as bits

    def __len__(self) -> int:
        return len(self._ticks)

    def __contains__(self, key: object) -> bool:
        return key in self._ticks

    def insert(self, key: K, deadline_at: int) -> None:
        """Set the timer of `key`; one that is set already moves.

        A deadline that the wheel has passed is due at the next `advance`, whatever its `now`.

        Raises:
            ValueError: the deadline lies more than 2^64 ticks ahead.
        """
        self.insert_many(((key, deadline_at),))

    def insert_many(self, timers: Iterable[tuple[K, int]]) -> None:
        """Set timers, as `insert` does for each (key, deadline_at) in turn. Cheaper for many."""
        start_at, resolution_us, now = self._start_at, self._resolution_us, self._now
        ticks, levels, occupied = self._ticks, self._levels, self._occupied
        nearest, next_nearest = levels[0], levels[1]
        for key, deadline_at in timers:
            tick = -((start_at - deadline_at) // resolution_us)
            differs = tick ^ now
            if tick <= now:
                level, index, slots = -1, 0, nearest
            elif differs <= _MASK:
                level, index, slots = 0, tick & _MASK, nearest
            elif differs >> _BITS <= _MASK:
                level, index, slots = 1, tick >> _BITS & _MASK, next_nearest
            else:
                level = (differs.bit_length() - 1) // _BITS
                if level >= _LEVELS:
                    raise ValueError("deadline out of range")
                index, slots = tick >> level * _BITS & _MASK, levels[level]
            if key in ticks:
                self.cancel(key)
            ticks[key] = tick
            if level < 0:
                self._overdue[key] = tick
            elif (slot := slots.get(index)) is None:
                slots[index] = {key: tick}
                occupied[level] |= 1 << index
            else:
                slot[key] = tick

    def cancel(self, key: K) -> bool:
        """Unset the timer of `key`. False if there is none (never set, cancelled, or returned by `advance`)."""
        tick = self._ticks.pop(key, None)
        if tick is None:
            return False
        if self._overdue.pop(key, None) is not None:
            return True
        level = ((tick ^ self._now).bit_length() - 1) // _BITS
        index = tick >> level * _BITS & _MASK
        slots = self._levels[level]
        slot = slots[index]
        del slot[key]
        if not slot:
            del slots[index]
            self._occupied[level] ^= 1 << index
        return True

    def advance(self, now: int) -> list[K]:
        """Move the wheel on, and take out every timer that is due.

        Args:
            now: microseconds UTC. Earlier than at the last call, it counts as that: the wheel never goes back.

        Returns:
            Keys in order of their ticks, those of one tick in no particular order. All of them, however late the
            call is.
        """
        target = (now - self._start_at) // self._resolution_us
        due: list[K] = []
        if self._overdue:
            due.extend(key for key, _ in sorted(self._overdue.items(), key=_by_tick))
            self._overdue.clear()
        while (found := self._earliest()) is not None:
            level, index, begin = found
            if begin > target:
                break
            slot = self._levels[level].pop(index)
            self._occupied[level] ^= 1 << index
            self._now = begin
            if level == 0:
                due.extend(slot)
            elif begin + (1 << level * _BITS) - 1 <= target:
                # Everything in the slot is due, and everything elsewhere is later: no need to move it down.
                due.extend(key for key, _ in sorted(slot.items(), key=_by_tick))
            else:
                self._move_down(slot, due)
        self._now = max(self._now, target)
        ticks = self._ticks
        for key in due:
            del ticks[key]
        return due

    def next_deadline(self) -> int | None:
        """When to call `advance` next, microseconds UTC; None without timers.

        Never later than the end of the tick in which the earliest timer is due, the first instant at which
        `advance` returns it. It may be earlier (the begin of a slot that has to be moved down first): then
        `advance` returns nothing, and the next answer is closer. Each timer sees that happen at most 7 times.
        """
        if self._overdue:
            return self._start_at + self._now * self._resolution_us
        found = self._earliest()
        return None if found is None else self._start_at + found[2] * self._resolution_us

    def _earliest(self) -> tuple[int, int, int] | None:
        """Level, index and first tick of the slot that is due first."""
        for level, bits in enumerate(self._occupied):
            if bits:
                index = (bits & -bits).bit_length() - 1
                shift = level * _BITS
                return level, index, (self._now >> shift + _BITS << _BITS | index) << shift
        return None

    def _move_down(self, slot: dict[K, int], due: list[K]) -> None:
        """File the timers of a slot that begins at the wheel's tick anew; those of that very tick are due."""
        now, levels, occupied = self._now, self._levels, self._occupied
        for key, tick in slot.items():
            differs = tick ^ now
            if not differs:
                due.append(key)
                continue
            level = (differs.bit_length() - 1) // _BITS
            index = tick >> level * _BITS & _MASK
            lower = levels[level].get(index)
            if lower is None:
                levels[level][index] = {key: tick}
                occupied[level] |= 1 << index
            else:
                lower[key] = tick
