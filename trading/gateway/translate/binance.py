"""Binance spot's words in ours: instruments, orders, executions, balances and the streams."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeGuard

from trading.domain.instrument import Instrument, InstrumentStatus
from trading.domain.market import BookLevel, Candle, MarketTrade, OrderBook, PriceSource, Quote
from trading.domain.money import ZERO
from trading.domain.order import (
    SELF_TRADE,
    Fill,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
)
from trading.domain.position import Balance
from trading.domain.time import from_ms
from trading.gateway.translate.values import (
    Unusable,
    decimal_of,
    integer,
    mapping,
    number,
    positive,
    sequence,
    shown,
    text,
)
from trading.ports import KeyPermissions

logger = logging.getLogger(__name__)

_STATUS = {
    "NEW": OrderStatus.NEW,
    "PENDING_NEW": OrderStatus.NEW,
    "PENDING_CANCEL": OrderStatus.NEW,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}
_SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
# From when on a time in milliseconds is believable: 2017, the exchange's first year.
TIME_MS_MIN = 1_483_228_800_000
TIME_MS_MAX = 4_102_444_800_000

SymbolOf = Callable[[str], str | None]


# ------------------------------------------------------------ instruments


def instruments(raw: object) -> Mapping[str, Instrument]:
    """Read exchangeInfo; an instrument whose rules cannot be read is left out, with a line."""
    listed = sequence(mapping(raw, "exchangeInfo").get("symbols"), "symbols")
    found = {}
    for each in listed:
        try:
            one = instrument(each)
        except Unusable as error:
            logger.warning("instrument_unusable", extra={"error": str(error)})
            continue
        if one is not None:
            found[one.symbol] = one
    if not found:
        raise Unusable("exchangeInfo should list instruments, listed none")
    return found


def instrument(raw: object) -> Instrument | None:
    """Read one instrument from its raw filters, None for one that is not traded on spot."""
    source = mapping(raw, "symbol")
    if source.get("isSpotTradingAllowed") is False:
        return None
    base, quote = text(source, "baseAsset"), text(source, "quoteAsset")
    filters = {
        text(each, "filterType"): each
        for each in sequence(source.get("filters"), "filters")
        if isinstance(each, Mapping)
    }
    price, lot = _filter(filters, "PRICE_FILTER"), _filter(filters, "LOT_SIZE")
    market_lot = filters.get("MARKET_LOT_SIZE", lot)
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    ratio_min, ratio_max = _band(filters)
    orders = filters.get("MAX_NUM_ORDERS", {})
    return Instrument(
        symbol=f"{base}/{quote}",
        exchange_symbol=text(source, "symbol"),
        base=base,
        quote=quote,
        price_tick=positive(price, "tickSize"),
        quantity_step=positive(lot, "stepSize"),
        quantity_min=number(lot, "minQty"),
        quantity_max=positive(lot, "maxQty"),
        market_quantity_max=number(market_lot, "maxQty") or positive(lot, "maxQty"),
        notional_min=number(notional, "minNotional") if "minNotional" in notional else ZERO,
        notional_max=_optional(notional, "maxNotional"),
        price_min=number(price, "minPrice"),
        price_max=_optional(price, "maxPrice"),
        price_ratio_min=ratio_min,
        price_ratio_max=ratio_max,
        orders_open_max=integer(orders, "maxNumOrders") if "maxNumOrders" in orders else None,
        status=_instrument_status(source.get("status")),
    )


def _instrument_status(value: object) -> InstrumentStatus:
    if value == "TRADING":
        return InstrumentStatus.TRADING
    return InstrumentStatus.CANCEL_ONLY if value == "CANCEL_ONLY" else InstrumentStatus.HALTED


def _filter(filters: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    if name not in filters:
        raise Unusable(f"filters should contain {name}, had {', '.join(sorted(filters))}")
    return filters[name]


def _band(
    filters: Mapping[str, Mapping[str, Any]],
) -> tuple[Decimal | None, Decimal | None]:
    if "PERCENT_PRICE_BY_SIDE" in filters:
        sided = filters["PERCENT_PRICE_BY_SIDE"]
        # Only the bounds that hurt: how low we may offer, how high we may bid.
        return number(sided, "askMultiplierDown"), number(sided, "bidMultiplierUp")
    if "PERCENT_PRICE" in filters:
        both = filters["PERCENT_PRICE"]
        return number(both, "multiplierDown"), number(both, "multiplierUp")
    return None, None


def _optional(source: Mapping[str, Any], key: str) -> Decimal | None:
    value = number(source, key) if key in source else ZERO
    return value or None


# ------------------------------------------------------------ orders


def order_parameters(request: OrderRequest, exchange_symbol: str) -> dict[str, str]:
    """Write an order as the exchange wants it: plain digits, and our id."""
    parameters = {
        "symbol": exchange_symbol,
        "side": request.side.value.upper(),
        "type": request.order_type.value.upper(),
        "quantity": format(request.quantity, "f"),
        "newClientOrderId": request.client_order_id,
        "newOrderRespType": "FULL",
        "recvWindow": str(request.recv_window_ms),
    }
    if request.order_type is OrderType.LIMIT and request.price is not None:
        parameters["price"] = format(request.price, "f")
        parameters["timeInForce"] = request.time_in_force.value.upper()
    if request.stop_price is not None:
        parameters["stopPrice"] = format(request.stop_price, "f")
    return parameters


def order_report(raw: object, symbol: str) -> OrderReport:
    """Read an answer to an order, a cancel or a query."""
    source = mapping(raw, "order")
    quantity, filled = number(source, "origQty"), number(source, "executedQty")
    if filled > quantity:
        raise Unusable(f"executedQty should be at most origQty {quantity}, was {filled}")
    # An answer to a cancel carries the cancel's own id, and ours as the original one.
    order_id = text(source, "origClientOrderId" if "origClientOrderId" in source else _OURS)
    side, at = _side(source, "side"), _time(source, "updateTime", "transactTime", "time")
    status = _status(source, "status")
    return OrderReport(
        client_order_id=order_id,
        exchange_order_id=text(source, "orderId"),
        symbol=symbol,
        side=side,
        status=status,
        quantity=quantity,
        filled_quantity=filled,
        price=number(source, "price") or None,
        fills=tuple(
            _answered_fill(each, symbol, order_id, side, at)
            for each in sequence(source.get("fills") or (), "fills")
        ),
        updated_at=at,
        reason=_end_reason(source.get("status")),
    )


_OURS = "clientOrderId"


def _end_reason(status: object) -> str:
    return SELF_TRADE if status == "EXPIRED_IN_MATCH" else ""


def _is_reason(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value != "NONE"


def _answered_fill(raw: object, symbol: str, order_id: str, side: Side, at: datetime) -> Fill:
    source = mapping(raw, "fill")
    return Fill(
        symbol=symbol,
        trade_id=text(source, "tradeId"),
        client_order_id=order_id,
        side=side,
        quantity=positive(source, "qty"),
        price=positive(source, "price"),
        fee=number(source, "commission"),
        fee_asset=text(source, "commissionAsset"),
        at=at,
    )


def fill(raw: object, symbol: str, client_order_id: str) -> Fill:
    """Read a row of myTrades; the exchange names the order there by its own id only."""
    source = mapping(raw, "trade")
    is_buyer = source.get("isBuyer")
    if not isinstance(is_buyer, bool):
        raise Unusable(f"isBuyer should be true or false, was {shown(is_buyer)}")
    return Fill(
        symbol=symbol,
        trade_id=text(source, "id"),
        client_order_id=client_order_id,
        side=Side.BUY if is_buyer else Side.SELL,
        quantity=positive(source, "qty"),
        price=positive(source, "price"),
        fee=number(source, "commission"),
        fee_asset=text(source, "commissionAsset"),
        at=_time(source, "time"),
    )


def execution_report(raw: object, symbol_of: SymbolOf) -> OrderReport:
    """Read an executionReport of the user stream."""
    source = mapping(raw, "executionReport")
    symbol = symbol_of(text(source, "s"))
    if symbol is None:
        raise Unusable(f"s should be a known instrument, was {shown(source.get('s'))}")
    quantity, filled = number(source, "q"), number(source, "z")
    if filled > quantity:
        raise Unusable(f"z should be at most q {quantity}, was {filled}")
    # A cancel's report carries the cancel's own id as c, and the order's as C.
    order_id = text(source, "C" if source.get("C") else "c")
    side, at = _side(source, "S"), _time(source, "T")
    fills: tuple[Fill, ...] = ()
    if source.get("x") == "TRADE":
        fills = (_streamed_fill(source, symbol, order_id, side, at),)
    reason = source.get("r")
    return OrderReport(
        client_order_id=order_id,
        exchange_order_id=text(source, "i"),
        symbol=symbol,
        side=side,
        status=_status(source, "X"),
        quantity=quantity,
        filled_quantity=filled,
        price=number(source, "p") or None,
        fills=fills,
        updated_at=at,
        reason=_end_reason(source.get("X")) or (reason if _is_reason(reason) else ""),
    )


def _streamed_fill(
    source: Mapping[str, Any], symbol: str, order_id: str, side: Side, at: datetime
) -> Fill:
    fee_asset = source.get("N")
    return Fill(
        symbol=symbol,
        trade_id=text(source, "t"),
        client_order_id=order_id,
        side=side,
        quantity=positive(source, "l"),
        price=positive(source, "L"),
        fee=number(source, "n"),
        fee_asset=str(fee_asset) if fee_asset else "",
        at=at,
    )


def _status(source: Mapping[str, Any], key: str) -> OrderStatus:
    value = source.get(key)
    found = _STATUS.get(value) if isinstance(value, str) else None
    if found is None:
        raise Unusable(f"{key} should be a status of an order, was {shown(value)}")
    return found


def _side(source: Mapping[str, Any], key: str) -> Side:
    value = source.get(key)
    found = _SIDES.get(value) if isinstance(value, str) else None
    if found is None:
        raise Unusable(f"{key} should be BUY or SELL, was {shown(value)}")
    return found


def _time(source: Mapping[str, Any], *keys: str) -> datetime:
    key = next((each for each in keys if each in source), keys[0])
    return from_ms(_time_ms(source, key))


def _time_ms(source: Mapping[str, Any], key: str) -> int:
    value = integer(source, key)
    if not TIME_MS_MIN <= value <= TIME_MS_MAX:
        raise Unusable(f"{key} should be a time in milliseconds, was {value}")
    return value


# ------------------------------------------------------------ account


def account_id(raw: object) -> str:
    """Read the account's id."""
    return text(mapping(raw, "account"), "uid")


