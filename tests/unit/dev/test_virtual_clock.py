"""The virtual clock by itself: who is woken by a move, and who counts as asleep."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.dev.virtual_clock import Sleeper, VirtualClock
from mainspring.executor.job import Job

START = 1_800_000_000_000_000
SECOND = 1_000_000


def job(task_id: str = "t", attempt: int = 1) -> Job:
    return Job(namespace="n", task_id=task_id, handler="sleep", scheduled_at=START, attempt=attempt)


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_it_begins_on_a_millisecond_and_stands_still() -> None:
    clock = VirtualClock(START + 1_999)
    assert clock.now() == START + 1_000
    assert clock.lease_time() == (START + 1_000) / SECOND
    assert clock.now() == START + 1_000


def test_it_never_runs_back() -> None:
    clock = VirtualClock(START)
    clock.move_to(START)
    with pytest.raises(ValueError, match="back"):
        clock.move_to(START - 1)


@given(st.lists(st.tuples(st.integers(1, 20), st.booleans()), max_size=12), st.lists(st.integers(0, 8)))
def test_sleepers_wake_at_their_instants_and_no_other(
    sleeps: list[tuple[int, bool]], moves: list[int]
) -> None:
    async def run() -> None:
        clock = VirtualClock(START)
        woken: dict[int, int] = {}

        async def sleep(number: int, seconds: int) -> None:
            await clock.sleep_in(job(str(number)), seconds)
            woken[number] = clock.now()

        tasks = [asyncio.create_task(sleep(n, seconds)) for n, (seconds, _) in enumerate(sleeps)]
        await turn()
        for n, (_, is_cancelled) in enumerate(sleeps):
            if is_cancelled:
                tasks[n].cancel()
        await turn()
        left = {n: START + s * SECOND for n, (s, is_cancelled) in enumerate(sleeps) if not is_cancelled}
        for step in moves:
            assert clock.next_wake_at == min(left.values(), default=None)
            assert clock.asleep(lambda _: True) == len(left)
            to_at = clock.now() + step * SECOND
            clock.move_to(to_at)
            due = {n for n, at in left.items() if at <= to_at}
            left = {n: at for n, at in left.items() if n not in due}
            assert clock.asleep(lambda _: True) == len(left)  # at once: whoever was woken is at work
            await turn()
            assert {n for n, at in woken.items() if at == to_at} >= due
        assert set(woken) | set(left) == {n for n, (_, is_cancelled) in enumerate(sleeps) if not is_cancelled}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert clock.asleep(lambda _: True) == 0

    asyncio.run(run())


async def test_a_sleeper_counts_once_the_node_knows_that_it_has_started() -> None:
    clock = VirtualClock(START)
    task = asyncio.create_task(clock.sleep_in(job(), 5))
    await turn()
    asked: list[Sleeper] = []

    def unknown(sleeper: Sleeper) -> bool:
        asked.append(sleeper)
        return False

    assert clock.asleep(unknown) == 0
    assert asked == [Sleeper("n", "t", START, 1)]
    assert clock.asleep(lambda _: True) == 1
    assert clock.asleep(unknown) == 1, "it is not asked again"
    clock.move_to(START + 5 * SECOND)
    await task


async def test_an_attempt_that_sleeps_twice_is_asleep_once() -> None:
    clock = VirtualClock(START)
    both = [asyncio.create_task(clock.sleep_in(job(), seconds)) for seconds in (1, 2)]
    await turn()
    assert clock.asleep(lambda _: True) == 1
    clock.move_to(START + SECOND)
    await turn()
    assert clock.asleep(lambda _: True) == 1
    clock.move_to(START + 2 * SECOND)
    await asyncio.gather(*both)
    assert clock.asleep(lambda _: True) == 0


async def test_waits_for_an_instant_end_with_the_move_that_reaches_it() -> None:
    clock = VirtualClock(START)
    soon, late, never = asyncio.Event(), asyncio.Event(), asyncio.Event()
    waits = [
        asyncio.create_task(clock.wait_until(soon, START + SECOND)),
        asyncio.create_task(clock.wait_until(late, START + 2 * SECOND)),
        asyncio.create_task(clock.wait_until(never, None)),
    ]
    await turn()
    clock.move_to(START + SECOND)
    await turn()
    assert [wait.done() for wait in waits] == [True, False, False]
    clock.move_to(START + 3_600 * SECOND)
    await turn()
    assert [wait.done() for wait in waits] == [True, True, False]
    never.set()
    await waits[2]
    await clock.wait_until(asyncio.Event(), START)  # passed already


async def test_pauses_and_deadlines_take_the_machines_time() -> None:
    clock = VirtualClock(START)
    before_s = clock.monotonic()
    await clock.sleep(0.01)
    with pytest.raises(TimeoutError):
        async with clock.timeout(0.01):
            await asyncio.Event().wait()
    assert clock.monotonic() - before_s >= 0.02
    assert clock.now() == START
