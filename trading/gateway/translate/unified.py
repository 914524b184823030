"""The client library's common words in ours, for exchanges without a dialect of their own here.

Numbers arrive as text (the library is told so), and what is missing stays missing.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from trading.candles.building import Print
from trading.domain.instrument import Instrument, InstrumentStatus
from trading.domain.market import Candle, MarketTrade, OrderBook, PriceSource, Quote
from trading.domain.money import ZERO
from trading.domain.order import Fill, OrderReport, OrderStatus, Side
from trading.domain.position import Balance
from trading.domain.time import following_ms, from_ms
from trading.gateway.translate.values import (
    Unusable,
    decimal_of,
    integer,
    levels,
    mapping,
    number,
    positive,
    sequence,
    shown,
    text,
)

_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_ENDS = {
    "canceled": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}
_TICK_SIZE_MODE = 4
_NO_BOUND = Decimal("1e12")


def instruments(markets: object, precision_mode: int) -> Mapping[str, Instrument]:
    """Read the spot markets; one without usable rules is left out."""
    found = {}
    for symbol, raw in mapping(markets, "markets").items():
        source = mapping(raw, "market")
        if source.get("spot") is not True:
            continue
        try:
            found[symbol] = instrument(source, precision_mode)
        except Unusable:
            continue
    if not found:
        raise Unusable("markets should list spot instruments, listed none")
    return found


def instrument(source: Mapping[str, Any], precision_mode: int) -> Instrument:
    """Read one market; limits that are not said do not bind."""
    precision = mapping(source.get("precision"), "precision")
    limits = mapping(source.get("limits"), "limits")
    step = _step(precision, "amount", precision_mode)
    amount, cost, price = (limits.get(key) or {} for key in ("amount", "cost", "price"))
    market_amount = limits.get("market") or {}
    quantity_max = _bound(amount, "max") or _NO_BOUND
    is_active = source.get("active") is not False
    return Instrument(
        symbol=text(source, "symbol"),
        exchange_symbol=text(source, "id"),
        base=text(source, "base"),
        quote=text(source, "quote"),
        price_tick=_step(precision, "price", precision_mode),
        quantity_step=step,
        quantity_min=_bound(amount, "min") or step,
        quantity_max=quantity_max,
        market_quantity_max=_bound(market_amount, "max") or quantity_max,
        notional_min=_bound(cost, "min") or ZERO,
        notional_max=_bound(cost, "max"),
        price_min=_bound(price, "min") or ZERO,
        price_max=_bound(price, "max"),
        status=InstrumentStatus.TRADING if is_active else InstrumentStatus.HALTED,
    )


def _step(precision: Mapping[str, Any], key: str, mode: int) -> Decimal:
    if mode == _TICK_SIZE_MODE:
        return positive(precision, key)
    return Decimal(1).scaleb(-integer(precision, key))


def _bound(limits: Mapping[str, Any], key: str) -> Decimal | None:
    value = limits.get(key)
    return (decimal_of(value, key) or None) if value is not None else None


def order_report(raw: object, client_order_id: str | None = None) -> OrderReport:
    """Read an order; the id we asked for counts where the exchange does not repeat it."""
    source = mapping(raw, "order")
    order_id = source.get("clientOrderId") or client_order_id
    if not isinstance(order_id, str):
        order_id = ""
    quantity, filled = positive(source, "amount"), number(source, "filled")
    if filled > quantity:
        raise Unusable(f"filled should be at most amount {quantity}, was {filled}")
    price = source.get("price")
    symbol = text(source, "symbol")
    return OrderReport(
        client_order_id=order_id,
        exchange_order_id=text(source, "id"),
        symbol=symbol,
        side=_side(source),
        status=_status(source, quantity, filled),
        quantity=quantity,
        filled_quantity=filled,
        price=(decimal_of(price, "price") or None) if price is not None else None,
        fills=tuple(
            fill(_completed(each, source), lambda _: order_id, symbol)
            for each in sequence(source.get("trades") or (), "trades")
        ),
        updated_at=from_ms(_time_ms(source)),
    )


def _completed(trade: object, order: Mapping[str, Any]) -> Mapping[str, Any]:
    # Executions inside an order leave out what the order says already.
    said = {key: value for key, value in mapping(trade, "trade").items() if value is not None}
    return {"side": order.get("side"), "timestamp": _time_ms(order), **said}


def _status(source: Mapping[str, Any], quantity: Decimal, filled: Decimal) -> OrderStatus:
    value = source.get("status")
    if value == "open":
        return OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.NEW
    if value == "closed":
        return OrderStatus.FILLED if filled >= quantity else OrderStatus.EXPIRED
    found = _ENDS.get(value) if isinstance(value, str) else None
    if found is None:
        raise Unusable(f"status should be one of an order, was {shown(value)}")
    return found


def _side(source: Mapping[str, Any]) -> Side:
    value = source.get("side")
    found = _SIDES.get(value) if isinstance(value, str) else None
    if found is None:
        raise Unusable(f"side should be buy or sell, was {shown(value)}")
    return found


def _time_ms(source: Mapping[str, Any]) -> int:
    for key in ("lastUpdateTimestamp", "lastTradeTimestamp", "timestamp"):
        if source.get(key) is not None:
            return integer(source, key)
    raise Unusable("timestamp should be a time in milliseconds, was None")


def fill(raw: object, name_of: Callable[[str], str], symbol: str | None = None) -> Fill:
    """Read one of our executions; `name_of` knows our id by the exchange's."""
    source = mapping(raw, "trade")
    fee = source.get("fee") or {}
    cost = fee.get("cost") if isinstance(fee, Mapping) else None
    return Fill(
        symbol=symbol or text(source, "symbol"),
        trade_id=text(source, "id"),
        client_order_id=name_of(str(source.get("order") or "")),
        side=_side(source),
        quantity=positive(source, "amount"),
        price=positive(source, "price"),
        fee=decimal_of(cost, "fee") if cost is not None else ZERO,
        fee_asset=str(fee.get("currency") or "") if isinstance(fee, Mapping) else "",
        at=from_ms(_time_ms(source)),
    )


