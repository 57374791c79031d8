"""`make bench-profile`: where node and executor spend a burst, by samples that py-spy takes from outside.

The processes run as always: nothing is switched on in them. What is sampled is whoever holds the interpreter, from the due
instant to the last result; C code counts for the Python function that called it, and what runs without the interpreter, such
as gRPC's own threads, not at all. Where a system lets nobody look into another's processes (`ptrace_scope`) it takes root.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bursts import Burst, started
from benchmarks.rig import RigSettings

from mainspring.testing.errors import TestingError
from mainspring.testing.foreground import run_in_foreground
from mainspring.testing.member_process import MemberProcess

TOP = 10
SAMPLES_A_SECOND = 200
_WRITE_TIMEOUT_S = 30.0
_ROOTS = ("Runner.run ", "Thread.run ")
"""What stands above these on every stack tells nothing."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Where one process was when it was looked at."""

    samples: int
    own: Counter[str]
    """Functions by samples in which they were the innermost."""
    total: Counter[str]
    """Functions by samples in which they were anywhere on the stack."""

    @classmethod
    def read(cls, path: Path) -> Profile:
        """From py-spy's raw format: a line per stack, frames with semicolons, and how often it was seen."""
        own: Counter[str] = Counter()
        total: Counter[str] = Counter()
        for line in path.read_text(encoding="utf-8").splitlines():
            stack, _, count = line.rpartition(" ")
            frames = stack.split(";")
            begin = next((n for n, frame in enumerate(frames) if frame.startswith(_ROOTS)), -1)
            frames = frames[begin + 1 :] or frames[begin:]
            own[frames[-1]] += int(count)
            for frame in set(frames):
                total[frame] += int(count)
        return cls(own.total(), own, total)

    def lines(self) -> list[str]:
        """The top ten by own time, then those by time with all that they call."""
        return [
            f"{'own':>6} {'total':>6}",
            *(self._line(name) for name, _ in self.own.most_common(TOP)),
            "by total time:",
            *(self._line(name) for name, _ in self.total.most_common(2 * TOP)),
        ]

    def _line(self, name: str) -> str:
        own, total = self.own[name] / self.samples, self.total[name] / self.samples
        return f"{own:>6.1%} {total:>6.1%} {name}"


def stacks_of(member: MemberProcess, folder: Path) -> Path:
    """The file of a process's stacks."""
    return folder / f"{member.name}.stacks"


@contextlib.contextmanager
def profiled(members: Sequence[MemberProcess], folder: Path) -> Iterator[None]:
    """Sample these processes during the block; `stacks_of` is there after it.

    Raises:
        TestingError: py-spy could not do it.
    """
    spies = [
        subprocess.Popen(
            [
                str(Path(sys.executable).parent / "py-spy"),
                *("record", "--gil", "--pid", str(member.pid), "--format", "raw", "--function"),
                *("--rate", str(SAMPLES_A_SECOND), "--output", str(stacks_of(member, folder))),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for member in members
    ]
    try:
        yield
        for spy in spies:
            spy.send_signal(signal.SIGINT)
        for spy, member in zip(spies, members, strict=True):
            _, complaint = spy.communicate(timeout=_WRITE_TIMEOUT_S)
            if not stacks_of(member, folder).is_file():
                raise TestingError(f"py-spy has no profile of {member.name}: {complaint.strip()}")
    finally:
        for spy in spies:
            spy.kill()


async def measure(size: int) -> tuple[Burst, dict[str, Profile]]:
    """A burst of so many tasks, with and by the processes that were sampled.

    Raises:
        TestingError: The burst or the sampling failed.
    """
    async with started("profile", RigSettings()) as bursts:
        cluster = bursts.rig.cluster
        members = [*cluster.nodes, *cluster.executors]
        folder = cluster.folder.logs
        burst = await bursts.run(size, beside=lambda: profiled(members, folder))
        return burst, {member.name: Profile.read(stacks_of(member, folder)) for member in members}


async def _run(size: int) -> int:
    burst, profiles = await measure(size)
    print(f"{size:,} tasks at {burst.drained_per_s:,.0f}/s while being sampled")
    for name, profile in profiles.items():
        print(f"\n{name}: {profile.samples:,} samples", *profile.lines(), sep="\n")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make bench-profile", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=int, default=50_000)
    size = parser.parse_args().tasks
    sys.exit(run_in_foreground(lambda: _run(size)))
