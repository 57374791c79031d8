"""Which local process is at the other end of a loopback connection; Linux only (/proc)."""

import os
from pathlib import Path

_TCP = Path("/proc/net/tcp")


def has_port(pid: int, port: int) -> bool:
    """Whether a process holds the socket that is bound to this local IPv4 port; False when it has ended."""
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
    try:
        lines = _TCP.read_text().splitlines()[1:]
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        is_listening = fields[3] == "0A"
        if fields[1].endswith(suffix) and not is_listening and fields[9] != "0":
            return fields[9]
    return None
