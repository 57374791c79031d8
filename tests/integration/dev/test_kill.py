"""SIGKILL of `mainspring dev` at random moments under load, then a restart on the same file and port.

Node, executor and database die together. What was acknowledged must run, nothing may be recorded twice, and what runs again
must be explained by the kill; the checker says so, one verdict a round.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from mainspring.dev.dev_run import DevMembers, DevRun
from mainspring.testing.checker import Verdict, check
from mainspring.testing.history import History
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US, sleep_until
from mainspring.testing.progress import Progress
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.workload import PlannedTask, demo_plan

NAMESPACE = "demo"
LEAD_S, SPREAD_S = 2, 7
BURST = 1_500
AT_ONCE = 4
"""Rounds mostly wait."""

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Round:
    """What one round left: the evidence, the verdict, and how many executions ran again."""

    seed: int
    history: History
    verdict: Verdict
    again: int


async def run_round(
    seed: int,
    folder: Path,
    *,
    recurring: int = 30,
    between: Callable[[DevMembers], None] = lambda members: None,
) -> Round:
    """One kill under load, at a moment that the seed decides; every third round the restarted one is killed too.

    Args:
        recurring: how many tasks of each recurring kind.
        between: called while nothing runs.
    """
    rng = random.Random(f"kill {seed}")
    progress = Progress(f"kill {seed}")
    members = DevMembers(RunFolder(folder / f"round-{seed}"), capacity=50)
    async with DevRun(members, progress) as run:
        await run.start()
        window_from_at = now_us()
        spread_at = window_from_at + LEAD_S * SECOND_US
        until_at = spread_at + SPREAD_S * SECOND_US
        plan = demo_plan(
            window_from_at,
            seed,
            one_time=400,
            herd=100,
            intervals=recurring,
            crons=recurring,
            spread_s=SPREAD_S,
            lead_s=LEAD_S,
            handlers=("noop", "echo", "sleep"),
        )
        await run.register(plan, window_until_at=until_at)
        async with asyncio.TaskGroup() as group:
            group.create_task(
                run.load.trickle(NAMESPACE, until_at=until_at - SECOND_US, count=5, every_s=0.1, ahead_s=1.0)
            )
            kill_at = spread_at + rng.randrange(4 * SECOND_US)
            # The kill meets a burst of registrations anywhere from its first call to its last answer.
            await sleep_until(kill_at - rng.randrange(SECOND_US // 2))
            group.create_task(run.load.register(plan_of("burst", until_at - SECOND_US, BURST)))
            await sleep_until(kill_at)
            async with run.fault("kill", "executors", is_outage=True):
                await asyncio.to_thread(members.kill)
                between(members)
                if seed % 3 == 0:
                    await asyncio.to_thread(members.nodes[0].start)
                    await asyncio.sleep(rng.random() * 2)
                    await asyncio.to_thread(members.kill)
                await asyncio.to_thread(members.start)
            restarted_at = now_us()
            await run.load.register(plan_of("after", restarted_at + SECOND_US // 2))
            until_at = max(until_at, restarted_at + SECOND_US)
        history = await run.finish(window_from_at=window_from_at, window_until_at=until_at)
    history.save(members.folder.history)
    verdict = await asyncio.to_thread(check, history)
    return Round(seed, history, verdict, sum(run.attempt > 1 for run in history.runs))


def plan_of(name: str, at: int, count: int = 100) -> Sequence[PlannedTask]:
    """One-time tasks due from `at` on, 500 us apart."""
    return [
        PlannedTask(NAMESPACE, f"{name}-{number:05}", "noop", "one-time", name, at=at + number * 500)
        for number in range(count)
    ]


async def run_rounds(seeds: Sequence[int], folder: Path) -> list[Round]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(seed: int) -> Round:
        async with gate:
            return await run_round(seed, folder)

    async with asyncio.TaskGroup() as group:
        rounds = [group.create_task(one(seed)) for seed in seeds]
    return [task.result() for task in rounds]


def check_rounds(rounds: Sequence[Round]) -> None:
    for done in rounds:
        counts = done.verdict.counts
        print(
            f"seed {done.seed}: {counts['scheduled']} scheduled, {counts['executed']} executed, {done.again} ran again"
        )
        assert done.verdict.violations == (), f"seed {done.seed}"
        assert done.verdict.vacuous == (), f"seed {done.seed}"
        assert counts["missing"] == 0
        assert counts["executed"] > BURST, "the burst was acknowledged and ran"


async def test_nothing_acknowledged_is_lost_and_nothing_recorded_twice(tmp_path: Path) -> None:
    check_rounds(await run_rounds([1, 3], tmp_path))


@pytest.mark.slow
async def test_twenty_random_moments(tmp_path: Path) -> None:
    rounds = await run_rounds(range(100, 120), tmp_path)
    check_rounds(rounds)
    assert sum(done.again for done in rounds) > 0, "no kill met a running execution"


@pytest.mark.slow
async def test_a_lost_database_turns_the_verdict_red(tmp_path: Path) -> None:
    def lose(members: DevMembers) -> None:
        for path in members.folder.data.iterdir():
            path.unlink()

    done = await run_round(1, tmp_path, recurring=0, between=lose)
    assert {"I4"} <= {violation.invariant for violation in done.verdict.violations}
