"""Which faults, in which order, on which seed. PURE: one seed gives one plan, the same on every machine."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chaos.campaign import PROMISED_S, Step
from chaos.faults import MINUTE, OF_EXECUTORS, PAIRABLE, SINGLES, pair_of


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of one campaign."""

    name: str
    seed: int
    steps: tuple[Step, ...]


def singles(seed: int) -> tuple[Plan, ...]:
    """Every fault of the matrix once; the seed chooses victims, instants and how links break."""
    return tuple(Plan(name, seed, steps) for name, steps in SINGLES.items())


def pairs(seed: int, count: int) -> Plan:
    """Two faults at a time, drawn from those that can meet: different pairs, each of different faults."""
    rng = random.Random(f"pairs {seed}")
    drawn: list[frozenset[str]] = []
    while len(drawn) < count:
        pair = frozenset(step.name for step in rng.sample(PAIRABLE, 2))
        if pair not in drawn and not pair <= OF_EXECUTORS:
            drawn.append(pair)
    by_name = {step.name: step for step in PAIRABLE}
    steps = (
        pair_of(*(by_name[name] for name in sorted(pair)), delay_s=rng.uniform(0.0, 3.0)) for pair in drawn
    )
    return Plan("pairs", seed, tuple(steps))


def excerpt(seed: int, seconds: float) -> Plan:
    """As many of the quicker faults as fit into so many seconds, no fault twice before each was there once.

    Their bound is the promise to users: how much sooner a fault is over is measured on a machine that does nothing else.
    """
    rng = random.Random(f"excerpt {seed}")
    steps: list[Step] = []
    left_s = seconds
    while True:
        round_of = [step for step in rng.sample(MINUTE, len(MINUTE)) if step.takes_s <= left_s]
        for step in round_of:
            if step.takes_s <= left_s:
                steps.append(replace(step, bound_s=PROMISED_S))
                left_s -= step.takes_s
        if not round_of:
            return Plan(f"excerpt-{seconds:g}", seed, tuple(steps))


def only(plans: Sequence[Plan], parts: Sequence[str]) -> tuple[Plan, ...]:
    """The plans with those steps whose name holds one of these parts; all, when none is given."""
    if not parts:
        return tuple(plans)
    kept = (
        Plan(plan.name, plan.seed, tuple(s for s in plan.steps if any(part in s.name for part in parts)))
        for plan in plans
    )
    return tuple(plan for plan in kept if plan.steps)
