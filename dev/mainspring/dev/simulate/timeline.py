"""The steps that are taken during a run, with everybody named before it begins. PURE.

Members are numbered from 1 in the order of their starts, so that a file can name them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mainspring.dev.simulate.config import Event, Problem, Simulation


@dataclass(frozen=True, slots=True)
class Step:
    """One event, with the member it is about."""

    at_s: float
    what: str
    member: str


class _Crew:
    """Who is there after the events so far."""

    def __init__(self, kind: str, count: int) -> None:
        self.kind = kind
        self.started = count
        self.present = [f"{kind}-{number}" for number in range(1, count + 1)]

    def join(self) -> str:
        self.started += 1
        self.present.append(f"{self.kind}-{self.started}")
        return self.present[-1]


def steps(simulation: Simulation) -> tuple[Step, ...]:
    """The steps in the order of their time.

    Raises:
        ValueError: An event is impossible; `problems` tells which.
    """
    found, wrong = _walk(simulation)
    if wrong:
        raise ValueError("; ".join(f"event[{number}].{name}: {text}" for number, (name, text) in wrong))
    return tuple(found)


def problems(simulation: Simulation) -> Iterator[tuple[int, Problem]]:
    """What is wrong with the events: the number of each in the file, counted from 1, and what."""
    return iter(_walk(simulation)[1])


def _walk(simulation: Simulation) -> tuple[list[Step], list[tuple[int, Problem]]]:
    nodes = _Crew("node", simulation.nodes.count)
    executors = _Crew("executor", simulation.executors.count)
    first_nodes = set(nodes.present)
    found: list[Step] = []
    wrong: list[tuple[int, Problem]] = []
    seconds = simulation.simulation.seconds
    for number, event in _in_order(simulation.event):
        kind, verb = event.what.split(" ")
        crew = nodes if kind == "node" else executors
        if event.at_s >= seconds:
            wrong.append(
                (number, ("at_s", f"{event.at_s:g} is not before the end of the time line ({seconds:g})"))
            )
        if verb == "joins":
            if event.which:
                wrong.append(
                    (number, ("which", "makes no sense for somebody who joins: it gets the next number"))
                )
            found.append(Step(event.at_s, event.what, crew.join()))
            continue
        if event.which and event.which not in crew.present:
            there = ", ".join(crew.present)
            wrong.append(
                (number, ("which", f"there is no {event.which!r} at {event.at_s:g} s; there are {there}"))
            )
            continue
        if len(crew.present) == 1:
            wrong.append((number, ("what", f"leaves no {kind}, and nothing could run any more")))
            continue
        member = event.which or crew.present[0]
        if crew is nodes and first_nodes & set(nodes.present) == {member}:
            text = f"{member} is the last of the first nodes, the only ones that the clients of a simulation know"
            wrong.append((number, ("which", text)))
            continue
        crew.present.remove(member)
        found.append(Step(event.at_s, event.what, member))
    return found, wrong


def _in_order(events: Sequence[Event]) -> list[tuple[int, Event]]:
    return sorted(enumerate(events, start=1), key=lambda item: (item[1].at_s, item[0]))
