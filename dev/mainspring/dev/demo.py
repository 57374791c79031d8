"""Mainspring in one process, with a verdict: `python -m mainspring.dev.demo` (`make demo`).

Starts `mainspring dev` on a file, registers 5,000 tasks (one-time, a herd, intervals, crons), lets them fall due, and judges
what the client, the executor and the ledger say about it. Needs no server, no Java, no root. Exit code 0 only when
every scheduled time has exactly one row and one run, none more than 10 s late; 1 otherwise; 2 when it did not come up.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mainspring.dev.dev_run import DevMembers, DevRun
from mainspring.testing.demo import demo_tasks
from mainspring.testing.foreground import run_in_foreground
from mainspring.testing.history import History
from mainspring.testing.live_view import LiveView
from mainspring.testing.load_generator import now_us
from mainspring.testing.load_run import SECOND_US
from mainspring.testing.progress import Progress
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.tampering import PLANTS
from mainspring.testing.verdict_view import show_verdict, write_json


@dataclass(frozen=True, slots=True)
class DevDemoSettings:
    """How large the demo is. Durations in seconds.

    Attributes:
        tasks: Tasks registered: 70 % one-time, 20 % the herd, 5 % intervals, 5 % crons.
        lead_s: Time to register them before the first one-time task is due.
        spread_s: The one-time tasks are due within so long.
        tail_s: The window goes on so long after that. Together long enough for four fires of a cron of 5 s.
    """

    seed: int = 1
    tasks: int = 5_000
    lead_s: int = 3
    spread_s: int = 18
    tail_s: int = 1


async def run_dev_demo(
    settings: DevDemoSettings,
    folder: RunFolder,
    progress: Progress,
    *,
    refresh: Callable[[], None] = lambda: None,
    keeps_data: bool = False,
) -> History:
    """Run it from start to evidence; nothing is left running, whatever happens.

    Args:
        settings: How large.
        folder: Logs and evidence stay there; the database only with `keeps_data`.
        progress: Kept fresh meanwhile.
        refresh: Called after each change of it.
        keeps_data: See `folder`.

    Raises:
        TestingError: `mainspring dev` did not come up.
    """
    async with DevRun(DevMembers(folder, keeps_data=keeps_data), progress, refresh=refresh) as run:
        await run.start()
        window_from_at = now_us()
        plan = demo_tasks(
            window_from_at, settings.seed, settings.tasks, lead_s=settings.lead_s, spread_s=settings.spread_s
        )
        length_s = settings.lead_s + settings.spread_s + settings.tail_s
        window_until_at = window_from_at + length_s * SECOND_US
        progress.phase = "registering tasks"
        await run.register(plan, window_until_at=window_until_at)
        progress.phase = "tasks fall due"
        history = await run.finish(window_from_at=window_from_at, window_until_at=window_until_at)
        progress.phase = "done"
    history.save(folder.history)
    return history


def fewest_cron_fires(history: History) -> int:
    """How often the cron task that fired least did so."""
    crons = {task.key for task in history.tasks if task.kind == "cron"}
    fires = Counter(run.key for run in history.runs if run.key in crons)
    return min((fires[key] for key in crons), default=0)


def main() -> int:
    """Parse the command line and run; return the exit code."""
    defaults = DevDemoSettings()
    parser = argparse.ArgumentParser(prog="demo", description="Mainspring in one process, with a verdict.")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of the plan of tasks (default 1)")
    parser.add_argument(
        "--tasks", type=int, default=defaults.tasks, help="how many to register (default 5000)"
    )
    parser.add_argument(
        "--plant", choices=sorted(PLANTS), help="tamper with the evidence: the verdict must be red"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the database too (logs and evidence always stay)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there as JSON")
    arguments = parser.parse_args()
    if arguments.tasks < 100:
        parser.error("--tasks: at least 100")
    return run_in_foreground(lambda: _demo(arguments))


async def _demo(arguments: argparse.Namespace) -> int:
    folder = RunFolder.create("dev-demo")
    settings = DevDemoSettings(seed=arguments.seed, tasks=arguments.tasks)
    progress = Progress(f"Mainspring: one process, {settings.tasks:,} tasks")
    view = LiveView(progress)
    with view.live():
        history = await run_dev_demo(
            settings, folder, progress, refresh=view.refresh, keeps_data=arguments.keep
        )
    judgement = show_verdict(view.console, history, folder, plant=arguments.plant)
    view.console.print(f"every cron task fired at least {fewest_cron_fires(judgement.history)} times")
    if arguments.json:
        write_json(arguments.json, judgement, seed=arguments.seed, tasks=arguments.tasks)
    return 0 if judgement.is_ok else 1


if __name__ == "__main__":
    sys.exit(main())
