"""Where a virtual clock stands, kept over restarts."""

from __future__ import annotations

from mainspring.server.persistence.sqlite.database import Units

READ_VIRTUAL_TIME = "SELECT virtual_time FROM cluster_settings WHERE id = 1"
KEEP_VIRTUAL_TIME = "UPDATE cluster_settings SET virtual_time = ? WHERE id = 1"


class VirtualTimeUnits(Units):
    """No part of `Store`: the clock of a cluster is the database's own. Each unit is one transaction."""

    async def virtual_time(self) -> int | None:
        """The instant that was kept last, microseconds UTC; None for none.

        Raises:
            StoreError: the file cannot be read.
        """
        (at,) = await self._read(lambda connection: connection.execute(READ_VIRTUAL_TIME).fetchone())
        return None if at is None else int(at)

    async def keep_virtual_time(self, at: int) -> None:
        """Keep an instant.

        Raises:
            StoreError: the file cannot be written.
        """
        await self._write(lambda connection: connection.execute(KEEP_VIRTUAL_TIME, (at,)))
