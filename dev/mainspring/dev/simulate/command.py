"""`mainspring simulate` as a program: one file, one run, one verdict."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mainspring.client import MainspringError
from mainspring.dev.simulate.charts import check_plot, draw
from mainspring.dev.simulate.config import Simulation
from mainspring.dev.simulate.course import Outcome, Stage, run_course
from mainspring.dev.simulate.in_process import InProcessRun
from mainspring.dev.simulate.on_cluster import OnCluster
from mainspring.dev.simulate.reading import BadFileError, find_text, parse
from mainspring.dev.simulate.summary import outcome_json, render_outcome
from mainspring.executor.event_loop import loop_factory
from mainspring.server.observability.logging import configure_logging
from mainspring.testing.errors import TestingError
from mainspring.testing.foreground import run_in_foreground
from mainspring.testing.live_view import LiveView
from mainspring.testing.progress import Progress
from mainspring.testing.run_folder import RunFolder

EXIT_RED = 1


@dataclass(frozen=True, slots=True)
class SimulateSettings:
    """What `mainspring simulate` was asked for.

    Attributes:
        file: A TOML file, or the name of a shipped example.
        on_cluster: On a local real cluster instead of in this process.
        seed: In the place of the file's; None for that.
        seconds: Likewise, the length of the time line.
        plot: Where to draw the charts; None for nowhere.
        json: Where to write the figures; None for nowhere.
    """

    file: str
    on_cluster: bool = False
    seed: int | None = None
    seconds: float | None = None
    plot: Path | None = None
    json: Path | None = None


def load(settings: SimulateSettings) -> Simulation:
    """The simulation that was asked for.

    Raises:
        BadFileError: The file is not valid, or not on a time line as long as asked for.
    """
    name, text = find_text(settings.file)
    simulation = parse(text, name)
    if not simulation.simulation.title:
        title = Path(name).stem
        simulation = replace(simulation, simulation=replace(simulation.simulation, title=title))
    if settings.seconds is not None:
        try:
            simulation = simulation.over(settings.seconds)
        except ValueError as error:
            raise BadFileError(f"--seconds: {error}") from None
    return simulation if settings.seed is None else simulation.seeded(settings.seed)


def simulate(settings: SimulateSettings) -> int:
    """Run a simulation in the foreground, show it, and judge it.

    Returns:
        The exit code: 0 for a green verdict, 1 for a red one, 2 when the cluster could not be set up, 128 and the
        signal's number after a signal.

    Raises:
        BadFileError: See `load`.
        CannotPlotError: Charts were asked for and cannot be drawn.
        OSError: A file that was asked for cannot be written.
    """
    simulation = load(settings)
    if settings.plot is not None:
        check_plot(settings.plot)
    for path in (settings.plot, settings.json):
        if path is not None:
            path.open("ab").close()  # better known now than after the run
    return run_in_foreground(lambda: _simulate(settings, simulation), loop_factory=loop_factory())


async def _simulate(settings: SimulateSettings, simulation: Simulation) -> int:
    folder = RunFolder.create("simulate")
    _log_to(folder.logs / "simulation.log")
    progress = Progress(_title(settings, simulation))
    view = LiveView(progress)

    def make_stage(refresh: Callable[[], None]) -> Stage:
        stage = OnCluster if settings.on_cluster else InProcessRun
        return stage(simulation, folder, progress, refresh=refresh)

    with view.live():
        try:
            outcome = await run_course(simulation, make_stage, folder, progress, refresh=view.refresh)
        except MainspringError as error:
            raise TestingError(f"the evidence could not be read: {error}") from error
    _show(settings, outcome, folder, view)
    return 0 if outcome.is_ok else EXIT_RED


def _show(settings: SimulateSettings, outcome: Outcome, folder: RunFolder, view: LiveView) -> None:
    view.console.print(render_outcome(outcome))
    view.console.print(f"logs and evidence: {folder.path}", soft_wrap=True)
    if settings.json is not None:
        stage = "cluster" if settings.on_cluster else "process"
        document = outcome_json(outcome, file=settings.file, stage=stage)
        settings.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if settings.plot is not None:
        draw(outcome, settings.plot)
        view.console.print(f"charts: {settings.plot}", soft_wrap=True)


def _title(settings: SimulateSettings, simulation: Simulation) -> str:
    stage = "a local cluster" if settings.on_cluster else "one process"
    return (
        f"{simulation.simulation.title}: {simulation.nodes.count} nodes and {simulation.executors.count} executors in "
        f"{stage}, {simulation.task_count:,} tasks"
    )


def _log_to(path: Path) -> None:
    """Send what the nodes and executors of this process log to a file: the screen belongs to the live view."""
    file = path.open("w", encoding="utf-8", buffering=1)  # lasts as long as the process
    with contextlib.redirect_stderr(file):
        configure_logging("warning", "console")
