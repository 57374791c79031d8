"""What a fire time costs: `make bench-cron`, which writes docs/runs/cron.md.

Each figure is the median of 7 rounds, with the range of the rounds behind it.

Per schedule: "parse" makes the sets of values from the text (each expression once, then remembered); "cold walk" finds the
next fire from an instant that nobody asked about before, over a year; "at a change" the same in the hours around a change
of the zone's clock; "remembered" asks again; "count 1 year" is the arithmetic behind a long misfire.

Herd: what a busy node pays. 20,000 recurring tasks of 1,000 different schedules, each asked for its next fire at each of
its scheduled times for a simulated hour, everything forgotten before.

Longest: single calls that look at as much as a call can be made to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from time import perf_counter

from mainspring.server.core.cron_fields import parse_cron
from mainspring.server.core.new_schedule import validate_cron
from mainspring.server.core.next_fire import count_fires, last_fire, next_fire
from mainspring.server.core.schedule import (
    CalendarInterval,
    CalendarUnit,
    Exclusions,
    GapPolicy,
    Interval,
    RepeatPolicy,
    Schedule,
)
from mainspring.server.core.wall_fires import wall_fires
from mainspring.testing.run_note import note_path, table, write_note

US = 1_000_000
HOUR_US = 3_600 * US
DAY_US = 24 * HOUR_US
ROUNDS = 7
CALLS = 1_000
TASKS = 20_000
START_AT = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) * US
CHANGE_AT = int(datetime(2026, 10, 24, 22, tzinfo=UTC).timestamp()) * US
BERLIN = "Europe/Berlin"

walk = next_fire.__wrapped__
count = count_fires.__wrapped__


@dataclass(frozen=True)
class Figure:
    """Microseconds a call, by round."""

    rounds: tuple[float, ...]

    def __str__(self) -> str:
        return f"{median(self.rounds):,.1f} ({min(self.rounds):,.1f}-{max(self.rounds):,.1f})"


def measured(calls: int, body: Callable[[int], object]) -> Figure:
    """The figure of a body that makes so many calls; it is told the round."""
    rounds = []
    for number in range(ROUNDS):
        begin = perf_counter()
        body(number)
        rounds.append((perf_counter() - begin) / calls * 1e6)
    return Figure(tuple(rounds))


def cron(*expressions: str, zone: str = BERLIN, exclusions: Exclusions | None = None) -> Schedule:
    return Schedule(validate_cron(expressions, zone), exclusions=exclusions)


def schedules() -> Iterable[tuple[str, Schedule]]:
    for expression in (
        "* * * * *",
        "*/5 * * * * *",
        "0 */2 * * *",
        "30 2 * * *",
        "0 9 * * MON-FRI",
        "0 0 L * *",
        "0 9 LW * *",
        "0 0 * * FRI#2",
        "15 10 1,15 1-6 *",
        "0 0 29 2 *",
    ):
        yield f"`{expression}`", cron(expression)
    timing = validate_cron(["30 2 * * *"], BERLIN, GapPolicy.SKIP, RepeatPolicy.LAST)
    yield "`30 2 * * *`, SKIP and LAST", Schedule(timing)
    timing = validate_cron(["30 2 * * *"], BERLIN, GapPolicy.FIRE_AFTER, RepeatPolicy.BOTH)
    yield "`30 2 * * *`, BOTH", Schedule(timing)
    yield "4 expressions", cron("0 9 * * MON-FRI", "30 17 * * FRI", "0 12 1 * *", "0 */6 * * *")
    holidays = Exclusions(
        ("2026-12-24", "2026-12-25", "2026-12-26", "2026-12-31"), ("* * * 8 *", "* 12 * * *")
    )
    yield "`*/10 9-17 * * MON-FRI` without holidays", cron("*/10 9-17 * * MON-FRI", exclusions=holidays)
    fortnight = CalendarInterval(2, CalendarUnit.WEEK, "2026-06-01", (1,), (), (32_400,), BERLIN)
    yield "every 2 weeks on Monday", Schedule(fortnight)
    quarter = CalendarInterval(3, CalendarUnit.MONTH, "2026-06-01", (), (-1,), (61_200,), BERLIN)
    yield "every 3 months on the last day", Schedule(quarter)
    yield "every 90 s", Schedule(Interval(90 * US, START_AT))
    yield (
        "every 90 s without nights",
        Schedule(
            Interval(90 * US, START_AT), exclusions=Exclusions(expressions=("* 0-6 * * *",), time_zone=BERLIN)
        ),
    )


def per_schedule(schedule: Schedule) -> tuple[Figure, ...]:
    def cold(start_at: int, span_us: int) -> Callable[[int], None]:
        def body(number: int) -> None:
            for i in range(CALLS):
                walk(schedule, start_at + (i * ROUNDS + number) * span_us // (CALLS * ROUNDS))

        return body

    def remembered(number: int) -> None:
        for _ in range(CALLS):
            next_fire(schedule, START_AT)

    return (
        measured(CALLS, cold(START_AT, 365 * DAY_US)),
        measured(CALLS, cold(CHANGE_AT, 4 * HOUR_US)),
        measured(CALLS, remembered),
        measured(1, lambda _: count(schedule, START_AT, START_AT + 365 * DAY_US)),
    )


def parsing() -> list[tuple[str, Figure]]:
    rows = []
    for expression in ("* * * * *", "0 9 * * MON-FRI", "*/7 8-18/2 1,15,LW 1-6 *", "0," * 120 + "30 * * * *"):

        def parse(number: int, expression: str = expression) -> None:
            for _ in range(50):
                parse_cron.__wrapped__(expression)

        shown = expression if len(expression) < 40 else f"{len(expression)} characters"
        rows.append((f"`{shown}`", measured(50, parse)))
    return rows


def herd() -> tuple[Figure, int]:
    zones = (BERLIN, "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC")
    texts = [f"{m} * * * *" for m in range(0, 60, 3)] + [f"*/{n} * * * *" for n in range(1, 21)]
    texts += [f"{m} {h} * * MON-FRI" for m in range(0, 60, 6) for h in range(0, 24, 2)]
    texts += [f"{m},{m + 20} 0-23/3 * * *" for m in range(0, 40)]
    kinds = [cron(text, zone=zone) for zone in zones for text in texts][:1_000]
    tasks = [kinds[i % len(kinds)] for i in range(TASKS)]
    asked = 0

    def hour(number: int) -> None:
        nonlocal asked
        next_fire.cache_clear()
        parse_cron.cache_clear()
        wall_fires.cache_clear()
        end_at = START_AT + HOUR_US
        fires = [next_fire(schedule, START_AT) for schedule in tasks]
        asked = len(fires)
        for minute_at in range(START_AT, end_at, 60 * US):
            for task, fire in enumerate(fires):
                if fire is not None and fire <= minute_at:
                    fires[task] = next_fire(tasks[task], fire)
                    asked += 1

    hour(-1)
    return measured(asked, hour), len(kinds)


def longest() -> list[tuple[str, Figure]]:
    nothing_left = cron("* * * * *", exclusions=Exclusions(expressions=("* * * * *",)))
    seconds = Exclusions(expressions=("*/2 * * * * *", "1-59/2 * * * * *"))
    hourly = Schedule(Interval(HOUR_US, 0), exclusions=Exclusions(expressions=("0 * * * *",)))
    never = CalendarInterval(12, CalendarUnit.MONTH, "2026-02-01", (), (30,), (0,), BERLIN)
    every_second = cron("* * * * * *")
    end_at = START_AT + 365 * DAY_US
    return [
        ("next: every minute is excluded", measured(1, lambda _: walk(nothing_left, START_AT))),
        (
            "next: every second is excluded, in two parts",
            measured(1, lambda _: walk(cron("* * * * * *", exclusions=seconds), START_AT)),
        ),
        ("next: each hour of an interval is excluded", measured(1, lambda _: walk(hourly, START_AT))),
        ("next: 30 February, up to year 9999", measured(1, lambda _: walk(Schedule(never), START_AT))),
        ("next: 29 February on a Sunday", measured(1, lambda _: walk(cron("0 0 29 2 */7"), START_AT))),
        ("count: a year of seconds", measured(1, lambda _: count(every_second, START_AT, end_at))),
        ("last: in a year of seconds", measured(1, lambda _: last_fire(every_second, START_AT, end_at))),
    ]


def main() -> None:
    """Measures, prints and writes the note."""
    parse = table(("us a call", "parse"), parsing())
    walks = table(
        ("us a call", "cold walk", "at a change", "remembered", "count 1 year"),
        [(name, *per_schedule(schedule)) for name, schedule in schedules()],
    )
    amortised, kinds = herd()
    shared = table(
        ("us a call", "amortised"), [(f"{TASKS:,} tasks, {kinds:,} schedules, an hour", amortised)]
    )
    slow = table(("us a call", "longest"), longest())
    parts = [
        "Written by `make bench-cron`: microseconds a call on one core, median of 7 rounds (least to most). What the "
        "columns mean: `tests/benchmarks/bench_cron.py`.",
        parse,
        walks,
        shared,
        slow,
    ]
    print("\n\n".join(parts))
    if path := note_path("cron.md"):
        write_note(path, "What a fire time costs", parts)
        print(f"\nwritten to {path}")


if __name__ == "__main__":
    main()
