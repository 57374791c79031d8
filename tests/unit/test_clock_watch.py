"""Clocks that disagree are told: figures always, lines of the log once a minute."""

import pytest

from mainspring.server.clock_watch import ClockWatch
from mainspring.server.core.clock_offset import ClockReading
from mainspring.server.observability.metrics import Metrics


def test_figures_always_and_lines_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = Metrics()
    watch = ClockWatch(metrics)

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    watch.look(ClockReading(900_000), 0)
    assert value("mainspring_clock_offset_seconds") == 0.9
    assert "clock_offset" not in capsys.readouterr().out
    for second in range(120):
        watch.look(ClockReading(-30e6), second)
        watch.look(ClockReading(0, refused_step_us=90e6), second)
    out = capsys.readouterr().out
    assert out.count("clock_offset") == 2
    assert out.count("clock_step_refused") == 2
    assert value("mainspring_clock_steps_total", outcome="refused") == 120
    watch.look(ClockReading(0, followed_step_us=90e6), 121)
    assert "clock_step_followed" in capsys.readouterr().out
    assert value("mainspring_clock_steps_total", outcome="followed") == 1
