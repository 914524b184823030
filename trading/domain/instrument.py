"""What is traded and the exchange's rules; the only place that rounds prices and quantities."""

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import ROUND_UP, Context, Decimal
from enum import Enum

from trading.domain.errors import Refused
from trading.domain.money import EXACT, ZERO, ceil_to, floor_to

_COIN_LENGTH_MAX = 20
_NEAR_MAX = 3
_TWO_DIGITS_UP = Context(prec=2, rounding=ROUND_UP)


class InstrumentStatus(Enum):
    """Whether the exchange takes orders for an instrument now."""

    TRADING = "trading"
    HALTED = "halted"
    CANCEL_ONLY = "cancel_only"


def is_coin(text: str) -> bool:
    """Whether a text is written as coins are: capital letters and digits, such as USDT."""
    written = text.isascii() and text.isalnum() and text == text.upper()
    return written and len(text) <= _COIN_LENGTH_MAX


def coins_of(instruments: Iterable["Instrument"]) -> frozenset[str]:
    """Return every coin that these markets trade, or trade against."""
    return frozenset(coin for item in instruments for coin in (item.base, item.quote))


def refuse_unknown_coins(wanted: Iterable[str], known: Collection[str], name: str) -> None:
    """Refuse, as `name`, the first coin that is none of those known, with the ones near it."""
    for coin in wanted:
        if coin not in known:
            near = difflib.get_close_matches(coin, sorted(known), n=_NEAR_MAX, cutoff=0.5)
            said = f"near it: {', '.join(near)}" if near else "nothing is near it"
            raise Refused(
                f"{name} should name coins of the exchange, {coin} is none; {said}",
                example=near[0] if near else "",
                wrong=coin,
                near=near,
            )


def base_and_quote(symbol: str) -> tuple[str, str]:
    """Return both coins of a symbol: its name tells them when its rules are not known."""
    base, _, quote = symbol.partition("/")
    return base, quote


@dataclass(frozen=True, slots=True)
class Instrument:
    """A spot instrument and its order rules; steps and limits are in units of base and quote."""

    symbol: str
    exchange_symbol: str
    base: str
    quote: str
    price_tick: Decimal
    quantity_step: Decimal
    quantity_min: Decimal
    quantity_max: Decimal
    market_quantity_max: Decimal
    notional_min: Decimal
    notional_max: Decimal | None = None
    price_min: Decimal = ZERO
    price_max: Decimal | None = None
    price_ratio_min: Decimal | None = None
    price_ratio_max: Decimal | None = None
    orders_open_max: int | None = None
    status: InstrumentStatus = InstrumentStatus.TRADING

    def price_down(self, price: Decimal) -> Decimal:
        """Round a price down to the tick: a sell limit that must not ask too much, a bid."""
        return floor_to(price, self.price_tick)

    def price_up(self, price: Decimal) -> Decimal:
        """Round a price up to the tick: a buy limit that must still reach its bound."""
        return ceil_to(price, self.price_tick)

    def quantity(self, quantity: Decimal) -> Decimal:
        """Floor a quantity to the step; never ceil, so that nobody sells what is not there."""
        return floor_to(quantity, self.quantity_step)

    def at_market(self, quantity: Decimal) -> Decimal:
        """Return how much of a quantity one order without a limit takes, floored to the step."""
        bounds = [most for most in (self.market_quantity_max, self.quantity_max) if most > 0]
        return self.quantity(min([quantity, *bounds]))

    def price_band(self, price: Decimal) -> tuple[Decimal, Decimal | None]:
        """Return the lowest and the highest limit that is taken while the market is at a price."""
        lowest, highest = self.price_min, self.price_max
        if self.price_ratio_min is not None:
            lowest = max(lowest, price * self.price_ratio_min)
        if self.price_ratio_max is not None:
            reach = price * self.price_ratio_max
            highest = reach if highest is None else min(highest, reach)
        return self.price_up(lowest), None if highest is None else self.price_down(highest)

    def largest(self, price: Decimal) -> Decimal | None:
        """Return the greatest quantity of one limit order at a price, None without a bound."""
        bounds = [self.quantity_max] if self.quantity_max > 0 else []
        if self.notional_max is not None and price > 0:
            bounds.append(EXACT.divide(self.notional_max, price))
        return self.quantity(min(bounds)) if bounds else None

    def notional_least(self, price: Decimal) -> Decimal:
        """Return from which worth on an order at a price is taken, in quote units.

        Where the least quantity is dearer than what the exchange asks for: two digits, rounded up.
        """
        quantity = ceil_to(max(self.quantity_min, self.quantity_step), self.quantity_step)
        return max(self.notional_min, _TWO_DIGITS_UP.multiply(quantity, price))

    def is_dust(self, quantity: Decimal, price: Decimal) -> bool:
        """Whether an order of this quantity at this price would be refused as too small."""
        return self.is_small(quantity) or self.quantity(quantity) * price < self.notional_min

    def is_small(self, quantity: Decimal) -> bool:
        """Whether an order of this quantity would be refused as too small at any price."""
        floored = self.quantity(quantity)
        return floored < self.quantity_min or floored <= 0
