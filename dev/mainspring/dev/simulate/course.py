"""One simulation from set-up to evidence, whatever it runs on."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mainspring.client import MainspringError
from mainspring.dev.simulate.config import Simulation
from mainspring.dev.simulate.plan import FAILING, plan_tasks
from mainspring.dev.simulate.timeline import Step, steps
from mainspring.testing.checker import Limits, Verdict, check
from mainspring.testing.errors import TestingError
from mainspring.testing.history import History
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US, LoadRun, sleep_until
from mainspring.testing.progress import Progress
from mainspring.testing.report import Report, summarize
from mainspring.testing.run_folder import RunFolder


class Stage(Protocol):
    """Nodes and executors, and what can happen to them. Each method returns when the cluster has come to terms with it."""

    @property
    def run(self) -> LoadRun:
        """Registers tasks and takes the evidence; used in `async with`, at whose end everybody is dropped."""
        ...

    async def start(self) -> None:
        """Start those who are there at the beginning."""
        ...

    async def add_node(self) -> None:
        """A node joins."""
        ...

    async def stop_node(self, name: str) -> None:
        """A node leaves in order."""
        ...

    async def kill_node(self, name: str) -> None:
        """A node is gone without goodbye."""
        ...

    async def add_executor(self) -> None:
        """An executor joins."""
        ...

    async def kill_executor(self, name: str) -> None:
        """An executor is gone without goodbye."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a simulation left behind, judged.

    Attributes:
        start_at: When the time line began, microseconds UTC.
        steps: What was done to the cluster.
        history: The evidence.
    """

    simulation: Simulation
    start_at: int
    steps: tuple[Step, ...]
    history: History
    verdict: Verdict
    report: Report

    @property
    def is_ok(self) -> bool:
        """Whether the checker found nothing wrong and no reason to doubt the evidence: what the exit code says.

        And whether those failed that were asked to, and nobody else: of handlers the checker knows nothing.
        """
        return self.verdict.is_ok and self.unasked == 0

    @property
    def unasked(self) -> int:
        """How many executions failed although their handler does not, or succeeded although it fails."""
        failing = {task.key for task in self.history.tasks if task.handler == FAILING}
        return sum(
            (row.state == "FAILED") != (row.key in failing)
            for row in self.history.ledger
            if row.state in ("SUCCEEDED", "FAILED")
        )


def limits_of(simulation: Simulation) -> Limits:
    """What the checker tolerates."""
    return Limits(lateness_us=int(simulation.simulation.lateness_bound_s * SECOND_US))


async def run_course(
    simulation: Simulation,
    make_stage: Callable[[Callable[[], None]], Stage],
    folder: RunFolder,
    progress: Progress,
    *,
    refresh: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run a simulation and judge it; nothing is left running, whatever happens.

    Args:
        simulation: A valid one.
        make_stage: Makes the stage from a function to call after each change of `progress`.
        folder: Logs and evidence stay there.
        progress: Kept fresh meanwhile.
        refresh: Called after each change of it.

    Raises:
        TestingError: A node or an executor did not come up, join or leave as it should.
        MainspringError: The evidence could not be read.
    """
    general = simulation.simulation
    planned_steps = steps(simulation)
    stage = make_stage(refresh)
    async with stage.run as run:
        await stage.start()
        window_from_at = now_us()
        start_at = -(-(window_from_at + int(general.lead_s * SECOND_US)) // SECOND_US) * SECOND_US
        window_until_at = start_at + int(general.seconds * SECOND_US)
        progress.phase = "registering tasks"
        plan = plan_tasks(simulation, start_at)
        await run.register(plan, window_until_at=window_until_at)
        progress.phase = "tasks fall due"
        await _take_steps(stage, planned_steps, start_at)
        history = await run.finish(
            window_from_at=window_from_at, window_until_at=window_until_at, limits=limits_of(simulation)
        )
        progress.phase = "done"
    history.save(folder.history)
    verdict = await asyncio.to_thread(check, history, limits_of(simulation))
    return Outcome(simulation, start_at, planned_steps, history, verdict, summarize(history, verdict))


async def _take_steps(stage: Stage, planned: tuple[Step, ...], start_at: int) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for step in planned:
                await sleep_until(start_at + int(step.at_s * SECOND_US))
                group.create_task(_take(stage, step), name=f"step-{step.what}")
    except* (TestingError, MainspringError) as errors:
        raise errors.exceptions[0] from None


async def _take(stage: Stage, step: Step) -> None:
    match step.what:
        case "node joins":
            await stage.add_node()
        case "node leaves":
            await stage.stop_node(step.member)
        case "node dies":
            await stage.kill_node(step.member)
        case "executor joins":
            await stage.add_executor()
        case _:
            await stage.kill_executor(step.member)
