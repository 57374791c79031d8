"""Which nodes to hold a session to. PURE: time is an argument.

- What the live nodes list, together, is wanted; without any list yet, the addresses given at the start.
- The given addresses come back as a fall-back whenever no session has been live for a while.
- A live node that nobody lists, itself included, was reached under another name (a load balancer, an alias):
  its session was good for the list and is left. Should no listed address work, it is kept the next time.
- A live node that lists itself while others do not is left only after a grace: coordinators have hiccups.
- A node that is not live is forgotten as soon as it is not wanted.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

FALL_BACK_AFTER_S = 1.0
UNLISTED_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class ViewPlan:
    """What follows from the lists.

    Attributes:
        wanted: Addresses to hold a session to, or to try to.
        retired: Live ones to leave once nothing is open there.
    """

    wanted: frozenset[str]
    retired: frozenset[str]


class NodeView:
    """The nodes' lists, and the addresses given at the start.

    Args:
        seeds: The addresses given at the start.
        now_s: Monotonic seconds.
    """

    def __init__(self, seeds: tuple[str, ...], now_s: float) -> None:
        self._seeds = frozenset(seeds)
        self._lists: dict[str, frozenset[str]] = {}
        self._latest: frozenset[str] = frozenset()
        self._live_at_s = now_s
        self._alone_since_s: dict[str, float] = {}
        self._leaving_as_alias: set[str] = set()
        self._left_as_alias: set[str] = set()
        self._kept_aliases: set[str] = set()

    def heard(self, address: str, listed: AbstractSet[str]) -> None:
        """Take a list from a live node; an empty one says nothing."""
        if listed:
            self._lists[address] = self._latest = frozenset(listed)

    def lost(self, address: str) -> None:
        """Forget the list of a node whose session has ended."""
        self._lists.pop(address, None)
        self._alone_since_s.pop(address, None)
        if address in self._leaving_as_alias:
            self._leaving_as_alias.remove(address)
            self._left_as_alias.add(address)

    def plan(self, live: AbstractSet[str], now_s: float) -> ViewPlan:
        """Return what follows.

        Args:
            live: Addresses with a live session.
            now_s: Monotonic seconds.
        """
        if live:
            self._live_at_s = now_s
        lists = {address: listed for address, listed in self._lists.items() if address in live}
        listed = frozenset[str]().union(*lists.values()) if lists else self._latest
        wanted = listed or self._seeds
        if now_s - self._live_at_s >= FALL_BACK_AFTER_S:
            wanted |= self._seeds
        if live and not live & listed:
            wanted |= self._kept_aliases  # no listed address works: one that served is not given up
        retired = set()
        for address in live:
            if self._is_retired(address, live, lists, listed, now_s):
                retired.add(address)
            else:
                wanted |= {address}
        return ViewPlan(frozenset(wanted), frozenset(retired))

    def _is_retired(
        self,
        address: str,
        live: AbstractSet[str],
        lists: dict[str, frozenset[str]],
        listed: frozenset[str],
        now_s: float,
    ) -> bool:
        if not listed or address not in lists:
            return False  # nothing was heard yet
        if address not in listed:
            if live & listed:
                return True
            if address in self._left_as_alias:
                self._kept_aliases.add(address)
                return False
            self._leaving_as_alias.add(address)
            return True
        others = [members for other, members in lists.items() if other != address]
        if not others or any(address in members for members in others):
            self._alone_since_s.pop(address, None)
            return False
        since_s = self._alone_since_s.setdefault(address, now_s)
        return now_s - since_s >= UNLISTED_GRACE_S
