"""The rules of Binance's instruments, which there are, and which end."""

import logging
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from trading.domain.instrument import Instrument, InstrumentStatus
from trading.domain.money import ZERO
from trading.domain.time import from_ms
from trading.gateway.translate.values import (
    SymbolOf,
    Unusable,
    integer,
    mapping,
    number,
    positive,
    sequence,
    text,
)

logger = logging.getLogger(__name__)


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


def delistings(raw: object, symbol_of: SymbolOf) -> Mapping[str, datetime]:
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
