"""How late tasks run: `python -m mainspring.testing.lateness` (`make lateness`).

The demo's cluster (3 nodes, 2 executors) with 200 one-time tasks a second for 30 s at random instants. Prints the report
and the CPU time of each process, and writes both to docs/runs/lateness.md. Exit code 0 when the checker finds nothing and
p99 is within the bound.
"""

import argparse
import asyncio
import os
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from mainspring.testing.cluster import Cluster, ClusterSettings
from mainspring.testing.demo import Judgement, judge
from mainspring.testing.foreground import run_in_foreground
from mainspring.testing.live_view import LiveView
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US, member_name, sleep_until
from mainspring.testing.member_process import MemberProcess, Usage, usage_of
from mainspring.testing.progress import Progress
from mainspring.testing.report import render
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.run_note import SPREAD_HEADER, ms, note_path, spread_row, table, write_note
from mainspring.testing.scenario import Scenario
from mainspring.testing.workload import lateness_plan

BOUND_P99_US = 250_000
_SCRAPE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class LatenessSettings:
    """What is measured. Durations in seconds."""

    seed: int = 1
    rate: int = 200
    """Tasks a second."""
    seconds: int = 30
    lead_s: int = 5
    """Time to register them all."""
    nodes: int = 3
    executors: int = 2


@dataclass(frozen=True, slots=True)
class Measured:
    """A run: what the checker says, and CPU seconds while the tasks were due, per process."""

    judgement: Judgement
    cpu_s: Mapping[str, float]
    memory_mb: Mapping[str, float]

    @property
    def is_ok(self) -> bool:
        """Sound, and p99 within the bound."""
        return self.judgement.is_ok and self.judgement.report.lateness.p99_us <= BOUND_P99_US


async def measure(
    settings: LatenessSettings, folder: RunFolder, progress: Progress, view: LiveView
) -> Measured:
    """Run the cluster and the load; nothing is left running.

    Raises:
        TestingError: the cluster did not come up.
    """
    async with Scenario(Cluster(folder, ClusterSettings()), progress, refresh=view.refresh) as scenario:
        await scenario.start(nodes=settings.nodes, executors=settings.executors)
        window_from_at = now_us()
        plan = lateness_plan(
            window_from_at,
            settings.seed,
            rate=settings.rate,
            seconds=settings.seconds,
            lead_s=settings.lead_s,
        )
        due_from_at = window_from_at + settings.lead_s * SECOND_US
        due_until_at = due_from_at + settings.seconds * SECOND_US
        progress.phase = "registering tasks"
        await scenario.register(plan, window_until_at=due_until_at + SECOND_US)
        await sleep_until(due_from_at)
        progress.phase = f"{settings.rate} tasks a second fall due"
        before = _usage(scenario.cluster)
        await sleep_until(due_until_at)
        after = _usage(scenario.cluster)
        for node in scenario.cluster.nodes:
            await asyncio.to_thread(_save_metrics, node, folder.logs / f"{node.name}.metrics")
        history = await scenario.finish(
            window_from_at=window_from_at, window_until_at=due_until_at + SECOND_US
        )
        progress.phase = "done"
    history.save(folder.history)
    return Measured(
        await asyncio.to_thread(judge, history),
        {name: after[name].cpu_s - before[name].cpu_s for name in after if name in before},
        {name: usage.memory_mb for name, usage in after.items()},
    )


def _usage(cluster: Cluster) -> dict[str, Usage]:
    return {**cluster.usage(), "load generator": usage_of(os.getpid()) or Usage(0.0, 0.0)}


def _save_metrics(node: MemberProcess, path: Path) -> None:
    url = f"http://127.0.0.1:{node.metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=_SCRAPE_TIMEOUT_S) as response:
        path.write_bytes(response.read())


def main() -> int:
    """Parse the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(prog="lateness", description="How late tasks run.")
    defaults = LatenessSettings()
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of the plan of tasks")
    parser.add_argument("--rate", type=int, default=defaults.rate, help="tasks a second")
    parser.add_argument("--seconds", type=int, default=defaults.seconds, help="for so long")
    parser.add_argument("--note", type=Path, metavar="FILE", help="default: docs/runs/lateness.md")
    arguments = parser.parse_args()
    settings = LatenessSettings(seed=arguments.seed, rate=arguments.rate, seconds=arguments.seconds)
    return run_in_foreground(lambda: _run(settings, arguments.note or note_path("lateness.md")))


async def _run(settings: LatenessSettings, note: Path | None) -> int:
    folder = RunFolder.create("lateness")
    progress = Progress(f"Lateness: {settings.rate} tasks a second for {settings.seconds} s")
    view = LiveView(progress)
    with view.live():
        measured = await measure(settings, folder, progress, view)
    report = measured.judgement.report
    view.console.print(render(report))
    view.console.print(_cpu_table(measured, settings.seconds))
    for complaint in measured.judgement.complaints:
        view.console.print(Text(complaint, style="red"))
    is_fast = report.lateness.p99_us <= BOUND_P99_US
    view.console.print(
        Text(
            f"lateness p50 {ms(report.lateness.p50_us)} ms, p99 {ms(report.lateness.p99_us)} ms "
            f"(bound {BOUND_P99_US // 1000} ms), max {ms(report.lateness.max_us)} ms",
            style="bold green" if is_fast else "bold red",
        )
    )
    view.console.print(f"logs, metrics and evidence: {folder.path}", soft_wrap=True)
    if note is not None:
        _write(note, settings, measured)
    return 0 if measured.is_ok else 1


def _cpu_table(measured: Measured, seconds: int) -> Table:
    made = Table("process", title=f"CPU while the tasks were due ({seconds} s)")
    for name in ("CPU s", "of one core", "memory MiB"):
        made.add_column(name, justify="right")
    for row in _cpu_rows(measured, seconds):
        made.add_row(*row)
    return made


def _cpu_rows(measured: Measured, seconds: int) -> list[tuple[str, ...]]:
    return [
        (name, f"{cpu_s:.1f}", f"{cpu_s / seconds:.0%}", f"{measured.memory_mb[name]:.0f}")
        for name, cpu_s in measured.cpu_s.items()
    ]


def _write(note: Path, settings: LatenessSettings, measured: Measured) -> None:
    report, cluster = measured.judgement.report, ClusterSettings()
    lateness = [
        spread_row("picked up - due (ledger)", report.lateness),
        spread_row("started - due (executors)", report.started),
    ]
    write_note(
        note,
        f"Lateness at {settings.rate} tasks a second",
        [
            f"Written by `make lateness`: {settings.rate} one-time tasks a second for {settings.seconds} s at random "
            f"instants (seed {settings.seed}), {settings.nodes} nodes, {settings.executors} executors of capacity "
            f"{cluster.executor_capacity}, {cluster.partitions} partitions, MariaDB that flushes its log at each commit, "
            f"everything on one machine.",
            table(SPREAD_HEADER, lateness),
            "## Stages",
            table(SPREAD_HEADER, [spread_row(name, spread) for name, spread in report.stages.items()]),
            "## Nodes",
            table(
                SPREAD_HEADER,
                [spread_row(member_name(name), spread) for name, spread in report.nodes.items()],
            ),
            "## CPU",
            table(("process", "CPU s", "of one core", "memory MiB"), _cpu_rows(measured, settings.seconds)),
            f"Verdict of the checker: {'ok' if measured.judgement.is_ok else 'NOT OK'}, {report.executed:,} of "
            f"{report.scheduled:,} scheduled times ran, {report.missing} missing, {report.duplicated} duplicated.",
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
