"""What a finished exit earned: its executions against the cost of the coins it sold."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from trading.domain.instrument import base_and_quote
from trading.domain.money import ZERO
from trading.domain.order import Fill, Intent
from trading.domain.position import Position, RoundTrip


def round_trip(
    intent: Intent,
    fills: Sequence[Fill],
    position: Position | None,
    worth: Callable[[str], Decimal | None],
    now: datetime,
) -> RoundTrip | None:
    """Return the round trip of an exit's fills, None without any.

    `position` is told since when the coins were held, as far as it still is; `worth` values one
    unit of a fee's asset in quote, None where no price is known: such a fee then counts nothing.
    """
    if not fills:
        return None
    quantity = sum((fill.quantity for fill in fills), ZERO)
    notional = sum((fill.notional for fill in fills), ZERO)
    fees = sum((_fee(fill, worth) for fill in fills), ZERO)
    # Coins whose cost nobody knows: the sale is recorded, a profit is not invented.
    profit = notional - fees - intent.cost if intent.cost is not None else ZERO
    return RoundTrip(
        symbol=intent.symbol,
        intent_id=intent.intent_id,
        quantity=quantity,
        entry_price=None if intent.cost is None else intent.cost / quantity,
        exit_price=notional / quantity,
        profit=profit,
        fees_quote=fees,
        opened_at=position.opened_at if position else None,
        closed_at=now,
    )


def cost_with(intent: Intent, quantity: Decimal, position: Position | None) -> Decimal | None:
    """Return what the coins sold under an intent cost in quote, `quantity` more included.

    `position` still counts these. Beyond it they cost what the ones sold before them did.
    """
    average = position.average_price if position else None
    if average is None:
        if intent.cost is None or not intent.filled_quantity:
            return intent.cost
        average = intent.cost / intent.filled_quantity
    if intent.cost is None:
        return average * (intent.filled_quantity + quantity)
    return intent.cost + average * quantity


def _fee(fill: Fill, worth: Callable[[str], Decimal | None]) -> Decimal:
    base, quote = base_and_quote(fill.symbol)
    if fill.fee_asset == quote:
        return fill.fee
    if fill.fee_asset == base:
        return fill.fee * fill.price
    return fill.fee * (worth(fill.fee_asset) or ZERO)
