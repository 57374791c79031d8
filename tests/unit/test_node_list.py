"""Which nodes a node tells its executors to hold a stream to."""

from types import SimpleNamespace
from typing import Any

from mainspring.server.node import node_addresses


def membership(*addresses: str) -> Any:
    members = {address: SimpleNamespace(address=address) for address in addresses}
    return SimpleNamespace(view=lambda: SimpleNamespace(members=members))


def test_the_members_and_itself_until_it_is_among_them() -> None:
    assert node_addresses(membership("b:1", "c:1"), "a:1") == ("a:1", "b:1", "c:1")
    assert node_addresses(membership("a:1", "b:1"), "a:1") == ("a:1", "b:1")


def test_a_node_that_has_not_reached_the_coordinator_draws_no_executor_to_itself() -> None:
    """Its executors would leave those that are in the cluster: an empty list says nothing to them."""
    assert node_addresses(membership(), "a:1") == ()
