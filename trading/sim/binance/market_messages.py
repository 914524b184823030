"""Binance's words for markets: symbols, candles, prints, tickers, books."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from trading.domain.instrument import Instrument, InstrumentStatus
from trading.domain.market import BookLevel
from trading.domain.money import ZERO
from trading.domain.order import Side
from trading.sim.binance import filters
from trading.sim.binance.filters import number
from trading.sim.candles import Kline
from trading.sim.orders import OrderKind, SelfTrade
from trading.sim.world import Market, TapeEntry

Json = dict[str, Any]
Touch = tuple[BookLevel | None, BookLevel | None]

_MARKET_STATUSES = {
    InstrumentStatus.TRADING: "TRADING",
    InstrumentStatus.HALTED: "HALT",
    InstrumentStatus.CANCEL_ONLY: "CANCEL_ONLY",
}
_SHORT_TICKER = (
    *("symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume"),
    *("openTime", "closeTime", "firstId", "lastId", "count"),
)


def symbol_info(instrument: Instrument) -> Json:
    """Return one symbol of exchangeInfo."""
    return {
        "symbol": instrument.exchange_symbol,
        "status": _MARKET_STATUSES[instrument.status],
        "baseAsset": instrument.base,
        "baseAssetPrecision": 8,
        "quoteAsset": instrument.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": [kind.value for kind in OrderKind],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters.shown(instrument),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": SelfTrade.EXPIRE_MAKER.value,
        "allowedSelfTradePreventionModes": [mode.value for mode in SelfTrade],
    }


def levels(side: Iterable[BookLevel]) -> list[list[str]]:
    """Return book levels as pairs of strings."""
    return [[number(level.price), number(level.quantity)] for level in side]


def kline(candle: Kline) -> list[Any]:
    """Return a candle as REST lists it."""
    return [
        candle.open_ms,
        f"{candle.open:.8f}",
        f"{candle.high:.8f}",
        f"{candle.low:.8f}",
        f"{candle.close:.8f}",
        f"{candle.volume:.8f}",
        candle.close_ms,
        f"{candle.quote_volume:.8f}",
        candle.trades,
        f"{candle.taker_volume:.8f}",
        f"{candle.taker_quote_volume:.8f}",
        "0",
    ]


def public_trade(entry: TapeEntry) -> Json:
    """Return a print as REST lists it."""
    trade = entry.trade
    return {
        "id": trade.trade_id,
        "price": number(trade.price),
        "qty": number(trade.quantity),
        "quoteQty": number(trade.price * trade.quantity),
        "time": entry.at_ms,
        "isBuyerMaker": trade.aggressor is Side.SELL,
        "isBestMatch": True,
    }


def aggregate_trade(entry: TapeEntry) -> Json:
    """Return a print as aggTrades lists it; here each aggregate is one trade."""
    trade = entry.trade
    return {
        "a": trade.trade_id,
        "p": number(trade.price),
        "q": number(trade.quantity),
        "f": trade.trade_id,
        "l": trade.trade_id,
        "T": entry.at_ms,
        "m": trade.aggressor is Side.SELL,
        "M": True,
    }


def day_ticker(market: Market, day: Kline, touch: Touch, now_ms: int) -> Json:
    """Return the statistics of 24 hours as REST shows them."""
    last_quantity = market.tape[-1].trade.quantity if market.tape else ZERO
    change = float(market.price) - day.open
    return {
        "symbol": market.instrument.exchange_symbol,
        "priceChange": f"{change:.8f}",
        "priceChangePercent": f"{100 * change / day.open:.3f}",
        "weightedAvgPrice": f"{_weighted(day):.8f}",
        "prevClosePrice": f"{day.open:.8f}",
        "lastPrice": number(market_price(market)),
        "lastQty": number(last_quantity),
        **touch_fields(touch),
        "openPrice": f"{day.open:.8f}",
        "highPrice": f"{day.high:.8f}",
        "lowPrice": f"{day.low:.8f}",
        "volume": f"{day.volume:.8f}",
        "quoteVolume": f"{day.quote_volume:.8f}",
        "openTime": now_ms - 86_400_000,
        "closeTime": now_ms,
        "firstId": day.first_trade_id,
        "lastId": day.last_trade_id,
        "count": day.trades,
    }


def short_ticker(full: Json) -> Json:
    """Return the statistics of 24 hours as REST shows them to who asks for type MINI."""
    return {name: full[name] for name in _SHORT_TICKER}


def market_price(market: Market) -> Decimal:
    """Return the price of the last print, the start price before there was one."""
    return market.tape[-1].trade.price if market.tape else market.price


def ticker_event(shown: Mapping[str, Any], now_ms: int) -> Json:
    """Return the 24 hour statistics as the ticker stream sends them."""
    return {
        "e": "24hrTicker",
        "E": now_ms,
        "s": shown["symbol"],
        "p": shown["priceChange"],
        "P": shown["priceChangePercent"],
        "w": shown["weightedAvgPrice"],
        "x": shown["prevClosePrice"],
        "c": shown["lastPrice"],
        "Q": shown["lastQty"],
        "b": shown["bidPrice"],
        "B": shown["bidQty"],
        "a": shown["askPrice"],
        "A": shown["askQty"],
        "o": shown["openPrice"],
        "h": shown["highPrice"],
        "l": shown["lowPrice"],
        "v": shown["volume"],
        "q": shown["quoteVolume"],
        "O": shown["openTime"],
        "C": shown["closeTime"],
        "F": shown["firstId"],
        "L": shown["lastId"],
        "n": shown["count"],
    }


def mini_ticker_event(shown: Mapping[str, Any], now_ms: int) -> Json:
    """Return the short form of the ticker stream."""
    return {
        "e": "24hrMiniTicker",
        "E": now_ms,
        "s": shown["symbol"],
        "c": shown["lastPrice"],
        "o": shown["openPrice"],
        "h": shown["highPrice"],
        "l": shown["lowPrice"],
        "v": shown["volume"],
        "q": shown["quoteVolume"],
    }


def kline_event(symbol: str, interval: str, candle: Kline, is_closed: bool, now_ms: int) -> Json:
    """Return a candle as the kline stream sends it."""
    return {
        "e": "kline",
        "E": now_ms,
        "s": symbol,
        "k": {
            "t": candle.open_ms,
            "T": candle.close_ms,
            "s": symbol,
            "i": interval,
            "f": candle.first_trade_id,
            "L": candle.last_trade_id,
            "o": f"{candle.open:.8f}",
            "c": f"{candle.close:.8f}",
            "h": f"{candle.high:.8f}",
            "l": f"{candle.low:.8f}",
            "v": f"{candle.volume:.8f}",
            "n": candle.trades,
            "x": is_closed,
            "q": f"{candle.quote_volume:.8f}",
            "V": f"{candle.taker_volume:.8f}",
            "Q": f"{candle.taker_quote_volume:.8f}",
            "B": "0",
        },
    }


def _weighted(day: Kline) -> float:
    return day.quote_volume / day.volume if day.volume else day.close


def touch_fields(touch: Touch) -> dict[str, str]:
    """Return best bid and ask as bookTicker names them in REST."""
    bid, ask = touch
    return {
        "bidPrice": number(bid.price if bid else ZERO),
        "bidQty": number(bid.quantity if bid else ZERO),
        "askPrice": number(ask.price if ask else ZERO),
        "askQty": number(ask.quantity if ask else ZERO),
    }
