"""Managed coins that orders of others lock: no stop of ours could sell them, and that is told."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from trading.commanding.workings import Workings
from trading.domain.chat import Severity
from trading.domain.events import ConditionChanged
from trading.domain.instrument import base_and_quote
from trading.domain.money import ZERO, grouped

COINS_LOCKED = "coins_locked"


class Locking:
    """Knows of them by what the account showed last; each look is one of `judge`."""

    def __init__(self, workings: Workings) -> None:
        self._of = workings
        self._seen: dict[str, Decimal] = {}
        self._told: frozenset[str] | None = None

    def bound(self, symbol: str) -> Decimal:
        """Return how many managed base units of a symbol orders of others lock."""
        base = base_and_quote(symbol)[0]
        found = self._bound_of(base)
        found = self._seen.get(base, ZERO) if found is None else found
        return min(found, self._of.state.book.managed(symbol))

    async def judge(self) -> None:
        """Tell what two looks in a row have found locked, whenever it is of other coins."""
        coins = dict[str, Decimal]()
        for asset in self._of.state.book.snapshot().balances:
            found = self._bound_of(asset)
            if quantity := self._seen.get(asset, ZERO) if found is None else found:
                coins[asset] = quantity
        stays = {asset: quantity for asset, quantity in coins.items() if asset in self._seen}
        if self._told is None:
            # Of what a process before this one told, nothing is told again.
            self._told = frozenset(stays if self._of.state.has_condition(COINS_LOCKED) else ())
        if (stays or not coins) and stays.keys() != self._told:
            await self._of.record(locked(stays, self._of.clock.now()))
            self._told = frozenset(stays)
        self._seen = coins

    def _bound_of(self, asset: str) -> Decimal | None:
        """Return None where it cannot be told: an order of ours comes or goes."""
        portfolio = self._of.state.book.snapshot()
        balance = portfolio.balances.get(asset)
        # Nearly always nothing is locked, and this is asked of each asset and position.
        if balance is None or not balance.locked:
            return ZERO
        if any(base_and_quote(each)[0] == asset for each in self._of.execution.changing()):
            return None
        ours = self._of.execution.offered(asset) + self._of.state.book.unlocked(asset)
        return portfolio.bound(asset, ours)


def locked(coins: Mapping[str, Decimal], now: datetime) -> ConditionChanged:
    """Return the fact that orders of others lock these managed units, or that none do any more."""
    text, severity = "no order of others locks coins that Umbra manages", Severity.INFO
    if coins:
        which = ", ".join(f"{grouped(quantity)} {asset}" for asset, quantity in coins.items())
        text = (
            f"{which} that Umbra manages lie in orders that are not Umbra's: no stop can sell them "
            "there. Cancel those orders, or take it that they are not protected"
        )
        severity = Severity.WARN
    return ConditionChanged(COINS_LOCKED, None, bool(coins), severity, text, now)
