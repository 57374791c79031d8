"""Which local process is at the other end of a loopback connection; Linux only (/proc)."""

import os
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
"""gRPC connects to IPv4 addresses with IPv6 sockets."""


def has_port(pid: int, port: int) -> bool:
    """Whether a process holds the socket that is bound to this local port; False when it has ended."""
    wanted = {f"socket:[{inode}]" for inode in _inodes_of(port)}
    if not wanted:
        return False
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    for name in names:
        try:
            if os.readlink(f"/proc/{pid}/fd/{name}") in wanted:
                return True
        except OSError:
            continue  # closed meanwhile
    return False


def _inodes_of(port: int) -> set[str]:
    """The inodes of the connected sockets with this local port; several, when their peers differ."""
    suffix = f":{port:04X}"
    inodes = set()
    for table in _TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            is_listening = fields[3] == "0A"
            if fields[1].endswith(suffix) and not is_listening and fields[9] != "0":
                inodes.add(fields[9])
    return inodes
