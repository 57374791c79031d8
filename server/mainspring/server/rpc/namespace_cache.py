"""What this node knows of namespaces: a registration reads that of its task, and must not cost another statement."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from dataclasses import dataclass, field

from mainspring.server.clock import Clock
from mainspring.server.core.namespaces import Namespace
from mainspring.server.core.task_defaults import NO_DEFAULTS, TaskDefaults
from mainspring.server.errors import InvalidField, StoreError
from mainspring.server.persistence.store.namespaces import NamespaceStore
from mainspring.server.rpc import validation
from mainspring.v1 import task_pb2

OLDEST_S = 5.0
"""How old what is answered may be. So long other nodes go on with what a call has changed."""
MOST = 1_000
"""Names kept, the latest used ones: a caller may ask for any."""


@dataclass(slots=True)
class _Known:
    namespace: Namespace
    read_s: float = -math.inf
    failed_s: float = -math.inf
    error: StoreError | None = None
    """Of the read that failed then."""
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class NamespaceCache:
    """Answers from memory what was read less than 5 s ago. Calls that miss together share one read, and its failure."""

    def __init__(self, clock: Clock, store: NamespaceStore) -> None:
        self._clock = clock
        self._store = store
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def get(self, name: str) -> Namespace:
        """The namespace of that name, with its defaults when nobody created it.

        Raises:
            StoreError: it had to be read and could not be.
        """
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = _Known(Namespace(name))
            if len(self._known) > MOST:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(name)
        if self._is_fresh(known):
            return known.namespace
        asked_s = self._clock.monotonic()
        async with known.reading:
            if self._is_fresh(known):
                return known.namespace
            if known.error is not None and known.failed_s > asked_s:
                raise known.error  # it was read for this call as well
            began_s = self._clock.monotonic()
            try:
                known.namespace = await self._store.get_namespace(name) or Namespace(name)
            except StoreError as error:
                known.error, known.failed_s = error, self._clock.monotonic()
                raise
            known.read_s, known.error = began_s, None
        return known.namespace

    async def defaults_of(self, task: task_pb2.Task) -> TaskDefaults:
        """What a task of a caller gets where it leaves it open; nothing when its namespace cannot be one.

        Raises:
            StoreError: as `get`.
        """
        try:
            name = validation.name(task.namespace, "namespace", default=validation.DEFAULT_NAMESPACE)
        except InvalidField:
            return NO_DEFAULTS
        return (await self.get(name)).task_defaults

    def forget(self, name: str) -> None:
        """Has it read again: it was changed here. A read that is under way fills what nobody asks any more."""
        self._known.pop(name, None)

    def _is_fresh(self, known: _Known) -> bool:
        return self._clock.monotonic() - known.read_s < OLDEST_S
