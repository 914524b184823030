"""Binance's market in our words: quotes, prints, depth and candles."""

import contextlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from trading.domain.market import Candle, MarketTrade, OrderBook, PriceSource, Quote
from trading.gateway.translate.values import (
    SymbolOf,
    Unusable,
    decimal_of,
    is_before_trading,
    levels,
    mapping,
    number,
    positive,
    sequence,
    shown,
    text,
    time_ms,
)


def quote(raw: object, symbol: str, at_ms: int, received_s: float, source: PriceSource) -> Quote:
    """Read a best bid and ask of REST; it carries no time, so ours counts."""
    said = mapping(raw, "bookTicker")
    return Quote(
        symbol=symbol,
        bid=positive(said, "bidPrice"),
        bid_quantity=number(said, "bidQty"),
        ask=positive(said, "askPrice"),
        ask_quantity=number(said, "askQty"),
        event_time_ms=at_ms,
        received_s=received_s,
        source=source,
    )


def quotes(raw: object, symbol_of: SymbolOf, at_ms: int, received_s: float) -> dict[str, Quote]:
    """Read best bid and ask of several symbols; one that cannot be believed is left out."""
    found: dict[str, Quote] = {}
    for row in sequence(raw, "bookTicker"):
        symbol = symbol_of(text(mapping(row, "bookTicker"), "symbol"))
        if symbol is None:
            continue
        with contextlib.suppress(Unusable):
            found[symbol] = quote(row, symbol, at_ms, received_s, PriceSource.REST)
    return found


def streamed_quote(said: Mapping[str, Any], symbol: str, at_ms: int, received_s: float) -> Quote:
    """Read a bookTicker event."""
    return Quote(
        symbol=symbol,
        bid=positive(said, "b"),
        bid_quantity=number(said, "B"),
        ask=positive(said, "a"),
        ask_quantity=number(said, "A"),
        event_time_ms=time_ms(said, "E") if "E" in said else at_ms,
        received_s=received_s,
    )


def streamed_trade(said: Mapping[str, Any], symbol: str, received_s: float) -> MarketTrade:
    """Read a trade event."""
    return MarketTrade(
        symbol=symbol,
        price=positive(said, "p"),
        quantity=positive(said, "q"),
        event_time_ms=time_ms(said, "E"),
        received_s=received_s,
    )


def last_trade(raw: object, symbol: str, received_s: float) -> MarketTrade:
    """Read the newest row of the recent aggregate trades."""
    listed = sequence(raw, "aggTrades")
    if not listed:
        raise Unusable("aggTrades should list the newest print, listed none")
    said = mapping(listed[-1], "trade")
    return MarketTrade(
        symbol=symbol,
        price=positive(said, "p"),
        quantity=positive(said, "q"),
        event_time_ms=time_ms(said, "T"),
        received_s=received_s,
        source=PriceSource.REST,
    )


def last_prices(raw: object, symbol_of: SymbolOf) -> dict[str, Decimal]:
    """Read the last price of every instrument that is known; where nothing traded there is none."""
    found: dict[str, Decimal] = {}
    for row in sequence(raw, "ticker/price"):
        said = mapping(row, "price")
        symbol, price = symbol_of(text(said, "symbol")), number(said, "price")
        if symbol is not None and price > 0:
            found[symbol] = price
    return found


def order_book(raw: object, symbol: str, at_ms: int) -> OrderBook:
    """Read depth, best levels first."""
    said = mapping(raw, "depth")
    return OrderBook(symbol, levels(said.get("bids")), levels(said.get("asks")), at_ms)


def candles(raw: object, now_ms: int) -> Sequence[Candle]:
    """Read klines, oldest first; the running one is the one whose close lies ahead.

    Those of before anything was traded are left out, and the rest of their page counts.
    """
    rows = map(_row, sequence(raw, "klines"))
    return [_candle(row, now_ms) for row in rows if not is_before_trading(_times(row), "open_time")]


def _row(each: object) -> Sequence[Any]:
    row = sequence(each, "kline")
    if len(row) < 7:
        raise Unusable(f"kline should have at least 7 values, had {len(row)}")
    return row


def _times(row: Sequence[Any]) -> dict[str, Any]:
    return {"open_time": row[0], "close_time": row[6]}


def _candle(row: Sequence[Any], now_ms: int) -> Candle:
    said = _times(row)
    values = [
        float(decimal_of(value, name))
        for value, name in zip(row[1:6], ("open", "high", "low", "close", "volume"), strict=True)
    ]
    opened, high, low, closed, volume = values
    if not 0 < low <= min(opened, closed) <= max(opened, closed) <= high:
        raise Unusable(f"kline should hold low <= open, close <= high, was {shown(row[:6])}")
    return Candle(
        open_time_ms=time_ms(said, "open_time"),
        open=opened,
        high=high,
        low=low,
        close=closed,
        volume=volume,
        is_closed=time_ms(said, "close_time") < now_ms,
        **_known_of_candle(row, volume),
    )


def _known_of_candle(row: Sequence[Any], volume: float) -> dict[str, Any]:
    """Return what only some exchanges tell; a share above the whole counts as not told."""
    if len(row) < 10:
        return {}
    quote_volume, trades, taker = (float(decimal_of(value, "kline")) for value in row[7:10])
    return {
        "quote_volume": quote_volume,
        "trades": int(trades),
        "taker_buy_volume": taker if taker <= volume else None,
    }
