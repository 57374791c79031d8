"""The light histograms show what the client library's own would show."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from mainspring.server.observability.histograms import HistogramCollector, LightHistogram

BOUNDS = (0.001, 0.5, 1.0, 30.0)


@given(st.lists(st.sampled_from([0.0, 0.001, 0.002, 0.5, 0.75, 1.0, 29.5, 30.0, 31.0]), max_size=30))
def test_the_text_is_that_of_the_client_library(values: list[float]) -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    metric = Histogram("stage_seconds", "Of a stage.", ["stage"], buckets=BOUNDS, registry=theirs)
    children = {name: metric.labels(name) for name in ("due", "saved")}
    histograms = {name: LightHistogram(BOUNDS) for name in children}
    ours.register(HistogramCollector("stage_seconds", "Of a stage.", "stage", histograms))
    for number, value in enumerate(values):
        name = "due" if number % 3 else "saved"
        children[name].observe(value)
        histograms[name].observe(value)

    def lines(registry: CollectorRegistry) -> list[str]:
        return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]

    assert lines(ours) == lines(theirs)
