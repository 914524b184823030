"""The living portfolio: balances from the exchange, positions from fills, one valuation."""

from collections.abc import Mapping
from decimal import Decimal

from trading.domain.events import (
    AttemptChanged,
    Event,
    FillBooked,
    IntentClosed,
    PositionAdjusted,
)
from trading.domain.instrument import base_and_quote
from trading.domain.money import ZERO
from trading.domain.order import Attempt, AttemptState, Side
from trading.domain.position import Balance, Portfolio, Position
from trading.domain.valuation import market, price_in

# Ends of orders that may have locked units until then; others never stood in the book.
_LET_GO = frozenset({AttemptState.CANCELED, AttemptState.EXPIRED})


class PortfolioBook:
    """Keeps the newest balances, positions and prices; hands out frozen portfolios."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self._balances: dict[str, Balance] = {}
        self._positions: dict[str, Position] = {}
        self._prices: dict[str, Decimal] = {}
        self._rates: dict[str, Decimal] = {}
        # Whether somebody holds these very dicts: the next change copies them first.
        self._is_shared = False
        self.balances_at_s: float | None = None
        # How many executions were booked and sell orders ended, and how many by the last sale of
        # each asset; and by the last purchase of each that nothing was heard of since.
        self.booked = 0
        self._sold: dict[str, int] = {}
        self._bought: dict[str, int] = {}
        # By order, what its end let go of that a read of the account may still show as locked: how
        # many there were by then, the asset, its units.
        self._unlocked: dict[str, tuple[int, str, Decimal]] = {}
        # Assets whose newest balance came by the stream, which tells an end's balance by itself.
        self._by_stream: set[str] = set()
        self._heard_since_s: float | None = float("-inf")

    def load(self, positions: Mapping[str, Position]) -> None:
        """Take the positions that storage holds."""
        self._positions = dict(positions)

    def apply(self, event: Event) -> None:
        """Book what a durable event says about positions; other events change nothing."""
        if isinstance(event, FillBooked):
            position = self._position(event.fill.symbol)
            self._keep(position.apply(event.fill, event.base, event.quote, event.unmanaged))
            self.booked += 1
            latest = self._sold if event.fill.side is Side.SELL else self._bought
            latest[event.base] = self.booked
        elif isinstance(event, AttemptChanged):
            self._unlock(event.attempt)
        elif isinstance(event, IntentClosed) and event.intent.let_go:
            position = self._position(event.intent.symbol)
            self._keep(position.let_go(event.intent))
        elif isinstance(event, PositionAdjusted):
            position = self._position(event.symbol)
            if event.quantity > 0:
                self._keep(position.adopt(event.quantity, event.price, event.at))
            else:
                self._keep(position.release(-event.quantity, event.at))

    def set_balances(
        self, balances: Mapping[str, Balance], at_s: float, booked: int | None = None
    ) -> None:
        """Replace every balance by a full read of the account.

        `booked` is how many executions were when the read began, if not the present ones.
        """
        self._balances = dict(balances)
        self.balances_at_s = at_s
        shown = self.booked if booked is None else booked
        self._sold = {asset: number for asset, number in self._sold.items() if number > shown}
        self._bought = {asset: number for asset, number in self._bought.items() if number > shown}
        self._unlocked = {
            order_id: ended for order_id, ended in self._unlocked.items() if ended[0] > shown
        }
        self._by_stream.clear()

    def hear(self, since_s: float | None) -> None:
        """Take it that the account's stream tells each change since then, or none while None."""
        self._heard_since_s = since_s
        if since_s is None:
            self._by_stream.clear()

    def is_behind(self, asset: str) -> bool:
        """Whether a sale may still be in a balance: what it sold would look unmanaged.

        That is one that was booked since, or one of others that no stream told of.
        """
        heard_s, read_s = self._heard_since_s, self.balances_at_s
        is_unheard = heard_s is None or (read_s is not None and read_s < heard_s)
        return is_unheard or self.has_sold(asset)

    def has_sold(self, asset: str) -> bool:
        """Whether a sale was booked since the last read of the account began."""
        return asset in self._sold

    def has_bought(self, asset: str) -> bool:
        """Whether a purchase was booked that no balance of the asset may show yet."""
        return asset in self._bought

    def unlocked(self, asset: str) -> Decimal:
        """Return the units that ended sell orders held, which a balance may still show locked."""
        return sum((left for _, of, left in self._unlocked.values() if of == asset), ZERO)

    def set_balance(self, balance: Balance) -> None:
        """Take one balance from the user stream."""
        self._own()
        self._bought.pop(balance.asset, None)
        self._by_stream.add(balance.asset)
        self._unlocked = {
            order_id: ended
            for order_id, ended in self._unlocked.items()
            if ended[1] != balance.asset
        }
        self._balances[balance.asset] = balance

    def set_price(self, symbol: str, price: Decimal) -> None:
        """Take a price for the valuation."""
        if self._is_shared:
            self._own()
        self._prices[symbol] = price

    def set_rates(self, rates: Mapping[str, Decimal]) -> None:
        """Replace what a unit of each asset is worth that no price of its own values.

        A rate is of one moment: a live price times one of a minute ago would be nobody's.
        """
        self._rates = dict(rates)

    @property
    def positions(self) -> Mapping[str, Position]:
        """The present positions by symbol."""
        return self._positions

    def managed(self, symbol: str) -> Decimal:
        """Return the base units under management of one instrument."""
        return Portfolio(positions=self._positions).managed(symbol)

    def managed_of(self, asset: str) -> Decimal:
        """Return the base units under management over every instrument of an asset."""
        return Portfolio(positions=self._positions).managed_of(asset)

    def snapshot(self) -> Portfolio:
        """Return the present state as a value; it costs nothing until something changes.

        A stop asks for it several times on its way, and what it holds may be thousands of entries.
        """
        self._is_shared = True
        return Portfolio(self._balances, self._positions, self._prices)

    def preview(self, *events: Event) -> Portfolio:
        """Return the state as it would be after more events; nothing changes."""
        copy = PortfolioBook(self.currency)
        copy._balances, copy._prices = self._balances, self._prices
        self._is_shared = True
        copy.load(self._positions)
        for event in events:
            copy.apply(event)
        return copy.snapshot()

    def value(self, asset: str, quantity: Decimal) -> Decimal | None:
        """Return a quantity's worth in the valuation currency, None where no market prices it."""
        price = self._price(asset)
        return quantity * price if price is not None else None

    def equity(self) -> Decimal:
        """Return the whole account's worth; assets without a price count nothing."""
        values = (self.value(asset, item.total) for asset, item in self._balances.items())
        return sum((value for value in values if value is not None), ZERO)

    def unpriced(self) -> tuple[Balance, ...]:
        """Return what is held and counts nothing, for the present prices cannot value it."""
        return tuple(
            item
            for asset, item in sorted(self._balances.items())
            if item.total and self._price(asset) is None
        )

    def _price(self, asset: str) -> Decimal | None:
        if asset in self._rates and market(asset, self.currency, self._prices) is None:
            return self._rates[asset]
        return price_in(asset, self.currency, self._prices)

    def _position(self, symbol: str) -> Position:
        return self._positions.get(symbol) or Position(symbol)

    def _unlock(self, attempt: Attempt) -> None:
        """Take note of a sell order that ended with units unsold."""
        asset = base_and_quote(attempt.request.symbol)[0]
        left = attempt.request.quantity - attempt.filled_quantity
        is_over = attempt.request.side is Side.SELL and attempt.state in _LET_GO
        if is_over and left > 0 and asset not in self._by_stream:
            self.booked += 1
            self._unlocked[attempt.client_order_id] = (self.booked, asset, left)

    def _own(self) -> None:
        if self._is_shared:
            self._balances = dict(self._balances)
            self._positions = dict(self._positions)
            self._prices = dict(self._prices)
            self._is_shared = False

    def _keep(self, position: Position) -> None:
        self._own()
        self._positions[position.symbol] = position
