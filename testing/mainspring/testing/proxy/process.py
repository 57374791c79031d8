"""The process of the proxies: one JSON command a line on standard input, one JSON answer a line on standard output.

It ends with its standard input, so it never outlives who started it.
"""

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any

from mainspring.testing.proxy.commits import CommitAction, Trap
from mainspring.testing.proxy.link import Link, Mode


class Switchboard:
    """All links of the process, by name."""

    def __init__(self) -> None:
        """None yet."""
        self._links: dict[str, Link] = {}

    async def handle(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry a command out.

        Raises:
            KeyError, ValueError, OSError: it cannot be.
        """
        name = command["link"]
        if command["do"] == "open":
            link = self._links[name] = Link(command["target_port"])
            await link.open(command["port"])
            return {}
        link = self._links[name]
        if command["do"] == "mode":
            link.set_mode(
                Mode(command["mode"]),
                delay_s=command["delay_s"],
                only_pids=frozenset(command["only_pids"]),
            )
        elif command["do"] == "trap":
            action = command["action"]
            link.set_trap(
                None if action is None else Trap(CommitAction(action), command["count"], command["pid"])
            )
        elif command["do"] != "counts":
            raise ValueError(f"no such command: {command['do']}")
        return asdict(link.counts)

    async def close(self) -> None:
        """Close every link."""
        for link in self._links.values():
            await link.close()


async def main() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    board = Switchboard()
    try:
        while line := await reader.readline():
            try:
                answer = await board.handle(json.loads(line))
            except (KeyError, ValueError, OSError) as error:
                answer = {"error": repr(error)}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    finally:
        await board.close()


if __name__ == "__main__":
    asyncio.run(main())
