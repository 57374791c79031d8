"""Jitter: a constant part of it for each task, never up to the next scheduled time."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling import draws
from unit.core.short import cron, every, once

from mainspring.server.core.due_time import due_at
from mainspring.server.core.next_fire import fires_between
from mainspring.server.core.schedule import Schedule
from mainspring.shard_manager.hashing import partition_of, task_key

US = 1_000_000
HOUR = 3_600 * US
DAY = 24 * HOUR
START = int(datetime(2026, 10, 24, tzinfo=UTC).timestamp()) * US
KEYS = [task_key("default", f"task-{number}") for number in range(4_000)]

# blake2b of 8 bytes, personalised "jitter", as a fraction of 2 ** 64. Frozen: stored due times were made with it.
FROZEN = {
    bytes(16): 0x04219748E1F431B1,
    bytes(range(16)): 0x3DFB1F0553C33F67,
    b"\xff" * 16: 0x9A2159D6F59014E5,
    task_key("default", "nightly-report"): 0x585BA0AB9095F116,
}


@pytest.mark.parametrize(("key", "part"), FROZEN.items(), ids=[key.hex() for key in FROZEN])
def test_the_part_of_a_task_never_changes(key: bytes, part: int) -> None:
    assert due_at(replace(once(0), jitter_us=2**64), key, 0) == part


@settings(max_examples=draws(300), deadline=None)
@given(
    schedule=st.sampled_from(
        [
            every(10 * US, START),
            every(7 * HOUR, START - DAY),
            cron("*/5 * * * *"),
            cron("*/20 1-3 * * *", "Europe/Berlin"),
            cron("0 0 1 * *", "Europe/Berlin"),
        ]
    ),
    jitter_us=st.integers(1, DAY),
    key=st.binary(min_size=16, max_size=16),
)
def test_due_times_lie_between_the_scheduled_times_and_within_the_jitter(
    schedule: Schedule, jitter_us: int, key: bytes
) -> None:
    schedule = replace(schedule, jitter_us=jitter_us)
    times = list(fires_between(schedule, START, START + 400 * DAY, 40))
    for scheduled_at, following_at in itertools.pairwise(times):
        due = due_at(schedule, key, scheduled_at)
        assert scheduled_at <= due < following_at
        assert due - scheduled_at < jitter_us
        if following_at - scheduled_at >= jitter_us:
            assert due - scheduled_at == due_at(replace(once(0), jitter_us=jitter_us), key, 0)


def test_a_herd_is_spread_evenly_and_whatever_its_partition() -> None:
    schedule = replace(cron("0 9 * * *"), jitter_us=100 * US)
    (nine,) = fires_between(schedule, START, START + DAY, 1)
    in_tenth = [(due_at(schedule, key, nine) - nine) // (10 * US) for key in KEYS]
    assert all(330 < in_tenth.count(tenth) < 470 for tenth in range(10))
    for partition in range(4):
        of_it = [
            tenth for key, tenth in zip(KEYS, in_tenth, strict=True) if partition_of(key, 4) == partition
        ]
        assert all(of_it.count(tenth) > 60 for tenth in range(10))


def test_a_one_time_task_has_jitter_too() -> None:
    schedule = replace(once(START), jitter_us=HOUR)
    dues = {due_at(schedule, key, START) for key in random.Random(1).sample(KEYS, 100)}
    assert len(dues) == 100
    assert all(START <= due < START + HOUR for due in dues)


def test_without_jitter_the_due_time_is_the_scheduled_time_and_the_schedule_is_not_walked() -> None:
    unreadable = replace(cron("0 9 * * *"), timing=replace(cron("0 9 * * *").timing, time_zone="No/Where"))  # type: ignore[type-var]
    assert due_at(unreadable, KEYS[0], START) == START


def test_the_last_fire_has_the_whole_jitter() -> None:
    schedule = replace(every(HOUR, START), jitter_us=DAY)
    assert due_at(schedule, KEYS[0], 253_402_214_400 * US) >= 253_402_214_400 * US
