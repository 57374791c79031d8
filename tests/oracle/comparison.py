"""The product against the brute force, one schedule over one window. The only module here that knows the product."""

from __future__ import annotations

import json
import random
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from oracle.corpus import Case
from oracle.local_clock import Clock, read_clock
from oracle.schedules import SECOND_US, fires, interval_fires, needs_seconds
from oracle.zones import DAY, HOUR, zone

from mainspring.server.core.next_fire import count_fires, fires_between, last_fire, next_fire
from mainspring.server.core.schedule import Schedule
from mainspring.server.core.schedule_text import decode

NARROW: Final = 3 * HOUR
"""How far from the middle schedules are followed fire by fire when they fire often, or go by seconds."""

_OFTEN: Final = 30
_CONTEXT: Final = DAY + HOUR
"""How much longer than a window its clock is read, so that both passes of a repeat are seen."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A stretch of UTC in a zone, in seconds: [first, end) around `middle`."""

    zone: str
    middle: int
    first: int
    end: int
    minutes: Clock
    seconds: Clock

    @classmethod
    def around(cls, zone_name: str, middle: int, reach: int) -> Window:
        """A window that reaches so many seconds, full minutes, to both sides."""
        first, end = middle - reach, middle + reach
        clock = read_clock(zone(zone_name), first - _CONTEXT, end + _CONTEXT)
        near = clock.cut(middle - NARROW, middle + NARROW).in_seconds()
        return cls(zone_name, middle, first, end, clock.cut(first, end), near)


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that the product answers otherwise.

    Attributes:
        call: the function that was called; `after_at` and `before_at`, its bounds in microseconds, both exclusive.
        expected, found: fires, or a count. The first that differs, where a list was compared.
    """

    zone: str
    text: str
    call: str
    after_at: int
    before_at: int | None
    expected: int | None
    found: int | None

    @property
    def size(self) -> tuple[int, int]:
        """Smaller ones are easier to understand."""
        width = 0 if self.before_at is None else self.before_at - self.after_at
        return len(self.text), width

    def __str__(self) -> str:
        is_count = self.call == "count_fires"
        answers = [
            str(value) if is_count or value is None else f"{value} = {local_time(value, self.zone)}"
            for value in (self.expected, self.found)
        ]
        bounds = [self.after_at] if self.before_at is None else [self.after_at, self.before_at]
        return "\n".join(
            (
                f"{self.call}(decode({self.text!r}), {', '.join(map(str, bounds))})",
                *(f"    bound     {bound} = {local_time(bound, self.zone)}" for bound in bounds),
                f"    expected  {answers[0]}",
                f"    found     {answers[1]}",
            )
        )


def local_time(instant: int, zone_name: str) -> str:
    """An instant on the clock of a zone, with its offset."""
    return f"{(_EPOCH + timedelta(microseconds=instant)).astimezone(zone(zone_name)).isoformat()} {zone_name}"


def expected_fires(text: str, window: Window) -> tuple[list[int], int, int]:
    """The fires of a schedule, and where in the window they were looked for: [first, end) in seconds."""
    if json.loads(text)["kind"] == "interval":
        return interval_fires(text, window.first, window.end), window.first, window.end
    clock = window.seconds if needs_seconds(text) else window.minutes
    return fires(text, clock), clock.first, clock.end


def compare(case: Case, window: Window, rng: random.Random, made: Counter[str]) -> Iterator[Difference]:
    """Compare every entry point of the product over a window; `made` counts the comparisons of each kind."""
    text = case.text(window.zone, window.middle)
    expected, first, end = expected_fires(text, window)
    asked = _Asked(window.zone, text, decode(text), expected, first * SECOND_US, end * SECOND_US)
    yield from asked.follow(window.middle, made)
    yield from asked.next_fires(rng, made)
    yield from asked.stretches(rng, made)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One schedule and what is expected of it in [first_at, end_at), in microseconds."""

    zone: str
    text: str
    schedule: Schedule
    expected: list[int]
    first_at: int
    end_at: int

    def follow(self, middle: int, made: Counter[str]) -> Iterator[Difference]:
        """From fire to fire: through all of it, or where there are many, near the middle."""
        first_at, end_at, expected = self.first_at, self.end_at, self.expected
        if len(expected) > _OFTEN:
            first_at = max(first_at, (middle - NARROW) * SECOND_US)
            end_at = min(end_at, (middle + NARROW) * SECOND_US)
            expected = expected[bisect_left(expected, first_at) : bisect_left(expected, end_at)]
        made["fires_between"] += 1
        made["fires"] += len(expected)
        after_at = first_at - 1
        found = list(fires_between(self.schedule, after_at, end_at - 1, len(expected) + 1))
        if found == expected:
            return
        same = next(
            (i for i, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b),
            min(len(expected), len(found)),
        )
        yield Difference(
            self.zone,
            self.text,
            "fires_between",
            expected[same - 1] if same else after_at,
            end_at,
            expected[same] if same < len(expected) else None,
            found[same] if same < len(found) else None,
        )

    def next_fires(self, rng: random.Random, made: Counter[str]) -> Iterator[Difference]:
        """From a random instant, not only along the chain, and from next to a fire."""
        instants = [rng.randrange(self.first_at, self.end_at)]
        if self.expected:
            instants.append(rng.choice(self.expected) - rng.randrange(2))
        for after_at in instants:
            place = bisect_right(self.expected, after_at)
            expected = self.expected[place] if place < len(self.expected) else None
            made["next_fire"] += 1
            found = next_fire(self.schedule, after_at)
            if expected is None and (found is None or found >= self.end_at):
                continue
            if found != expected:
                yield Difference(self.zone, self.text, "next_fire", after_at, None, expected, found)

    def stretches(self, rng: random.Random, made: Counter[str]) -> Iterator[Difference]:
        """Counted and looked at from behind, over a part of it."""
        after_at = rng.randrange(self.first_at, self.end_at)
        before_at = rng.randrange(after_at, self.end_at)
        if self.expected and rng.randrange(2):  # bounds are exclusive: begin or end on a fire
            on_fire = rng.choice(self.expected)
            after_at, before_at = (on_fire, before_at) if on_fire < before_at else (after_at, on_fire)
        inside = self.expected[bisect_right(self.expected, after_at) : bisect_left(self.expected, before_at)]
        made["count_fires"] += 1
        count = count_fires(self.schedule, after_at, before_at)
        if count != len(inside):
            yield Difference(self.zone, self.text, "count_fires", after_at, before_at, len(inside), count)
        if rng.randrange(3):
            return
        made["last_fire"] += 1
        last, found = inside[-1] if inside else None, last_fire(self.schedule, after_at, before_at)
        if found != last:
            yield Difference(self.zone, self.text, "last_fire", after_at, before_at, last, found)
