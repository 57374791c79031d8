"""What stored schedules mean, whatever release of croniter comes: `make corpus` adds lines, nothing changes one."""

from __future__ import annotations

from oracle import freeze

from mainspring.server.core.next_fire import fires_between
from mainspring.server.core.schedule_text import decode, encode

LINES = freeze.read()


def test_every_stored_schedule_still_means_the_same() -> None:
    changed = [
        f"{line}\n    now: {found}"
        for line in LINES
        if (found := _fires(line)) != line.fires or encode(decode(line.text)) != line.text
    ]
    assert changed == []


def test_the_corpus_has_every_kind_and_key() -> None:
    assert len(LINES) > 500
    text = "".join(line.text for line in LINES)
    for kind in ("once", "cron", "interval", "calendar"):
        assert f'"kind":"{kind}"' in text
    for key in ("gap", "repeat", "start_at", "end_at", "max_executions", "jitter_us", "expressions"):
        assert f'"{key}":' in text
    for key in ("exclude_dates", "exclude_expressions", "exclude_time_zone", "weekdays", "days_of_month"):
        assert f'"{key}":' in text


def _fires(line: freeze.Line) -> tuple[int, ...]:
    until_at = freeze.END * 1_000_000 - 1
    return tuple(fires_between(decode(line.text), line.after_at, until_at, freeze.FIRES))
