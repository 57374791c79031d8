"""Adjusted scheduled times: the claim's plan against a brute force, and what calls may make of them."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.core.short import cron, every, once
from unit.core.test_misfire import HOUR, KEY, MISFIRES, SCHEDULES, START, US, planned

from mainspring.server.core import adjustments as adjusting
from mainspring.server.core import due_time, policies
from mainspring.server.core.adjustments import MOST_ADJUSTMENTS, Adjustment
from mainspring.server.core.life_cycle import (
    Definition,
    StateChange,
    with_definition_changed,
    with_state_changed,
)
from mainspring.server.core.misfire import ClaimPlan, Gap
from mainspring.server.core.model import Task, TaskRef, TaskState
from mainspring.server.core.next_fire import fires_between, next_fire
from mainspring.server.core.policies import Misfire, MisfireMode, Policies
from mainspring.server.core.schedule import Schedule
from mainspring.server.core.schedule_text import encode
from mainspring.server.core.task_adjustment import WantedAdjustment, with_adjustment
from mainspring.server.errors import FailedPrecondition, InvalidField, MainspringError, ResourceExhausted

ROOM = 1_000
SKIP = WantedAdjustment(is_skipped=True)
RESET = WantedAdjustment()
HOURLY = every(HOUR, START)


def task_of(schedule: Schedule, *, scheduled_at: int | None = None, **fields: Any) -> Task:
    """A task whose next time is this one, else its first behind START."""
    at = next_fire(schedule, START) if scheduled_at is None else scheduled_at
    assert at is not None
    task = Task(
        *(TaskRef(0, KEY), "default", "t", "noop", b"task's", encode(schedule), bytes(16)),
        *(TaskState.ACTIVE, 2, at, due_time.due_at(schedule, KEY, at), None, 0, START - HOUR, START - HOUR),
    )
    return replace(task, **fields)


def adjusted(task: Task, at: int, wanted: WantedAdjustment, *, now: int = START, room: int = ROOM) -> Task:
    """The task after a call that changes something."""
    changed = with_adjustment(task, at, wanted, now=now, payload_bytes=room)
    assert changed is not None
    assert changed.adjustments_version == task.adjustments_version + 1
    assert changed.version == task.version, "what waits of the task goes on"
    return changed


def dues(task: Task, schedule: Schedule, count: int = 80) -> list[int]:
    """The due times of the next times of a task, in the order of these."""
    assert task.scheduled_at is not None
    known = adjusting.decode(task.adjustments)
    times = [task.scheduled_at, *fires_between(schedule, task.scheduled_at, 2**60, count)]
    return [adjusting.due_at(schedule, KEY, at, known) for at in times]


KINDS = st.sampled_from(["skip", "reset", "payload", "earlier", "later"])
CALLS = st.lists(st.tuples(st.integers(0, 11), KINDS, st.sampled_from([0.01, 0.3, 0.7, 0.99])), max_size=25)
"""Calls about neighbouring times: which of them, what for, and how far of the way to the next one it is moved."""


FEW = st.builds(Misfire, st.just(MisfireMode.ALL), limit=st.integers(1, 12), window_us=st.just(99 * HOUR))


def next_times(task: Task, schedule: Schedule, count: int) -> list[int]:
    assert task.scheduled_at is not None
    return [task.scheduled_at, *fires_between(schedule, task.scheduled_at, 2**60, count - 1)]


def after_calls(task: Task, schedule: Schedule, calls: list[tuple[int, str, float]], first: int = 0) -> Task:
    """The task after calls about its next times from the `first` on, as far as they are allowed."""
    times = next_times(task, schedule, first + 14)[first:]
    for index, kind, part in calls:
        if not 0 < index < len(times) - 1:
            continue
        at = times[index]
        wanted = {
            "skip": SKIP,
            "reset": RESET,
            "payload": WantedAdjustment(payload=b"own"),
            "earlier": WantedAdjustment(due_at=at - int((at - times[index - 1]) * part)),
            "later": WantedAdjustment(due_at=at + int((times[index + 1] - at) * part)),
        }[kind]
        with contextlib.suppress(InvalidField):  # of another order than that of the scheduled times
            task = with_adjustment(task, at, wanted, now=START, payload_bytes=ROOM) or task
    return task


@settings(max_examples=400, deadline=None)
@given(
    schedule=st.sampled_from(SCHEDULES),
    calls=CALLS,
    first_call=st.sampled_from([0, 30, 45]),
    end=st.integers(0, 13),
    passed_us=st.one_of(st.integers(-1, 1), st.integers(-HOUR, 40 * HOUR)),
    grace_us=st.sampled_from([0, 10 * US, HOUR, 20 * HOUR]),
    max_runs=st.integers(1, 40),
    jitter_us=st.sampled_from([0, 0, 7 * US, HOUR]),
    left=st.one_of(st.none(), st.integers(1, 70)),
    misfire=st.one_of(
        MISFIRES,
        st.builds(Misfire, st.just(MisfireMode.ALL), limit=st.integers(1, 12), window_us=st.just(99 * HOUR)),
    ),
)
def test_a_plan_agrees_with_a_look_at_each_time(
    schedule: Schedule,
    calls: list[tuple[int, str, float]],
    first_call: int,
    end: int,
    passed_us: int,
    grace_us: int,
    max_runs: int,
    jitter_us: int,
    left: int | None,
    misfire: Misfire,
) -> None:
    schedule = replace(schedule, jitter_us=jitter_us)
    task = after_calls(task_of(schedule), schedule, calls, first_call)
    first = task.scheduled_at
    assert first is not None
    known = adjusting.decode(task.adjustments)
    moved = [at for at, one in sorted(known.items()) if one.due_at is not None]
    ends = moved if moved and end % 2 else next_times(task, schedule, first_call + 14)[first_call:]
    now = adjusting.due_at(schedule, KEY, (ends or [first])[end % len(ends or [first])], known) + passed_us
    if passed_us in (-1, 1):
        now += grace_us  # whether that one is fresh is a matter of a microsecond
    bounded = schedule if left is None else replace(schedule, max_executions=left)
    plan = planned(
        bounded, first, now, misfire=misfire, grace_us=grace_us, max_runs=max_runs, adjustments=known
    )

    def due(at: int) -> int:
        return adjusting.due_at(schedule, KEY, at, known)

    times: list[int] = []
    at: int | None = first
    while at is not None and due(at) <= now:
        times.append(at)
        at = next_fire(schedule, at)
    times = times[:left]
    out = {at for at, one in known.items() if one.is_skipped}
    missed = [at for at in times if due(at) < now - grace_us]
    fresh = times[len(missed) :][:max_runs]
    runs = [at for at in fresh if at not in out]
    to_make_up_for = [at for at in missed if at not in out]
    kept: list[int] = []
    if misfire.mode is MisfireMode.LATEST and not runs:
        kept = to_make_up_for[-1:]
    elif misfire.mode is MisfireMode.ALL:
        kept = [at for at in to_make_up_for[-misfire.limit :] if due(at) >= now - misfire.window_us]
    passed_over = [at for at in missed if not kept or at < kept[0]]
    while passed_over and passed_over[-1] in out:
        passed_over.pop()
    gap = Gap(passed_over[0], passed_over[-1], len(passed_over)) if passed_over else None
    skipped = [at for at in missed[len(passed_over) :] + fresh if at in out]

    assert plan.gap == gap
    assert plan.skipped == tuple(skipped)
    if misfire.mode is MisfireMode.ALL:
        assert (plan.catch_up, plan.runs) == (tuple(kept), tuple(runs))
    else:
        assert (plan.catch_up, plan.runs) == ((), (*kept, *runs))
    decided = len(missed) + len(fresh)
    following = first if not times else next_fire(schedule, (missed + fresh)[-1])
    assert plan.next_at == (None if decided == left else following)


@settings(max_examples=200, deadline=None)
@given(
    schedule=st.sampled_from(SCHEDULES),
    jitter_us=st.sampled_from([0, 7 * US, HOUR, 24 * HOUR]),
    calls=CALLS,
    other=st.sampled_from(SCHEDULES),
)
def test_due_times_keep_the_order_of_the_scheduled_times(
    schedule: Schedule, jitter_us: int, calls: list[tuple[int, str, float]], other: Schedule
) -> None:
    schedule = replace(schedule, jitter_us=jitter_us)
    task = after_calls(task_of(schedule), schedule, calls)
    in_order = dues(task, schedule)
    assert in_order == sorted(set(in_order))
    assert min(in_order) >= START

    other = replace(other, jitter_us=jitter_us)
    definition = Definition(
        task.handler, task.payload, encode(other), bytes(16), task.delivery, task.policies, task.labels
    )
    changed = with_definition_changed(task, definition, first_at=next_fire(other, START), now=START)
    if changed is not None:
        in_order = dues(changed, other)
        assert in_order == sorted(set(in_order))
        if other != schedule:
            assert changed.due_at == in_order[0]


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.integers(-(2**62), 2**62),
        st.builds(
            Adjustment, st.one_of(st.none(), st.integers(-(2**62), 2**62)), st.booleans(), st.booleans()
        ),
        max_size=MOST_ADJUSTMENTS,
    ),
    st.dictionaries(st.integers(-(2**62), 2**62), st.binary(max_size=99)),
)
def test_what_is_stored_is_what_was_meant(known: dict[int, Adjustment], payloads: dict[int, bytes]) -> None:
    text = adjusting.encode(known)
    assert adjusting.decode(text) == known
    assert (text is None) == (not known)
    assert text is None or len(text) <= 4_000
    assert adjusting.decode_payloads(adjusting.encode_payloads(payloads)) == payloads


def test_what_calls_say_of_one_time_adds_up() -> None:
    task = task_of(HOURLY)
    at = START + 3 * HOUR
    task = adjusted(task, at, WantedAdjustment(due_at=at + 60 * US))
    task = adjusted(task, at, WantedAdjustment(payload=b"own"))
    assert adjusting.decode(task.adjustments) == {at: Adjustment(at + 60 * US, has_payload=True)}
    assert adjusting.decode_payloads(task.adjusted_payloads) == {at: b"own"}
    assert with_adjustment(task, at, WantedAdjustment(payload=b"own"), now=START, payload_bytes=ROOM) is None

    task = adjusted(task, at, SKIP)
    assert adjusting.decode(task.adjustments) == {at: Adjustment(is_skipped=True)}
    assert task.adjusted_payloads is None
    assert with_adjustment(task, at, SKIP, now=START, payload_bytes=ROOM) is None

    task = adjusted(task, at, WantedAdjustment(payload=b""))
    assert adjusting.decode(task.adjustments) == {at: Adjustment(has_payload=True)}
    task = adjusted(task, at, RESET)
    assert (task.adjustments, task.adjusted_payloads) == (None, None)
    assert with_adjustment(task, at, RESET, now=START, payload_bytes=ROOM) is None


def test_the_next_time_is_due_when_it_was_moved_to() -> None:
    task = task_of(HOURLY)
    at = START + HOUR
    later = adjusted(task, at, WantedAdjustment(due_at=at + 60 * US))
    assert (later.scheduled_at, later.due_at) == (at, at + 60 * US)
    earlier = adjusted(later, at, WantedAdjustment(due_at=START + 1))
    assert earlier.due_at == START + 1
    assert adjusted(earlier, at, RESET).due_at == at
    assert adjusted(earlier, at, SKIP).due_at == at
    assert adjusted(task, at, WantedAdjustment(payload=b"own")).due_at == at
    assert adjusted(task, at + HOUR, WantedAdjustment(due_at=at + HOUR + 1)).due_at == at


def test_a_moved_time_that_is_taken_back_after_its_own_time_is_due_now() -> None:
    at = START + HOUR
    now = at + HOUR // 2
    task = adjusted(task_of(HOURLY), at, WantedAdjustment(due_at=now + 60 * US))
    assert adjusted(task, at, RESET, now=now).due_at == now
    none = replace(task, policies=policies.encode(Policies(Misfire(MisfireMode.NONE))))
    assert adjusted(none, at, RESET, now=now).due_at == at, "it was missed, and the policy decides"


def test_a_paused_task_is_due_at_its_moved_time_once_it_is_resumed() -> None:
    at = START + HOUR
    paused = with_state_changed(task_of(HOURLY), StateChange.PAUSE, now=START)
    assert paused is not None
    moved = adjusted(paused, at, WantedAdjustment(due_at=at + 60 * US))
    assert moved.due_at is None
    resumed = with_state_changed(moved, StateChange.RESUME, now=START + 1)
    assert resumed is not None
    assert resumed.due_at == at + 60 * US


def test_a_one_time_task_is_moved_to_any_time_to_come() -> None:
    task = task_of(once(START + HOUR))
    assert task.scheduled_at == START + HOUR
    for due_at in (START, START + 1_000 * HOUR):
        moved = adjusted(task, START + HOUR, WantedAdjustment(due_at=due_at))
        assert (moved.scheduled_at, moved.due_at) == (START + HOUR, due_at)
        known = adjusting.decode(moved.adjustments)
        arguments = {"due_at": due_at, "adjustments": known}
        assert planned(once(START + HOUR), START + HOUR, due_at - 1, **arguments).runs == ()
        assert planned(once(START + HOUR), START + HOUR, due_at, **arguments).runs == (START + HOUR,)
    skipped = adjusting.decode(adjusted(task, START + HOUR, SKIP).adjustments)
    plan = planned(once(START + HOUR), START + HOUR, START + 9 * HOUR, adjustments=skipped)
    assert plan == ClaimPlan((), None, None, skipped=(START + HOUR,))


@pytest.mark.parametrize(
    ("at", "due_at"),
    [
        (START + HOUR, START - 1),  # in the past
        (START + HOUR, START + 2 * HOUR),  # when the following one is
        (START + 3 * HOUR, START + 2 * HOUR),  # when the one before is
        (START + 3 * HOUR, START + HOUR),
        (START + 4 * HOUR, START + 5 * HOUR - 10 * US),  # the following one was moved before that
        (START + 6 * HOUR, START + 5 * HOUR + 1),  # jitter: the one before is due later
        (START + 9 * HOUR, START + 8 * HOUR + 1_800 * US),  # the one before was moved behind that
    ],
)
def test_a_due_time_lies_between_those_of_its_neighbours(at: int, due_at: int) -> None:
    schedule = replace(HOURLY, jitter_us=60 * US)
    task = task_of(schedule)
    early = START + 5 * HOUR - 1_200 * US
    task = adjusted(task, START + 5 * HOUR, WantedAdjustment(due_at=early))
    task = adjusted(task, START + 8 * HOUR, WantedAdjustment(due_at=START + 8 * HOUR + 3_500 * US))
    with pytest.raises(InvalidField) as error:
        with_adjustment(task, at, WantedAdjustment(due_at=due_at), now=START, payload_bytes=ROOM)
    assert error.value.field == "due_time"


@pytest.mark.parametrize(
    ("schedule", "at", "words"),
    [
        (HOURLY, START + HOUR + 1, "no scheduled time"),
        (HOURLY, START, "claimed already"),
        (replace(HOURLY, end_at=START + 5 * HOUR), START + 5 * HOUR, "no scheduled time"),
        (replace(HOURLY, max_executions=9), START + 4 * HOUR, "beyond the maximum"),
        (once(START + HOUR), START + 2 * HOUR, "no scheduled time"),
    ],
)
def test_what_is_no_time_to_come_is_not_adjusted(schedule: Schedule, at: int, words: str) -> None:
    task = task_of(schedule, scheduled_at=START + HOUR, execution_count=6)
    for wanted in (SKIP, RESET, WantedAdjustment(payload=b"x"), WantedAdjustment(due_at=at)):
        with pytest.raises(FailedPrecondition, match=words):
            with_adjustment(task, at, wanted, now=START, payload_bytes=ROOM)
    if schedule.max_executions is not None:
        adjusted(task, START + 3 * HOUR, SKIP)


def test_adjustments_are_bounded() -> None:
    task = task_of(HOURLY)
    for n in range(1, MOST_ADJUSTMENTS + 1):
        task = adjusted(task, START + n * HOUR, SKIP)
    one_more = START + (MOST_ADJUSTMENTS + 1) * HOUR
    refused: type[MainspringError] = ResourceExhausted
    with pytest.raises(refused):
        with_adjustment(task, one_more, SKIP, now=START, payload_bytes=ROOM)
    task = adjusted(adjusted(task, START + HOUR, RESET), one_more, SKIP)

    task = adjusted(task, one_more, WantedAdjustment(payload=bytes(600)))
    with pytest.raises(InvalidField, match="others of it have 600") as error:
        with_adjustment(
            task, START + 2 * HOUR, WantedAdjustment(payload=bytes(401)), now=START, payload_bytes=ROOM
        )
    assert error.value.field == "payload"
    adjusted(task, START + 2 * HOUR, WantedAdjustment(payload=bytes(400)))
    adjusted(task, one_more, WantedAdjustment(payload=bytes(1_000)))


def test_another_schedule_keeps_the_adjustments_of_its_own_times() -> None:
    schedule = cron("0 * * * *", "UTC")
    task = task_of(schedule)
    kept, moved, gone = START + 2 * HOUR, START + 4 * HOUR, START + 5 * HOUR
    task = adjusted(task, kept, SKIP)
    task = adjusted(task, moved, WantedAdjustment(due_at=moved + HOUR // 2 + 1))
    task = adjusted(task, gone, SKIP)
    other = cron("0,30 */2 * * *", "UTC")
    definition = Definition("noop", b"", encode(other), bytes(16), task.delivery, "", "")
    changed = with_definition_changed(task, definition, first_at=next_fire(other, START), now=START)
    assert changed is not None
    assert adjusting.decode(changed.adjustments) == {kept: Adjustment(is_skipped=True)}

    same = replace(definition, schedule=task.schedule, payload=b"new")
    changed = with_definition_changed(task, same, first_at=None, now=START)
    assert changed is not None
    assert changed.adjustments == task.adjustments
