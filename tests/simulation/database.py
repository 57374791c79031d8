"""The one database, and each node's connections to it: delays, cuts, lost answers, contention.

A unit travels to the database, is carried out there in one piece, and its answer travels back. What a node sees when
something goes wrong is what the MySQL store promises (`persistence/store.py`):

- StoreUnavailable: nothing was applied, or it was a read;
- UnknownOutcome: it may have been applied. It may also be applied later: what a silent link held back arrives when that
  heals, within the 3 s after which the server has ended the session;
- Contention: nothing was applied.

A claim takes two round trips, for it is a transaction of several statements: it locks, the node hears of that and sends the
commit. Whoever asks what became of it waits while it is under way, as the rows' locks make him.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from simulation.clock import at_of
from simulation.network import OPEN, REFUSED, SILENT, Network
from simulation.trace import Trace

from mainspring.server.errors import Contention, StoreUnavailable, UnknownOutcome
from mainspring.server.persistence.sqlite.store import SQLiteStore
from mainspring.testing.virtual_time import SeededLoop, process_context

DATABASE = "database"
UNIT_DEADLINE_S = 3.0
"""The node gives a unit up after this."""
SESSION_TIMEOUT_S = 3.0
"""The server ends a session after this silence: nothing that was sent before is applied later."""
READS = frozenset(
    {
        "get_task",
        "list_tasks",
        "get_execution",
        "get_gap",
        "get_namespace",
        "list_namespaces",
        "list_task_executions",
        "list_executions",
        "database_time",
        "load_due_tasks",
        "load_open_executions",
        "read_partitions",
        "read_versions",
    }
)
SPLIT = frozenset({"take_partitions", "release_partitions", "reassert_partitions"})
"""Units of several statements, each committed by itself: a break may come between two of them."""


@dataclass(frozen=True)
class Weather:
    """How often a unit meets with an accident of its own; shares of all calls."""

    unavailable: float = 0.0
    contention: float = 0.0
    lost_before: float = 0.0
    """The connection broke before anything was applied; a write's outcome is unknown."""
    lost_after: float = 0.0
    """The answer of the commit was lost."""
    slow: float = 0.0
    slow_s: float = 1.0
    """What a slow unit takes at most."""


@dataclass(frozen=True)
class Moment:
    """When a claim of a node has its locks ("lock"), or is committed and not answered yet ("commit")."""

    process: str
    point: str
    happen: Callable[[], None]


@dataclass(eq=False)
class _Call:
    """One unit on its way."""

    process: str
    unit: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    answer: asyncio.Future[Any]
    sent_s: float
    fate: str | None
    is_ended: bool = False

    @property
    def is_read(self) -> bool:
        return self.unit in READS


class SimDatabase:
    """The database's process. `is_over`: the run is over and everything fails at once."""

    def __init__(
        self, loop: SeededLoop, network: Network, trace: Trace, partitions: int, rng: Random
    ) -> None:
        self.loop = loop
        self.network = network
        self.trace = trace
        self.rng = rng
        self.store = SQLiteStore(":memory:", partitions, now=lambda: at_of(loop.time()))
        self.context = process_context(DATABASE)
        self.weather = Weather()
        self.is_over = False
        self.writer = ""
        """Whose unit is carried out."""
        self._claims: list[tuple[_Call, set[Any]]] = []
        self._waiting: list[Callable[[], None]] = []
        self.moments: list[Moment] = []
        """Faults that wait for a claim to get that far."""
        run_at_once(self.store.start())
        connection = self.store._db._connection
        assert connection is not None
        self.connection: sqlite3.Connection = connection

    def later(self, delay_s: float, call: Callable[..., None], *args: Any) -> None:
        """Has something done by the database, if it is not frozen."""
        self.loop.call_later(delay_s, call, *args, context=self.context)

    def carry_out(self, call: _Call) -> Any:
        """Applies a unit, whole. Raises what the store raises."""
        self.writer = call.process
        return run_at_once(getattr(self.store, call.unit)(*call.args, **call.kwargs))

    def reached(self, call: _Call, point: str) -> None:
        """A claim got as far as this: what waited for that happens now."""
        for moment in [m for m in self.moments if (m.process, m.point) == (call.process, point)]:
            self.moments.remove(moment)
            moment.happen()

    # --- claims under way ----------------------------------------------------------------------------------------

    def lock(self, call: _Call) -> None:
        """A claim has its locks: it is under way until `unlock`."""
        self._claims.append((call, {item.due.ref for item in call.args[2]}))
        self.reached(call, "lock")

    def unlock(self, call: _Call) -> None:
        """It has ended, either way."""
        self._claims = [(other, refs) for other, refs in self._claims if other is not call]
        waiting, self._waiting = self._waiting, []
        for look_again in waiting:
            look_again()

    def when_unlocked(self, call: _Call, proceed: Callable[[], None]) -> None:
        """Proceeds when no claim of these tasks is under way any more."""
        wanted = {item.due.ref for item in call.args[2]}
        if any(wanted & refs for _, refs in self._claims):
            self._waiting.append(lambda: self.when_unlocked(call, proceed))
        else:
            proceed()


