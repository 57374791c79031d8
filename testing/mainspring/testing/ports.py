"""Free ports on the loopback interface.

Ports come from below the kernel's range for outgoing connections where possible: a port inside that range can be taken by
any client socket while a killed server is away, and its restart on the same port would then fail now and then.
"""

import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LOWEST_PORT = 12_000
_ATTEMPTS = 200
_random = random.SystemRandom()


def _first_outgoing_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _LOWEST_PORT


def _bound_socket() -> socket.socket:
    highest = _first_outgoing_port() - 1
    if highest - _LOWEST_PORT >= 1_000:
        for _ in range(_ATTEMPTS):
            held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                held.bind((LOOPBACK, _random.randint(_LOWEST_PORT, highest)))
            except OSError:
                held.close()
            else:
                return held
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.bind((LOOPBACK, 0))
    return held


@contextlib.contextmanager
def held_ports(count: int) -> Iterator[list[int]]:
    """Hold `count` different free ports; they are released, unused, when the block ends."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(_bound_socket()) for _ in range(count)]
        yield [held.getsockname()[1] for held in sockets]


def free_ports(count: int) -> list[int]:
    """Different free ports, already released: start the servers soon."""
    with held_ports(count) as ports:
        return ports


def free_port() -> int:
    """One free port, already released: start the server soon."""
    return free_ports(1)[0]


def accepts_connections(host: str, port: int, *, timeout_s: float = 0.5) -> bool:
    """Whether somebody listens there right now."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False
