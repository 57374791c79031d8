"""Deadlocks are added up over restarts; a gap is what is really missing, and the rest is still judged."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pymysql
import pytest
from unit.checker.tiny import TINY, found, messages

from mainspring.testing import deadlock_watch
from mainspring.testing.checker import check
from mainspring.testing.deadlock_watch import DeadlockTally, DeadlockWatch
from mainspring.testing.fault import Deadlocks
from mainspring.testing.sql_server import ServerReading

ONE, TWO, ONE_AGAIN = ("node-1", 100), ("node-2", 200), ("node-1", 300)
Round = tuple[ServerReading | None, Mapping[tuple[str, int], int | None]]


def told(*rounds: Round) -> Deadlocks:
    tally = DeadlockTally()
    for server, nodes in rounds:
        tally.take(server, nodes)
    counts = tally.counts()
    assert counts is not None
    return counts


def at(second: int, deadlocks: int) -> ServerReading:
    return ServerReading(deadlocks, second)


def is_red(counts: Deadlocks) -> bool:
    return found(replace(TINY, deadlocks=counts)) == {("deadlocks", "database/1213", None)}


def test_what_had_been_counted_before_does_not_count() -> None:
    counts = told((at(1, 7), {}), (at(2, 9), {ONE: 1, TWO: 1}))
    assert counts == Deadlocks(2, 2, has_gaps=False, unretried=0)


def test_a_node_that_is_gone_leaves_its_last_reading_and_no_gap() -> None:
    gone = told((at(1, 0), {ONE: 0, TWO: 0}), (at(2, 3), {ONE: 2, TWO: 1}), (at(3, 3), {TWO: 1}))
    assert gone == Deadlocks(3, 3, has_gaps=False, unretried=0)
    again = told(
        (at(1, 0), {ONE: 0}),
        (at(2, 2), {ONE: 2}),
        (at(3, 2), {ONE_AGAIN: None}),
        (at(4, 3), {ONE_AGAIN: 1}),
    )
    # Whether the third was the old process's or the new one's nobody knows.
    assert again == Deadlocks(3, 3, has_gaps=True, unretried=0)


def test_what_was_counted_around_the_end_of_a_node_is_a_gap_and_the_rest_is_judged() -> None:
    before: list[Round] = [(at(1, 0), {ONE: 0, TWO: 0}), (at(2, 2), {ONE: 1, TWO: 1})]
    gap: Round = (at(3, 3), {TWO: 1})
    lacking = told(*before, gap)
    assert lacking == Deadlocks(3, 2, has_gaps=True, unretried=0)
    assert not is_red(lacking)
    assert not is_red(told(*before, gap, (at(4, 5), {TWO: 3})))
    after = told(*before, gap, (at(4, 5), {TWO: 2}))
    assert after == Deadlocks(5, 3, has_gaps=True, unretried=1)
    assert is_red(after)
    assert "with gaps: 1 outside of these were not retried" in messages(replace(TINY, deadlocks=after))[0]
    # Not retried before the node went: later retries do not make up for it.
    early = told((at(1, 0), {ONE: 0, TWO: 0}), (at(2, 2), {ONE: 1, TWO: 0}), gap, (at(4, 3), {TWO: 5}))
    assert early.unretried == 1
    assert is_red(early)


def test_who_does_not_answer_is_heard_later() -> None:
    rounds: list[Round] = [
        (at(1, 0), {ONE: 0}),
        (at(2, 1), {ONE: None, TWO: None}),
        (None, {ONE: 1, TWO: 0}),
        (at(4, 2), {ONE: 1, TWO: 1}),
    ]
    assert told(*rounds) == Deadlocks(2, 2, has_gaps=False, unretried=0)
    assert told(*rounds[:2]).has_gaps
    assert is_red(told(*rounds, (at(5, 3), {ONE: 1, TWO: 1})))
    # It came and went unheard, and something was counted meanwhile.
    unheard = told((at(1, 0), {ONE: 0}), (at(2, 0), {ONE: 0, TWO: None}), (at(3, 1), {ONE: 0}))
    assert unheard == Deadlocks(1, 0, has_gaps=True, unretried=0)


@pytest.mark.parametrize("deadlocks", [0, 2, 3])
def test_a_server_that_began_anew_is_a_gap_whatever_it_tells(deadlocks: int) -> None:
    before: list[Round] = [(at(50, 0), {ONE: 0}), (at(51, 2), {ONE: 2}), (None, {ONE: 2})]
    counts = told(*before, (at(1, deadlocks), {ONE: 2 + deadlocks}))
    assert counts == Deadlocks(2 + deadlocks, 2 + deadlocks, has_gaps=True, unretried=0)
    assert is_red(told(*before, (at(1, deadlocks), {ONE: 2}), (at(2, deadlocks + 1), {ONE: 2})))


def test_without_a_word_of_the_server_there_are_no_counts() -> None:
    tally = DeadlockTally()
    tally.take(None, {ONE: 3})
    assert tally.counts() is None


def test_the_report_says_with_gaps() -> None:
    assert str(Deadlocks(3, 2, has_gaps=True)) == "3/2 with gaps"
    assert str(Deadlocks(3, 3)) == "3/3"
    assert check(replace(TINY, deadlocks=Deadlocks(3, 2, has_gaps=True))).counts["deadlocks_with_gaps"] == 1
    assert check(replace(TINY, deadlocks=Deadlocks(3, 3))).counts["deadlocks_with_gaps"] == 0


class Node:
    """As much of a member process as is asked for."""

    is_running, metrics_port = True, 1

    def __init__(self, name: str, pid: int) -> None:
        self.name, self.pid = name, pid


async def test_the_watch_asks_everybody_and_survives_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    node, readings = Node(*ONE), iter([at(9, 5), None, at(1, 1)])

    def read_server() -> ServerReading:
        if (reading := next(readings)) is None:
            raise pymysql.OperationalError(2006, "gone")
        return reading

    answers = iter([0.0, OSError("away"), 2.0])

    def read_counter(port: int, name: str) -> float:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(deadlock_watch, "read_counter", read_counter)
    watch = DeadlockWatch(read_server, lambda: [node])  # type: ignore[list-item,return-value]
    await watch.ask()
    assert watch.counts() == Deadlocks(0, 0, has_gaps=False, unretried=0)
    await asyncio.gather(watch.ask(), watch.ask())
    assert watch.counts() == Deadlocks(1, 2, has_gaps=True, unretried=0)
