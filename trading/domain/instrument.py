"""What is traded and the exchange's rules; the only place that rounds prices and quantities."""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from trading.domain.money import ZERO, ceil_to, floor_to


class InstrumentStatus(Enum):
    """Whether the exchange takes orders for an instrument now."""

    TRADING = "trading"
    HALTED = "halted"
    CANCEL_ONLY = "cancel_only"


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

    def is_dust(self, quantity: Decimal, price: Decimal) -> bool:
        """Whether an order of this quantity at this price would be refused as too small."""
        floored = self.quantity(quantity)
        return floored < self.quantity_min or floored <= 0 or floored * price < self.notional_min
