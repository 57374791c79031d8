"""A whole cluster on this machine, with a verdict: `python -m mainspring.testing.demo_cluster` (`make demo-cluster`).

Starts MariaDB, ZooKeeper, three scheduler nodes and two executors as processes, registers 5,000 tasks, adds a fourth node
and stops another while they fall due, and judges what the client, the executors and the ledger say about it. Exit code 0
only when every scheduled time has exactly one row and one run, none more than 10 s late; 1 otherwise; 2 when the cluster
did not come up.
"""

import argparse
import sys
from pathlib import Path

from mainspring.testing.demo import DemoSettings, Judgement, run_demo
from mainspring.testing.foreground import run_in_foreground
from mainspring.testing.live_view import LiveView
from mainspring.testing.load_run import member_name
from mainspring.testing.progress import Progress
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.run_note import SPREAD_HEADER, spread_row, table, write_note
from mainspring.testing.tampering import PLANTS
from mainspring.testing.verdict_view import show_verdict, write_json


def main() -> int:
    """Parse the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="demo_cluster", description="A whole cluster on this machine, with a verdict."
    )
    parser.add_argument("--seed", type=int, default=1, help="of the plan of tasks (default 1)")
    parser.add_argument(
        "--tasks", type=int, default=DemoSettings().tasks, help="how many to register (default 5000)"
    )
    parser.add_argument(
        "--plant", choices=sorted(PLANTS), help="tamper with the evidence: the verdict must be red"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the servers' data too (logs and evidence always stay)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there as JSON")
    parser.add_argument("--note", type=Path, metavar="FILE", help="write a summary there as Markdown")
    arguments = parser.parse_args()
    if arguments.tasks < 100:
        parser.error("--tasks: at least 100")
    return run_in_foreground(lambda: _demo(arguments))


async def _demo(arguments: argparse.Namespace) -> int:
    folder = RunFolder.create("demo")
    settings = DemoSettings(seed=arguments.seed, tasks=arguments.tasks)
    progress = Progress(
        f"Mainspring: {settings.nodes} nodes, {settings.executors} executors, {settings.tasks:,} tasks"
    )
    view = LiveView(progress)
    with view.live():
        history = await run_demo(settings, folder, progress, refresh=view.refresh, keeps_data=arguments.keep)
    judgement = show_verdict(view.console, history, folder, plant=arguments.plant)
    if arguments.json:
        write_json(arguments.json, judgement, seed=arguments.seed, tasks=arguments.tasks)
    if arguments.note:
        _write(arguments.note, settings, progress, judgement)
    return 0 if judgement.is_ok else 1


def _write(note: Path, settings: DemoSettings, progress: Progress, judgement: Judgement) -> None:
    report = judgement.report
    counts = [("scheduled", report.scheduled), ("executed", report.executed), ("missing", report.missing)]
    counts += [("duplicated", report.duplicated), ("skipped", report.skipped), ("failed", report.failed)]
    lateness = [("picked up - due (ledger)", report.lateness), ("started - due (executors)", report.started)]
    spreads = {
        "Lateness": lateness,
        "Stages": report.stages.items(),
        "Nodes": [(member_name(node_id), spread) for node_id, spread in report.nodes.items()],
        "Executors": report.executors.items(),
    }
    parts = [
        f"Written by the demo with `--note`: {settings.tasks:,} tasks (seed {settings.seed}), {settings.nodes} nodes, "
        f"{settings.executors} executors; a node is added and another is stopped while they fall due.",
        f"Verdict: **{'ok' if judgement.is_ok else 'NOT OK'}**. "
        + " ".join(complaint + "." for complaint in judgement.complaints),
        table(("scheduled times", ""), [(name, f"{number:,}") for name, number in counts]),
    ]
    for title, rows in spreads.items():
        parts += [f"## {title}", table(SPREAD_HEADER, [spread_row(name, spread) for name, spread in rows])]
    parts += [
        "## Course",
        table(("event", "at s"), [(text, f"{at_s:.1f}") for at_s, text in progress.events]),
    ]
    write_note(note, "The demo on a cluster", parts)


if __name__ == "__main__":
    sys.exit(main())
