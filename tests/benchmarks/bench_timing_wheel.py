"""What a timer costs: insert, advance and cancel at 10^4, 10^5 and 10^6 timers.

    PYTHONPATH=server python tests/benchmarks/bench_timing_wheel.py

The timers of each size lie within the next 10 s (the window of an owner) in random order; the wheel turns in the
steps in which a driver would turn it (from deadline to deadline, here 5 ms). Prints nanoseconds a timer, the best of
three runs: the machine's other work adds to a figure, never takes away. "churn" keeps the size constant and
re-inserts each timer as it fires, so it shows the cost at a standing size. The reference is `heapq`, which has no
cancel.
"""

from __future__ import annotations

import gc
import heapq
import random
import sys
from collections.abc import Callable
from time import perf_counter_ns

from mainspring.server.core.timing_wheel import TimingWheel

WINDOW_US = 10_000_000
STEP_US = 5_000
START_AT = 1_790_000_000_000_000


def timers(count: int) -> list[tuple[int, int]]:
    rng = random.Random(count)
    return [(key, START_AT + rng.randrange(WINDOW_US)) for key in range(count)]


def filled(items: list[tuple[int, int]]) -> TimingWheel[int]:
    wheel: TimingWheel[int] = TimingWheel(START_AT)
    wheel.insert_many(items)
    return wheel


def insert(items: list[tuple[int, int]]) -> int:
    wheel: TimingWheel[int] = TimingWheel(START_AT)
    begin = perf_counter_ns()
    for key, deadline_at in items:
        wheel.insert(key, deadline_at)
    return perf_counter_ns() - begin


def insert_many(items: list[tuple[int, int]]) -> int:
    begin = perf_counter_ns()
    filled(items)
    return perf_counter_ns() - begin


def advance(items: list[tuple[int, int]]) -> int:
    wheel = filled(items)
    fired = 0
    begin = perf_counter_ns()
    for now in range(START_AT, START_AT + WINDOW_US + STEP_US, STEP_US):
        wheel.next_deadline()
        fired += len(wheel.advance(now))
    spent = perf_counter_ns() - begin
    assert fired == len(items)
    return spent


def late_advance(items: list[tuple[int, int]]) -> int:
    wheel = filled(items)
    begin = perf_counter_ns()
    fired = wheel.advance(START_AT + 2 * WINDOW_US)
    spent = perf_counter_ns() - begin
    assert len(fired) == len(items)
    return spent


def cancel(items: list[tuple[int, int]]) -> int:
    wheel = filled(items)
    begin = perf_counter_ns()
    for key, _ in items:
        wheel.cancel(key)
    spent = perf_counter_ns() - begin
    assert len(wheel) == 0
    return spent


def churn(items: list[tuple[int, int]]) -> int:
    wheel = filled(items)
    rng = random.Random(7)
    fired = 0
    begin = perf_counter_ns()
    for now in range(START_AT, START_AT + WINDOW_US + STEP_US, STEP_US):
        due = wheel.advance(now)
        fired += len(due)
        wheel.insert_many([(key, now + WINDOW_US + rng.randrange(STEP_US)) for key in due])
    spent = perf_counter_ns() - begin
    assert len(wheel) == len(items)
    return spent * len(items) // fired


def heap(items: list[tuple[int, int]]) -> int:
    begin = perf_counter_ns()
    queue: list[tuple[int, int]] = []
    for key, deadline_at in items:
        heapq.heappush(queue, (deadline_at, key))
    while queue:
        heapq.heappop(queue)
    return perf_counter_ns() - begin


def main() -> None:
    measures: list[tuple[str, Callable[[list[tuple[int, int]]], int]]] = [
        ("insert", insert),
        ("insert_many", insert_many),
        ("advance", advance),
        ("late advance", late_advance),
        ("cancel", cancel),
        ("churn", churn),
        ("heap push+pop", heap),
    ]
    sizes = [int(float(arg)) for arg in sys.argv[1:]] or [10**4, 10**5, 10**6]
    print(f"{'ns per timer':>14}", *(f"{size:>10,}" for size in sizes))
    for name, measure in measures:
        row = []
        for size in sizes:
            items = timers(size)
            runs = []
            for _ in range(3):
                gc.collect()
                runs.append(measure(items) / size)
            row.append(min(runs))
        print(f"{name:>14}", *(f"{nanoseconds:>10,.0f}" for nanoseconds in row), flush=True)


if __name__ == "__main__":
    main()
