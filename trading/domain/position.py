"""Holdings: what the account has, what is managed, what a round trip earned."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum

from trading.domain.money import ZERO
from trading.domain.order import NO_FEES, Fees, Fill, Intent, Side


@dataclass(frozen=True, slots=True)
class Balance:
    """One asset of the account, in its own units."""

    asset: str
    free: Decimal
    locked: Decimal

    @property
    def total(self) -> Decimal:
        """Free and locked together."""
        return self.free + self.locked


@dataclass(frozen=True, slots=True)
class Position:
    """The managed quantity of one instrument and what it cost in quote, fees included.

    The cost weighs adopted coins at the price of their adoption, bought ones at their fills; `fees`
    are what of it the fills were charged, and what they were charged beyond it in coins without a
    price.
    `changed_at` is when coins last came under management or left it without a sale of ours: sales
    elsewhere before that are settled.
    """

    symbol: str
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    opened_at: datetime | None = None
    changed_at: datetime | None = None
    fees: Fees = NO_FEES

    @property
    def average_price(self) -> Decimal | None:
        """Quote per base unit that the managed quantity cost."""
        return self.cost / self.quantity if self.quantity else None

    def adopt(self, quantity: Decimal, price: Decimal, at: datetime) -> "Position":
        """Put coins that were already there under management, valued at `price`."""
        return replace(
            self,
            quantity=self.quantity + quantity,
            cost=self.cost + quantity * price,
            opened_at=self.opened_at or at,
            changed_at=at,
        )

    def release(self, quantity: Decimal, at: datetime | None = None) -> "Position":
        """Take coins out of management without a sale: cost leaves in proportion."""
        return replace(self._less(quantity), changed_at=at or self.changed_at)

    def let_go(self, ended: Intent) -> "Position":
        """Take out what a sale let go of; where it sold nothing, as if that had never come.

        That settles nothing: what was sold elsewhere before may have been coins that stay.
        """
        left = self._less(ended.let_go)
        if ended.filled_quantity or ended.inherited or not left.quantity:
            return left
        # At the price that its decision saw, it came.
        cost = max(self.cost - ended.let_go * ended.reference_price, ZERO)
        return replace(left, cost=cost, fees=self.fees)

    def apply(self, fill: Fill, base: str, quote: str, unmanaged: Decimal = ZERO) -> "Position":
        """Book a fill; a fee in base costs coins, and any other one of a purchase its worth.

        Of what is sold, `unmanaged` units were not under care any more.
        """
        fee_base = fill.fee if fill.fee_asset == base else ZERO
        if fill.side is Side.SELL:
            return self._less(fill.quantity + fee_base - unmanaged)
        fees = fill.fees(base, quote)
        return replace(
            self,
            quantity=self.quantity + fill.quantity - fee_base,
            # Coins that a fee took make the others dearer: their cost is there already.
            cost=self.cost + fill.notional + (ZERO if fee_base else fees.quote),
            fees=self.fees + fees,
            opened_at=self.opened_at or fill.at,
        )

    def _less(self, quantity: Decimal) -> "Position":
        left = self.quantity - quantity
        if left <= 0:
            return replace(self, quantity=ZERO, cost=ZERO, fees=NO_FEES, opened_at=None)
        return replace(
            self,
            quantity=left,
            cost=self.cost * left / self.quantity,
            fees=self.fees.share(left, self.quantity),
        )


# Coins that promise to be worth one another.
DOLLARS = frozenset({"USDT", "USDC", "FDUSD", "TUSD", "USD", "DAI", "BUSD"})


class AdjustReason(Enum):
    """Why managed coins changed without an order of ours."""

    ADOPTED = "adopted"
    RELEASED = "released"
    EXTERNAL = "external"
    DUST = "dust"


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A finished exit: what was sold of which cost; money in quote, after fees.

    `fees_quote` are those of purchase and sale, as far as their worth was known; `fees_unpriced`
    are units by asset that neither it nor `profit` counts.
    """

    symbol: str
    intent_id: str
    quantity: Decimal
    entry_price: Decimal | None
    exit_price: Decimal
    profit: Decimal
    fees_quote: Decimal
    opened_at: datetime | None
    closed_at: datetime
    fees_unpriced: tuple[tuple[str, Decimal], ...] = ()


@dataclass(frozen=True, slots=True)
class Movement:
    """Units of an asset that came into the account (above 0) or left it, without a trade.

    `cleared_at` is the exchange's time.
    """

    asset: str
    quantity: Decimal
    cleared_at: datetime


# Why a mode was taken that is also that of a reduction: orders to buy that rest outlive it.
PAUSE = "pause"


class TradingMode(Enum):
    """What the risk layer permits now; sticky across restarts."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"
    HALTED_EVERYTHING = "halted_everything"

    @property
    def takes_entries(self) -> bool:
        """Whether risk may be added."""
        return self is TradingMode.ACTIVE

    @property
    def is_halted(self) -> bool:
        """Whether nothing new at all is done until a person resumes."""
        return self in {TradingMode.HALTED, TradingMode.HALTED_EVERYTHING}


@dataclass(frozen=True, slots=True)
class Portfolio:
    """All positions and balances at one moment; `prices` quote per base of the valuation."""

    balances: Mapping[str, Balance] = field(default_factory=dict)
    positions: Mapping[str, Position] = field(default_factory=dict)
    prices: Mapping[str, Decimal] = field(default_factory=dict)

    def managed(self, symbol: str) -> Decimal:
        """Base units of `symbol` under management."""
        position = self.positions.get(symbol)
        return position.quantity if position else ZERO

    def holders(self, asset: str) -> tuple[str, ...]:
        """The symbols under which units of an asset are managed."""
        # Asked with each balance that the account's stream tells.
        start = f"{asset}/"
        return tuple(
            sorted(
                symbol
                for symbol, position in self.positions.items()
                if symbol.startswith(start) and position.quantity > 0
            )
        )

    def managed_of(self, asset: str) -> Decimal:
        """Units of an asset under management, over every symbol."""
        return sum((self.managed(symbol) for symbol in self.holders(asset)), ZERO)

    def unmanaged(self, asset: str) -> Decimal:
        """Units of an asset that no position manages."""
        return max(self.total(asset) - self.managed_of(asset), ZERO)

    def spendable(self, asset: str, offered: Decimal = ZERO) -> Decimal:
        """Free units of an asset that no position manages: a purchase or a new stop may take them.

        `offered` managed units are locked by sell orders of ours: no free ones have to stand in
        for them. Whose coins the other orders lock nobody knows, so that they count for none.
        """
        kept = max(self.managed_of(asset) - offered, ZERO)
        return max(min(self.free(asset) - kept, self.unmanaged(asset)), ZERO)

    def bound(self, asset: str, offered: Decimal = ZERO) -> Decimal:
        """Managed units of an asset that orders of others lock, which no order of ours can sell.

        `offered` ones are locked by sell orders of ours. What the account does not show at all is
        missing, and not bound.
        """
        shown = min(self.managed_of(asset), self.total(asset))
        return max(shown - self.free(asset) - offered, ZERO)

    def free(self, asset: str) -> Decimal:
        """Free units of an asset."""
        balance = self.balances.get(asset)
        return balance.free if balance else ZERO

    def total(self, asset: str) -> Decimal:
        """Free and locked units of an asset."""
        balance = self.balances.get(asset)
        return balance.total if balance else ZERO
