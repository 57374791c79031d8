"""Namespaces that were created."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from mainspring.server.core.model import Delivery
from mainspring.server.core.namespaces import Namespace
from mainspring.server.persistence.mysql.database import Transaction, Units
from mainspring.server.persistence.mysql.literals import text

_COLUMNS = "name, retention_us, created_at, updated_at, version, delivery, policies"

INSERT_NAMESPACE = f"""INSERT INTO namespaces ({_COLUMNS})
VALUES (%(name)s, %(retention_us)s, %(created_at)s, %(created_at)s, 1, %(delivery)s, %(policies)s)
ON DUPLICATE KEY UPDATE namespaces.name = namespaces.name"""

CHANGE_NAMESPACE = """UPDATE namespaces SET retention_us = %(retention_us)s, updated_at = %(updated_at)s,
  version = %(version)s, delivery = %(delivery)s, policies = %(policies)s
WHERE name = %(name)s"""

READ_NAMESPACE = f"SELECT {_COLUMNS} FROM namespaces WHERE name = %(name)s"

LIST_NAMESPACES = f"""SELECT {_COLUMNS} FROM namespaces FORCE INDEX (PRIMARY)
WHERE name > %(after)s ORDER BY name LIMIT %(limit)s"""


class NamespaceUnits(Units):
    """Implements `NamespaceStore`."""

    async def create_namespace(self, namespace: Namespace, now: int) -> tuple[Namespace, bool]:
        """See `NamespaceStore.create_namespace`."""
        values = {**_values(namespace), "created_at": int(now)}
        is_new = await self._db.write(self._db.api, INSERT_NAMESPACE % values) > 0
        return await self.get_namespace(namespace.name) or namespace, is_new

    async def change_namespace(
        self, name: str, change: Callable[[Namespace], Namespace | None]
    ) -> Namespace | None:
        """See `NamespaceStore.change_namespace`."""

        async def body(transaction: Transaction) -> Namespace | None:
            (read,) = await transaction.run(READ_NAMESPACE % {"name": text(name)} + " FOR UPDATE")
            if not read.rows or read.rows[0][0] != name:
                return None
            stored = _from_row(read.rows[0])
            changed = change(stored)
            if changed is None:
                return stored
            await transaction.run(CHANGE_NAMESPACE % _values(changed))
            return changed

        return await self._db.transaction(self._db.api, body)

    async def get_namespace(self, name: str) -> Namespace | None:
        """See `NamespaceStore.get_namespace`."""
        rows = await self._db.read(self._db.query, READ_NAMESPACE % {"name": text(name)})
        # To the database a name with blanks behind it is the same; nobody can create one.
        return _from_row(rows[0]) if rows and rows[0][0] == name else None

    async def list_namespaces(self, after: str, limit: int) -> list[Namespace]:
        """See `NamespaceStore.list_namespaces`."""
        values = {"after": text(after), "limit": int(limit)}
        return [_from_row(row) for row in await self._db.read(self._db.query, LIST_NAMESPACES % values)]


def _from_row(row: tuple[Any, ...]) -> Namespace:
    name, retention_us, created_at, updated_at, version, delivery, policies = row
    return Namespace(name, retention_us, created_at, updated_at, version, Delivery(delivery), policies)


def _values(namespace: Namespace) -> dict[str, object]:
    return {
        **asdict(namespace),
        "name": text(namespace.name),
        "delivery": int(namespace.delivery),
        "policies": text(namespace.policies),
    }
