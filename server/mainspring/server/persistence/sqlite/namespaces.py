"""Namespaces that were created."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from mainspring.server.core.model import Delivery
from mainspring.server.core.namespaces import Namespace
from mainspring.server.persistence.sqlite.database import Units

_COLUMNS = "name, retention_us, created_at, updated_at, version, delivery, policies"
INSERT_NAMESPACE = f"""INSERT INTO namespaces ({_COLUMNS})
VALUES (:name, :retention_us, :created_at, :created_at, 1, :delivery, :policies)
ON CONFLICT DO NOTHING"""
CHANGE_NAMESPACE = """UPDATE namespaces SET retention_us = :retention_us, updated_at = :updated_at, version = :version,
  delivery = :delivery, policies = :policies
WHERE name = :name"""
READ_NAMESPACE = f"SELECT {_COLUMNS} FROM namespaces WHERE name = ?"
LIST_NAMESPACES = f"SELECT {_COLUMNS} FROM namespaces WHERE name > ? ORDER BY name LIMIT ?"


class NamespaceUnits(Units):
    """Implements `NamespaceStore`."""

    async def create_namespace(self, namespace: Namespace, now: int) -> tuple[Namespace, bool]:
        """See `NamespaceStore.create_namespace`."""

        def body(connection: sqlite3.Connection) -> tuple[Namespace, bool]:
            values = {**asdict(namespace), "created_at": now}
            is_new = connection.execute(INSERT_NAMESPACE, values).rowcount > 0
            return _from_row(connection.execute(READ_NAMESPACE, (namespace.name,)).fetchone()), is_new

        return await self._write(body)

    async def change_namespace(
        self, name: str, change: Callable[[Namespace], Namespace | None]
    ) -> Namespace | None:
        """See `NamespaceStore.change_namespace`."""

        def body(connection: sqlite3.Connection) -> Namespace | None:
            row = connection.execute(READ_NAMESPACE, (name,)).fetchone()
            if row is None:
                return None
            stored = _from_row(row)
            changed = change(stored)
            if changed is None:
                return stored
            connection.execute(CHANGE_NAMESPACE, asdict(changed))
            return changed

        return await self._write(body)

    async def get_namespace(self, name: str) -> Namespace | None:
        """See `NamespaceStore.get_namespace`."""
        row = await self._read(lambda connection: connection.execute(READ_NAMESPACE, (name,)).fetchone())
        return None if row is None else _from_row(row)

    async def list_namespaces(self, after: str, limit: int) -> list[Namespace]:
        """See `NamespaceStore.list_namespaces`."""
        rows = await self._read(
            lambda connection: connection.execute(LIST_NAMESPACES, (after, limit)).fetchall()
        )
        return [_from_row(row) for row in rows]


def _from_row(row: tuple[Any, ...]) -> Namespace:
    name, retention_us, created_at, updated_at, version, delivery, policies = row
    return Namespace(name, retention_us, created_at, updated_at, version, Delivery(delivery), policies)
