"""cronsim as the second oracle, where it reads the dialect, and the rules by which it may differ.

It knows one expression under the default policies. Its differences are explained by the rules below, each of which
says exactly when it applies and what cronsim then must answer; anything else is a difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Final

from cronsim import CronSim, CronSimError
from oracle.comparison import NARROW, Difference, Window
from oracle.corpus import Case
from oracle.dialect import Named, read_cron
from oracle.local_clock import Clock
from oracle.schedules import SECOND_US, fires_of
from oracle.zones import DAY, HOUR, Change, zone

OUR_MINUTES: Final = "fixed hours with a minute of `*`, or with seconds, follow elapsed time there"
SUNDAY_IS_7: Final = "a weekday with a step counts to 7 there, which is Sunday"
DATE_LEFT_OUT: Final = "a date that the zone left out is made up for there"
HOPS: Final = (
    "hops by whole hours miss wall times there, or never end, when a clock changes by or at part of an hour"
)
RULES: Final = (OUR_MINUTES, SUNDAY_IS_7, DATE_LEFT_OUT, HOPS)

_MANY: Final = 40
_MOST_HOPS: Final = 5_000


class _NoEnd(Exception):
    """cronsim goes on and on."""


class _BoundedCronSim(CronSim):
    """cronsim, which is stopped when it looks for one fire for ever."""

    _hops = 0

    def __next__(self) -> datetime:
        self._hops = 0
        return super().__next__()

    def tick(self, seconds: int = 1) -> None:
        self._count()
        super().tick(seconds)

    def advance_day(self) -> bool:
        self._count()
        return super().advance_day()

    def _count(self) -> None:
        self._hops += 1
        if self._hops > _MOST_HOPS:
            raise _NoEnd


@dataclass(frozen=True, slots=True)
class _Answer:
    """What cronsim said: fires in microseconds, and whether it then never came to a later one."""

    fires: list[int]
    has_no_end: bool


@cache
def reads(case: Case) -> bool:
    """Whether cronsim understands a case, and has a policy for it that may be ours."""
    if case.record.keys() != {"kind", "expression"} or case.dates or case.bounds:
        return False
    try:
        CronSim(case.record["expression"], datetime(2000, 1, 1))  # noqa: DTZ001 - only parsed
    except CronSimError:
        return False
    return True


def compare(
    case: Case, window: Window, changes: Iterable[Change], explained: Counter[str]
) -> Iterator[Difference]:
    """Compare cronsim with the brute force from fire to fire; `explained` counts its differences by rule."""
    expression = case.record["expression"]
    named = read_cron(expression)
    clock = _stretch(named, window)
    expected = fires_of([named], clock)
    if len(expected) > _MANY and clock is window.minutes:
        clock = clock.cut(window.middle - NARROW, window.middle + NARROW)
        expected = fires_of([named], clock)
    answer = _ask(expression, window.zone, clock)
    rule = None
    if answer != _Answer(expected, has_no_end=False):
        rule = _explain(expression, named, clock, expected, answer, list(changes))
        if rule is None:
            yield _difference(case, window, expected, answer, clock)
            return
        explained[rule] += 1


def _stretch(named: Named, window: Window) -> Clock:
    if not named.needs_seconds:
        return window.minutes
    return window.seconds.cut(window.middle - HOUR // 2, window.middle + HOUR // 2)


def _ask(expression: str, zone_name: str, clock: Clock) -> _Answer:
    simulated = _BoundedCronSim(expression, datetime.fromtimestamp(clock.first - 1, zone(zone_name)))
    found: list[int] = []
    try:
        for local in simulated:
            second = round(local.timestamp())
            if second >= clock.end:
                break
            if found and second * SECOND_US <= found[-1]:
                raise _NoEnd
            found.append(second * SECOND_US)
    except _NoEnd:
        return _Answer(found, has_no_end=True)
    return _Answer(found, has_no_end=False)


def _explain(
    expression: str, named: Named, clock: Clock, expected: list[int], answer: _Answer, changes: list[Change]
) -> str | None:
    """The rule that an answer follows, or None."""
    seconds, minute, hour, weekday = _fields(expression)
    follows_elapsed = bool(seconds) or minute.startswith("*") or hour.startswith("*")
    # What it should say if only the first two rules counted.
    rule = None
    if "/" in weekday and not weekday.startswith("*") and "-" not in weekday:
        rule, named = SUNDAY_IS_7, read_cron(expression.replace("/", "-7/"))
    if follows_elapsed and not named.is_elapsed:
        rule, named = OUR_MINUTES, replace(named, is_elapsed=True)
    if rule:
        expected = fires_of([named], clock)
        if answer == _Answer(expected, has_no_end=False):
            return rule
    for change in changes:
        change_at = change.at * SECOND_US
        gap = change.after - change.before
        if not follows_elapsed and gap >= DAY and [at for at in answer.fires if at != change_at] == expected:
            return DATE_LEFT_OUT
        is_odd = gap % HOUR or (change.at + change.before) % HOUR
        if follows_elapsed and is_odd and _agree_but_near(expected, answer, change_at):
            return HOPS
    return None


def _fields(expression: str) -> tuple[str, str, str, str]:
    fields = expression.split()
    seconds = fields.pop(0) if len(fields) == 6 else ""
    return seconds, fields[0], fields[1], fields[4]


def _agree_but_near(expected: list[int], answer: _Answer, change_at: int) -> bool:
    """Whether two lists agree but for what lies on the day from a change on; of an endless one, up to the change."""
    next_day = change_at + (DAY + 2 * HOUR) * SECOND_US

    def elsewhere(fires: list[int]) -> list[int]:
        return [at for at in fires if at < change_at or (at >= next_day and not answer.has_no_end)]

    return elsewhere(expected) == elsewhere(answer.fires)


def _difference(case: Case, window: Window, expected: list[int], answer: _Answer, clock: Clock) -> Difference:
    pairs = list(zip(expected, answer.fires, strict=False))
    same = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
    return Difference(
        window.zone,
        case.text(window.zone, window.middle),
        "cronsim",
        expected[same - 1] if same else clock.first * SECOND_US - 1,
        clock.end * SECOND_US,
        expected[same] if same < len(expected) else None,
        answer.fires[same] if same < len(answer.fires) else None,
    )
