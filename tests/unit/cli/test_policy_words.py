"""Policies and labels in words: everything that is asked for is told, and nothing in them can steer a terminal."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.client.policy_strategies import LABELS, POLICIES

from mainspring.cli.policy_words import (
    labels_words,
    misfire_words,
    overlap_words,
    retry_words,
    timeouts_words,
)
from mainspring.client import MisfireMode, MisfirePolicy, OverlapPolicy, RetryPolicy, Timeouts

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("misfire", "words"),
    [
        (None, ""),
        (MisfirePolicy(), "latest"),
        (MisfirePolicy(MisfireMode.NONE), "none"),
        (MisfirePolicy(MisfireMode.ALL, 90 * SECOND, 1_000), "all of the last 1m30s, at most 1,000"),
    ],
)
def test_misfire(misfire: MisfirePolicy | None, words: str) -> None:
    assert misfire_words(misfire) == words


def test_overlap() -> None:
    assert [overlap_words(policy) for policy in (None, OverlapPolicy.BUFFER_ONE)] == ["", "buffer one"]


@pytest.mark.parametrize(
    ("retry", "words"),
    [
        (None, ""),
        (RetryPolicy(multiplier=1), "up to 1 attempt, 1s apart"),
        (RetryPolicy(3, multiplier=1), "up to 3 attempts, 1s apart"),
        (
            RetryPolicy(1_000, SECOND, 90 * SECOND, 1.5, 0.25, ["ValueError", "\x1b[31m"]),
            "up to 1,000 attempts, 1s apart, then 1.5 times as long each, at most 1m30s, jitter 0.25; "
            "not after ValueError, \\x1b[31m",
        ),
    ],
)
def test_retry(retry: RetryPolicy | None, words: str) -> None:
    assert retry_words(retry) == words


@pytest.mark.parametrize(
    ("timeouts", "words"),
    [
        (None, ""),
        (Timeouts(), ""),
        (Timeouts(heartbeat=SECOND), "heartbeat 1s"),
        (Timeouts(SECOND, 2 * SECOND, 3 * SECOND), "start 1s, run 2s, heartbeat 3s"),
    ],
)
def test_timeouts(timeouts: Timeouts | None, words: str) -> None:
    assert timeouts_words(timeouts) == words


def test_labels_are_in_order() -> None:
    assert labels_words({"tier": "1", "team": "\x1b[31m"}) == "team=\\x1b[31m, tier=1"


@given(LABELS, st.fixed_dictionaries(POLICIES))
def test_nothing_steers_a_terminal(labels: dict[str, str], policies: dict[str, Any]) -> None:
    words = [
        labels_words(labels),
        misfire_words(policies["misfire"]),
        overlap_words(policies["overlap"]),
        retry_words(policies["retry"]),
        timeouts_words(policies["timeouts"]),
    ]
    assert all(each.isprintable() for each in words)
