"""The small Markdown file that a run leaves in `docs/runs/`: what was measured, where, and with which commit."""

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mainspring.testing.cache import repository_root
from mainspring.testing.report import Spread

NOTES = Path("docs") / "runs"


def note_path(name: str) -> Path | None:
    """`docs/runs/NAME` of the checkout; None when this was installed as a wheel."""
    root = repository_root()
    return root / NOTES / name if root else None


def write_note(path: Path, title: str, parts: Iterable[str]) -> None:
    """Write a note: title, when and where, then the parts, each a paragraph, list or table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join([f"# {title}", _table_of_circumstances(), *parts]) + "\n", encoding="utf-8")


def replace_part(page: Path, begin: str, end: str, text: str) -> None:
    """Put `text` between two marks of a page; the rest of it is left as it is.

    Raises:
        ValueError: the page has lost its marks.
    """
    before, mark, rest = page.read_text(encoding="utf-8").partition(begin)
    _, end_mark, after = rest.partition(end)
    if not (mark and end_mark):
        raise ValueError(f"{page} must hold {begin} and, behind it, {end}")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; every column but the first is set to the right."""
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def spread_row(name: str, spread: Spread) -> tuple[object, ...]:
    """Name, count, and p50, p99 and maximum in milliseconds."""
    return (name, f"{spread.count:,}", ms(spread.p50_us), ms(spread.p99_us), ms(spread.max_us))


SPREAD_HEADER = ("", "count", "p50 ms", "p99 ms", "max ms")


def ms(duration_us: int) -> str:
    """Microseconds as milliseconds with one decimal."""
    return f"{duration_us / 1000:,.1f}"


def commit() -> str:
    """The commit of the checkout, and whether the product's files differ from it; "unknown" without git."""
    root = repository_root()
    if root is None:
        return "unknown"
    try:
        name = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(
            root,
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--",
            ".",
            f":!{NOTES}",
            ":!docs/reliability.md",
            ":!docs/performance.md",
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{name} with uncommitted changes" if changed else name


def machine() -> str:
    """Processor, cores, memory and system, on one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [_field(Path("/proc/cpuinfo"), "model name") or platform.machine(), f"{cores} cores"]
    if memory := _field(Path("/proc/meminfo"), "MemTotal"):
        parts.append(f"{int(memory.split()[0]) / 1024**2:.0f} GiB")
    parts.append(f"{platform.system()} {platform.release()}")
    return ", ".join(parts)


def _table_of_circumstances() -> str:
    rows = [
        ("When", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("Commit", commit()),
        ("Machine", machine()),
        ("Python", platform.python_version()),
    ]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()


def _field(path: Path, name: str) -> str | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)