def balances(raw: object) -> Mapping[str, Balance]:
    """Read all non-zero balances; an account without a list is no answer."""
    listed = sequence(mapping(raw, "account").get("balances"), "balances")
    found = [_balance(mapping(each, "balance"), "asset", "free", "locked") for each in listed]
    return {one.asset: one for one in found if one.total}


def streamed_balances(raw: object) -> Sequence[Balance]:
    """Read an outboundAccountPosition; zero is news there."""
    listed = sequence(mapping(raw, "position").get("B"), "B")
    return [_balance(mapping(each, "balance"), "a", "f", "l") for each in listed]


def _balance(source: Mapping[str, Any], asset: str, free: str, locked: str) -> Balance:
    return Balance(text(source, asset), number(source, free), number(source, locked))


_BORROWING_RIGHTS = (
    "enableMargin",
    "enableFutures",
    "enableVanillaOptions",
    "enablePortfolioMarginTrading",
)


def permissions(raw: object) -> KeyPermissions:
    """Read what the key may do; whatever is not said is not permitted, but a withdrawal is."""
    source = mapping(raw, "apiRestrictions")
    return KeyPermissions(
        can_trade=source.get("enableSpotAndMarginTrading") is True,
        # The one that must never be assumed away.
        can_withdraw=source.get("enableWithdrawals") is not False,
        can_transfer=source.get("permitsUniversalTransfer") is True
        or source.get("enableInternalTransfer") is True,
        is_ip_restricted=source.get("ipRestrict") is True,
        can_borrow=any(source.get(name) is True for name in _BORROWING_RIGHTS),
    )


