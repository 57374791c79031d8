"""How long nobody fires a partition that changes hands: `python -m mainspring.testing.handovers` (`make handovers`).

The demo's cluster with 300 one-time tasks a second at random instants. Over and over a node joins, is drained, takes its
share again and is told to stop (SIGTERM). Prints the gaps by reason and what became late, beside the checker's report, and
writes them to docs/runs/handovers.md. Exit code 0 when the checker finds nothing, and p99 of the gaps and the greatest
lateness of the run are within their bounds.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.text import Text

from mainspring.client import Handover, HandoverReason
from mainspring.testing.cluster import Cluster, ClusterSettings
from mainspring.testing.demo import Judgement, judge
from mainspring.testing.errors import ChildFailedError
from mainspring.testing.foreground import run_in_foreground
from mainspring.testing.live_view import LiveView
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US, member_name, sleep_until
from mainspring.testing.progress import Progress
from mainspring.testing.report import Spread, render
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.run_note import SPREAD_HEADER, ms, note_path, spread_row, table, write_note
from mainspring.testing.scenario import Scenario
from mainspring.testing.workload import lateness_plan

BOUND_GAP_P99_US = 200_000
BOUND_LATENESS_US = 1_000_000
FEWEST = 100
"""Hand-overs without which a percentile says nothing."""
RECORDED_S = 3.0
"""Records are written about a second after the event."""
_EMPTY_TIMEOUT_S = 30.0
_POLL_S = 0.1
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class HandoverSettings:
    """What is measured. Durations in seconds."""

    seed: int = 1
    rate: int = 300
    """Tasks a second."""
    cycles: int = 2
    """Each is a join, a drain, an undrain and a SIGTERM."""
    cycle_s: int = 32
    lead_s: int = 12
    """Time to register all tasks."""
    nodes: int = 3
    executors: int = 2

    @property
    def seconds(self) -> int:
        """For how long tasks fall due."""
        return self.cycles * self.cycle_s


@dataclass(frozen=True, slots=True)
class MeasuredHandovers:
    """A run: what the checker says, and every change of owner under load."""

    judgement: Judgement
    handovers: Sequence[Handover]

    @property
    def gaps(self) -> Spread:
        """Of the orderly ones: all that were released."""
        return Spread.of(_gaps(self.handovers))

    @property
    def complaints(self) -> list[str]:
        """What does not hold."""
        found = list(self.judgement.complaints)
        lateness = self.judgement.report.lateness
        if self.gaps.count < FEWEST:
            found.append(f"only {self.gaps.count} hand-overs, {FEWEST} are needed")
        if self.gaps.p99_us > BOUND_GAP_P99_US:
            found.append(
                f"p99 of the gaps is {ms(self.gaps.p99_us)} ms, the bound {BOUND_GAP_P99_US // 1000} ms"
            )
        if lateness.max_us > BOUND_LATENESS_US:
            found.append(
                f"a task was {ms(lateness.max_us)} ms late, the bound is {BOUND_LATENESS_US // 1000} ms"
            )
        return found


def _gaps(handovers: Sequence[Handover]) -> list[int]:
    return [h.gap // _MICROSECOND for h in handovers if h.gap is not None and h.release_time is not None]


async def measure(
    settings: HandoverSettings, folder: RunFolder, progress: Progress, view: LiveView
) -> MeasuredHandovers:
    """Run the cluster and the load; nothing is left running.

    Raises:
        TestingError: the cluster did not come up, or partitions did not move as they should.
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
        begun = (await scenario.client.list_nodes()).cluster_time
        for _ in range(settings.cycles):
            await _cycle(scenario)
        await asyncio.sleep(RECORDED_S)
        handovers = [h async for h in scenario.client.list_handovers(since=begun, page_size=1000)]
        history = await scenario.finish(
            window_from_at=window_from_at, window_until_at=due_until_at + SECOND_US
        )
        progress.phase = "done"
    history.save(folder.history)
    return MeasuredHandovers(await asyncio.to_thread(judge, history), handovers)


async def _cycle(scenario: Scenario) -> None:
    """One node joins, gives everything away, takes its share again and leaves."""
    node = await scenario.add_node()
    scenario.progress.event(f"{node.name} is drained")
    node_id = await scenario.client.drain_node(node.name)
    await _until_empty(scenario, node_id)
    scenario.progress.event(f"{node.name} is undrained")
    await scenario.client.undrain_node(node_id)
    await scenario.until_spread()
    await scenario.stop_node(node)


