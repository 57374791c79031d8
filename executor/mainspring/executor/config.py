"""Settings of an executor, each with its reason."""

import os
import re
import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path

MAX_CAPACITY = 100_000
FRAME_DISTANCE_S = 0.005
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def make_executor_id() -> str:
    """Return an id that no other start of an executor has: host, process and chance."""
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:40] or "host"
    return f"{host}-{os.getpid()}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class ExecutorConfig:
    """All of an executor's settings; durations in seconds.

    Attributes:
        addresses: Nodes to begin with; the others are learnt from them.
        capacity: How many items of work may be here at once, over all nodes together.
        executor_id: Unique per process start.
        drain_timeout_s: How long a stop waits for running handlers and for their results to be saved.
        run_log: Where to append evidence of every run; None for nowhere.
        max_threads: Plain handlers run in at most this many threads; more wait as queued.
        max_output_bytes: A longer result of a handler is recorded as a failure. The server's default limit.
        repeat_result_after_s: A result is sent again after this long without "saved": long enough for a
            claim's worst commit, short against the 10 s promise.
        max_unsaved: With more results unsaved no credit is granted. Results hold no capacity below that, so
            that a slow database does not idle the handlers; above it memory comes first.
        max_unsaved_bytes: The same, in bytes.
        connect_timeout_s: A node that does not accept a stream within this is tried again later.
        hello_timeout_s: And one that accepts it but says nothing.
        leave_timeout_s: How long a goodbye waits for the node to end the stream.
        tick_s: How often heartbeats, leases and repeats are looked at.
        frame_distance_s: A frame leaves so long after the one before it, at least: what starts and ends meanwhile goes
            with it. The first after a pause leaves at once.
    """

    addresses: tuple[str, ...]
    capacity: int = 100
    executor_id: str = field(default_factory=make_executor_id)
    drain_timeout_s: float = 30.0
    run_log: Path | None = None
    max_threads: int = 256
    max_output_bytes: int = 256 * 1024
    repeat_result_after_s: float = 2.0
    max_unsaved: int = 20_000
    max_unsaved_bytes: int = 64 * 1024 * 1024
    connect_timeout_s: float = 2.0
    hello_timeout_s: float = 3.0
    leave_timeout_s: float = 1.0
    tick_s: float = 0.2
    frame_distance_s: float = FRAME_DISTANCE_S

    def __post_init__(self) -> None:
        if not self.addresses:
            raise ValueError("addresses: at least one node is needed")
        if not 1 <= self.capacity <= MAX_CAPACITY:
            raise ValueError(f"capacity must be between 1 and {MAX_CAPACITY}")
        if not _ID.fullmatch(self.executor_id):
            raise ValueError("executor_id has 1 to 64 characters of A-Z a-z 0-9 . _ -")
        if self.drain_timeout_s < 0:
            raise ValueError("drain_timeout_s must not be negative")
        if self.max_threads < 1:
            raise ValueError("max_threads must be at least 1")