def delistings(raw: object, symbol_of: Callable[[str], str | None]) -> Mapping[str, datetime]:
    """Read spot/delist-schedule; a market that we do not know is none of ours."""
    ends: dict[str, datetime] = {}
    for each in sequence(raw, "delist-schedule"):
        source = mapping(each, "delisting")
        at = from_ms(integer(source, "delistTime"))
        for name in sequence(source.get("symbols"), "symbols"):
            symbol = symbol_of(str(name))
            if symbol is not None:
                ends[symbol] = min(at, ends.get(symbol, at))
    return ends


# ------------------------------------------------------------ market


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


def streamed_quote(said: Mapping[str, Any], symbol: str, at_ms: int, received_s: float) -> Quote:
    """Read a bookTicker event."""
    return Quote(
        symbol=symbol,
        bid=positive(said, "b"),
        bid_quantity=number(said, "B"),
        ask=positive(said, "a"),
        ask_quantity=number(said, "A"),
        event_time_ms=_time_ms(said, "E") if "E" in said else at_ms,
        received_s=received_s,
    )


def streamed_trade(said: Mapping[str, Any], symbol: str, received_s: float) -> MarketTrade:
    """Read a trade event."""
    return MarketTrade(
        symbol=symbol,
        price=positive(said, "p"),
        quantity=positive(said, "q"),
        event_time_ms=_time_ms(said, "E"),
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
        event_time_ms=_time_ms(said, "T"),
        received_s=received_s,
        source=PriceSource.REST,
    )


