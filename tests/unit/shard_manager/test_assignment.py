"""Assignment: complete, balanced, alike on every node, and as few moves as there can be."""

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.shard_manager.assignment import assign, score

node_names = st.lists(
    st.text("abcdef0123456789", min_size=4, max_size=12), min_size=1, max_size=12, unique=True
)
totals = st.one_of(st.integers(1, 64), st.sampled_from([100, 128, 256, 257, 1000, 1024]))


def equal(nodes: list[str]) -> dict[str, float]:
    return dict.fromkeys(nodes, 1.0)


def moves(before: dict[int, str], after: dict[int, str]) -> int:
    return sum(1 for partition, node in after.items() if before[partition] != node)


def free(total: int) -> dict[int, str | None]:
    return dict.fromkeys(range(total))


def verify(target: dict[int, str], total: int, nodes: list[str]) -> None:
    """Every partition has a node of the list, and the nodes differ by one partition at most."""
    assert sorted(target) == list(range(total))
    loads = Counter(target.values())
    assert set(loads) <= set(nodes)
    assert max(loads[node] for node in nodes) <= math.ceil(total / len(nodes))
    assert min(loads[node] for node in nodes) >= total // len(nodes)


@st.composite
def any_owners(draw: st.DrawFn) -> tuple[dict[int, str | None], list[str]]:
    """Rows as they can be found: owned by nodes of the list, by nodes gone, or free, in any imbalance."""
    nodes = draw(node_names)
    total = draw(totals)
    rng = random.Random(draw(st.integers(0, 1 << 32)))
    holders: list[str | None] = [*rng.sample(nodes, rng.randint(1, len(nodes))), None, "gone-1", "gone-2"]
    return {partition: rng.choice(holders) for partition in range(total)}, nodes


@given(any_owners(), st.integers(0, 1 << 32))
def test_complete_balanced_and_independent_of_order(
    case: tuple[dict[int, str | None], list[str]], seed: int
) -> None:
    owners, nodes = case
    target = assign(owners, equal(nodes))
    verify(target, len(owners), nodes)
    rng = random.Random(seed)
    shuffled_rows = rng.sample(sorted(owners.items()), len(owners))
    shuffled_nodes = rng.sample(nodes, len(nodes))
    assert assign(dict(shuffled_rows), equal(shuffled_nodes)) == target


@given(any_owners())
def test_nothing_moves_that_need_not(case: tuple[dict[int, str | None], list[str]]) -> None:
    """The fewest moves that reach balance: what each node holds above its quota, and what nobody holds."""
    owners, nodes = case
    target = assign(owners, equal(nodes))
    lost = sum(1 for partition, owner in owners.items() if owner in nodes and target[partition] != owner)
    loads = Counter(owner for owner in owners.values() if owner in nodes)
    low, spare = divmod(len(owners), len(nodes))
    above = sum(1 for node in nodes if loads[node] > low)
    assert lost == sum(max(0, loads[node] - low - 1) for node in nodes) + max(0, above - spare)


@settings(deadline=None)  # 24 computations of up to 1024 x 12 scores
@given(any_owners(), st.integers(0, 1 << 32))
def test_answer_stays_while_it_comes_true(case: tuple[dict[int, str | None], list[str]], seed: int) -> None:
    """Releases and takes in any order, each step computed anew: nobody changes their mind half-way."""
    owners, nodes = case
    target = assign(owners, equal(nodes))
    rng = random.Random(seed)
    pending = [partition for partition in owners if owners[partition] != target[partition]]
    rng.shuffle(pending)
    for partition in pending[:12]:
        if rng.random() < 0.5:
            owners[partition] = None
            assert assign(owners, equal(nodes)) == target
        owners[partition] = target[partition]
        assert assign(owners, equal(nodes)) == target


@given(node_names, totals, st.text("xyz", min_size=3, max_size=6))
def test_join_and_leave_cost_the_minimum(nodes: list[str], total: int, joiner: str) -> None:
    before = assign(free(total), equal(nodes))
    verify(before, total, nodes)
    joined = assign(before, equal([*nodes, joiner]))
    verify(joined, total, [*nodes, joiner])
    assert moves(before, joined) == Counter(joined.values())[joiner]  # nothing moves between old nodes
    assert moves(before, joined) <= math.ceil(total / (len(nodes) + 1))
    left = assign(joined, equal(nodes))
    verify(left, total, nodes)
    assert moves(joined, left) == Counter(joined.values())[joiner]


