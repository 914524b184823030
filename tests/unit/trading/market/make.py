"""Prints, quotes and candles for the market tests."""

from decimal import Decimal

from trading.candles.series import Candles
from trading.domain.market import Candle, MarketTrade, PriceSource, Quote
from trading.market.ring import CandleRing

SYMBOL = "BTC/USDT"
BASE_MS = 1_700_000_000_000


def d(value: object) -> Decimal:
    return Decimal(str(value))


def trade(
    price: object,
    at_s: float = 0,
    *,
    event_s: float | None = None,
    quantity: object = 1,
    source: PriceSource = PriceSource.STREAM,
    symbol: str = SYMBOL,
) -> MarketTrade:
    """A print received `at_s` after the start, made at the same time unless said otherwise."""
    event_ms = BASE_MS + round((at_s if event_s is None else event_s) * 1000)
    return MarketTrade(symbol, d(price), d(quantity), event_ms, 1000.0 + at_s, source)


def quote(
    bid: object,
    ask: object,
    at_s: float = 0,
    *,
    event_s: float | None = None,
    source: PriceSource = PriceSource.STREAM,
    symbol: str = SYMBOL,
) -> Quote:
    """A book received `at_s` after the start."""
    event_ms = BASE_MS + round((at_s if event_s is None else event_s) * 1000)
    return Quote(symbol, d(bid), d(1), d(ask), d(1), event_ms, 1000.0 + at_s, source)


def candle(
    open_: float, high: float, low: float, close: float, *, is_closed: bool = True
) -> Candle:
    return Candle(0, open_, high, low, close, 1.0, is_closed)


def as_kept(candles: Candles) -> Candles:
    """The same candles with the digits that are kept of live ones."""
    ring = CandleRing(len(candles))
    ring.fill(candles)
    return ring.candles()
