"""CreditLedger: the capacity bound under nodes that reply late, and where credit goes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling import draws

from mainspring.executor.credit import ASK_AGAIN_AFTER_S, IDLE_AFTER_S, CreditLedger, CreditMove

NODES = ("a", "b", "c")


def granted(moves: dict[str, CreditMove]) -> dict[str, int]:
    return {node: move.granted for node, move in moves.items() if move.granted}


def wanted_back(moves: dict[str, CreditMove]) -> dict[str, int]:
    return {node: move.wanted_back for node, move in moves.items() if move.wanted_back}


def ledger_with(capacity: int, *nodes: str) -> CreditLedger:
    ledger = CreditLedger(capacity)
    for node in nodes:
        ledger.add(node)
    return ledger


class LateNode:
    """What a node truly has, and what is under way to and from it, in the order of its stream."""

    def __init__(self) -> None:
        self.credit = 0
        self.to_node: list[CreditMove] = []
        self.to_executor: list[tuple[str, int, int]] = []

    def worst_case(self) -> int:
        """Items that may still arrive at the executor."""
        granted = sum(move.granted for move in self.to_node)
        return self.credit + granted + sum(1 for kind, _, _ in self.to_executor if kind == "work")

    def hear(self) -> None:
        if not self.to_node:
            return
        move = self.to_node.pop(0)
        self.credit += move.granted
        if move.wanted_back:
            returned = min(self.credit, move.wanted_back)
            self.credit -= returned
            self.to_executor.append(("demand", 0, returned))

    def send_work(self) -> None:
        if self.credit:
            self.credit -= 1
            self.to_executor.append(("work", 0, 0))

    def report(self, waiting: int) -> None:
        self.to_executor.append(("demand", waiting, 0))


steps = st.one_of(
    st.tuples(st.just("plan"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("hear"), st.sampled_from(NODES), st.just(0)),
    st.tuples(st.just("send"), st.sampled_from(NODES), st.integers(1, 4)),
    st.tuples(st.just("report"), st.sampled_from(NODES), st.integers(0, 20)),
    st.tuples(st.just("arrive"), st.sampled_from(NODES), st.just(0)),
    st.tuples(st.just("finish"), st.integers(1, 3), st.just(0)),
    st.tuples(st.just("lose"), st.sampled_from(NODES), st.just(0)),
    st.tuples(st.just("close"), st.sampled_from(NODES), st.just(0)),
    st.tuples(st.just("reopen"), st.sampled_from(NODES), st.just(0)),
)


@given(capacity=st.integers(1, 12), script=st.lists(steps, max_size=120))
@settings(max_examples=draws(300), deadline=None)
def test_work_never_exceeds_the_capacity_whatever_nodes_do(capacity: int, script: list[tuple]) -> None:
    ledger = ledger_with(capacity, *NODES)
    nodes = {name: LateNode() for name in NODES}
    now_s = 0.0
    for kind, who, count in script:
        if kind == "plan":
            now_s += who / 2
            for name, move in ledger.plan(now_s).items():
                nodes[name].to_node.append(move)
        elif kind == "hear":
            nodes[who].hear()
        elif kind == "send":
            for _ in range(count):
                nodes[who].send_work()
        elif kind == "report":
            nodes[who].report(count)
        elif kind == "arrive" and nodes[who].to_executor:
            what, waiting, returned = nodes[who].to_executor.pop(0)
            if what == "work":
                assert ledger.spend(who, now_s), "work that was paid for must find room"
            else:
                ledger.demand(who, waiting, returned)
        elif kind == "finish":
            ledger.release(min(who, ledger.occupied))
        elif kind == "lose":
            nodes[who] = LateNode()
            ledger.add(who)
        elif kind == "close":
            ledger.close(who)
        elif kind == "reopen":
            ledger.reopen(who)
        # Even if every node spent everything now and all of it arrived, it would fit.
        assert ledger.occupied + sum(node.worst_case() for node in nodes.values()) <= capacity
        assert ledger.free >= 0


@given(capacity=st.integers(1, 20), waiting=st.integers(1, 40))
def test_credit_moves_to_where_work_waits(capacity: int, waiting: int) -> None:
    ledger = ledger_with(capacity, *NODES)
    nodes = {name: LateNode() for name in NODES}
    now_s = 0.0
    served = 0
    for _ in range(40):
        ledger.demand("a", waiting - served, 0)
        for name, move in ledger.plan(now_s).items():
            nodes[name].to_node.append(move)
        for name, node in nodes.items():
            while node.to_node:
                node.hear()
            while name == "a" and node.credit and served < waiting:
                node.send_work()
                served += 1
            for what, _, returned in node.to_executor:
                if what == "work":
                    assert ledger.spend(name, now_s)
                else:
                    ledger.demand(name, waiting - served if name == "a" else 0, returned)
            node.to_executor.clear()
        now_s += 0.1
    assert served == min(waiting, capacity)


def test_an_idle_start_shares_evenly() -> None:
    assert granted(ledger_with(10, "a", "b", "c").plan(0)) == {"a": 4, "b": 3, "c": 3}


def test_a_new_node_gets_its_share_by_asking_the_others() -> None:
    ledger = ledger_with(10, "a")
    ledger.plan(0)
    ledger.add("b")
    assert wanted_back(ledger.plan(0)) == {"a": 5}
    assert ledger.plan(0.1) == {}, "one ask at a time"
    ledger.demand("a", 0, 5)
    assert granted(ledger.plan(0.2)) == {"b": 5}


def test_free_credit_goes_to_demand_first_and_evenly() -> None:
    ledger = ledger_with(6, "a", "b", "c")
    ledger.demand("a", 100, 0)
    ledger.demand("b", 1, 0)
    assert granted(ledger.plan(0)) == {"a": 5, "b": 1}


def test_only_idle_credit_is_asked_back() -> None:
    ledger = ledger_with(9, "a", "b", "c")
    ledger.plan(0)
    ledger.demand("a", 5, 0)
    ledger.demand("b", 4, 0)
    assert wanted_back(ledger.plan(0.1)) == {"c": 3}


def test_a_node_that_cannot_use_its_credit_does_not_hoard_it() -> None:
    ledger = ledger_with(4, "a", "b")
    ledger.demand("a", 1_000, 0)
    assert granted(ledger.plan(0)) == {"a": 4}
    ledger.demand("b", 2, 0)
    later_s = IDLE_AFTER_S + 0.1
    assert wanted_back(ledger.plan(later_s)) == {"a": 2}


def test_a_silent_node_is_asked_again() -> None:
    ledger = ledger_with(2, "a")
    ledger.plan(0)
    ledger.close("a")
    assert wanted_back(ledger.plan(0)) == {"a": 2}
    assert wanted_back(ledger.plan(ASK_AGAIN_AFTER_S / 2)) == {}
    assert wanted_back(ledger.plan(ASK_AGAIN_AFTER_S)) == {"a": 2}


def test_a_lost_node_returns_its_credit() -> None:
    ledger = ledger_with(8, "a", "b")
    ledger.plan(0)
    ledger.spend("a", 0)
    ledger.drop("a")
    assert granted(ledger.plan(0)) == {"b": 3}
    assert ledger.held("b") == 7


def test_a_draining_node_gets_nothing() -> None:
    ledger = ledger_with(8, "a", "b")
    ledger.plan(0)
    ledger.forfeit("a")
    assert granted(ledger.plan(0)) == {"b": 4}
    ledger.demand("a", 50, 0)
    assert ledger.plan(5) == {}


def test_work_beyond_credit_finds_no_room() -> None:
    ledger = ledger_with(1, "a", "b")
    ledger.plan(0)
    assert ledger.held("a") == 1
    assert not ledger.spend("b", 0)
    assert ledger.spend("a", 0)


def test_nothing_is_granted_while_held() -> None:
    ledger = ledger_with(4, "a")
    ledger.is_held = True
    assert ledger.plan(0) == {}


def test_releasing_more_than_is_there_is_a_bug() -> None:
    with pytest.raises(ValueError, match="1 released of 0"):
        ledger_with(1).release(1)


def test_credits_that_come_free_one_at_a_time_go_round() -> None:
    ledger = CreditLedger(1)
    waiting = {"a": 1_700, "b": 1_800, "c": 1_900}
    got = dict.fromkeys(waiting, 0)
    for node in waiting:
        ledger.add(node)
    for step in range(300):
        now_s = step / 100
        for node, count in waiting.items():
            ledger.demand(node, count - got[node], 0)
        for node, move in ledger.plan(now_s).items():
            for _ in range(move.granted):
                got[node] += 1
                ledger.spend(node, now_s)
                ledger.release(1)
    assert max(got.values()) - min(got.values()) <= 1, got
    assert sum(got.values()) == 300
