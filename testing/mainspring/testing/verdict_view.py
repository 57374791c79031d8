"""The end of a demo, wherever it ran: the verdict on its evidence, on the console and as JSON."""

import json
from pathlib import Path

from rich.console import Console
from rich.text import Text

from mainspring.testing.demo import Judgement, judge
from mainspring.testing.history import History
from mainspring.testing.report import render
from mainspring.testing.run_folder import RunFolder
from mainspring.testing.tampering import PLANTS


def show_verdict(
    console: Console, history: History, folder: RunFolder, *, plant: str | None = None
) -> Judgement:
    """Judge a run and print report, complaints and where the evidence is.

    Args:
        console: where to print.
        history: the evidence.
        folder: of the run.
        plant: a key of `PLANTS`: tampers with the evidence first, so that the verdict must be red.
    """
    if plant:
        history = PLANTS[plant](history)
        console.print(Text(f"planted in the evidence: {plant}", style="yellow"))
    judgement = judge(history)
    console.print(render(judgement.report))
    for complaint in judgement.complaints:
        console.print(Text(complaint, style="red"))
    if cancelled := judgement.verdict.counts["cancelled"]:
        console.print(f"{cancelled:,} more were cancelled by the demo itself before they were sent")
    console.print(f"logs and evidence: {folder.path}", soft_wrap=True)
    return judgement


def write_json(path: Path, judgement: Judgement, *, seed: int, tasks: int) -> None:
    """Write the report, and what it was made from, as one JSON document."""
    document = {"seed": seed, "tasks": tasks, "is_ok": judgement.is_ok, "report": judgement.report.to_json()}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
