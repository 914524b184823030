"""The living portfolio: balances from the exchange, positions from fills, one valuation."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from trading.domain.events import Event, FillBooked, PositionAdjusted
from trading.domain.money import ONE, ZERO
from trading.domain.position import Balance, Portfolio, Position

# Tried in this order where an asset has no market against the valuation currency.
_BRIDGES = ("USDT", "USDC", "BTC")


def price_in(asset: str, currency: str, prices: Mapping[str, Decimal]) -> Decimal | None:
    """Return what one unit of `asset` is worth in `currency`, through one bridge at most."""
    direct = _direct(asset, currency, prices)
    if direct is not None:
        return direct
    for bridge in _BRIDGES:
        first, second = _direct(asset, bridge, prices), _direct(bridge, currency, prices)
        if first is not None and second is not None:
            return first * second
    return None


def _direct(asset: str, currency: str, prices: Mapping[str, Decimal]) -> Decimal | None:
    if asset == currency:
        return ONE
    price = prices.get(f"{asset}/{currency}")
    if price is not None:
        return price
    inverse = prices.get(f"{currency}/{asset}")
    return ONE / inverse if inverse else None


class PortfolioBook:
    """Keeps the newest balances, positions and prices; hands out frozen portfolios."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self._balances: dict[str, Balance] = {}
        self._positions: dict[str, Position] = {}
        self._prices: dict[str, Decimal] = {}
        self.balances_at_s: float | None = None

    def load(self, positions: Mapping[str, Position]) -> None:
        """Take the positions that storage holds."""
        self._positions = dict(positions)

    def apply(self, event: Event) -> None:
        """Book what a durable event says about positions; other events change nothing."""
        if isinstance(event, FillBooked):
            position = self._position(event.fill.symbol)
            self._keep(position.apply(event.fill, event.base, event.quote))
        elif isinstance(event, PositionAdjusted):
            position = self._position(event.symbol)
            if event.quantity > 0:
                self._keep(position.adopt(event.quantity, event.price, event.at))
            else:
                self._keep(position.release(-event.quantity, event.at))

    def set_balances(self, balances: Mapping[str, Balance], at_s: float) -> None:
        """Replace every balance by a full read of the account."""
        self._balances = dict(balances)
        self.balances_at_s = at_s

    def set_balance(self, balance: Balance) -> None:
        """Take one balance from the user stream."""
        self._balances[balance.asset] = balance

    def set_price(self, symbol: str, price: Decimal) -> None:
        """Take a price for the valuation."""
        self._prices[symbol] = price

    @property
    def positions(self) -> Mapping[str, Position]:
        """The present positions by symbol."""
        return self._positions

    def managed_of(self, asset: str) -> Decimal:
        """Return the base units under management over every instrument of an asset."""
        held = (
            position.quantity
            for symbol, position in self._positions.items()
            if symbol.split("/", maxsplit=1)[0] == asset
        )
        return sum(held, ZERO)

    def snapshot(self) -> Portfolio:
        """Return the present state as a value."""
        return Portfolio(dict(self._balances), dict(self._positions), dict(self._prices))

    def preview(self, *events: Event) -> Portfolio:
        """Return the state as it would be after more events; nothing changes."""
        copy = PortfolioBook(self.currency)
        copy._balances, copy._prices = self._balances, self._prices
        copy.load(self._positions)
        for event in events:
            copy.apply(event)
        return copy.snapshot()

    def value(self, asset: str, quantity: Decimal) -> Decimal | None:
        """Return a quantity's worth in the valuation currency, None where no market prices it."""
        price = price_in(asset, self.currency, self._prices)
        return quantity * price if price is not None else None

    def equity(self) -> Decimal:
        """Return the whole account's worth; assets without a price count nothing."""
        values = (self.value(asset, item.total) for asset, item in self._balances.items())
        return sum((value for value in values if value is not None), ZERO)

    def unpriced(self) -> Iterable[str]:
        """Return held assets that the present prices cannot value."""
        return [
            asset
            for asset, item in self._balances.items()
            if item.total and price_in(asset, self.currency, self._prices) is None
        ]

    def _position(self, symbol: str) -> Position:
        return self._positions.get(symbol) or Position(symbol)

    def _keep(self, position: Position) -> None:
        # Realized profit lives in round trips; an empty position starts afresh.
        if position.quantity:
            self._positions[position.symbol] = position
        else:
            self._positions[position.symbol] = replace(position, cost=ZERO)