@given(st.integers(0, 1 << 32), totals)
def test_bound_holds_through_a_life_of_joins_and_leaves(seed: int, total: int) -> None:
    rng = random.Random(seed)
    nodes = [f"node-{rng.getrandbits(32):08x}"]
    target = assign(free(total), equal(nodes))
    for _ in range(12):
        if len(nodes) == 1 or (len(nodes) < 12 and rng.random() < 0.6):
            nodes.append(f"node-{rng.getrandbits(32):08x}")
            minimum = total // len(nodes)
        else:
            gone = nodes.pop(rng.randrange(len(nodes)))
            minimum = Counter(target.values())[gone]
        following = assign(target, equal(nodes))
        verify(following, total, nodes)
        assert moves(target, following) <= 1.1 * minimum + 1
        target = following


@given(
    st.dictionaries(st.text("abcdef", min_size=3, max_size=8), st.floats(0.25, 8), min_size=1, max_size=8),
    totals,
)
def test_weights_share_in_proportion(weights: dict[str, float], total: int) -> None:
    target = assign(free(total), weights)
    assert sorted(target) == list(range(total))
    loads = Counter(target.values())
    for node, weight in weights.items():
        assert abs(loads[node] - total * weight / math.fsum(weights.values())) < 1 + 1e-6
    assert assign(target, weights) == target


@given(any_owners(), st.lists(st.floats(0.25, 8), min_size=12, max_size=12), st.integers(0, 1 << 32))
def test_weights_do_not_depend_on_order_and_move_nothing_that_need_not(
    case: tuple[dict[int, str | None], list[str]], sizes: list[float], seed: int
) -> None:
    owners, nodes = case
    weights = dict(zip(nodes, sizes, strict=False))
    target = assign(owners, weights)
    assert sorted(target) == sorted(owners)
    rng = random.Random(seed)
    shuffled = dict(rng.sample(sorted(weights.items()), len(weights)))
    assert assign(dict(rng.sample(sorted(owners.items()), len(owners))), shuffled) == target
    whole = math.fsum(weights.values())
    after = Counter(target.values())
    before = Counter(owner for owner in owners.values() if owner in weights)
    for node, weight in weights.items():
        assert abs(after[node] - len(owners) * weight / whole) < 1 + 1e-6
    lost = sum(1 for partition, owner in owners.items() if owner in weights and target[partition] != owner)
    assert lost == sum(max(0, before[node] - after[node]) for node in nodes), "nobody both gives and takes"


@given(node_names, totals, st.integers(2, 5), st.integers(0, 1 << 32))
def test_several_that_join_or_leave_at_once_cost_the_minimum(
    nodes: list[str], total: int, count: int, seed: int
) -> None:
    joiners = [f"joiner-{seed}-{n}" for n in range(count)]
    before = assign(free(total), equal(nodes))
    joined = assign(before, equal([*nodes, *joiners]))
    verify(joined, total, [*nodes, *joiners])
    loads = Counter(joined.values())
    assert moves(before, joined) == sum(loads[joiner] for joiner in joiners)
    left = assign(joined, equal(nodes))
    verify(left, total, nodes)
    assert moves(joined, left) == sum(loads[joiner] for joiner in joiners)


def test_no_nodes_and_no_partitions() -> None:
    assert assign(free(8), {}) == {}
    assert assign({}, {"a": 1.0}) == {}


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf])
def test_refuses_impossible_weights(weight: float) -> None:
    with pytest.raises(ValueError, match="weights"):
        assign(free(4), {"a": 1.0, "b": weight})


def test_scores_are_the_published_ones() -> None:
    """Nodes of two builds must agree, so the scores never change."""
    assert [score(p, "node-a") for p in (0, 1, 255)] == SCORES
    assert len({score(p, n) for p in range(1024) for n in ("a", "b", "c")}) == 3072


SCORES = [10936905256317004772, 16092524910590393664, 5040833346705251805]
