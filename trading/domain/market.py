"""What the market said: prints, quotes, books and candles, with event and receive time."""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from math import inf


class PriceSource(Enum):
    """Where a price came from."""

    STREAM = "stream"
    REST = "rest"


@dataclass(frozen=True, slots=True)
class MarketTrade:
    """One print on the tape; `received_s` is our monotonic clock, `event_time_ms` theirs."""

    symbol: str
    price: Decimal
    quantity: Decimal
    event_time_ms: int
    received_s: float
    source: PriceSource = PriceSource.STREAM


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and ask with their quantities in base units."""

    symbol: str
    bid: Decimal
    bid_quantity: Decimal
    ask: Decimal
    ask_quantity: Decimal
    event_time_ms: int
    received_s: float
    source: PriceSource = PriceSource.STREAM

    @property
    def mid(self) -> Decimal:
        """The middle of bid and ask."""
        return (self.bid + self.ask) / 2

    @property
    def is_crossed(self) -> bool:
        """Whether the bid is not below the ask."""
        return self.bid >= self.ask


@dataclass(frozen=True, slots=True)
class BookLevel:
    """One price level of a book; quantity in base units."""

    price: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class OrderBook:
    """Depth, best levels first on both sides."""

    symbol: str
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]
    event_time_ms: int


@dataclass(frozen=True, slots=True)
class Candle:
    """Open, high, low, close and base volume from `open_time_ms` on, running or closed.

    What only some exchanges tell is None where unknown: the volume in quote units, how many trades,
    and how much of the base volume impatient buyers took.
    """

    open_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    is_closed: bool
    quote_volume: float | None = None
    trades: int | None = None
    taker_buy_volume: float | None = None

    @property
    def is_sound(self) -> bool:
        """Whether the prices are finite, above 0 and within high and low, the volume not negative.

        What is not a number answers no comparison, and so is not sound either.
        """
        return (
            0 < self.low <= self.open <= self.high < inf
            and self.low <= self.close <= self.high
            and 0 <= self.volume < inf
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """A price that passed the sanity gate, as trackers see it; made by one message.

    `price` is the decision price and None when this message brings no new one; `last` is the newest
    accepted print, `bid` and `ask` the accepted book, `mid` its middle when the spread is sane.
    """

    symbol: str
    price: Decimal | None
    last: Decimal | None
    bid: Decimal | None
    ask: Decimal | None
    mid: Decimal | None
    event_time_ms: int
    received_s: float
    source: PriceSource
    is_trade: bool
