"""The demo's course: 5,000 tasks of every kind, a node that joins, a node that leaves, and the judgement.

`python -m mainspring.testing.demo_cluster` shows it; the acceptance test runs a smaller one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mainspring.testing.checker import Verdict, check
from mainspring.testing.cluster import Cluster, ClusterSettings
from mainspring.testing.history import History
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US, sleep_until
from mainspring.testing.progress import Progress
from mainspring.testing.report import Report, summarize
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.scenario import Scenario
from mainspring.testing.workload import PlannedTask, demo_plan

MAX_LATENESS_US = 10_000_000
_FULL_TASKS = 5_000


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """How large the demo is. Durations in seconds.

    Attributes:
        tasks: Tasks registered: 70 % one-time, 20 % the herd, 5 % intervals, 5 % crons.
        lead_s: Time to register them before the first one-time task is due.
        spread_s: The one-time tasks are due within so long.
        tail_s: The window goes on so long after that.
        join_at_s: When the fourth node is added, counted from the beginning of the spread.
        stop_at_s: When a node is stopped, counted likewise; not before the join has ended.
    """

    seed: int = 1
    tasks: int = _FULL_TASKS
    nodes: int = 3
    executors: int = 2
    lead_s: int = 8
    spread_s: int = 20
    tail_s: int = 4
    join_at_s: int = 4
    stop_at_s: int = 12
    cluster: ClusterSettings = field(default_factory=ClusterSettings)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found. `is_ok` is what the exit code says."""

    history: History
    verdict: Verdict
    report: Report

    @property
    def is_ok(self) -> bool:
        """Sound evidence without a violation, each scheduled time run exactly once, none later than the bound.

        Stricter than the checker, which accepts a skip with a reason: here nothing gives one. What the demo itself
        cancelled before it was sent is no scheduled time any more.
        """
        return not self.complaints

    @property
    def complaints(self) -> tuple[str, ...]:
        """Why it is not ok, a line each."""
        report, cancelled = self.report, self.verdict.counts["cancelled"]
        found: list[str] = []
        if not self.verdict.is_ok:
            found.append(
                f"the checker found {len(self.verdict.violations):,} violations and "
                f"{len(self.verdict.vacuous)} reasons to doubt the evidence"
            )
        if report.executed + cancelled != report.scheduled:
            missing = report.scheduled - cancelled - report.executed
            found.append(f"{missing:,} scheduled times did not run")
        if report.missing or report.duplicated:
            found.append(f"{report.missing:,} are missing, {report.duplicated:,} ran more than once")
        if report.lateness.max_us > MAX_LATENESS_US:
            found.append(f"the latest was {report.lateness.max_us / SECOND_US:.1f} s late")
        return tuple(found)


def judge(history: History) -> Judgement:
    """The checker's verdict on a history, and the report."""
    verdict = check(history)
    return Judgement(history, verdict, summarize(history, verdict))


def demo_tasks(
    window_from_at: int, seed: int, tasks: int, *, lead_s: int, spread_s: int
) -> tuple[PlannedTask, ...]:
    """The demo's plan; for its arguments see `DemoSettings`, for the instant `demo_plan`."""
    plan = demo_plan(
        window_from_at,
        seed,
        one_time=tasks - tasks // 5 - 2 * (tasks // 20),
        herd=tasks // 5,
        intervals=tasks // 20,
        crons=tasks // 20,
        spread_s=spread_s,
        lead_s=lead_s,
        handlers=("noop", "echo"),
    )
    # A tenth of the one-time tasks takes a second, so that executions overlap. Recurring ones don't: a late start of a
    # task every 2 s would let the next time be skipped, as it should.
    return tuple(
        replace(task, handler="sleep") if task.group == "one-time" and task.at and task.at % 10 == 0 else task
        for task in plan
    )


async def run_demo(
    settings: DemoSettings,
    folder: RunFolder,
    progress: Progress,
    *,
    refresh: Callable[[], None] = lambda: None,
    keeps_data: bool = False,
) -> History:
    """Run it from set-up to evidence; nothing is left running, whatever happens.

    Args:
        settings: how large.
        folder: logs and evidence stay there; the servers' data only with `keeps_data`.
        progress: kept fresh meanwhile.
        refresh: called after each change of it.
        keeps_data: see `folder`.

    Raises:
        TestingError: the cluster did not come up, or a node did not join or leave as it should.
    """
    cluster = Cluster(folder, settings.cluster, keeps_data=keeps_data)
    async with Scenario(cluster, progress, refresh=refresh) as scenario:
        await scenario.start(nodes=settings.nodes, executors=settings.executors)
        window_from_at = now_us()
        plan = demo_tasks(
            window_from_at, settings.seed, settings.tasks, lead_s=settings.lead_s, spread_s=settings.spread_s
        )
        spread_at = window_from_at + settings.lead_s * SECOND_US
        window_until_at = spread_at + (settings.spread_s + settings.tail_s) * SECOND_US
        progress.phase = "registering tasks"
        await scenario.register(plan, window_until_at=window_until_at)
        progress.phase = "tasks fall due"
        await sleep_until(spread_at + settings.join_at_s * SECOND_US)
        await scenario.add_node()
        await sleep_until(spread_at + settings.stop_at_s * SECOND_US)
        await scenario.stop_node(cluster.nodes[1])
        history = await scenario.finish(window_from_at=window_from_at, window_until_at=window_until_at)
        progress.phase = "done"
    history.save(folder.history)
    return history
