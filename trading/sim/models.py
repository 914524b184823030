"""What trading costs: the fee model of the simulated account."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.money import ONE, floor_to, plain
from trading.domain.order import Side

# The account keeps no smaller amount of any asset, as Binance with its eight decimals.
AMOUNT_STEP = Decimal("1e-8")
_STANDARD_RATE = Decimal("0.001")

PriceIn = Callable[[str, str], Decimal | None]
"""Price of one unit of an asset in another one, None when unknown."""


@dataclass(frozen=True, slots=True)
class Fee:
    """An amount of an asset that a fill costs."""

    asset: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """Shares of the notional; `asset` is `received`, `base`, `quote` or a coin such as BNB."""

    maker: Decimal = _STANDARD_RATE
    taker: Decimal = _STANDARD_RATE
    asset: str = "received"

    def __post_init__(self) -> None:
        for rate in (self.maker, self.taker):
            if not 0 <= rate < ONE:
                raise Refused(
                    f"fee rate should be from 0 up to below 1, was {plain(rate)}", example="0.001"
                )

    def rate(self, is_maker: bool) -> Decimal:
        """Return the share that a maker or a taker pays."""
        return self.maker if is_maker else self.taker

    def on_received(self, instrument: Instrument, side: Side, size: "FillSize") -> Fee:
        """Return the fee taken from what the fill brings: base for a buy, quote for a sell."""
        rate = self.rate(size.is_maker)
        if side is Side.BUY:
            return Fee(instrument.base, settled(size.quantity * rate))
        return Fee(instrument.quote, settled(size.notional * rate))

    def preferred(self, instrument: Instrument, size: "FillSize", price_in: PriceIn) -> Fee | None:
        """Return the fee in the asset asked for, None when it is `received` or has no price."""
        rate = self.rate(size.is_maker)
        asset = {"base": instrument.base, "quote": instrument.quote}.get(self.asset, self.asset)
        if asset == "received":
            return None
        if asset == instrument.base:
            return Fee(asset, settled(size.quantity * rate))
        if asset == instrument.quote:
            return Fee(asset, settled(size.notional * rate))
        price = price_in(asset, instrument.quote)
        return Fee(asset, settled(size.notional * rate / price)) if price else None


@dataclass(frozen=True, slots=True)
class FillSize:
    """How much a fill moved: base quantity, quote notional, and which side of the book we were."""

    quantity: Decimal
    notional: Decimal
    is_maker: bool


def settled(amount: Decimal) -> Decimal:
    """Return what the account books of an amount: whole steps of 1e-8, the rest is dropped."""
    return floor_to(amount, AMOUNT_STEP)
