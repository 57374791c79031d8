"""Breaks a running cluster in scripted ways and judges what became of its tasks: what `tests/chaos` runs.

The demo's workload over a longer time, with tasks that take a second and a trickle of registrations that goes on through
the fault, so that acknowledgements under fire are part of the evidence.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mainspring.testing.cluster import Cluster, ClusterSettings
from mainspring.testing.demo import Judgement, judge
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US, sleep_until
from mainspring.testing.progress import Progress
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.run_note import commit, machine, ms, table
from mainspring.testing.scenario import Scenario
from mainspring.testing.workload import demo_plan

NAMESPACE = "demo"
_COLUMNS = (
    "fault",
    "verdict",
    "scheduled",
    "executed",
    "missing",
    "ran again",
    "skipped",
    "fault s",
    "max ms",
    "max after heal ms",
    "when",
    "commit",
)


@dataclass(frozen=True, slots=True)
class ChaosSettings:
    """The workload. Durations in seconds; `fault_at_s` counts from the first one-time task's due time."""

    seed: int = 1
    nodes: int = 3
    executors: int = 2
    one_time: int = 2_000
    herd: int = 600
    intervals: int = 150
    crons: int = 150
    lead_s: int = 6
    spread_s: int = 40
    fault_at_s: float = 12.0
    tail_s: int = 2


@dataclass(frozen=True, slots=True)
class ChaosRun:
    """What a script may do: its `Scenario`, and when the herd of tasks is due (microseconds)."""

    scenario: Scenario
    herd_at: int


async def run_chaos(
    name: str, script: Callable[[ChaosRun], Awaitable[None]], settings: ChaosSettings | None = None
) -> Judgement:
    """Run the workload and the script, which begins at `fault_at_s`, and judge.

    Raises:
        TestingError: the cluster did not come up, or did not recover as the script expects.
    """
    settings = settings or ChaosSettings()
    folder = RunFolder.create(f"chaos-{name.replace(' ', '-')}")
    progress = Progress(
        name, on_event=lambda elapsed_s, text: print(f"{elapsed_s:6.1f} s {text}", flush=True)
    )
    async with Scenario(Cluster(folder, ClusterSettings(has_audit=True)), progress) as scenario:
        await scenario.start(nodes=settings.nodes, executors=settings.executors)
        window_from_at = now_us()
        plan = demo_plan(
            window_from_at,
            settings.seed,
            one_time=settings.one_time,
            herd=settings.herd,
            intervals=settings.intervals,
            crons=settings.crons,
            spread_s=settings.spread_s,
            lead_s=settings.lead_s,
            namespace=NAMESPACE,
        )
        # A third of the one-time tasks takes a second: faults then meet running executions.
        plan = tuple(
            replace(task, handler="sleep")
            if task.group == "one-time" and task.at and task.at % 3 == 0
            else task
            for task in plan
        )
        herd_at = next(task.at for task in plan if task.group == "herd" and task.at is not None)
        spread_at = window_from_at + settings.lead_s * SECOND_US
        window_until_at = spread_at + (settings.spread_s + settings.tail_s) * SECOND_US
        await scenario.register(plan, window_until_at=window_until_at)
        async with asyncio.TaskGroup() as group:
            group.create_task(
                scenario.load.trickle(NAMESPACE, until_at=window_until_at - 5 * SECOND_US), name="trickle"
            )
            await sleep_until(spread_at + int(settings.fault_at_s * SECOND_US))
            await script(ChaosRun(scenario, herd_at))
        ends = [fault.until_at for fault in scenario.faults]
        history = await scenario.finish(
            window_from_at=window_from_at, window_until_at=max([window_until_at, *ends])
        )
    history.save(folder.history)
    judgement = await asyncio.to_thread(judge, history)
    print(f"evidence: {folder.path}")
    return judgement


def _worst_after_heal_us(judgement: Judgement) -> int:
    """The greatest lateness when it counts from the return of MySQL for what was due while that was away."""
    outages = [fault for fault in judgement.history.faults if fault.is_outage]

    def counts_from(due_at: int) -> int:
        return max(
            [due_at, *(fault.until_at for fault in outages if fault.from_at <= due_at < fault.until_at)]
        )

    rows = judgement.history.ledger
    return max((row.picked_up_at - counts_from(row.due_at) for row in rows if row.picked_up_at), default=0)


def note_chaos(path: Path, name: str, judgement: Judgement) -> None:
    """Write this run's line into the table in `path`, in the place of an earlier one of that name."""
    rows: dict[str, str] = {}
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("| ")}
    for key in (_COLUMNS[0], "---"):
        rows.pop(key, None)
    report, verdict = judgement.report, judgement.verdict
    found = sorted({violation.invariant for violation in verdict.violations})
    word = "ok" if verdict.is_ok else ", ".join([*found, *verdict.vacuous]) or "not ok"
    cells = (
        name,
        word,
        f"{report.scheduled:,}",
        f"{report.executed:,}",
        f"{report.missing:,}",
        f"{report.duplicated:,}",
        f"{report.skipped:,}",
        f"{sum(fault.until_at - fault.from_at for fault in judgement.history.faults) / SECOND_US:.1f}",
        ms(report.lateness.max_us),
        ms(_worst_after_heal_us(judgement)),
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        commit(),
    )
    rows[name] = "| " + " | ".join(cells) + " |"
    header = table(_COLUMNS, [])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "# Chaos runs\n\n"
        "Written by `make chaos`: each fault in the middle of the demo's workload (3 nodes, 2 executors as processes, a "
        "third of the one-time tasks takes a second, registrations go on), and the checker's verdict. Lateness is counted "
        "from the due time; where MySQL was away, the promise counts from its return. Runs of a killed executor run "
        "again elsewhere: that is at-least-once, and the checker wants the fault that explains it.\n\n"
        f"Machine: {machine()}.\n\n" + "\n".join([header, *(rows[key] for key in sorted(rows))]) + "\n",
        encoding="utf-8",
    )
