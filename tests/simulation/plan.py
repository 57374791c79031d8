"""A run's plan, whole, from one seed: who takes part, what is registered and changed, what goes wrong. PURE."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from simulation.database import Weather
from simulation.network import REFUSED, SILENT

from mainspring.testing.history import CallKind, Overlap

WINDOW_FROM_S = 1.5
"""When the first tasks may be due; seconds from the start, like all times here."""
FAULTS_FROM_S = 4.0
"""Sessions are past their grace by then."""
WINDOW_UNTIL_S = 13.0
LAST_FAULT_S = 10.5

KINDS = (
    ("kill_node", 4),
    ("freeze_node", 4),
    ("stuck_node", 2),
    ("freeze_in_claim", 3),
    ("kill_in_claim", 3),
    ("stop_node", 3),
    ("drain_node", 2),
    ("join_node", 2),
    ("cut_zookeeper", 4),
    ("cut_database", 4),
    ("cut_executors", 3),
    ("cut_executor", 2),
    ("cut_peers", 2),
    ("slow_database", 2),
    ("zookeeper_down", 3),
    ("database_down", 2),
    ("database_frozen", 2),
    ("kill_executor", 4),
    ("freeze_executor", 4),
    ("stop_executor", 1),
)
"""Kinds of faults, and how often each comes."""
OVERLAPS: tuple[Overlap, ...] = ("allow", "skip", "skip", "buffer-one", "replace")
CHANGED = 0.35
"""Share of the tasks that calls change."""
NEAR_S = 0.04
"""So near a fire most of these calls are sent."""
LAST_CHANGE_S = 12.0


@dataclass(frozen=True)
class PlannedChange:
    """A call about a task, once the one before has been answered: a pause is followed by a resume, a deletion by nothing."""

    kind: CallKind
    at_s: float
    payload: bytes = b""
    """Of an update, or of a trigger that has its own."""
    every_s: float | None = None
    """Of an update that gives the task another schedule: an interval."""
    anchor_s: float = 0.0


@dataclass(frozen=True)
class PlannedTask:
    """A registration, and perhaps a cancel."""

    task_id: str
    handler: str
    payload: bytes
    register_s: float
    due_s: float
    """One-time: when. Interval: the anchor."""
    every_s: float | None
    cancel_s: float | None
    is_at_most_once: bool = False
    max_executions: int | None = None
    jitter_s: float = 0.0
    overlap: Overlap = "skip"
    makes_up: bool = False
    """Whether it makes up for missed times."""
    changes: tuple[PlannedChange, ...] = ()
    start_within_s: float | None = None
    """How late it may start; then it ends as EXPIRED."""
    max_attempts: int = 1
    """So many may fail."""
    backoff_s: float = 0.0
    """The wait after the first failure."""
    finish_within_s: float | None = None
    """How long an attempt may take; then it is stopped and has failed."""


@dataclass(frozen=True)
class PlannedFault:
    """Something done to the cluster, and its end. `target` counts among those alive, modulo their number."""

    kind: str
    from_s: float
    for_s: float
    target: int = 0
    state: str = SILENT
    """Of the links that it cuts."""
    variant: float = 0.0
    """0 to 1: decides what is particular to a kind."""


@dataclass(frozen=True)
class Wanted:
    """What a plan shall hold instead of the seed's own choice. `faults` begin about when they say."""

    faults: tuple[PlannedFault, ...] | None = None
    slow: float | None = None
    """Share of the tasks that take 0.1 to 2 s."""
    weather: Weather | None = None


@dataclass(frozen=True)
class Plan:
    """All of it."""

    seed: int
    nodes: int
    executors: int
    partitions: int
    capacity: int
    tasks: tuple[PlannedTask, ...]
    faults: tuple[PlannedFault, ...]
    weather: Weather = field(default_factory=Weather)
    lost_hints: float = 0.0
    """Share of the hints between nodes that get lost."""
    grace_s: float = 30.0
    """How late a time may be before it is missed. When that is short, every recurring task makes up for what it missed."""


