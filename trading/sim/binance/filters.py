"""The symbol filters of Binance spot: what exchangeInfo shows and what orders are held to."""

from decimal import Decimal
from typing import Any

from trading.domain.instrument import Instrument
from trading.domain.money import ZERO, floor_to
from trading.sim.binance.codes import filter_failure
from trading.sim.orders import OrderKind, OrderTicket

# Of one symbol: what most of the real exchange's symbols allow.
ALGO_ORDERS_MAX = 5


def shown(instrument: Instrument) -> list[dict[str, Any]]:
    """Return the filters as exchangeInfo lists them."""
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": number(instrument.price_min),
            "maxPrice": number(instrument.price_max or ZERO),
            "tickSize": number(instrument.price_tick),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": number(instrument.quantity_min),
            "maxQty": number(instrument.quantity_max),
            "stepSize": number(instrument.quantity_step),
        },
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": number(ZERO),
            "maxQty": number(instrument.market_quantity_max),
            "stepSize": number(ZERO),
        },
        {
            # 0 minutes: the last price is the reference.
            "filterType": "PERCENT_PRICE",
            "multiplierUp": _short(instrument.price_ratio_max),
            "multiplierDown": _short(instrument.price_ratio_min),
            "avgPriceMins": 0,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": number(instrument.notional_min),
            "applyMinToMarket": True,
            "maxNotional": number(instrument.notional_max or ZERO),
            "applyMaxToMarket": True,
            "avgPriceMins": 0,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": instrument.orders_open_max},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": ALGO_ORDERS_MAX},
    ]


def check(
    instrument: Instrument, ticket: OrderTicket, last_price: Decimal, open_kinds: list[OrderKind]
) -> None:
    """Raise the first filter failure; `open_kinds` are those of the symbol's open orders."""
    for price in (ticket.price, ticket.stop_price):
        if price is not None:
            _check_price(instrument, price)
    if ticket.price is not None:
        _check_percent_price(instrument, ticket.price, last_price)
    reference = ticket.price or ticket.stop_price or last_price
    quantity = ticket.quantity
    if ticket.quote_quantity is not None:
        quantity = floor_to(ticket.quote_quantity / last_price, instrument.quantity_step)
    _check_quantity(instrument, ticket, quantity)
    _check_notional(instrument, ticket.quote_quantity or quantity * reference)
    orders_max = instrument.orders_open_max
    if orders_max is not None and len(open_kinds) >= orders_max:
        raise filter_failure("MAX_NUM_ORDERS")
    conditional = [kind for kind in open_kinds if kind.is_conditional]
    if ticket.kind.is_conditional and len(conditional) >= ALGO_ORDERS_MAX:
        raise filter_failure("MAX_NUM_ALGO_ORDERS")


def number(value: Decimal) -> str:
    """Write a number as Binance does, with eight decimals."""
    return f"{value:.8f}"


def _check_price(instrument: Instrument, price: Decimal) -> None:
    is_too_high = instrument.price_max is not None and price > instrument.price_max
    if price < instrument.price_min or is_too_high or price % instrument.price_tick != 0:
        raise filter_failure("PRICE_FILTER")


def _check_percent_price(instrument: Instrument, price: Decimal, last_price: Decimal) -> None:
    high, low = instrument.price_ratio_max, instrument.price_ratio_min
    if (high is not None and price > last_price * high) or (
        low is not None and price < last_price * low
    ):
        raise filter_failure("PERCENT_PRICE")


def _check_quantity(instrument: Instrument, ticket: OrderTicket, quantity: Decimal) -> None:
    if (
        not instrument.quantity_min <= quantity <= instrument.quantity_max
        or quantity % instrument.quantity_step != 0
    ):
        raise filter_failure("LOT_SIZE")
    if not ticket.kind.has_limit and quantity > instrument.market_quantity_max:
        raise filter_failure("MARKET_LOT_SIZE")


def _check_notional(instrument: Instrument, notional: Decimal) -> None:
    is_too_large = instrument.notional_max is not None and notional > instrument.notional_max
    if notional < instrument.notional_min or is_too_large:
        raise filter_failure("NOTIONAL")


def _short(value: Decimal | None) -> str:
    return "0" if value is None else format(value.normalize(), "f")