def last_prices(raw: object, symbol_of: Callable[[str], str | None]) -> dict[str, Decimal]:
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
    return OrderBook(symbol, _levels(said.get("bids")), _levels(said.get("asks")), at_ms)


def _levels(raw: object) -> tuple[BookLevel, ...]:
    return tuple(
        BookLevel(decimal_of(row[0], "price"), decimal_of(row[1], "quantity"))
        for row in (sequence(each, "level") for each in sequence(raw, "levels"))
        if len(row) >= 2
    )


def candles(raw: object, now_ms: int) -> Sequence[Candle]:
    """Read klines, oldest first; the running one is the one whose close lies ahead."""
    return [_candle(sequence(each, "kline"), now_ms) for each in sequence(raw, "klines")]


def _candle(row: Sequence[Any], now_ms: int) -> Candle:
    if len(row) < 7:
        raise Unusable(f"kline should have at least 7 values, had {len(row)}")
    said = {"open_time": row[0], "close_time": row[6]}
    values = [
        float(decimal_of(value, name))
        for value, name in zip(row[1:6], ("open", "high", "low", "close", "volume"), strict=True)
    ]
    opened, high, low, closed, volume = values
    if not 0 < low <= min(opened, closed) <= max(opened, closed) <= high:
        raise Unusable(f"kline should hold low <= open, close <= high, was {shown(row[:6])}")
    return Candle(
        open_time_ms=_time_ms(said, "open_time"),
        open=opened,
        high=high,
        low=low,
        close=closed,
        volume=volume,
        is_closed=_time_ms(said, "close_time") < now_ms,
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
