"""Namespaces that were created."""

from __future__ import annotations

import sqlite3

from mainspring.server.core.namespaces import Namespace
from mainspring.server.persistence.sqlite.database import Units

INSERT_NAMESPACE = """INSERT INTO namespaces (name, retention_us, created_at, updated_at) VALUES (?, ?, ?, ?)
ON CONFLICT DO NOTHING"""
UPDATE_NAMESPACE = "UPDATE namespaces SET retention_us = ?, updated_at = ? WHERE name = ?"
READ_NAMESPACE = "SELECT name, retention_us, created_at, updated_at FROM namespaces WHERE name = ?"
LIST_NAMESPACES = """SELECT name, retention_us, created_at, updated_at FROM namespaces
WHERE name > ? ORDER BY name LIMIT ?"""


class NamespaceUnits(Units):
    """Implements `NamespaceStore`."""

    async def create_namespace(self, namespace: Namespace, now: int) -> tuple[Namespace, bool]:
        """See `NamespaceStore.create_namespace`."""

        def body(connection: sqlite3.Connection) -> tuple[Namespace, bool]:
            values = (namespace.name, namespace.retention_us, now, now)
            is_new = connection.execute(INSERT_NAMESPACE, values).rowcount > 0
            return Namespace(*connection.execute(READ_NAMESPACE, (namespace.name,)).fetchone()), is_new

        return await self._write(body)

    async def update_namespace(self, name: str, retention_us: int | None, now: int) -> Namespace | None:
        """See `NamespaceStore.update_namespace`."""

        def body(connection: sqlite3.Connection) -> Namespace | None:
            if retention_us is not None:
                connection.execute(UPDATE_NAMESPACE, (retention_us, now, name))
            row = connection.execute(READ_NAMESPACE, (name,)).fetchone()
            return None if row is None else Namespace(*row)

        return await self._write(body)

    async def get_namespace(self, name: str) -> Namespace | None:
        """See `NamespaceStore.get_namespace`."""
        row = await self._read(lambda connection: connection.execute(READ_NAMESPACE, (name,)).fetchone())
        return None if row is None else Namespace(*row)

    async def list_namespaces(self, after: str, limit: int) -> list[Namespace]:
        """See `NamespaceStore.list_namespaces`."""
        rows = await self._read(
            lambda connection: connection.execute(LIST_NAMESPACES, (after, limit)).fetchall()
        )
        return [Namespace(*row) for row in rows]
