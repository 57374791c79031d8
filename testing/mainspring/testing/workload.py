"""Seeded plans of work for the demo, the lateness measurement and the chaos runs: plain data, no gRPC.

The same arguments give the same plan. Instants are microseconds UTC, durations carry their unit. Pure.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mainspring.testing.history import AcknowledgedTask, Delivery, Kind, Overlap, TaskKey
from mainspring.testing.task_call import mark_of

SECOND_US = 1_000_000
# Offsets of whole hours, of half and of quarter ones, both hemispheres, and UTC itself.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
)


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """A task to register. Fields of the schedule and limits as in `AcknowledgedTask`.

    Attributes:
        group: Which part of the plan it is.
        overlap, misfire: None: the server's default.
        label: "key=value", or empty.
    """

    namespace: str
    task_id: str
    handler: str
    kind: Kind
    group: str
    at: int | None = None
    expression: str | None = None
    time_zone: str | None = None
    every_us: int | None = None
    anchor_at: int | None = None
    payload: bytes = b""
    delivery: Delivery = "at-least-once"
    overlap: Overlap | None = None
    misfire: Literal["none", "latest", "all"] | None = None
    max_attempts: int = 1
    start_within_us: int | None = None
    finish_within_us: int | None = None
    keep_executions: int | None = None
    label: str = ""

    @property
    def key(self) -> TaskKey:
        """(namespace, task id)."""
        return (self.namespace, self.task_id)

    def acknowledged(
        self,
        sent_at: int,
        acknowledged_at: int | None,
        *,
        outcome: Literal["ok", "unknown"] = "ok",
        anchor_at: int | None = None,
    ) -> AcknowledgedTask:
        """What the client was told about this task.

        Args:
            sent_at: When the call began.
            acknowledged_at: When its answer came; None with outcome "unknown".
            outcome: "unknown" when the call may or may not have taken effect.
            anchor_at: The anchor in the server's answer, where that differs from the planned one.
        """
        return AcknowledgedTask(
            namespace=self.namespace,
            task_id=self.task_id,
            kind=self.kind,
            handler=self.handler,
            sent_at=sent_at,
            acknowledged_at=acknowledged_at,
            outcome=outcome,
            at=self.at,
            expression=self.expression,
            time_zone=self.time_zone,
            every_us=self.every_us,
            anchor_at=self.anchor_at if anchor_at is None else anchor_at,
            delivery=self.delivery,
            max_attempts=self.max_attempts,
            overlap=self.overlap or "skip",
            payload_mark=mark_of(self.payload),
            start_within_us=self.start_within_us,
            finish_within_us=self.finish_within_us,
            keep_executions=self.keep_executions,
        )


def demo_plan(
    now: int,
    seed: int,
    *,
    one_time: int = 3_500,
    herd: int = 1_000,
    intervals: int = 250,
    crons: int = 250,
    spread_s: int = 20,
    lead_s: int = 10,
    namespace: str = "demo",
    handlers: Sequence[str] = ("noop",),
) -> tuple[PlannedTask, ...]:
    """5,000 tasks of every kind, in the order in which to register them.

    One-time tasks are spread over `spread_s` seconds that begin `lead_s` after `now` (time to register all
    of them), the herd is due at one whole second in their middle, intervals fire every 2 to 10 s from
    somewhere in the first seconds of the spread, crons every 5 s in several zones, from registration on.
    """
    rng = random.Random(f"demo {seed}")
    from_at = now + lead_s * SECOND_US
    herd_at = (from_at + spread_s * SECOND_US // 2) // SECOND_US * SECOND_US
    plan = [
        PlannedTask(namespace, f"once-{number:05}", rng.choice(handlers), "one-time", "one-time", at=at)
        for number, at in enumerate(
            sorted(from_at + rng.randrange(spread_s * SECOND_US) for _ in range(one_time))
        )
    ]
    plan += [
        PlannedTask(namespace, f"herd-{number:05}", rng.choice(handlers), "one-time", "herd", at=herd_at)
        for number in range(herd)
    ]
    plan += [
        PlannedTask(
            namespace,
            f"interval-{number:05}",
            rng.choice(handlers),
            "interval",
            "interval",
            every_us=rng.randint(2, 10) * SECOND_US,
            anchor_at=from_at + rng.randrange(5_000) * 1_000,
        )
        for number in range(intervals)
    ]
    plan += [
        PlannedTask(
            namespace,
            f"cron-{number:05}",
            rng.choice(handlers),
            "cron",
            "cron",
            expression=_every_five_seconds(rng.randrange(5)),
            time_zone=ZONES[number % len(ZONES)],
        )
        for number in range(crons)
    ]
    # Recurring tasks first, so that they fire through the whole demo; then whatever is due soonest.
    return tuple(sorted(plan, key=lambda task: (task.kind == "one-time", task.at or 0, task.task_id)))


def lateness_plan(
    now: int,
    seed: int,
    *,
    rate: int = 200,
    seconds: int = 30,
    lead_s: int = 5,
    namespace: str = "lateness",
    handler: str = "noop",
) -> tuple[PlannedTask, ...]:
    """`rate` one-time tasks a second for `seconds`, at random instants within each second, soonest first."""
    rng = random.Random(f"lateness {seed}")
    from_at = now + lead_s * SECOND_US
    times = sorted(
        from_at + second * SECOND_US + rng.randrange(SECOND_US)
        for second in range(seconds)
        for _ in range(rate)
    )
    return tuple(
        PlannedTask(namespace, f"late-{number:06}", handler, "one-time", "one-time", at=at)
        for number, at in enumerate(times)
    )


def _every_five_seconds(phase: int) -> str:
    """Six fields, seconds first; written as a list for some, so that both forms are used."""
    if phase == 0:
        return "*/5 * * * * *"
    return ",".join(str(second) for second in range(phase, 60, 5)) + " * * * * *"
