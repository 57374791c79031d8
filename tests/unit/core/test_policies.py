"""Policies as stored text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.core.short import cron, once

from mainspring.server.core.policies import (
    DEFAULT,
    Misfire,
    MisfireMode,
    Overlap,
    Policies,
    Retry,
    Timeouts,
    decode,
    encode,
)
from mainspring.server.errors import UnreadablePolicies

US = st.integers(0, 10**14)
POLICIES = st.builds(
    Policies,
    misfire=st.builds(Misfire, st.sampled_from(MisfireMode), US, st.integers(1, 1_000)),
    overlap=st.none() | st.sampled_from(Overlap),
    retry=st.builds(
        Retry,
        st.integers(1, 1_000),
        US,
        US,
        st.floats(1, 10),
        st.floats(0, 1),
        st.lists(st.text(max_size=20), max_size=3).map(tuple),
    ),
    timeouts=st.builds(Timeouts, US, US, US),
    objective_us=US,
    keep=st.integers(0, 1_000),
)


@given(POLICIES)
def test_policies_survive_their_text(policies: Policies) -> None:
    assert decode(encode(policies)) == policies


def test_stored_texts_are_frozen() -> None:
    assert encode(DEFAULT) == ""
    assert decode("") is DEFAULT
    asked = Policies(
        Misfire(MisfireMode.ALL, limit=5), Overlap.REPLACE, Retry(3, non_retryable=("ValueError",)), keep=2
    )
    assert encode(asked) == (
        '{"keep":2,"misfire":{"limit":5,"mode":"ALL"},"overlap":"REPLACE",'
        '"retry":{"max_attempts":3,"non_retryable":["ValueError"]}}'
    )


def test_overlap_depends_on_the_schedule_unless_it_is_said() -> None:
    assert DEFAULT.overlap_of(once(5)) is Overlap.ALLOW
    assert DEFAULT.overlap_of(cron("0 0 * * *")) is Overlap.SKIP
    assert Policies(overlap=Overlap.REPLACE).overlap_of(once(5)) is Overlap.REPLACE


@pytest.mark.parametrize(
    "text", ["x", "[]", '{"moon":1}', '{"misfire":{"mode":"SOME"}}', '{"keep":"2"}', '{"retry":[]}']
)
def test_an_unknown_text_is_refused(text: str) -> None:
    with pytest.raises(UnreadablePolicies):
        decode(text)
