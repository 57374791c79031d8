"""All rules together."""

from __future__ import annotations

from fuzz.caller import Tally
from fuzz.many import Many
from fuzz.namespaces import Namespaces
from fuzz.nodes import NodePool
from fuzz.reading import Reading
from fuzz.refusing import Refusing


class Machine(Many, Reading, Namespaces, Refusing):
    """A client that does everything, in any order."""


def machine(nodes: NodePool, counted: Tally) -> type[Machine]:
    """A machine that calls these nodes and counts there."""

    class OnThese(Machine):
        pool = nodes
        tally = counted

    OnThese.__name__ = OnThese.__qualname__ = "Machine"
    return OnThese
