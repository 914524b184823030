"""Reads an order out of Binance's parameters, or refuses it with Binance's code."""

import re
from collections.abc import Mapping
from decimal import Decimal

from trading.domain.money import ZERO
from trading.domain.order import Side, TimeInForce
from trading.sim.binance.codes import ApiError, illegal, known, missing, not_required, unread
from trading.sim.orders import OrderKind, OrderTicket, SelfTrade

Params = Mapping[str, str]
_DAY_MS = 86_400_000

_NUMBER = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_CLIENT_ID = r"^[a-zA-Z0-9-_]{1,36}$"
_TIME_ZONE = re.compile(r"([+-]?)([0-9]{1,2})(?::([0-9]{2}))?", re.ASCII)
_AHEAD_MIN_MS, _AHEAD_MAX_MS = -12 * 3_600_000, 14 * 3_600_000
_DECIMALS_MAX = 8
# As milliseconds this were the year 5138, as microseconds 1973.
_MICROSECONDS_FROM = 10**14

_ALWAYS = frozenset(
    {
        "symbol",
        "side",
        "type",
        "newClientOrderId",
        "newOrderRespType",
        "selfTradePreventionMode",
        "strategyId",
        "strategyType",
        "recvWindow",
        "timestamp",
        "signature",
    }
)
_REQUIRED = {
    OrderKind.MARKET: (),
    OrderKind.LIMIT: ("timeInForce", "quantity", "price"),
    OrderKind.LIMIT_MAKER: ("quantity", "price"),
    OrderKind.STOP_LOSS: ("quantity", "stopPrice"),
    OrderKind.TAKE_PROFIT: ("quantity", "stopPrice"),
    OrderKind.STOP_LOSS_LIMIT: ("timeInForce", "quantity", "price", "stopPrice"),
    OrderKind.TAKE_PROFIT_LIMIT: ("timeInForce", "quantity", "price", "stopPrice"),
}
_SIZED = ("timeInForce", "quantity", "quoteOrderQty", "price", "stopPrice")


def read_ticket(params: Params, symbol: str, client_order_id: str, extra: Params) -> OrderTicket:
    """Return the order asked for; `client_order_id` is used when the caller gave none.

    `extra` names further parameters that this request may carry, besides those of an order.
    """
    side = read_side(params)
    kind = _read_kind(params)
    _check_names(params, kind, extra)
    own_id = params.get("newClientOrderId", "")
    if own_id and not re.fullmatch(_CLIENT_ID, own_id):
        raise illegal("newClientOrderId", _CLIENT_ID)
    return OrderTicket(
        symbol=symbol,
        client_order_id=own_id or client_order_id,
        side=side,
        kind=kind,
        quantity=read_decimal(params, "quantity") or ZERO,
        quote_quantity=read_decimal(params, "quoteOrderQty"),
        price=read_decimal(params, "price"),
        stop_price=read_decimal(params, "stopPrice"),
        time_in_force=_read_time_in_force(params),
        self_trade=_read_self_trade(params),
    )


def read_side(params: Params) -> Side:
    """Return the side; -1117 for anything but BUY and SELL."""
    if not params.get("side"):
        raise missing("side")
    try:
        return Side[params["side"]]
    except KeyError as error:
        raise ApiError(-1117, "Invalid side.") from error


def read_decimal(params: Params, name: str) -> Decimal | None:
    """Return a positive number, None when it was not sent."""
    text = params.get(name, "")
    if not text:
        return None
    if not re.fullmatch(_NUMBER, text, re.ASCII):
        raise illegal(name, _NUMBER)
    if len(text.partition(".")[2].rstrip("0")) > _DECIMALS_MAX:
        raise ApiError(-1111, f"Parameter '{name}' has too much precision.")
    value = Decimal(text)
    if value <= 0:
        raise ApiError(-1013, f"Invalid {'quantity' if 'ty' in name else 'price'}.")
    return value


def read_int(params: Params, name: str) -> int | None:
    """Return a whole number, None when it was not sent."""
    text = params.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise illegal(name, "^[0-9]{1,20}$")
    return int(text)


def read_time_ms(params: Params, name: str) -> float | None:
    """Return a Unix time in milliseconds, None when it was not sent.

    One in microseconds is known by its length, and keeps them as a fraction.
    """
    at = read_int(params, name)
    if at is None:
        return None
    return at / 1_000 if at >= _MICROSECONDS_FROM else float(at)


def read_period(params: Params) -> tuple[float | None, float | None]:
    """Return the times from which and up to which rows are asked for."""
    return read_time_ms(params, "startTime"), read_time_ms(params, "endTime")


def read_own_period(params: Params) -> tuple[float | None, float | None]:
    """Return the same of one's own orders and executions: a day at most, from one end to a later.

    An end that is not later is told as none at all:
    https://github.com/binance/binance-spot-api-docs/pull/38.
    """
    start_ms, end_ms = read_period(params)
    if start_ms is not None and end_ms is not None:
        if end_ms <= start_ms:
            raise missing("endTime")
        if end_ms - start_ms > _DAY_MS:
            raise known(-1127)
    return start_ms, end_ms


def read_ahead_ms(params: Params) -> int:
    """Return how much earlier than in UTC the days begin in the time zone that was asked for."""
    text = params.get("timeZone") or "0"
    found = _TIME_ZONE.fullmatch(text)
    hours, minutes = (int(found[2]), int(found[3] or 0)) if found else (0, 60)
    ahead_ms = (60 * hours + minutes) * 60_000 * (-1 if found and found[1] == "-" else 1)
    if minutes > 59 or not _AHEAD_MIN_MS <= ahead_ms <= _AHEAD_MAX_MS:
        raise ApiError(-1130, "Data sent for parameter 'timeZone' is not valid.")
    return ahead_ms


def read_limit(params: Params, usual: int, largest: int) -> int:
    """Return how many rows to answer with."""
    limit = read_int(params, "limit")
    if limit is not None and limit < 1:
        raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")
    return usual if limit is None else min(limit, largest)


def _read_kind(params: Params) -> OrderKind:
    if not params.get("type"):
        raise missing("type")
    try:
        return OrderKind(params["type"])
    except ValueError as error:
        raise ApiError(-1116, "Invalid orderType.") from error


def _check_names(params: Params, kind: OrderKind, extra: Params) -> None:
    required = _REQUIRED[kind]
    for name in required:
        if not params.get(name):
            raise missing(name)
    optional = ("quantity", "quoteOrderQty") if kind is OrderKind.MARKET else ()
    for name in _SIZED:
        if params.get(name) and name not in required and name not in optional:
            raise not_required(name)
    if kind is OrderKind.MARKET:
        given = [name for name in optional if params.get(name)]
        if not given:
            raise missing("quantity")
        if len(given) > 1:
            raise not_required("quoteOrderQty")
    known = _ALWAYS.union(_SIZED, extra)
    unknown = [name for name in params if name not in known]
    if unknown:
        raise unread(len(params), len(params) - len(unknown))


def _read_time_in_force(params: Params) -> TimeInForce:
    text = params.get("timeInForce") or "GTC"
    try:
        return TimeInForce[text]
    except KeyError as error:
        raise ApiError(-1115, "Invalid timeInForce.") from error


def _read_self_trade(params: Params) -> SelfTrade:
    text = params.get("selfTradePreventionMode") or SelfTrade.EXPIRE_MAKER.value
    try:
        return SelfTrade(text)
    except ValueError as error:
        raise ApiError(
            -1130, "Data sent for parameter 'selfTradePreventionMode' is not valid."
        ) from error
