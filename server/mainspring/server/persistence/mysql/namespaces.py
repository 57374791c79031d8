"""Namespaces that were created."""

from __future__ import annotations

from mainspring.server.core.namespaces import Namespace
from mainspring.server.persistence.mysql.database import Units
from mainspring.server.persistence.mysql.literals import text

INSERT_NAMESPACE = """INSERT INTO namespaces (name, retention_us, created_at, updated_at)
VALUES (%(name)s, %(retention_us)s, %(now)s, %(now)s)
ON DUPLICATE KEY UPDATE namespaces.name = namespaces.name"""

UPDATE_NAMESPACE = (
    """UPDATE namespaces SET retention_us = %(retention_us)s, updated_at = %(now)s WHERE name = %(name)s"""
)

READ_NAMESPACE = "SELECT name, retention_us, created_at, updated_at FROM namespaces WHERE name = %(name)s"

LIST_NAMESPACES = """SELECT name, retention_us, created_at, updated_at FROM namespaces FORCE INDEX (PRIMARY)
WHERE name > %(after)s ORDER BY name LIMIT %(limit)s"""


class NamespaceUnits(Units):
    """Implements `NamespaceStore`."""

    async def create_namespace(self, namespace: Namespace, now: int) -> tuple[Namespace, bool]:
        """See `NamespaceStore.create_namespace`."""
        values = {"name": text(namespace.name), "retention_us": int(namespace.retention_us), "now": int(now)}
        is_new = await self._db.write(self._db.api, INSERT_NAMESPACE % values) > 0
        return await self.get_namespace(namespace.name) or namespace, is_new

    async def update_namespace(self, name: str, retention_us: int | None, now: int) -> Namespace | None:
        """See `NamespaceStore.update_namespace`."""
        if retention_us is not None:
            values = {"name": text(name), "retention_us": int(retention_us), "now": int(now)}
            await self._db.write(self._db.api, UPDATE_NAMESPACE % values)
        return await self.get_namespace(name)

    async def get_namespace(self, name: str) -> Namespace | None:
        """See `NamespaceStore.get_namespace`."""
        rows = await self._db.read(self._db.query, READ_NAMESPACE % {"name": text(name)})
        return Namespace(*rows[0]) if rows else None

    async def list_namespaces(self, after: str, limit: int) -> list[Namespace]:
        """See `NamespaceStore.list_namespaces`."""
        values = {"after": text(after), "limit": int(limit)}
        return [Namespace(*row) for row in await self._db.read(self._db.query, LIST_NAMESPACES % values)]
