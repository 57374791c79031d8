"""Every statement finds its rows by key: no scan of a table that grows, nothing collected to be sorted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from types import ModuleType

import pytest

from mainspring.server.persistence.sqlite import (
    additions,
    attempts,
    claims,
    fence,
    handovers,
    ledger,
    life_cycle,
    namespaces,
    partitions,
    recovery,
    retention,
    tasks,
    window,
)
from mainspring.server.persistence.sqlite.migrations import sqlite_migrations

MODULES = (
    *(additions, attempts, claims, fence, handovers, ledger, life_cycle, partitions, recovery, tasks),
    *(namespaces, retention, window),
)
HARMLESS = {
    # All rows, in key order: that is the question.
    "partitions.READ_PARTITIONS": {"SCAN partitions"},
    # Four groups at most.
    "tasks.COUNT_TASKS": {"USE TEMP B-TREE FOR GROUP BY"},
    # The recursion's own rows, at most CHAIN_STEPS.
    "ledger.FOLLOW_CHAIN": {"SCAN c", "SCAN chain", "USE TEMP B-TREE FOR ORDER BY"},
    "ledger.FIND_GAP": {"SCAN c", "SCAN chain", "USE TEMP B-TREE FOR ORDER BY"},
}


def _statements() -> Iterator[tuple[str, str]]:
    for module in MODULES:
        for name, value in _constants(module):
            yield f"{module.__name__.rpartition('.')[2]}.{name}", value


def _constants(module: ModuleType) -> Iterator[tuple[str, str]]:
    for name, value in vars(module).items():
        if name.isupper() and not name.startswith("_") and isinstance(value, str):
            yield name, value.replace("{condition}", "").replace("{states}", "")


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        for migration in sqlite_migrations():
            made.executescript(migration.script)
        yield made


@pytest.mark.parametrize(("name", "sql"), [pytest.param(*each, id=each[0]) for each in _statements()])
def test_the_plan_goes_by_keys(connection: sqlite3.Connection, name: str, sql: str) -> None:
    plan = _plan(connection, sql)
    bad = {step for step in plan if step.startswith("SCAN ") or "TEMP B-TREE" in step}
    assert bad <= HARMLESS.get(name, set()), plan
    if not name.rpartition(".")[2].startswith(("INSERT", "ADD")):
        assert plan


def test_the_plan_of_a_scan_would_be_noticed(connection: sqlite3.Connection) -> None:
    assert any(
        step.startswith("SCAN ") for step in _plan(connection, "SELECT 1 FROM executions WHERE result = x''")
    )


def _plan(connection: sqlite3.Connection, sql: str) -> list[str]:
    # Unbound parameters are NULL, which changes no plan.
    values: object = [None] * sql.count("?")
    if ":" in sql:
        values = dict.fromkeys(_names(sql))
    rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()  # type: ignore[arg-type]
    return [row[3] for row in rows]


def _names(sql: str) -> set[str]:
    parts = sql.split(":")[1:]
    return {"".join(c if c.isalnum() or c == "_" else " " for c in part).split(" ")[0] for part in parts}
