"""Many seeds on all cores, and what they amount to."""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from simulation.run import run_seed

CHUNK = 25
"""Seeds that a process takes at once; garbage is collected between chunks."""
MUST_HAPPEN = (
    "acknowledged",
    "cancelled",
    "claim_failed",
    "claim_recovered",
    "executor_lost",
    "fenced",
    "hint_lost",
    "partitions_released",
    "partitions_revoked",
    "session_expired",
    "sweep_found",
    "taken_free",
    "taken_owner_gone",
    "time_gap",
    "unknown_outcome",
    "ran_again",
    "overlap_skipped",
    "held",
    "replaced",
    "made_up_for",
    "pause",
    "resume",
    "update",
    "reschedule",
    "trigger",
    "delete",
    "unsent_of_changed",
    "expired",
    "expired_unclaimed",
    "failed_again",
    "too_slow",
)
"""What a batch of 200 seeds brings about, or it proves less than it says."""
SELDOM = ("adopt_failed", "leaving_without_successors", "prepare_failed", "taken_forced", "taken_own_row")
"""What takes some thousand seeds."""
ENOUGH, MANY = 200, 2000


@dataclass(frozen=True)
class Summary:
    """What is left of one seed's run."""

    seed: int
    digest: str
    counts: Counter[str]
    cpu_s: float
    violations: tuple[str, ...]
    bugs: tuple[str, ...]

    @property
    def is_red(self) -> bool:
        """Whether a promise was broken, or the product met with a bug that it caught."""
        return bool(self.violations or self.bugs)

    def __str__(self) -> str:
        """For people: how to run it again comes first."""
        lines = [f"seed {self.seed}: make simulation-seed SEED={self.seed}"]
        lines += [f"  {line}" for line in (*self.violations[:5], *self.bugs[:5])]
        more = len(self.violations) + len(self.bugs) - len(lines) + 1
        return "\n".join([*lines, f"  and {more} more"] if more > 0 else lines)


@dataclass
class Batch:
    """All seeds of one call."""

    seeds: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    red: list[Summary] = field(default_factory=list)
    cpu_s: float = 0.0
    wall_s: float = 0.0

    def add(self, summary: Summary) -> None:
        """Takes one in."""
        self.seeds += 1
        self.counts.update(summary.counts)
        self.cpu_s += summary.cpu_s
        if summary.is_red:
            self.red.append(summary)

    @property
    def missing(self) -> list[str]:
        """What should have happened among so many seeds, and never did."""
        names = (*(MUST_HAPPEN if self.seeds >= ENOUGH else ()), *(SELDOM if self.seeds >= MANY else ()))
        return [name for name in names if not self.counts[name]]

    def __str__(self) -> str:
        """For people."""
        names = [name for name in sorted(self.counts) if self.counts[name] and not name.startswith("event=")]
        lines = [f"{self.counts[name]:>10,} {name}" for name in names]
        lines += [str(summary) for summary in sorted(self.red, key=lambda s: s.seed)]
        lines.append(
            f"{self.seeds:,} seeds in {self.wall_s:.1f} s: {60 * self.seeds / self.wall_s:,.0f} a minute, "
            f"{1000 * self.cpu_s / max(1, self.seeds):.0f} ms of CPU each; {len(self.red)} red"
        )
        return "\n".join(lines)


def run_batch(seeds: Sequence[int], workers: int | None = None) -> Batch:
    """Runs these seeds in processes of their own, as many as there are cores."""
    begun_s = time.monotonic()
    batch = Batch()
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    # Not forked: a process that has loaded gRPC should not be.
    with multiprocessing.get_context("spawn").Pool(min(len(chunks), workers or _cores())) as pool:
        for summaries in pool.imap_unordered(_run_chunk, chunks):
            for summary in summaries:
                batch.add(summary)
    batch.wall_s = time.monotonic() - begun_s
    return batch


def summaries_of(seeds: Sequence[int]) -> Iterator[Summary]:
    """Runs these seeds here, one after the other."""
    for seed in seeds:
        try:
            result = run_seed(seed)
        except Exception as error:
            # It would end the batch, and nobody would know the seed.
            yield Summary(seed, "", Counter(), 0.0, (), (f"the simulation ended: {error!r}",))
            continue
        counts = Counter(result.counts)
        counts["ran_again"] = result.verdict.counts["duplicated"]
        counts["scheduled_times"] = result.verdict.counts["scheduled"]
        yield Summary(
            seed,
            result.digest,
            counts,
            result.cpu_s,
            (*map(str, result.verdict.violations), *result.verdict.vacuous),
            tuple(result.bugs),
        )


def _run_chunk(seeds: Sequence[int]) -> list[Summary]:
    gc.disable()
    try:
        return list(summaries_of(seeds))
    finally:
        gc.collect()


def _cores() -> int:
    return len(os.sched_getaffinity(0))
