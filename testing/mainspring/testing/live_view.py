"""Shows a run while it goes on: a live screen on a terminal, plain lines anywhere else."""

import time
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mainspring.testing.progress import MemberLine, Progress

PLAIN_EVERY_S = 2.0
LATENESS_BOUND_US = 10_000_000
_EVENTS_SHOWN = 9
_BARS = " ▁▂▃▄▅▆▇█"
_RATE_SECONDS = 40
_LABEL_WIDTH = 11


class LiveView:
    """One run on one console. Use it as `with view.live():` and call `refresh` a few times a second."""

    def __init__(self, progress: Progress, console: Console | None = None) -> None:
        """Show `progress` on `console`, by default standard output."""
        self._progress = progress
        self.console = console or Console(highlight=False)
        self._live: Live | None = None
        self._plain_at_s = 0.0
        progress.on_event = self._on_event

    def live(self) -> AbstractContextManager[object]:
        """The time during which the screen is drawn; at its end the last state stays on it."""
        if not self.console.is_terminal:
            return nullcontext()
        self._live = Live(_Screen(self._progress), console=self.console, refresh_per_second=8)
        return self._live

    def refresh(self) -> None:
        """Write a plain line when one is due; a live screen draws itself."""
        if self._live is not None or time.monotonic() - self._plain_at_s < PLAIN_EVERY_S:
            return
        self._plain_at_s = time.monotonic()
        progress = self._progress
        spread = progress.figures.lateness()
        nodes = ", ".join(f"{node.name} {node.partitions or 0}" for node in progress.nodes)
        self._line(
            f"{progress.phase}: registered {progress.registered:,}/{progress.planned:,}, started "
            f"{progress.figures.started:,}, done {progress.figures.ended:,}, lateness p99 "
            f"{_ms(spread.p99_us)} max {_ms(spread.max_us)}; partitions: {nodes or 'none yet'}"
        )

    def _on_event(self, elapsed_s: float, text: str) -> None:
        if self._live is None:
            self._line(text, elapsed_s)

    def _line(self, text: str, elapsed_s: float | None = None) -> None:
        elapsed_s = self._progress.elapsed_s if elapsed_s is None else elapsed_s
        self.console.print(f"[{elapsed_s:5.1f} s] {text}", markup=False, soft_wrap=True)
        self.console.file.flush()


class _Screen:
    """Drawn anew at each refresh from what the progress says then."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __rich__(self) -> RenderableType:
        progress = self._progress
        header = Table.grid(expand=True)
        header.add_column()
        header.add_column(justify="right")
        header.add_row(
            Text(progress.title, style="bold"), Text(f"{progress.elapsed_s:5.1f} s", style="bold cyan")
        )
        header.add_row(Text(progress.phase, style="cyan"), "")
        lower = Table.grid(expand=True, padding=(0, 1))
        lower.add_column(ratio=2)
        lower.add_column(ratio=3)
        lower.add_row(Panel(self._members(), title="cluster"), Panel(self._events(), title="events"))
        return Group(Panel(Group(header, Text(""), self._figures())), lower)

    def _figures(self) -> RenderableType:
        progress, figures = self._progress, self._progress.figures
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=_LABEL_WIDTH)
        table.add_column(ratio=1)
        table.add_column(justify="right", min_width=17)
        table.add_row(
            "registered",
            _bar(progress.registered, progress.planned),
            _of(progress.registered, progress.planned),
        )
        table.add_row("done", _bar(figures.ended, progress.expected), _of(figures.ended, progress.expected))
        table.add_row("running", Text(""), f"{max(0, figures.running):,}")
        spread = figures.lateness()
        style = "green" if spread.max_us <= LATENESS_BOUND_US else "bold red"
        lateness = Text.assemble(
            ("p50 ", "dim"),
            (_ms(spread.p50_us), "green"),
            ("   p99 ", "dim"),
            (_ms(spread.p99_us), "green"),
            ("   max ", "dim"),
            (_ms(spread.max_us), style),
            ("   bound 10 s", "dim"),
        )
        table.add_row("lateness", lateness, "")
        rates = figures.rates(time.time_ns() // 1_000, _RATE_SECONDS)
        highest = max(rates, default=0)
        table.add_row("runs/s", Text(_sparkline(rates, highest), style="magenta"), f"peak {highest:,}")
        return table

    def _members(self) -> RenderableType:
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column()
        table.add_column()
        table.add_column(justify="right")
        for node in self._progress.nodes:
            partitions = "" if node.partitions is None else f"{node.partitions} partitions"
            table.add_row(node.name, _state(node), partitions)
        for executor in self._progress.executors:
            runs = self._progress.figures.by_executor[executor.name]
            table.add_row(executor.name, _state(executor), f"{runs:,} runs")
        return table

    def _events(self) -> RenderableType:
        shown = self._progress.events[-_EVENTS_SHOWN:]
        lines = [Text.assemble((f"{elapsed_s:5.1f} s ", "dim"), text) for elapsed_s, text in shown]
        lines += [Text("")] * (_EVENTS_SHOWN - len(lines))
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)


def _state(member: MemberLine) -> Text:
    styles = {"ready": "green", "gone": "red", "paused": "red"}
    return Text(member.state, style=styles.get(member.state, "yellow"))


def _bar(done: int, total: int) -> RenderableType:
    return ProgressBar(total=max(total, 1), completed=min(done, max(total, 1)))


def _of(done: int, total: int) -> str:
    return f"{done:,} of {total:,}"


def _sparkline(values: list[int], highest: int) -> str:
    if highest == 0:
        return ""
    return "".join(_BARS[-(-value * (len(_BARS) - 1) // highest)] for value in values)


def _ms(duration_us: int) -> str:
    if duration_us < 1_000_000:
        return f"{duration_us / 1000:.0f} ms"
    return f"{duration_us / 1_000_000:.2f} s"
