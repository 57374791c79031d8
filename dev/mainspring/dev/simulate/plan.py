"""The tasks of a simulation: the same configuration, seed and beginning give the same ones. PURE.

Instants are microseconds UTC.
"""

import json
import math
import random
from collections.abc import Iterator

from mainspring.dev.simulate.config import (
    Cron,
    Duration,
    Fixed,
    Herd,
    Interval,
    Load,
    Rate,
    Simulation,
    Spread,
    Uniform,
)
from mainspring.testing.workload import SECOND_US, PlannedTask

NAMESPACE = "simulate"
FAILING = "fail"
"""The mock handler that fails each time."""


def plan_tasks(simulation: Simulation, start_at: int) -> tuple[PlannedTask, ...]:
    """The tasks in the order in which to register them: what fires again and again first, then what is due soonest.

    Args:
        simulation: A valid one.
        start_at: When the time line begins.
    """
    seconds = simulation.simulation.seconds
    plan = [
        task
        for load in simulation.load
        for task in _tasks_of(load, simulation.simulation.seed, start_at, seconds)
    ]
    return tuple(sorted(plan, key=lambda task: (task.kind == "one-time", task.at or 0, task.task_id)))


def _tasks_of(load: Load, seed: int, start_at: int, seconds: float) -> Iterator[PlannedTask]:
    # One stream of chance for each load: another load in the file changes nothing in this one.
    rng = random.Random(f"simulate {seed} {load.name}")
    for number in range(load.task_count(seconds)):
        handler, payload = _work(load, rng)
        task_id = f"{load.name}-{number:06}"
        if isinstance(load, Interval):
            every_us = rng.randint(load.every_min_s, load.every_max_s) * SECOND_US
            yield PlannedTask(
                NAMESPACE,
                task_id,
                handler,
                "interval",
                load.name,
                every_us=every_us,
                anchor_at=start_at + rng.randrange(every_us // 1_000) * 1_000,
                payload=payload,
            )
        elif isinstance(load, Cron):
            turn, place = divmod(number, len(load.expressions))
            yield PlannedTask(
                NAMESPACE,
                task_id,
                handler,
                "cron",
                load.name,
                expression=load.expressions[place],
                time_zone=load.zones[turn % len(load.zones)],
                payload=payload,
            )
        else:
            at = start_at + int(_instant_s(load, number, seconds, rng) * SECOND_US)
            yield PlannedTask(NAMESPACE, task_id, handler, "one-time", load.name, at=at, payload=payload)


def _instant_s(load: Load, number: int, seconds: float, rng: random.Random) -> float:
    """When a one-time task is due, in seconds of the time line."""
    if isinstance(load, Herd):
        return load.at_s
    assert isinstance(load, Spread | Rate)
    until_s = seconds if load.until_s is None else load.until_s
    if isinstance(load, Rate):
        # Each in a slot of its own, somewhere in it: a steady rate, and still no beat.
        return min(load.from_s + (number + rng.random()) / load.per_s, until_s - 1e-6)
    return load.from_s + rng.random() * (until_s - load.from_s)


def _work(load: Load, rng: random.Random) -> tuple[str, bytes]:
    """Handler and payload of one task."""
    is_failing = rng.random() < load.failures
    duration_ms = None if load.duration is None else _draw_ms(load.duration, rng)
    if is_failing:
        return FAILING, b"asked to fail by the simulation"
    if duration_ms is None:
        return "noop", b""
    return "sleep", json.dumps(round(duration_ms / 1_000, 6)).encode()


def _draw_ms(duration: Duration, rng: random.Random) -> float:
    if isinstance(duration, Fixed):
        return duration.ms
    if isinstance(duration, Uniform):
        return rng.uniform(duration.min_ms, duration.max_ms)
    return min(duration.max_ms, rng.lognormvariate(math.log(duration.median_ms), duration.sigma))
