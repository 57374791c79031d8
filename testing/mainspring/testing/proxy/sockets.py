"""Which local process is at the other end of a loopback connection; Linux only (/proc)."""

import os
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
"""gRPC connects to IPv4 addresses with IPv6 sockets."""


def has_port(pid: int, port: int) -> bool:
    """Whether a process holds the socket that is bound to this local port; False when it has ended."""
    inode = _inode_of(port)
    if inode is None:
        return False
    wanted = f"socket:[{inode}]"
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    for name in names:
        try:
            if os.readlink(f"/proc/{pid}/fd/{name}") == wanted:
                return True
        except OSError:
            continue  # closed meanwhile
    return False


def _inode_of(port: int) -> str | None:
    """The inode of the connected socket with this local port."""
    suffix = f":{port:04X}"
    for table in _TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            is_listening = fields[3] == "0A"
            if fields[1].endswith(suffix) and not is_listening and fields[9] != "0":
                return fields[9]
    return None