def plan_of(seed: int, wanted: Wanted | None = None) -> Plan:
    """The plan of a seed."""
    wanted = wanted or Wanted()
    rng, bounds, policies = Random(f"plan {seed}"), Random(f"bounds {seed}"), Random(f"policies {seed}")
    changes, limits, failures = (Random(f"{name} {seed}") for name in ("changes", "limits", "failures"))
    grace_s = policies.choice((30.0, 30.0, 1.5, 4.0))
    makes_up = grace_s < 30
    is_rough = rng.random() < 0.5
    capacity = rng.choice((3, 6, 20))
    slow = rng.choice((0.2, 0.4) if capacity == 3 else (0.2, 0.5, 0.9))
    return Plan(
        seed=seed,
        nodes=rng.choice((2, 3, 3)),
        executors=2,
        partitions=rng.randint(4, 8),
        capacity=capacity,
        tasks=tuple(
            _failing(
                failures,
                _limited(
                    limits,
                    _changed(changes, _with_policies(policies, _bounded(bounds, task), makes_up=makes_up)),
                ),
            )
            for task in _tasks(rng, slow if wanted.slow is None else wanted.slow)
        ),
        faults=_faults(rng, wanted.faults),
        weather=wanted.weather or (_weather(rng) if is_rough else Weather()),
        lost_hints=0.1 if is_rough else 0.0,
        grace_s=grace_s,
    )


def _bounded(rng: Random, task: PlannedTask) -> PlannedTask:
    """The task, perhaps with jitter or a maximum."""
    if rng.random() < 0.25:
        task = replace(task, jitter_s=rng.choice((0.05, 0.4, 3.0)))
    if task.every_s is not None and rng.random() < 0.5:
        task = replace(task, max_executions=rng.randint(1, 6))
    return task


def _with_policies(rng: Random, task: PlannedTask, *, makes_up: bool) -> PlannedTask:
    """The task with an overlap policy, when it recurs; one that makes up for missed times when any are missed early."""
    overlap = rng.choice(OVERLAPS)
    if task.every_s is None:
        return task
    return replace(task, overlap=overlap, makes_up=makes_up)


def _limited(rng: Random, task: PlannedTask) -> PlannedTask:
    """The task, perhaps with a limit to how late it may start."""
    return replace(task, start_within_s=rng.choice((1.0, 2.0, 4.0))) if rng.random() < 0.15 else task


def _failing(rng: Random, task: PlannedTask) -> PlannedTask:
    """The task, perhaps with attempts that fail and are retried, or that may not take as long as they do."""
    if rng.random() < 0.2:
        task = replace(task, handler="failing", is_at_most_once=False)
    if task.handler in ("flaky", "failing") and not task.is_at_most_once:
        task = replace(task, max_attempts=rng.randint(1, 3), backoff_s=rng.choice((0.0, 0.1, 0.5)))
    if task.handler != "quick" and rng.random() < 0.2:
        task = replace(
            task, finish_within_s=1.0, max_attempts=1 if task.is_at_most_once else rng.randint(1, 3)
        )
    return task


def _changed(rng: Random, task: PlannedTask) -> PlannedTask:
    """The task, perhaps with calls that change it, most of them in the moment of a fire."""
    if rng.random() >= CHANGED:
        return task
    changes: list[PlannedChange] = []
    at_s, number = max(task.register_s, WINDOW_FROM_S), 0

    def add(
        kind: CallKind, payload: bytes = b"", *, every_s: float | None = None, anchor_s: float = 0.0
    ) -> None:
        changes.append(PlannedChange(kind, round(at_s, 3), payload, every_s, anchor_s))

    def another_payload() -> bytes:
        nonlocal number
        number += 1
        return b"%d" % (int(task.payload or 1) + number)  # a duration as well

    # What is counted, or moved by chance, is counted and moved anew by another schedule: left to the unit tests.
    may_reschedule = task.every_s is not None and task.max_executions is None and not task.jitter_s
    for _ in range(rng.choice((1, 2, 3)) if task.every_s else 1):
        at_s = _near_a_fire(rng, task, at_s)
        if at_s > LAST_CHANGE_S:
            break
        kind = rng.random()
        if kind < 0.4:
            add("pause")
            at_s += rng.choice((0.02, 0.3, 3.0)) * rng.random()
            add("resume")
        elif kind < 0.55 and may_reschedule:
            add(
                "update",
                another_payload(),
                every_s=rng.choice((1.0, 1.5, 2.0, 3.0)),
                anchor_s=round(at_s - rng.uniform(0.0, 9.0), 3),
            )
        elif kind < 0.75:
            add("update", another_payload())
        elif kind < 0.83:
            add("delete")
            break
        else:
            add("trigger", another_payload() if rng.random() < 0.5 else b"")
        at_s += 0.1
    return replace(task, changes=tuple(changes))


