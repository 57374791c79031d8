"""`recurring`: cron tasks in many time zones, all of them at second 0 of one minute.

They go on for as long as the rig runs, so nothing is measured on it afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.bulk import HANDLER, PAYLOAD
from benchmarks.burst import note
from benchmarks.bursts import Bursts
from benchmarks.results import Results

from mainspring.testing.errors import TestingError
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US, sleep_until
from mainspring.testing.workload import ZONES, PlannedTask

MINUTE_US = 60 * SECOND_US
EXPRESSION = "* * * * *"


@dataclass(frozen=True, slots=True)
class RecurringSettings:
    """How many tasks, and how often each is due."""

    tasks: int = 20_000
    expression: str = "* * * * *"
    period_s: int = 60


async def measure(bursts: Bursts, settings: RecurringSettings, results: Results) -> None:
    """Write `recurring ...` into the results.

    Raises:
        TestingError: As `Bursts.fire`.
    """
    ahead_us, period_us = int(bursts.ahead_s(settings.tasks) * SECOND_US), settings.period_s * SECOND_US
    if ahead_us > period_us:
        raise TestingError(f"{settings.tasks:,} tasks cannot be registered within {settings.period_s} s")
    due_at = ((now_us() + ahead_us) // period_us + 1) * period_us
    await sleep_until(due_at - ahead_us)  # none of them is to see the time before
    namespace = bursts.next_namespace()
    plan = [
        PlannedTask(
            namespace,
            f"cron-{number:06}",
            HANDLER,
            "cron",
            "recurring",
            expression=settings.expression,
            time_zone=ZONES[number % len(ZONES)],
            payload=PAYLOAD,
        )
        for number in range(settings.tasks)
    ]
    note(results, f"recurring {settings.tasks}", [await bursts.fire(plan, due_at)])
