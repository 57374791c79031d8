"""Free ports: different ones, really free, out of the way of outgoing connections."""

import socket
from pathlib import Path

import pytest

from mainspring.testing.ports import LOOPBACK, accepts_connections, free_port, free_ports, held_ports

OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_held_ports_are_taken_until_the_block_ends() -> None:
    with held_ports(5) as ports:
        assert len(set(ports)) == 5
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((LOOPBACK, ports[0]))
    with socket.socket() as other:
        other.bind((LOOPBACK, ports[0]))


def test_nobody_listens_on_a_held_or_free_port() -> None:
    with held_ports(1) as [port]:
        assert not accepts_connections(LOOPBACK, port)
    with socket.create_server((LOOPBACK, free_port())) as server:
        assert accepts_connections(LOOPBACK, server.getsockname()[1])


@pytest.mark.skipif(not OUTGOING.exists(), reason="the range of outgoing ports is known on Linux only")
def test_ports_are_not_those_of_outgoing_connections() -> None:
    first = int(OUTGOING.read_text().split()[0])
    if first < 13_000:
        pytest.skip("this machine uses nearly all ports for outgoing connections")
    assert all(port < first for port in free_ports(20))