def _near_a_fire(rng: Random, task: PlannedTask, from_s: float) -> float:
    """An instant from another one on, and near a fire of the task if there is one."""
    if rng.random() < 0.2 or (task.every_s is None and task.due_s < from_s):
        return from_s + rng.random()
    fire_s = task.due_s
    if task.every_s is not None:
        fire_s += task.every_s * max(0, rng.randrange(2) + int((from_s - task.due_s) // task.every_s + 1))
    return max(from_s, fire_s + rng.uniform(-NEAR_S, NEAR_S))


def _tasks(rng: Random, slow: float) -> tuple[PlannedTask, ...]:
    tasks: list[PlannedTask] = []
    herd_s = round(rng.uniform(5.0, 11.0), 3)
    for number in range(rng.randint(22, 34)):
        register_s = 1.0 if rng.random() < 0.4 else round(rng.uniform(1.0, 11.0), 3)
        ahead = rng.random()
        if ahead < 0.15:
            due_s = register_s  # at once
        elif ahead < 0.3 and register_s < herd_s:
            due_s = herd_s
        else:
            due_s = round(rng.uniform(max(register_s, WINDOW_FROM_S) + 0.1, WINDOW_UNTIL_S - 0.2), 3)
        every_s = None
        if number % 5 == 4:
            every_s = rng.choice((1.0, 1.5, 2.0, 3.0))
            due_s = round(register_s + rng.uniform(0.2, 1.5), 3)
        handler, payload = _work(rng, slow)
        cancel_s = None
        if rng.random() < 0.12:
            cancel_s = round(rng.uniform(register_s + 0.3, due_s + 3.0 if every_s else due_s + 0.5), 3)
        tasks.append(
            PlannedTask(
                f"t{number}", handler, payload, register_s, due_s, every_s, cancel_s, rng.random() < 0.15
            )
        )
    return tuple(tasks)


def _work(rng: Random, slow: float) -> tuple[str, bytes]:
    if rng.random() >= slow:
        return "quick", b""
    duration_ms = b"%d" % int(100 * 20 ** rng.random())  # 0.1 to 2 s
    return rng.choice(("slow", "flaky")), duration_ms


def _weather(rng: Random) -> Weather:
    return Weather(
        unavailable=rng.choice((0.0, 0.01, 0.03)),
        contention=rng.choice((0.0, 0.01, 0.03)),
        lost_before=rng.choice((0.0, 0.01)),
        lost_after=rng.choice((0.0, 0.02, 0.04)),
        slow=rng.choice((0.0, 0.02)),
    )


def _faults(rng: Random, given: tuple[PlannedFault, ...] | None) -> tuple[PlannedFault, ...]:
    if given is not None:
        faults = [
            replace(fault, from_s=round(fault.from_s + rng.uniform(-0.7, 0.7), 3), target=rng.randrange(6))
            for fault in given
        ]
    else:
        kinds = rng.choices(
            [name for name, _ in KINDS], [weight for _, weight in KINDS], k=rng.choice((1, 1, 1, 2, 2, 3, 4))
        )
        faults = [
            PlannedFault(
                kind,
                from_s=round(rng.uniform(FAULTS_FROM_S, LAST_FAULT_S), 3),
                for_s=round(rng.choice((1.0, 1.0, 2.0)) * rng.uniform(0.5, 3.8), 3),
                target=rng.randrange(6),
                state=rng.choice((SILENT, SILENT, REFUSED)),
                variant=rng.random(),
            )
            for kind in kinds
        ]
    return tuple(sorted(faults, key=lambda fault: fault.from_s))
