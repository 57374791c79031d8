"""A chain of executions stays one: each once, newest first, whatever joins it."""

from hypothesis import given
from hypothesis import strategies as st

from mainspring.server.core.execution_chain import Link, woven

TIMES = st.lists(st.integers(0, 40), unique=True, max_size=12)


def _walk(head: int | None, links: dict[int, int | None]) -> list[int]:
    found: list[int] = []
    while head is not None and head in links:
        found.append(head)
        head = links[head]
    return found


def _down_to(head: int | None, links: dict[int, int | None], first: int) -> list[Link]:
    """What a store reads: nothing when the newest execution is before all that join."""
    read: list[Link] = []
    for at in _walk(head, links):
        if at < first and (not read or read[-1].scheduled_at < first):
            break
        read.append(Link(at, links[at]))
    below = links.get(read[-1].scheduled_at) if read else None
    return [*read, Link(below, links[below])] if below is not None and below in links else read


@given(TIMES, st.lists(TIMES.filter(bool), min_size=1, max_size=4), st.booleans())
def test_every_execution_is_in_the_chain_once_newest_first(
    before: list[int], batches: list[list[int]], is_cut: bool
) -> None:
    order = sorted(before)
    links: dict[int, int | None] = {at: previous for previous, at in zip([None, *order], order, strict=False)}
    head = order[-1] if order else None
    if is_cut and order:
        links[order[0]] = -1  # its predecessor has been removed
    for batch in batches:
        outcome = woven(head, _down_to(head, links, min(batch)), batch)
        assert outcome.existing == sorted(set(batch) & links.keys())
        assert {link.scheduled_at for link in outcome.new} == set(batch) - links.keys()
        assert {link.scheduled_at for link in outcome.changed} <= links.keys()
        links.update(outcome.new)
        links.update(outcome.changed)
        head = outcome.head_at
        assert _walk(head, links) == sorted(links, reverse=True)


def test_what_is_newest_names_the_head_without_a_look_at_the_chain() -> None:
    outcome = woven(10, [], [12, 15])
    assert outcome == (15, [Link(12, 10), Link(15, 12)], [], [])


def test_one_that_belongs_below_the_head_changes_the_link_above_it() -> None:
    outcome = woven(20, [Link(20, 10), Link(10, None)], [15])
    assert outcome == (20, [Link(15, 10)], [Link(20, 15)], [])
