"""The table of transitions is the diagram of docs/design.md, and has the properties that the invariants ask for."""

from __future__ import annotations

import re
from pathlib import Path

from mainspring.server.core.execution_life import TRANSITIONS, is_allowed
from mainspring.server.core.model import ExecutionState

DESIGN = Path(__file__).parents[3] / "docs" / "design.md"
ARROW = re.compile(r"^ +(\[\*\]|[A-Z]+) --> ([A-Z]+): (\S.*)$")


def drawn() -> list[tuple[ExecutionState | None, ExecutionState]]:
    """The arrows of the diagram."""
    text = DESIGN.read_text()
    section = text[text.index("## Life of an execution") :]
    diagram = section[section.index("```mermaid\nstateDiagram-v2\n") :]
    lines = diagram[: diagram.index("\n```\n")].splitlines()[2:]
    arrows = [ARROW.match(line) for line in lines]
    assert all(arrows), "each line of the diagram is an arrow with its cause"
    return [
        (None if arrow[1] == "[*]" else ExecutionState[arrow[1]], ExecutionState[arrow[2]])
        for arrow in arrows
        if arrow
    ]


def test_the_diagram_and_the_table_are_the_same() -> None:
    arrows = drawn()
    assert len(arrows) == len(set(arrows))
    assert set(arrows) == TRANSITIONS


def test_a_final_state_never_changes() -> None:
    for state in ExecutionState:
        if state.is_final:
            assert not any(is_allowed(state, after) for after in ExecutionState)


def test_each_state_is_reached_and_each_open_one_left() -> None:
    reached: set[ExecutionState] = set()
    heads: set[ExecutionState | None] = {None}
    while heads:
        after = {to for before, to in TRANSITIONS if before in heads} - reached
        reached |= after
        heads = set(after)
    assert reached == set(ExecutionState)
    for state in ExecutionState:
        if not state.is_final:
            assert any(before is state and after.is_final for before, after in TRANSITIONS)
            assert is_allowed(state, state), "a sign of life leaves it where it is"
