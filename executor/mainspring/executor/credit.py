"""The right to send work, shared out over the nodes. PURE: time is an argument.

The bound that holds at every moment: credits held by nodes (granted, and neither spent nor returned, as far as
the executor has heard) + work occupying the executor <= capacity. A credit counts as held until the work it
paid for or its return has *arrived*, so nothing that is under way can exceed the capacity.

Free credit goes first to nodes where work waits, evenly, then to whoever holds least: an idle cluster ends up
with even shares. When nothing is free, unspent credit is asked back from nodes that do not need it. A node
answers with what it still has, at its leisure; what it spent meanwhile arrives as work and is counted there.

Example, capacity 9, nodes A, B, C: 3 credits each. A reports 5 waiting; nothing is free, so 2 are asked of B
or C (A can spend its own 3 on the first ones). B returns 2: they are granted to A.
"""

from dataclasses import dataclass

ASK_AGAIN_AFTER_S = 1.0
"""A node that does not answer an ask is asked again after this."""

IDLE_AFTER_S = 1.0
"""A node that holds credit for this long without spending any cannot use it, whatever waits there: its work
may be for other handlers."""


@dataclass(frozen=True, slots=True)
class CreditMove:
    """What to tell one node.

    Attributes:
        granted: How many more items it may send.
        wanted_back: How many unspent credits it should return if it can.
    """

    granted: int = 0
    wanted_back: int = 0


@dataclass(slots=True)
class _Account:
    held: int = 0
    waiting: int = 0
    asked: int = 0
    asked_at_s: float = 0.0
    unspent_since_s: float = 0.0
    is_open: bool = True
    turn: int = 0
    """When it last got an odd credit: who waited longest for one is next."""

    def need(self, now_s: float) -> int:
        if self.held and now_s - self.unspent_since_s >= IDLE_AFTER_S:
            return 0
        return max(0, self.waiting - self.held)


