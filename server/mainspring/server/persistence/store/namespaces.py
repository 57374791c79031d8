"""What the API asks a database about namespaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mainspring.server.core.namespaces import Namespace


class NamespaceStore(Protocol):
    """Namespaces that were created. Safe from any node."""

    async def create_namespace(self, namespace: Namespace, now: int) -> tuple[Namespace, bool]:
        """Writes a namespace unless there is one of that name; answers the stored one, and whether it is new."""
        ...

    async def change_namespace(
        self, name: str, change: Callable[[Namespace], Namespace | None]
    ) -> Namespace | None:
        """Reads a namespace under a lock, has it changed, and answers it as it is then; None: there is none.

        `change` may be called again, and what it raises comes out; where it answers None nothing changes.
        """
        ...

    async def get_namespace(self, name: str) -> Namespace | None:
        """Reads one."""
        ...

    async def list_namespaces(self, after: str, limit: int) -> list[Namespace]:
        """Reads up to `limit`, behind `after` in the order of the names."""
        ...
