"""Where the 10 s go: `python -m mainspring.testing.budget_run` (`make budget`).

The demo's cluster with a steady load of one-time tasks, and four things one after the other: nothing, a herd, a hand-over (a
node is drained) and a fail-over (a node is killed). Writes the table of docs/design.md: each stage with the bound that the
design promises and what was measured. Exit code 0 when the checker finds nothing and every stage kept its bound.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.text import Text

from mainspring.testing.cache import repository_root
from mainspring.testing.cluster import Cluster, ClusterSettings
from mainspring.testing.demo import Judgement, judge
from mainspring.testing.foreground import run_in_foreground
from mainspring.testing.live_view import LiveView
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US, sleep_until
from mainspring.testing.progress import Progress
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.run_note import commit, machine, replace_part
from mainspring.testing.scenario import Scenario
from mainspring.testing.time_budget import HERD, SITUATIONS, Evidence, complaints, figures, lateness, page
from mainspring.testing.workload import PlannedTask, lateness_plan

BEGIN, END = "<!-- time budget: written by `make budget` -->", "<!-- end of the time budget -->"
_RECORDED_S = 3.0
"""Records of hand-overs are written about a second after the event."""


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """What is measured. Durations in seconds."""

    seed: int = 1
    rate: int = 300
    """Tasks a second, all the time."""
    herd: int = 20_000
    situation_s: int = 15
    """How long each situation lasts."""
    lead_s: int = 25
    """Time to register all tasks."""
    nodes: int = 3
    executors: int = 2
    capacity: int = 1_000

    @property
    def seconds(self) -> int:
        """For how long tasks fall due."""
        return self.situation_s * len(SITUATIONS)


async def measure(
    settings: BudgetSettings, folder: RunFolder, progress: Progress, view: LiveView
) -> tuple[Evidence, Judgement]:
    """Run the cluster, the load and what is done to it; nothing is left running.

    Raises:
        TestingError: the cluster did not come up, or partitions did not move as they should.
    """
    cluster = Cluster(folder, ClusterSettings(executor_capacity=settings.capacity))
    async with Scenario(cluster, progress, refresh=view.refresh) as scenario:
        await scenario.start(nodes=settings.nodes, executors=settings.executors)
        window_from_at = now_us()
        plan, begins_at = _plan(settings, window_from_at)
        ends_at = begins_at[0] + settings.seconds * SECOND_US
        progress.phase = "registering tasks"
        await scenario.register(plan, window_until_at=ends_at + SECOND_US)
        await sleep_until(begins_at[0])
        progress.phase = f"{settings.rate} tasks a second fall due"
        begun = (await scenario.client.list_nodes()).cluster_time
        await sleep_until(begins_at[1])
        progress.event(f"{settings.herd:,} tasks fall due at once")
        await sleep_until(begins_at[2])
        drained = scenario.cluster.nodes[1]
        progress.event(f"{drained.name} is drained")
        node_id = await scenario.client.drain_node(drained.name)
        await sleep_until(begins_at[2] + settings.situation_s * SECOND_US // 2)
        await scenario.client.undrain_node(node_id)
        await scenario.until_spread()
        await sleep_until(begins_at[3] + SECOND_US)  # what was due right before the kill suffers from it too
        await scenario.kill_node(scenario.cluster.nodes[2])
        await sleep_until(ends_at)
        await asyncio.sleep(_RECORDED_S)
        handovers = [h async for h in scenario.client.list_handovers(since=begun, page_size=1000)]
        history = await scenario.finish(window_from_at=window_from_at, window_until_at=ends_at + SECOND_US)
        progress.phase = "done"
    history.save(folder.history)
    (killed_at,) = (fault.from_at for fault in history.faults if fault.kind == "kill")
    return Evidence(
        begins_at, ends_at, killed_at, history.ledger, handovers, cluster.settings.partitions
    ), await asyncio.to_thread(judge, history)


def _plan(settings: BudgetSettings, now: int) -> tuple[tuple[PlannedTask, ...], tuple[int, int, int, int]]:
    """The tasks, and when each situation begins."""
    steady = lateness_plan(
        now, settings.seed, rate=settings.rate, seconds=settings.seconds, lead_s=settings.lead_s
    )
    from_at = now + settings.lead_s * SECOND_US
    length_us = settings.situation_s * SECOND_US
    begins_at = (from_at, from_at + length_us, from_at + 2 * length_us, from_at + 3 * length_us)
    herd_at = begins_at[1] + SECOND_US
    herd = (
        replace(steady[0], namespace=HERD, task_id=f"herd-{number:06}", at=herd_at)
        for number in range(settings.herd)
    )
    return (*steady, *herd), begins_at


def main() -> int:
    """Parse the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(prog="budget_run", description="Where the 10 s go.")
    defaults = BudgetSettings()
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of the plan of tasks")
    parser.add_argument("--rate", type=int, default=defaults.rate, help="tasks a second")
    parser.add_argument("--herd", type=int, default=defaults.herd, help="tasks that are due at once")
    arguments = parser.parse_args()
    settings = BudgetSettings(seed=arguments.seed, rate=arguments.rate, herd=arguments.herd)
    return run_in_foreground(lambda: _run(settings))


async def _run(settings: BudgetSettings) -> int:
    folder = RunFolder.create("budget")
    progress = Progress("Where the 10 s go")
    view = LiveView(progress)
    with view.live():
        evidence, judgement = await measure(settings, folder, progress, view)
    found, late = figures(evidence), lateness(evidence)
    text = page(found, late)
    view.console.print(text, soft_wrap=True)
    said = [*judgement.complaints, *complaints(found, late)]
    for complaint in said:
        view.console.print(Text(complaint, style="red"))
    root = repository_root()
    if root is not None:
        replace_part(root / "docs" / "design.md", BEGIN, END, _with_circumstances(text, settings, said))
    return 1 if said else 0


def _with_circumstances(text: str, settings: BudgetSettings, said: Sequence[str]) -> str:
    return "\n\n".join(
        [
            f"Measured by `make budget` on {machine()}, commit {commit()}: {settings.nodes} nodes, {settings.executors} "
            f"executors, MariaDB and ZooKeeper on one machine; {settings.rate} tasks a second all the time, "
            f"{settings.herd:,} more at one instant (herd), node-2 drained and undrained (hand-over), node-3 killed "
            f"(fail-over). Verdict: {'ok' if not said else '; '.join(said)}.",
            text,
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
