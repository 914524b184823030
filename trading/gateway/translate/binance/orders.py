"""Orders and executions in Binance's words and ours: what is sent, answered and streamed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeGuard

from trading.domain.order import (
    SELF_TRADE,
    Fill,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
)
from trading.domain.time import from_ms
from trading.gateway.translate.values import (
    SymbolOf,
    Unusable,
    mapping,
    number,
    positive,
    sequence,
    shown,
    text,
    time_ms,
)

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
_OURS = "clientOrderId"


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
    return from_ms(time_ms(source, key))
