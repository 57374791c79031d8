"""The plan of a simulation: a function of file, seed and beginning, within what the file says."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.dev.simulate.config import (
    Cron,
    Duration,
    Fixed,
    General,
    Herd,
    Interval,
    Load,
    Lognormal,
    Rate,
    Simulation,
    Spread,
    Uniform,
)
from mainspring.dev.simulate.plan import plan_tasks
from mainspring.dev.simulate.reading import example_names, find_text, parse
from mainspring.testing.workload import SECOND_US, PlannedTask

START_AT = 1_800_000_000 * SECOND_US


def planned(*loads: Load, seed: int = 1, seconds: float = 20) -> tuple[PlannedTask, ...]:
    return plan_tasks(Simulation(simulation=General(seconds=seconds, seed=seed), load=loads), START_AT)


def at_s(task: PlannedTask) -> float:
    assert task.at is not None
    return (task.at - START_AT) / SECOND_US


@pytest.mark.parametrize("name", example_names())
def test_a_seed_gives_one_plan_and_another_seed_another(name: str) -> None:
    simulation = parse(find_text(name)[1], name)
    plan = plan_tasks(simulation, START_AT)
    assert plan == plan_tasks(simulation, START_AT)
    assert plan != plan_tasks(simulation.seeded(2), START_AT)
    assert len({(task.namespace, task.task_id) for task in plan}) == len(plan) == simulation.task_count


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**9))
def test_a_later_beginning_moves_everything_and_changes_nothing_else(seed: int, later_us: int) -> None:
    loads = (
        Spread(name="s", tasks=5, duration=Uniform(max_ms=9.0)),
        Interval(name="i", tasks=5, every_min_s=1, every_max_s=9),
    )
    simulation = Simulation(simulation=General(seed=seed), load=loads)
    moved = [
        replace(
            task,
            at=None if task.at is None else task.at + later_us,
            anchor_at=None if task.anchor_at is None else task.anchor_at + later_us,
        )
        for task in plan_tasks(simulation, START_AT)
    ]
    assert moved == list(plan_tasks(simulation, START_AT + later_us))


def test_another_load_leaves_a_load_as_it_is() -> None:
    spread = Spread(name="s", tasks=50, failures=0.5)
    alone = set(planned(spread))
    assert alone < set(planned(Herd(name="h", tasks=9, at_s=1.0), spread))


def test_what_fires_again_and_again_is_registered_first_then_what_is_due_soonest() -> None:
    plan = planned(
        Spread(name="a", tasks=50),
        Interval(name="b", tasks=3, every_min_s=2, every_max_s=4),
        Herd(name="c", tasks=3, at_s=5),
    )
    assert [task.kind for task in plan[:3]] == ["interval"] * 3
    assert [task.at for task in plan[3:]] == sorted(task.at or 0 for task in plan[3:])


def test_one_time_tasks_are_due_where_the_file_says() -> None:
    assert all(3 <= at_s(task) < 7 for task in planned(Spread(name="s", tasks=500, from_s=3.0, until_s=7.0)))
    assert {at_s(task) for task in planned(Herd(name="h", tasks=5, at_s=2.5))} == {2.5}
    rate = planned(Rate(name="r", per_s=40.0, from_s=5.0))
    assert len(rate) == 600
    assert Counter(int(at_s(task)) for task in rate) == dict.fromkeys(range(5, 20), 40)


def test_intervals_and_crons_are_as_the_file_says() -> None:
    intervals = planned(Interval(name="i", tasks=200, every_min_s=2, every_max_s=4))
    assert {task.every_us for task in intervals} == {2 * SECOND_US, 3 * SECOND_US, 4 * SECOND_US}
    assert all(0 <= (task.anchor_at or 0) - START_AT < (task.every_us or 0) for task in intervals)
    crons = planned(
        Cron(
            name="c",
            tasks=6,
            expressions=("*/5 * * * * *", "* * * * *"),
            zones=("UTC", "Asia/Tokyo", "Asia/Kolkata"),
        )
    )
    assert len({(task.expression, task.time_zone) for task in crons}) == 6


def durations_s(duration: Duration) -> list[float]:
    plan = planned(Herd(name="h", tasks=2_000, at_s=1.0, duration=duration))
    assert {task.handler for task in plan} == {"sleep"}
    return sorted(json.loads(task.payload) for task in plan)


def test_durations_follow_their_distribution() -> None:
    assert set(durations_s(Fixed(ms=250))) == {0.25}
    uniform = durations_s(Uniform(min_ms=5, max_ms=50))
    assert 0.005 <= uniform[0] < 0.006
    assert 0.049 < uniform[-1] <= 0.05
    lognormal = durations_s(Lognormal(median_ms=20, sigma=1.0, max_ms=200))
    assert 0.017 < lognormal[1_000] < 0.023
    assert lognormal[-1] == 0.2
    assert 0.10 < lognormal[1_950] < 0.2


def test_the_share_of_failures_is_the_files_and_durations_do_not_depend_on_it() -> None:
    load = Herd(name="h", tasks=4_000, at_s=1.0, duration=Uniform(max_ms=50.0))
    handlers = Counter(task.handler for task in planned(replace(load, failures=0.1)))
    assert 330 < handlers["fail"] < 470
    assert handlers["sleep"] == 4_000 - handlers["fail"]
    assert {task.handler for task in planned(replace(load, failures=1.0))} == {"fail"}
    without = {task.task_id: task.payload for task in planned(load)}
    assert all(
        without[task.task_id] == task.payload
        for task in planned(replace(load, failures=0.1))
        if task.handler == "sleep"
    )
    assert {task.handler for task in planned(replace(load, duration=None))} == {"noop"}