def balances(raw: object) -> Mapping[str, Balance]:
    """Read all non-zero balances."""
    source = mapping(raw, "balance")
    free, used = source.get("free") or {}, source.get("used") or {}
    if not isinstance(free, Mapping) or not isinstance(used, Mapping):
        raise Unusable("balance should hold free and used, held neither")
    found = [
        Balance(asset, _amount(free.get(asset)), _amount(used.get(asset)))
        for asset in {*free, *used}
    ]
    return {one.asset: one for one in found if one.total}


def _amount(value: object) -> Decimal:
    return decimal_of(value, "amount") if value is not None else ZERO


def quote(raw: object, at_ms: int, received_s: float, source: PriceSource) -> Quote:
    """Read best bid and ask of a ticker."""
    said = mapping(raw, "ticker")
    time = said.get("timestamp")
    return Quote(
        symbol=text(said, "symbol"),
        bid=positive(said, "bid"),
        bid_quantity=_amount(said.get("bidVolume")),
        ask=positive(said, "ask"),
        ask_quantity=_amount(said.get("askVolume")),
        event_time_ms=time if isinstance(time, int) else at_ms,
        received_s=received_s,
        source=source,
    )


def trade(raw: object, received_s: float, source: PriceSource) -> MarketTrade:
    """Read one print."""
    said = mapping(raw, "trade")
    return MarketTrade(
        symbol=text(said, "symbol"),
        price=positive(said, "price"),
        quantity=positive(said, "amount"),
        event_time_ms=integer(said, "timestamp"),
        received_s=received_s,
        source=source,
    )


def print_of(raw: object) -> tuple[Print, str | None]:
    """Read one print for statistics, and the side of its taker where that is told."""
    said = mapping(raw, "trade")
    side = said.get("side")
    traded = Print(
        float(positive(said, "price")),
        float(positive(said, "amount")),
        integer(said, "timestamp"),
        is_taker_buy=side == "buy",
    )
    return traded, side if isinstance(side, str) else None


def last_prices(raw: object) -> dict[str, Decimal]:
    """Read the last price of every instrument; where nothing traded there is none."""
    found: dict[str, Decimal] = {}
    for symbol, row in mapping(raw, "tickers").items():
        said = mapping(row, "ticker")
        price = number(said, "last") if said.get("last") is not None else ZERO
        if price > 0:
            found[symbol] = price
    return found


def order_book(raw: object, symbol: str, at_ms: int) -> OrderBook:
    """Read depth, best levels first."""
    said = mapping(raw, "book")
    return OrderBook(symbol, levels(said.get("bids")), levels(said.get("asks")), at_ms)


def candles(raw: object, length_ms: int, now_ms: int) -> Sequence[Candle]:
    """Read candles, oldest first; one is closed when its time is over."""
    found = []
    for each in sequence(raw, "candles"):
        row = sequence(each, "candle")
        if len(row) < 6 or not isinstance(row[0], int):
            raise Unusable(f"candle should be six numbers, was {shown(row)}")
        opened, high, low, closed, volume = (
            float(decimal_of(value, "candle")) for value in row[1:6]
        )
        is_closed = following_ms(row[0], length_ms) <= now_ms
        found.append(Candle(row[0], opened, high, low, closed, volume, is_closed))
    return found
