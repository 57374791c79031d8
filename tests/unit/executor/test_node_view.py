"""NodeView: which nodes to hold a session to."""

from mainspring.executor.node_view import FALL_BACK_AFTER_S, UNLISTED_GRACE_S, NodeView

AB = {"a", "b"}


def test_the_given_addresses_come_first() -> None:
    view = NodeView(("a",), 0)
    assert view.plan(set(), 0).wanted == {"a"}


def test_listed_nodes_are_wanted_and_lists_are_joined() -> None:
    view = NodeView(("a",), 0)
    view.heard("a", AB)
    assert view.plan({"a"}, 0).wanted == AB
    view.heard("b", {"b", "c"})
    plan = view.plan(AB, 0)
    assert plan.wanted == {"a", "b", "c"}
    assert plan.retired == set()


def test_an_empty_list_says_nothing() -> None:
    view = NodeView(("a",), 0)
    view.heard("a", AB)
    view.heard("a", set())
    assert view.plan({"a"}, 0).wanted == AB


def test_a_dead_node_is_dropped_when_another_no_longer_lists_it() -> None:
    view = NodeView(("a",), 0)
    view.heard("a", AB)
    view.heard("b", AB)
    view.lost("b")
    assert view.plan({"a"}, 0).wanted == AB, "still listed: keep trying"
    view.heard("a", {"a"})
    assert view.plan({"a"}, 0).wanted == {"a"}


def test_a_live_node_that_no_one_lists_is_retired() -> None:
    view = NodeView(("a",), 0)
    view.heard("a", AB)
    view.heard("b", AB)
    view.heard("a", {"a"})
    view.heard("b", {"a"})
    plan = view.plan(AB, 0)
    assert plan.retired == {"b"}
    assert plan.wanted == {"a"}


def test_a_live_node_that_lists_itself_is_retired_after_a_grace_only() -> None:
    view = NodeView(("a",), 0)
    view.heard("a", {"a"})
    view.heard("b", AB)
    assert view.plan(AB, 0).retired == set()
    assert view.plan(AB, UNLISTED_GRACE_S - 0.1).retired == set()
    assert view.plan(AB, UNLISTED_GRACE_S).retired == {"b"}
    view.heard("a", AB)
    assert view.plan(AB, UNLISTED_GRACE_S).retired == set()


def test_two_nodes_that_list_only_themselves_are_not_both_dropped_at_once() -> None:
    view = NodeView(("a", "b"), 0)
    view.heard("a", {"a"})
    view.heard("b", {"b"})
    assert view.plan(AB, 1).wanted == AB


def test_an_alias_is_left_for_the_listed_address() -> None:
    view = NodeView(("balancer",), 0)
    view.heard("balancer", {"a"})
    plan = view.plan({"balancer"}, 0)
    assert plan.retired == {"balancer"}
    assert plan.wanted == {"a"}
    assert view.plan({"balancer"}, 0).retired == {"balancer"}, "the decision stands until it is left"
    view.lost("balancer")
    assert view.plan(set(), 0).wanted == {"a"}


def test_an_alias_is_kept_when_no_listed_address_works() -> None:
    view = NodeView(("balancer",), 0)
    view.heard("balancer", {"wrong"})
    view.plan({"balancer"}, 0)
    view.lost("balancer")
    assert view.plan(set(), FALL_BACK_AFTER_S).wanted == {"balancer", "wrong"}
    view.heard("balancer", {"wrong"})
    plan = view.plan({"balancer"}, 3)
    assert plan.retired == set()
    assert "balancer" in plan.wanted
    view.heard("wrong", {"wrong"})
    assert view.plan({"balancer", "wrong"}, 4).retired == {"balancer"}


def test_aliases_that_serve_are_tried_again_while_no_listed_address_works() -> None:
    """The nodes are listed under names that this executor cannot reach, and it has an alias of each."""
    view = NodeView(("one", "two"), 0)
    for alias in ("one", "two"):
        view.heard(alias, {"a", "b"})
    assert view.plan({"one", "two"}, 0).retired == {"one", "two"}
    for alias in ("one", "two"):
        view.lost(alias)
    assert view.plan(set(), FALL_BACK_AFTER_S).wanted >= {"one", "two"}
    for alias in ("one", "two"):
        view.heard(alias, {"a", "b"})
    assert view.plan({"one", "two"}, 3).retired == set()
    view.lost("one")  # its node restarts
    assert "one" in view.plan({"two"}, 60).wanted
    view.heard("a", {"a", "b"})
    assert view.plan({"two", "a"}, 61).wanted == {"a", "b"}


def test_the_given_addresses_come_back_when_nothing_is_live() -> None:
    view = NodeView(("seed",), 0)
    view.heard("a", {"a"})
    view.plan({"a"}, 10)
    view.lost("a")
    assert view.plan(set(), 10.5).wanted == {"a"}
    assert view.plan(set(), 10 + FALL_BACK_AFTER_S).wanted == {"a", "seed"}
