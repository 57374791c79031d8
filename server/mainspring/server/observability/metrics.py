"""Every metric of a node. Labels never hold task ids.

The stages are those of the time budget in docs/design.md: from the registration of a task to its saved result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

from mainspring.server.observability.histograms import HistogramCollector, LightHistogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

STAGES = (
    "registered",  # a create call received -> durable
    "loaded",  # due task read from the database, ahead of its due time (how far ahead)
    "due",  # due time -> out of the timing wheel
    "claimed",  # due time -> claim committed
    "dispatched",  # claim begun -> put on the executor's stream
    "picked_up",  # dispatched -> start acknowledged
    "finished",  # picked up -> result received
    "saved",  # result received -> final state committed
)

STORE_COUNTERS = {
    "statements": "Round trips to the database.",
    "transactions": "Transactions begun, retries included.",
    "deadlock_retries": "Units of work run once more after a deadlock (error 1213).",
    "lock_wait_retries": "Units of work run once more after a lock wait (error 1205).",
    "timeouts": "Statements whose answer did not come in time.",
    "unknown_outcomes": "Writes that may or may not have taken effect.",
    "connects": "Connections opened.",
    "connect_failures": "Connections that could not be opened.",
    "connections_dropped": "Connections thrown away because they broke, timed out or were cancelled.",
    "waits_refused": "Callers turned away because a lane's queue was full.",
    "rows_parked": "Tasks put off for a minute because the database refused their claim.",
}
"""`mainspring_store_*_total`: what the store counts itself since the start of the process."""


class _StoreCollector(Collector):
    """Reads the store's own counters whenever somebody asks: counting stays where it costs nothing."""

    def __init__(self, read: Callable[[], Mapping[str, int]]) -> None:
        self._read = read

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One counter each, in the order above."""
        counts = self._read()
        for name, description in STORE_COUNTERS.items():
            if name in counts:
                yield CounterMetricFamily(f"mainspring_store_{name}", description, value=counts[name])


class Metrics:
    """A node's metrics in a registry of their own, so that several nodes fit in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._stages = {name: LightHistogram(_SECONDS) for name in STAGES}
        self.registry.register(
            HistogramCollector(
                "mainspring_stage_seconds",
                "Time an execution takes in one stage of its life.",
                "stage",
                self._stages,
            )
        )
        self.lateness = Histogram(
            "mainspring_lateness_seconds",
            "Pick-up minus due time.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        batch = Histogram(
            "mainspring_batch_size",
            "Items in one round trip to the database.",
            ["unit"],
            buckets=_SIZES,
            registry=self.registry,
        )
        self._batches = {
            n: batch.labels(n) for n in ("register", "claim", "assign", "complete", "retry", "extend")
        }
        self.executions = Counter(
            "mainspring_executions_total",
            "Executions that reached a final state here, by state.",
            ["state"],
            registry=self.registry,
        )
        self._executions: dict[str, Counter] = {}
        self.ended_count = 0
        """How many executions reached a final state, by `ended`."""
        self.removed = Counter(
            "mainspring_removed_rows_total",
            "Executions and tasks that were removed because they ended longer ago than is kept.",
            ["kind"],
            registry=self.registry,
        )
        self.fenced = Counter(
            "mainspring_fenced_total",
            "Partitions dropped because the database showed another owner or epoch.",
            registry=self.registry,
        )
        self.swept = Counter(
            "mainspring_swept_total",
            "Due tasks that only the sweep found.",
            registry=self.registry,
        )
        self.handover_gap = Histogram(
            "mainspring_handover_gap_seconds",
            "From the last owner's end (a crash: from when it was noticed) until a partition fires here.",
            ["reason"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.handover_late = Counter(
            "mainspring_handover_late_executions_total",
            "Due tasks whose due time passed while nobody fired their partition.",
            ["reason"],
            registry=self.registry,
        )
        self.coordinator_connected = Gauge(
            "mainspring_coordinator_connected",
            "1 while this node has a session with ZooKeeper; without one it fires on and nothing is rebalanced.",
            registry=self.registry,
        )
        self.partitions_unowned = Gauge(
            "mainspring_partitions_unowned",
            "Partitions of the cluster without a live owner, as this node sees it.",
            registry=self.registry,
        )
        self.partitions_unowned_s = Gauge(
            "mainspring_partitions_unowned_longest_seconds",
            "For how long the longest of them has had none.",
            registry=self.registry,
        )
        self.window_tasks = Gauge("mainspring_window_tasks", "Due tasks in memory.", registry=self.registry)
        self.open_executions = Gauge(
            "mainspring_open_executions",
            "Executions of this node that are not final.",
            registry=self.registry,
        )
        self.partitions = Gauge(
            "mainspring_partitions", "Partitions that this node holds.", registry=self.registry
        )
        self.clock_offset = Gauge(
            "mainspring_clock_offset_seconds",
            "This machine's wall clock minus cluster time, which is the database's.",
            registry=self.registry,
        )
        self.clock_steps = Counter(
            "mainspring_clock_steps_total",
            "Looks at the database's clock that found a step of more than 1 s: followed, or refused because this"
            " machine's wall clock does not agree.",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in ("followed", "refused"):
            self.clock_steps.labels(outcome)
        self.aside = Gauge(
            "mainspring_aside",
            "1 while this node has stepped aside for the reason: others own its partitions.",
            ["reason"],
            registry=self.registry,
        )
        self.executors = Gauge("mainspring_executors", "Executors connected.", registry=self.registry)
        frames = Counter(
            "mainspring_executor_frames_total",
            "Messages on the streams of executors, each with many items.",
            ["direction"],
            registry=self.registry,
        )
        self.frames_sent = frames.labels("sent")
        self.frames_received = frames.labels("received")
        self.loop_lag = Histogram(
            "mainspring_loop_lag_seconds",
            "How late the event loop ran a timer.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.calls = Histogram(
            "mainspring_call_seconds",
            "Duration of API calls by method and status.",
            ["method", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )

    def watch_store(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Export the counters of a store, by the names of `STORE_COUNTERS`; those it does not count are left out.

        `read` answers at once and may be called from the thread that serves the metrics.
        """
        self.registry.register(_StoreCollector(read))

    def stage(self, name: str, from_at: int | None, to_at: int) -> None:
        """Notes that a stage took from one instant (microseconds) to another; nothing when its begin is unknown."""
        if from_at is not None:
            self._stages[name].observe(max(0, to_at - from_at) / 1_000_000)

    def ended(self, state: str) -> None:
        """Notes that an execution reached a final state."""
        child = self._executions.get(state)
        if child is None:
            child = self._executions[state] = self.executions.labels(state)
        child.inc()
        self.ended_count += 1

    def batch(self, unit: str, size: int) -> None:
        """Notes the size of a round trip."""
        self._batches[unit].observe(size)
