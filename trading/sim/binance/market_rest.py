"""Public REST endpoints: what the market shows to everybody."""

from collections.abc import Callable
from typing import Any

import orjson

from trading.sim.binance import market_messages as messages
from trading.sim.binance.codes import ApiError, missing
from trading.sim.binance.filters import number
from trading.sim.binance.tickets import read_ahead_ms, read_int, read_limit, read_period
from trading.sim.binance.venue import Call, Venue
from trading.sim.history import TIMEFRAMES
from trading.sim.world import Market

_INTERVALS = {timeframe.name: timeframe for timeframe in TIMEFRAMES}
_MINUTE = _INTERVALS["1m"]
_TICKERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "FULL": dict,
    "MINI": messages.short_ticker,
}


def ping(_venue: Venue, _call: Call) -> Any:
    """GET ping."""
    return {}


def server_time(_venue: Venue, call: Call) -> Any:
    """GET time."""
    return {"serverTime": call.now_ms}


def exchange_info(venue: Venue, call: Call) -> Any:
    """GET exchangeInfo, of all symbols or those asked for."""
    markets = _markets(venue, call) or list(venue.world.markets.values())
    return {
        "timezone": "UTC",
        "serverTime": call.now_ms,
        "rateLimits": [
            _rate_limit("REQUEST_WEIGHT", "MINUTE", 1, 6_000),
            _rate_limit("ORDERS", "SECOND", 10, 100),
            _rate_limit("ORDERS", "DAY", 1, 200_000),
        ],
        "exchangeFilters": [],
        "symbols": [messages.symbol_info(market.instrument) for market in markets],
    }


def system_status(_venue: Venue, _call: Call) -> Any:
    """GET system/status."""
    return {"status": 0, "msg": "normal"}


def no_pairs(_venue: Venue, _call: Call) -> Any:
    """GET margin/allPairs: nothing is traded on credit here."""
    return []


def no_contracts(_venue: Venue, call: Call) -> Any:
    """GET exchangeInfo of the futures exchanges, which list nothing here."""
    return {
        "timezone": "UTC",
        "serverTime": call.now_ms,
        "rateLimits": [],
        "exchangeFilters": [],
        "assets": [],
        "symbols": [],
    }


def depth(venue: Venue, call: Call) -> Any:
    """GET depth."""
    market = venue.market(call.params)
    limit = read_limit(call.params, 100, 5_000)
    bids, asks = venue.world.depth(market.symbol, call.now_ms, limit)
    return {
        "lastUpdateId": market.update_id,
        "bids": messages.levels(bids),
        "asks": messages.levels(asks),
    }


def trades(venue: Venue, call: Call) -> Any:
    """GET trades and historicalTrades."""
    market = venue.market(call.params)
    limit = read_limit(call.params, 500, 1_000)
    from_id = read_int(call.params, "fromId")
    entries = [e for e in market.tape if from_id is None or e.trade.trade_id >= from_id]
    chosen = entries[-limit:] if from_id is None else entries[:limit]
    return [messages.public_trade(entry) for entry in chosen]


def aggregate_trades(venue: Venue, call: Call) -> Any:
    """GET aggTrades."""
    market = venue.market(call.params)
    limit = read_limit(call.params, 500, 1_000)
    from_id = read_int(call.params, "fromId")
    start_ms, end_ms = read_period(call.params)
    entries = [
        e
        for e in market.tape
        if (from_id is None or e.trade.trade_id >= from_id)
        and (start_ms is None or e.at_ms >= start_ms)
        and (end_ms is None or e.at_ms <= end_ms)
    ]
    is_from_start = from_id is not None or start_ms is not None
    chosen = entries[:limit] if is_from_start else entries[-limit:]
    return [messages.aggregate_trade(entry) for entry in chosen]


def klines(venue: Venue, call: Call) -> Any:
    """GET klines and uiKlines; those of a time zone reach back as far as the finer ones do."""
    market = venue.market(call.params)
    interval = call.params.get("interval", "")
    if not interval:
        raise missing("interval")
    if interval not in _INTERVALS:
        raise ApiError(-1120, "Invalid interval.")
    limit = read_limit(call.params, 500, 1_000)
    start_ms, end_ms = read_period(call.params)
    ahead_ms = read_ahead_ms(call.params)
    candles = [
        candle
        for candle in market.candles.candles(_INTERVALS[interval], call.now_ms, ahead_ms)
        if (start_ms is None or candle.open_ms >= start_ms)
        and (end_ms is None or candle.open_ms <= end_ms)
    ]
    chosen = candles[-limit:] if start_ms is None else candles[:limit]
    return [messages.kline(candle) for candle in chosen]


def average_price(venue: Venue, call: Call) -> Any:
    """GET avgPrice, of the last five minutes."""
    market = venue.market(call.params)
    recent = market.candles.candles(_MINUTE, call.now_ms)[-5:]
    volume = sum(candle.volume for candle in recent)
    quote = sum(candle.quote_volume for candle in recent)
    price = quote / volume if volume else float(market.price)
    return {"mins": 5, "price": f"{price:.8f}", "closeTime": call.now_ms}


def day_ticker(venue: Venue, call: Call) -> Any:
    """GET ticker/24hr, in full or as MINI."""
    kind = call.params.get("type") or "FULL"
    if kind not in _TICKERS:
        raise ApiError(-1139, "Invalid ticker type.")
    shown = _TICKERS[kind]
    return _for_each(venue, call, lambda market: shown(day_statistics(venue, market, call.now_ms)))


def price_ticker(venue: Venue, call: Call) -> Any:
    """GET ticker/price."""
    return _for_each(
        venue,
        call,
        lambda market: {
            "symbol": market.instrument.exchange_symbol,
            "price": number(messages.market_price(market)),
        },
    )


def book_ticker(venue: Venue, call: Call) -> Any:
    """GET ticker/bookTicker."""
    return _for_each(venue, call, lambda market: _touch(venue, market))


def day_statistics(venue: Venue, market: Market, now_ms: int) -> dict[str, Any]:
    """Return the 24 hour statistics of one market."""
    touch = venue.world.touch(market.symbol)
    return messages.day_ticker(market, market.candles.day(now_ms), touch, now_ms)


def _touch(venue: Venue, market: Market) -> dict[str, str]:
    shown = messages.touch_fields(venue.world.touch(market.symbol))
    return {"symbol": market.instrument.exchange_symbol, **shown}


def _for_each(venue: Venue, call: Call, answer: Callable[[Market], Any]) -> Any:
    if call.params.get("symbol"):
        return answer(venue.market(call.params))
    return [answer(m) for m in _markets(venue, call) or venue.world.markets.values()]


def _markets(venue: Venue, call: Call) -> list[Market]:
    if call.params.get("symbol"):
        return [venue.market(call.params)]
    text = call.params.get("symbols", "")
    if not text:
        return []
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ApiError(
            -1100,
            "Illegal characters found in parameter 'symbols'; legal range is"
            ' \'^\\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\\]$\'.',
        )
    return [venue.market_named(name) for name in names]


def _rate_limit(kind: str, interval: str, count: int, limit: int) -> dict[str, Any]:
    return {
        "rateLimitType": kind,
        "interval": interval,
        "intervalNum": count,
        "limit": limit,
    }
