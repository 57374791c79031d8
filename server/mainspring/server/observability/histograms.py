"""Histograms that cost next to nothing to fill: only who asks for the metrics pays for more.

A client library's histogram takes a lock twice for each value; an execution has six stages, and a node thousands of
executions a second. These are filled from the event loop alone and read from the thread that serves the metrics: what is
being added in that moment may be in the sum and not yet in a bucket.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector


class LightHistogram:
    """Counts values in buckets.

    Args:
        bounds: of the buckets, inclusive, ascending; what is above the last one has a bucket of its own.
    """

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, value: float) -> None:
        """Counts a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    @property
    def total(self) -> float:
        """The sum of the values."""
        return self._total

    def buckets(self) -> list[tuple[str, float]]:
        """Of each bound how many values were no greater, as Prometheus has it; the last one is +Inf."""
        found, count = [], 0
        for bound, here in zip((*self._bounds, float("inf")), list(self._counts), strict=True):
            count += here
            found.append(("+Inf" if bound == float("inf") else str(float(bound)), float(count)))
        return found


class HistogramCollector(Collector):
    """Shows some histograms as one metric, told apart by the value of a label."""

    def __init__(
        self, name: str, description: str, label: str, histograms: Mapping[str, LightHistogram]
    ) -> None:
        self._name, self._description, self._label = name, description, label
        self._histograms = histograms

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The metric as it is now."""
        family = HistogramMetricFamily(self._name, self._description, labels=[self._label])
        for value, histogram in self._histograms.items():
            family.add_metric([value], histogram.buckets(), histogram.total)
        yield family

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Its name, for the registry."""
        return [HistogramMetricFamily(self._name, self._description, labels=[self._label])]
