"""From when on what has ended is old, and where it is looked for."""

from __future__ import annotations

from mainspring.server.core.namespaces import (
    DAY_US,
    EARLIEST,
    OVERLAP_US,
    Cutoffs,
    Namespace,
    Span,
    cutoffs_at,
)

NOW = 1_800_000_000_000_000
HOUR_US = DAY_US // 24


def test_a_namespace_that_nobody_created_has_the_default() -> None:
    cutoffs = cutoffs_at(NOW, [Namespace("a", 5)])
    assert (cutoffs.of("a"), cutoffs.of("b")) == (NOW - 5, NOW - 30 * DAY_US)


def test_of_namespaces_whose_keys_begin_alike_the_longer_retention_counts() -> None:
    cutoffs = Cutoffs(NOW, {"a1": NOW - 1, "a2": NOW - 9, "b": NOW - 3})
    assert cutoffs.by_beginning(lambda name: name[:1].encode()) == {b"a": NOW - 9, b"b": NOW - 3}


def test_the_first_look_is_everywhere_and_later_ones_where_something_became_old() -> None:
    namespaces = [Namespace("a", DAY_US), Namespace("b", 40 * DAY_US)]
    first, later = cutoffs_at(NOW, namespaces), cutoffs_at(NOW + HOUR_US, namespaces)

    assert first.spans(None) == [Span(EARLIEST, NOW - DAY_US)]
    assert later.spans(first) == [
        Span(NOW - days * DAY_US - OVERLAP_US, NOW + HOUR_US - days * DAY_US) for days in (40, 30, 1)
    ]


def test_stretches_that_meet_are_looked_at_once() -> None:
    namespaces = [Namespace("a", 30 * DAY_US + HOUR_US), Namespace("b", 30 * DAY_US)]
    first, later = cutoffs_at(NOW, namespaces), cutoffs_at(NOW + 1, namespaces)
    at = NOW - 30 * DAY_US
    assert later.spans(first) == [Span(at - HOUR_US - OVERLAP_US, at + 1)]


def test_another_namespace_or_retention_is_looked_for_everywhere() -> None:
    first = cutoffs_at(NOW, [Namespace("a", DAY_US)])
    for namespaces in ([], [Namespace("a", 2 * DAY_US)], [Namespace("a", DAY_US), Namespace("b", DAY_US)]):
        later = cutoffs_at(NOW + 5, namespaces)
        assert later.spans(first)[0].from_at == EARLIEST