async def _until_empty(scenario: Scenario, node_id: str) -> None:
    left = -1
    try:
        async with asyncio.timeout(_EMPTY_TIMEOUT_S):
            while left:
                await asyncio.sleep(_POLL_S)
                left = sum(p.owner_id == node_id for p in await scenario.client.list_partitions())
    except TimeoutError:
        raise ChildFailedError(
            f"{member_name(node_id)} still owns {left} partitions {_EMPTY_TIMEOUT_S:g} s after its drain"
        ) from None


def main() -> int:
    """Parse the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="handovers", description="How long nobody fires what changes hands."
    )
    defaults = HandoverSettings()
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of the plan of tasks")
    parser.add_argument("--rate", type=int, default=defaults.rate, help="tasks a second")
    parser.add_argument("--cycles", type=int, default=defaults.cycles, help="joins, drains and stops")
    parser.add_argument("--note", type=Path, metavar="FILE", help="default: docs/runs/handovers.md")
    arguments = parser.parse_args()
    settings = HandoverSettings(seed=arguments.seed, rate=arguments.rate, cycles=arguments.cycles)
    return run_in_foreground(lambda: _run(settings, arguments.note or note_path("handovers.md")))


async def _run(settings: HandoverSettings, note: Path | None) -> int:
    folder = RunFolder.create("handovers")
    progress = Progress(f"Hand-overs at {settings.rate} tasks a second")
    view = LiveView(progress)
    with view.live():
        measured = await measure(settings, folder, progress, view)
    view.console.print(render(measured.judgement.report))
    for name, spread in _by_reason(measured):
        view.console.print(
            f"{name}: {spread.count}, gap p50 {ms(spread.p50_us)} ms, p99 {ms(spread.p99_us)} ms, "
            f"max {ms(spread.max_us)} ms"
        )
    for complaint in measured.complaints:
        view.console.print(Text(complaint, style="red"))
    view.console.print(f"logs and evidence: {folder.path}", soft_wrap=True)
    if note is not None:
        _write(note, settings, measured)
    return 1 if measured.complaints else 0


def _by_reason(measured: MeasuredHandovers) -> list[tuple[str, Spread]]:
    found = [("all that were released", measured.gaps)]
    for reason in HandoverReason:
        gaps = [h for h in measured.handovers if h.reason is reason]
        if gaps:
            found.append((reason.name.lower().replace("_", " "), Spread.of(_gaps(gaps))))
    return found


def _write(note: Path, settings: HandoverSettings, measured: MeasuredHandovers) -> None:
    report, cluster = measured.judgement.report, ClusterSettings()
    late = sum(handover.late_execution_count for handover in measured.handovers)
    latest = max((handover.max_lateness for handover in measured.handovers), default=timedelta(0))
    write_note(
        note,
        "Hand-overs under load",
        [
            f"Written by `make handovers`: {settings.rate} one-time tasks a second for {settings.seconds} s (seed "
            f"{settings.seed}), {settings.nodes} nodes, {settings.executors} executors, {cluster.partitions} "
            f"partitions, MariaDB that flushes its log at each commit, everything on one machine. {settings.cycles} "
            f"times a node joins, is drained, undrained, and told to stop (SIGTERM).",
            "The gap is the time from the last owner's end of claiming to the new owner's begin.",
            table(SPREAD_HEADER, [spread_row(name, spread) for name, spread in _by_reason(measured)]),
            f"{late:,} executions fell due in the gaps; the latest of them was {ms(latest // _MICROSECOND)} ms late when "
            f"its new owner began to fire.",
            "## Lateness of the whole run",
            table(
                SPREAD_HEADER,
                [
                    spread_row("picked up - due (ledger)", report.lateness),
                    spread_row("started - due (executors)", report.started),
                ],
            ),
            f"Verdict of the checker: {'ok' if measured.judgement.is_ok else 'NOT OK'}, {report.executed:,} of "
            f"{report.scheduled:,} scheduled times ran, {report.missing} missing, {report.duplicated} duplicated.",
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
