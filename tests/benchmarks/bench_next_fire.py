"""What a fire time costs: parse, cold walk, remembered.

    PYTHONPATH=server python tests/benchmarks/bench_next_fire.py

Prints microseconds a call. "cold walk": the fields of the expression are parsed, the instant is new. "at a change": the
same on the days on which the zone's clock changes. "remembered": the (schedule, instant) was asked for before.
"count 1 year": the arithmetic behind a long misfire.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter

from mainspring.server.core.cron_fields import parse_cron
from mainspring.server.core.new_schedule import validate_cron
from mainspring.server.core.next_fire import count_fires, fires_between, next_fire
from mainspring.server.core.schedule import Schedule

US = 1_000_000
DAY_US = 86_400 * US
START_AT = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) * US
CHANGE_AT = int(datetime(2026, 10, 24, 22, tzinfo=UTC).timestamp()) * US

EXPRESSIONS = [
    "* * * * *",
    "*/5 * * * * *",
    "0 */2 * * *",
    "30 2 * * *",
    "0 9 * * MON-FRI",
    "0 0 L * *",
    "0 0 * * FRI#2",
    "15 10 1,15 1-6 *",
    "0 0 29 2 *",
    "0 0 29 2 */2",
]


def per_call_us(call: Callable[[], object], repeat: int = 1) -> float:
    begin = perf_counter()
    for _ in range(repeat):
        call()
    return (perf_counter() - begin) / repeat * 1e6


def cold(schedule: Schedule, start_at: int, span_us: int, calls: int) -> float:
    instants = [start_at + i * span_us // calls for i in range(calls)]
    begin = perf_counter()
    for instant in instants:
        for _ in fires_between(schedule, instant, instant + 10**18, 1):
            pass
    return (perf_counter() - begin) / calls * 1e6


def main() -> None:
    print(
        f"{'us a call':>20} {'parse':>8} {'cold walk':>10} {'at a change':>12} {'remembered':>11} {'count 1 year':>13}"
    )
    for expression in EXPRESSIONS:
        schedule = Schedule(validate_cron([expression], "Europe/Berlin"))
        parse = min(per_call_us(lambda: parse_cron.__wrapped__(expression)) for _ in range(5))  # noqa: B023
        walk = min(cold(schedule, START_AT, 365 * DAY_US, 2_000) for _ in range(3))
        change = min(cold(schedule, CHANGE_AT, DAY_US // 6, 500) for _ in range(3))
        next_fire(schedule, START_AT)
        remembered = min(per_call_us(lambda: next_fire(schedule, START_AT), 2_000) for _ in range(3))  # noqa: B023
        count_fires.cache_clear()
        count = per_call_us(lambda: count_fires(schedule, START_AT, START_AT + 365 * DAY_US))  # noqa: B023
        print(
            f"{expression:>20} {parse:>8.0f} {walk:>10.2f} {change:>12.2f} {remembered:>11.2f} {count:>13.0f}"
        )


if __name__ == "__main__":
    main()