class NodeStore:
    """One node's store: implements `Store`."""

    def __init__(self, database: SimDatabase, process: str) -> None:
        self._database = database
        self._process = process
        self._link = database.network.link(process, DATABASE)
        self._context = process_context(process)
        self._loop = database.loop

    @property
    def partition_count(self) -> int:
        return self._database.store.partition_count

    async def start(self) -> None:
        """The database was opened when it was made."""

    async def close(self) -> None:
        """It is closed when the run is over."""

    def __getattr__(self, unit: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        if unit.startswith("_"):
            raise AttributeError(unit)
        call = partial(self._unit, unit)
        setattr(self, unit, call)
        return call

    async def _unit(self, unit: str, *args: Any, **kwargs: Any) -> Any:
        database, loop = self._database, self._loop
        if database.is_over:
            raise StoreUnavailable("the run is over")
        answer: asyncio.Future[Any] = loop.create_future()
        call = _Call(self._process, unit, args, kwargs, answer, loop.time(), self._fate(unit))
        deadline = loop.call_later(UNIT_DEADLINE_S, self._give_up, call)
        self._travel(self._delay_s(call), self._arrive, call)
        try:
            return await answer
        finally:
            deadline.cancel()

    def _fate(self, unit: str) -> str | None:
        weather, rng = self._database.weather, self._database.rng
        chance = rng.random()
        for fate in ("unavailable", "contention", "lost_before", "lost_after", "slow"):
            chance -= getattr(weather, fate)
            if chance < 0:
                return fate
        return None

    def _delay_s(self, call: _Call) -> float:
        delay_s = self._database.network.delay_s(self._link)
        if call.fate == "slow":
            delay_s += self._database.rng.random() * self._database.weather.slow_s
        return delay_s

    def _give_up(self, call: _Call) -> None:
        self._fail(call, is_unknown=True, reason="no answer within the deadline")

    def _fail(self, call: _Call, *, is_unknown: bool, reason: str) -> None:
        if call.answer.done():
            return
        if is_unknown and not call.is_read:
            self._database.trace.note("unknown_outcome", self._process, call.unit)
            call.answer.set_exception(UnknownOutcome(reason))
        else:
            self._database.trace.note("unavailable", self._process, call.unit)
            call.answer.set_exception(StoreUnavailable(reason))

    # --- there ---------------------------------------------------------------------------------------------------

    def _travel(self, delay_s: float, arrive: Callable[[_Call], None], call: _Call) -> None:
        """To the database, unless the link refuses. What a silent link holds back is dropped when the session ends."""
        link, database = self._link, self._database

        def at_the_end() -> None:
            if link.state == REFUSED:
                if not call.is_ended:
                    database.later(0.0, self._end, call)
                database.network.later(
                    0.002, self._broke, call, arrive != self._arrive or database.rng.random() < 0.5
                )
            elif link.state == SILENT:
                link.held.append(lambda: database.later(0.0, arrive, call))
                left_s = call.sent_s + SESSION_TIMEOUT_S - self._loop.time()
                database.later(max(0.0, left_s), self._end, call)
            else:
                database.later(0.0, arrive, call)

        database.network.later(delay_s, at_the_end)

    def _broke(self, call: _Call, is_unknown: bool) -> None:
        self._fail(call, is_unknown=is_unknown, reason="the connection broke")

    def _end(self, call: _Call) -> None:
        """Its session has ended: it is never applied from here on."""
        if not call.is_ended:
            call.is_ended = True
            if call.unit == "claim":
                self._database.unlock(call)

    def _arrive(self, call: _Call) -> None:
        database = self._database
        if call.is_ended:
            return
        if call.fate == "unavailable":
            self._answer(call, None, StoreUnavailable("planned"))
        elif call.fate == "contention" and not call.is_read:
            self._answer(call, None, Contention("planned"))
        elif call.fate == "lost_before":
            self._end(call)
            database.network.later(0.002, self._broke, call, True)
        elif call.unit == "claim":
            if call.answer.done():
                self._end(call)  # the node has given up and closed the connection
                return
            database.lock(call)
            database.later(SESSION_TIMEOUT_S, self._end, call)
            database.network.later(self._delay_s(call), self._locked, call)
        elif call.unit == "recover_claim":
            database.when_unlocked(call, lambda: self._apply(call))
        else:
            self._apply(call)

    def _locked(self, call: _Call) -> None:
        """The node hears that it has the locks; a living one sends the commit."""
        if self._database.network.is_dead(self._process):
            self._database.later(0.0, self._end, call)
        else:
            self._loop.call_soon(self._commit, call, context=self._context)

    def _commit(self, call: _Call) -> None:
        if call.answer.done():
            self._database.network.later(0.001, self._end, call)
        else:
            self._travel(self._delay_s(call), self._apply, call)

    def _apply(self, call: _Call) -> None:
        database, trace = self._database, self._database.trace
        if call.is_ended:
            return
        call.is_ended = True
        if call.fate == "lost_after" and call.unit in SPLIT and len(call.args[0]) > 1:
            call.args = (call.args[0][: database.rng.randrange(1, len(call.args[0]) + 1)], *call.args[1:])
        answer, error = None, None
        try:
            answer = database.carry_out(call)
        except Exception as failure:
            error = failure
        if not call.is_read:
            trace.note("commit", self._process, call.unit, _brief(answer), error is not None)
        if call.unit == "claim":
            database.unlock(call)
            if error is None:
                database.reached(call, "commit")
        if call.fate == "lost_after" and not call.is_read:
            database.network.later(0.002, self._broke, call, True)
        else:
            self._answer(call, answer, error)

    # --- and back ------------------------------------------------------------------------------------------------

    def _answer(self, call: _Call, answer: Any, error: Exception | None) -> None:
        network, link = self._database.network, self._link

        def arrive() -> None:
            if link.state == REFUSED:
                self._broke(call, error is None)
            elif link.state == OPEN and not call.answer.done():
                if error is not None:
                    call.answer.set_exception(error)
                else:
                    call.answer.set_result(answer)

        network.later(network.delay_s(link), arrive)


def run_at_once(unit: Coroutine[Any, Any, Any]) -> Any:
    """Runs a unit of the store in memory to its end: it yields to the loop and waits for nothing else."""
    try:
        while True:
            unit.send(None)
    except StopIteration as end:
        return end.value


def _brief(answer: Any) -> object:
    """What a trace shows of a unit's answer."""
    if hasattr(answer, "claimed"):
        return [tuple(c.ref) for c in answer.claimed], len(answer.dropped), sorted(answer.refused)
    if hasattr(answer, "dispatchable"):
        return [(tuple(c.ref), c.attempt) for c in answer.dispatchable], sorted(answer.refused)
    if isinstance(answer, frozenset):
        return sorted(answer)
    if isinstance(answer, list):
        return len(answer)
    return None
