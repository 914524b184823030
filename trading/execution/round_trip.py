"""What a finished exit earned: its executions against the cost of the coins it sold."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from trading.domain.instrument import base_and_quote
from trading.domain.money import ZERO
from trading.domain.order import NO_FEES, Fill, Intent, Side
from trading.domain.position import Position, RoundTrip


def round_trip(
    intent: Intent, fills: Sequence[Fill], position: Position | None, now: datetime
) -> RoundTrip | None:
    """Return the round trip of an exit's fills, None without any.

    `position` tells since when the coins were held, as far as it still does.
    """
    if not fills:
        return None
    pair = base_and_quote(intent.symbol)
    quantity = sum((fill.quantity for fill in fills), ZERO)
    notional = sum((fill.notional for fill in fills), ZERO)
    of_sale = sum((fill.fees(*pair) for fill in fills), NO_FEES)
    fees = intent.fees + of_sale
    # Coins whose cost nobody knows: the sale is recorded, a profit is not invented.
    profit = notional - of_sale.quote - intent.cost if intent.cost is not None else ZERO
    return RoundTrip(
        symbol=intent.symbol,
        intent_id=intent.intent_id,
        quantity=quantity,
        entry_price=None if intent.cost is None else intent.cost / quantity,
        exit_price=notional / quantity,
        profit=profit,
        fees_quote=fees.quote,
        opened_at=position.opened_at if position else None,
        closed_at=now,
        fees_unpriced=fees.unpriced,
    )


def with_cost(intent: Intent, quantity: Decimal, position: Position | None) -> Intent:
    """Return an intent with what its coins cost in quote, `quantity` more sold ones included.

    `position` still counts these. Beyond it they cost what the ones sold before them did.
    """
    if position is None or not position.quantity:
        if intent.cost is None or not intent.filled_quantity:
            return intent
        average = intent.cost / intent.filled_quantity
        more = intent.fees.share(quantity, intent.filled_quantity)
        return replace(intent, cost=intent.cost + average * quantity, fees=intent.fees + more)
    if intent.cost is None:
        quantity += intent.filled_quantity
    cost = (intent.cost or ZERO) + position.cost * quantity / position.quantity
    fees = intent.fees + position.fees.share(quantity, position.quantity)
    return replace(intent, cost=cost, fees=fees)


def valued(
    fills: Sequence[Fill], position: Position | None, price_of: Callable[[str], Decimal | None]
) -> Sequence[Fill]:
    """Return executions with what their fees are worth in quote now, where that is known.

    `position` is what they find; `price_of` is what one unit of an asset is worth in quote.
    """
    found = []
    for fill in fills:
        base, quote = base_and_quote(fill.symbol)
        if fill.fee and fill.fee_asset not in {base, quote}:
            price = price_of(fill.fee_asset)
            found.append(fill if price is None else replace(fill, fee_worth=fill.fee * price))
        elif fill.fee and fill.fee_asset == base and fill.side is Side.SELL:
            found.append(replace(fill, fee_worth=_cost_of_fee(fill, position)))
        else:
            found.append(fill)
        position = position.apply(found[-1], base, quote) if position else None
    return found


def _cost_of_fee(fill: Fill, position: Position | None) -> Decimal:
    """Return what the coins that a sale was charged are worth: managed ones what they cost."""
    average = position.average_price if position else None
    if position is None or average is None:
        return fill.fee * fill.price
    managed = min(max(position.quantity - fill.quantity, ZERO), fill.fee)
    return managed * average + (fill.fee - managed) * fill.price