class CreditLedger:
    """Credits of every node against one capacity. For one task at a time; knows no clock.

    Args:
        capacity: How many items of work may occupy the executor, over all nodes together.

    Raises:
        ValueError: The capacity is below 1.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self.capacity = capacity
        self.occupied = 0
        self.is_held = False
        """Grant nothing for now (too many results are unsaved)."""
        self._accounts: dict[str, _Account] = {}
        self._held_total = 0
        self._turns = 0

    @property
    def free(self) -> int:
        """Credits that no node holds and no work occupies."""
        return self.capacity - self.occupied - self._held_total

    @property
    def held_total(self) -> int:
        """Credits that nodes hold."""
        return self._held_total

    def held(self, node: str) -> int:
        """Return the credits that a node holds; 0 for a node that is not known."""
        account = self._accounts.get(node)
        return account.held if account else 0

    def add(self, node: str) -> None:
        """Open an account with no credit. A node that comes back begins anew."""
        self.drop(node)
        self._accounts[node] = _Account()

    def drop(self, node: str) -> None:
        """Forget a lost node: its credits are free again, for its stream delivers nothing more."""
        account = self._accounts.pop(node, None)
        if account:
            self._held_total -= account.held

    def close(self, node: str) -> None:
        """Grant this node nothing more and ask back what it holds; `reopen` undoes it."""
        if node in self._accounts:
            self._accounts[node].is_open = False

    def reopen(self, node: str) -> None:
        """Grant to this node again."""
        if node in self._accounts:
            self._accounts[node].is_open = True

    def forfeit(self, node: str) -> None:
        """The node sends nothing more on this stream: its credits are free, and it gets none."""
        account = self._accounts.get(node)
        if account:
            self._set_held(account, 0)
            account.is_open = False

    def spend(self, node: str, now_s: float) -> bool:
        """Account for one item of work that arrived. Returns whether it may stay and now occupies a slot.

        Work beyond its node's credit stays only when a credit is free, so the bound holds whatever nodes do.
        """
        account = self._accounts.get(node)
        if account and account.held:
            self._set_held(account, account.held - 1)
            account.unspent_since_s = now_s
        elif self.free <= 0:
            return False
        self.occupied += 1
        return True

    def release(self, count: int) -> None:
        """Account for items of work that ended or were not taken after all."""
        if not 0 <= count <= self.occupied:
            raise ValueError(f"{count} released of {self.occupied} occupied")
        self.occupied -= count

    def demand(self, node: str, waiting: int, returned: int) -> None:
        """Account for what a node reported: items that wait there, and credits it gives back.

        The number that waits stands until the node reports another: it is not counted down as work arrives, for
        more may have come to wait meanwhile.
        """
        account = self._accounts.get(node)
        if account is None:
            return
        account.waiting = max(0, waiting)
        if returned > 0:
            self._set_held(account, account.held - min(returned, account.held))
            account.asked = 0

    def plan(self, now_s: float) -> dict[str, CreditMove]:
        """Grant what is free and ask back what is needed elsewhere; grants count as held from here on.

        Args:
            now_s: Monotonic seconds.
        """
        granted = self._grant(now_s)
        wanted_back = self._recall(now_s)
        if not granted and not wanted_back:
            return {}
        return {
            node: CreditMove(granted.get(node, 0), wanted_back.get(node, 0))
            for node in (granted | wanted_back)
        }

    def _grant(self, now_s: float) -> dict[str, int]:
        free = self.free
        takers = {node: account for node, account in self._accounts.items() if account.is_open}
        if free <= 0 or self.is_held or not takers:
            return {}
        grants = dict.fromkeys(takers, 0)
        needs = {node: need for node, account in takers.items() if (need := account.need(now_s))}
        while needs and free >= len(needs):
            share = free // len(needs)
            for node, need in list(needs.items()):
                count = min(share, need)
                grants[node] += count
                free -= count
                needs[node] -= count
                if not needs[node]:
                    del needs[node]
        # Credits often come free one at a time: the odd ones go round, or one node would get them all.
        for node in sorted(needs, key=lambda node: takers[node].turn)[:free]:
            grants[node] += 1
            free -= 1
            self._turns += 1
            takers[node].turn = self._turns
        _level({node: account.held + grants[node] for node, account in takers.items()}, free, grants)
        for node, count in grants.items():
            if count:
                account = takers[node]
                if not account.held:
                    account.unspent_since_s = now_s
                self._set_held(account, account.held + count)
        return {node: count for node, count in grants.items() if count}

    def _recall(self, now_s: float) -> dict[str, int]:
        asks: dict[str, int] = {}
        askable: dict[str, _Account] = {}
        pending = 0
        for node, account in self._accounts.items():
            if account.asked and now_s - account.asked_at_s < ASK_AGAIN_AFTER_S:
                pending += account.asked
                continue
            account.asked = 0
            if not account.held:
                continue
            if account.is_open:
                askable[node] = account
            else:
                asks[node] = account.held
        takers = [account for account in self._accounts.values() if account.is_open]
        if takers and not self.is_held:
            unmet = sum(account.need(now_s) for account in takers) - pending
            idle = {node: account for node, account in askable.items() if not account.need(now_s)}
            for node, account in sorted(idle.items(), key=lambda item: -item[1].held):
                if unmet <= 0:
                    break
                asks[node] = min(account.held, unmet)
                unmet -= asks[node]
            if unmet <= 0:
                self._ask_for_poor(takers, askable, asks, pending)
        for node, count in asks.items():
            self._accounts[node].asked = count
            self._accounts[node].asked_at_s = now_s
        return asks

    def _ask_for_poor(
        self, takers: list[_Account], askable: dict[str, _Account], asks: dict[str, int], pending: int
    ) -> None:
        # Half a share is enough to begin with: correcting smaller differences would only make noise.
        share = (self.capacity - self.occupied) // len(takers)
        missing = sum(share - account.held for account in takers if account.held * 2 < share)
        missing -= pending + sum(asks.values())
        for node, account in sorted(askable.items(), key=lambda item: -item[1].held):
            above = account.held - share
            if missing <= 0 or above <= 0:
                break
            if node not in asks:
                asks[node] = min(above, missing)
                missing -= asks[node]

    def _set_held(self, account: _Account, held: int) -> None:
        self._held_total += held - account.held
        account.held = held


def _level(levels: dict[str, int], amount: int, grants: dict[str, int]) -> None:
    """Add an amount to `grants` so that the lowest levels rise together."""
    order = sorted(levels, key=levels.__getitem__)
    while amount > 0:
        floor = levels[order[0]]
        lowest = [node for node in order if levels[node] == floor]
        above = next((levels[node] for node in order if levels[node] > floor), None)
        if above is None or (above - floor) * len(lowest) > amount:
            step, rest = divmod(amount, len(lowest))
        else:
            step, rest = above - floor, 0
        for index, node in enumerate(lowest):
            extra = step + (1 if index < rest else 0)
            levels[node] += extra
            grants[node] += extra
            amount -= extra
