"""A store between the engine and the database in memory: it delays, fails, loses answers and holds calls, as told.

It answers what the database answers and writes nothing itself. It remembers what was recorded, so that nothing can be
sent without.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mainspring.server.core.attempt import AssignOutcome, Dispatchable
from mainspring.server.core.claim import ClaimItem, ClaimOutcome
from mainspring.server.core.model import TaskRef
from mainspring.server.dispatch.frames import AttemptId
from mainspring.server.persistence.sqlite.store import SQLiteStore

UNITS = (
    "create_tasks",
    "load_due_tasks",
    "load_open_executions",
    "claim",
    "recover_claim",
    "assign",
    "complete",
    "retry",
    "extend",
    "add_executions",
    "remove_task",
    "read_partitions",
    "record_handovers",
    "remove_executions",
    "remove_tasks",
    "trim_histories",
)
"""The units that the engine calls and that can be made to fail."""


class Gate:
    """A call that is held: wait for `reached`, then `release` it."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._open = asyncio.Event()

    def release(self) -> None:
        self._open.set()

    async def pass_through(self) -> None:
        self.reached.set()
        await self._open.wait()


@dataclass(frozen=True)
class Fault:
    """What happens to one call of a unit: waiting, an error, or something of the test's own.

    `is_applied`: it happens behind the database's commit, so that only the answer is lost.
    """

    error: Exception | None = None
    is_applied: bool = False
    delay_s: float = 0.0
    gate: Gate | None = None
    action: Callable[[], None] | None = None
    when: Callable[..., bool] = lambda *args, **kwargs: True

    async def happen(self) -> None:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.gate is not None:
            await self.gate.pass_through()
        if self.action is not None:
            self.action()
        if self.error is not None:
            raise self.error


class FaultyStore:
    """Implements `Store` by passing calls on; faults are used up in the order in which they were planned."""

    def __init__(self, inner: SQLiteStore) -> None:
        self.inner = inner
        self.recorded: dict[AttemptId, str] = {}
        """Every attempt that a committed unit recorded, with its executor."""
        self.calls: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        """The arguments of each call, by unit."""
        self._once: dict[str, deque[Fault]] = defaultdict(deque)
        self._always: dict[str, Fault] = {}
        self.locked: set[TaskRef] = set()
        """Tasks that a call has locked: a claim drops them, as it does where it skips locked rows."""

    # --- planning ------------------------------------------------------------------------------------------------

    def once(self, unit: str, error: Exception | None = None, **fault: Any) -> None:
        """The next call (that `when` is true for) meets this fault."""
        assert unit in UNITS
        self._once[unit].append(Fault(error, **fault))

    def always(self, unit: str, error: Exception | None = None, **fault: Any) -> None:
        """Each call meets this fault, until `heal`."""
        assert unit in UNITS
        self._always[unit] = Fault(error, **fault)

    def hold(self, unit: str, **fault: Any) -> Gate:
        """Holds the next call until it is released."""
        gate = Gate()
        self.once(unit, gate=gate, **fault)
        return gate

    def heal(self) -> None:
        """Ends all faults but those under way."""
        self._once.clear()
        self._always.clear()

    # --- the store's side ----------------------------------------------------------------------------------------

    @property
    def partition_count(self) -> int:
        return self.inner.partition_count

    def __getattr__(self, unit: str) -> Callable[..., Any]:
        if unit not in UNITS:
            return getattr(self.inner, unit)  # type: ignore[no-any-return]

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[unit].append(args)
            fault = self._fault(unit, args, kwargs)
            if fault is not None and not fault.is_applied:
                await fault.happen()
            if unit == "claim" and self.locked:
                answer = await self._claim_unlocked(*args, **kwargs)
            else:
                answer = await getattr(self.inner, unit)(*args, **kwargs)
            self._note(answer)
            if fault is not None and fault.is_applied:
                await fault.happen()
            return answer

        return call

    def _fault(self, unit: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Fault | None:
        planned = self._once[unit]
        if planned and planned[0].when(*args, **kwargs):
            return planned.popleft()
        always = self._always.get(unit)
        return always if always is not None and always.when(*args, **kwargs) else None

    async def _claim_unlocked(
        self, owner_id: str, epochs: Mapping[int, int], items: Sequence[ClaimItem], **kwargs: Any
    ) -> ClaimOutcome:
        free = [item for item in items if item.due.ref not in self.locked]
        outcome = await self.inner.claim(owner_id, epochs, free, **kwargs)
        dropped = [*outcome.dropped, *(item for item in items if item.due.ref in self.locked)]
        return replace(outcome, dropped=dropped)

    def _note(self, answer: Any) -> None:
        recorded: Iterable[Dispatchable] = ()
        if isinstance(answer, ClaimOutcome):
            recorded = answer.claimed
        elif isinstance(answer, AssignOutcome):
            recorded = answer.dispatchable
        for item in recorded:
            if item.executor_id is not None:
                self.recorded[AttemptId(item.ref, item.attempt)] = item.executor_id
