"""Figures of a run that goes on, read from files that grow."""

import json
from pathlib import Path

from mainspring.testing.live_figures import LiveFigures


def line(event: str, at: int, scheduled_at: int = 1_000_000) -> bytes:
    return (
        json.dumps({"event": event, "executor_id": "e", "at": at, "scheduled_at": scheduled_at}).encode()
        + b"\n"
    )


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    log, figures = tmp_path / "e.jsonl", LiveFigures()
    whole = line("start", 1_500_000)
    log.write_bytes(whole[:20])
    figures.read([log])
    assert figures.started == 0
    with log.open("ab") as file:
        file.write(whole[20:] + line("end", 1_600_000))
    figures.read([log])
    assert (figures.started, figures.ended, figures.running) == (1, 1, 0)
    assert figures.lateness().max_us == 500_000


def test_starts_are_counted_by_second_and_by_executor(tmp_path: Path) -> None:
    log, figures = tmp_path / "e.jsonl", LiveFigures()
    log.write_bytes(line("start", 1_500_000) + line("start", 1_900_000) + line("start", 3_000_000))
    figures.read([log])
    figures.read([log])
    assert figures.rates(4_200_000, 4) == [0, 2, 0, 1]
    assert figures.by_executor["e"] == 3
    assert figures.running == 3
