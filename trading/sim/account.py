"""The simulated account: what is free, what orders lock, and never less than nothing."""

from collections.abc import Mapping
from decimal import Decimal

from trading.domain.errors import Refused
from trading.domain.instrument import is_coin
from trading.domain.money import ZERO, parse_decimal, plain

BALANCES_EXAMPLE = "USDT=10000,BTC=0.5"


class InsufficientBalance(Refused):
    """The account does not hold that much free."""


class Account:
    """Free and locked amounts per asset; an asset once held stays listed."""

    def __init__(self, balances: Mapping[str, Decimal]) -> None:
        self._free: dict[str, Decimal] = {}
        self._locked: dict[str, Decimal] = {}
        for asset, amount in balances.items():
            self.deposit(asset, amount)

    @property
    def assets(self) -> tuple[str, ...]:
        """Every asset ever held, in the order of its first appearance."""
        return tuple(self._free)

    def free(self, asset: str) -> Decimal:
        """Return what new orders may use."""
        return self._free.get(asset, ZERO)

    def locked(self, asset: str) -> Decimal:
        """Return what open orders hold."""
        return self._locked.get(asset, ZERO)

    def total(self, asset: str) -> Decimal:
        """Return free and locked together."""
        return self.free(asset) + self.locked(asset)

    def deposit(self, asset: str, amount: Decimal) -> None:
        """Add an amount from outside, or what a fill brought."""
        _check_amount(amount)
        self._free[asset] = self.free(asset) + amount
        self._locked.setdefault(asset, ZERO)

    def withdraw(self, asset: str, amount: Decimal) -> None:
        """Take a free amount out; InsufficientBalance when there is less."""
        _check_amount(amount)
        if amount > self.free(asset):
            raise InsufficientBalance(
                f"{asset} free should be at least {plain(amount)}, was {plain(self.free(asset))}"
            )
        self._free[asset] = self.free(asset) - amount

    def lock(self, asset: str, amount: Decimal) -> None:
        """Set a free amount aside for an order."""
        self.withdraw(asset, amount)
        self._locked[asset] = self.locked(asset) + amount

    def release(self, asset: str, amount: Decimal) -> None:
        """Give a locked amount back to free."""
        self.spend(asset, amount)
        self.deposit(asset, amount)

    def spend(self, asset: str, amount: Decimal) -> None:
        """Take a locked amount out, because an order paid with it."""
        _check_amount(amount)
        if amount > self.locked(asset):
            raise ValueError(
                f"{asset} locked should be at least {amount}, was {self.locked(asset)}"
            )
        self._locked[asset] = self.locked(asset) - amount


def parse_balances(text: str) -> dict[str, Decimal]:
    """Read `USDT=10000,BTC=0.5`; anything else is Refused with an example."""
    balances: dict[str, Decimal] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        asset, equals, amount = part.partition("=")
        asset = asset.strip()
        if not equals or not is_coin(asset) or asset in balances:
            raise Refused(
                f"balance should be ASSET=AMOUNT, each asset once, was {part!r}",
                example=BALANCES_EXAMPLE,
            )
        balances[asset] = parse_decimal(amount.strip(), f"balance of {asset}", BALANCES_EXAMPLE)
    return balances


def _check_amount(amount: Decimal) -> None:
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"amount should be finite and not negative, was {amount}")
