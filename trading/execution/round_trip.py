"""What a finished exit earned: its executions against the cost of the coins it sold."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from trading.domain.instrument import Instrument
from trading.domain.money import ZERO
from trading.domain.order import Fill, Intent
from trading.domain.position import Position, RoundTrip


def round_trip(
    intent: Intent,
    fills: Sequence[Fill],
    instrument: Instrument,
    position: Position | None,
    worth: Callable[[str], Decimal | None],
    now: datetime,
) -> RoundTrip | None:
    """Return the round trip of an exit's fills, None without any.

    `position` still holds what the fills sold, or at least its average price; `worth` values one
    unit of a fee's asset in quote, None where no price is known: such a fee then counts nothing.
    """
    if not fills:
        return None
    quantity = sum((fill.quantity for fill in fills), ZERO)
    notional = sum((fill.notional for fill in fills), ZERO)
    fees = sum((_fee(fill, instrument, worth) for fill in fills), ZERO)
    entry = position.average_price if position else None
    # Coins whose cost nobody knows: the sale is recorded, a profit is not invented.
    profit = notional - fees - quantity * entry if entry is not None else ZERO
    return RoundTrip(
        symbol=intent.symbol,
        intent_id=intent.intent_id,
        quantity=quantity,
        entry_price=entry,
        exit_price=notional / quantity,
        profit=profit,
        fees_quote=fees,
        opened_at=position.opened_at if position else None,
        closed_at=now,
    )


def _fee(fill: Fill, instrument: Instrument, worth: Callable[[str], Decimal | None]) -> Decimal:
    if fill.fee_asset == instrument.quote:
        return fill.fee
    if fill.fee_asset == instrument.base:
        return fill.fee * fill.price
    return fill.fee * (worth(fill.fee_asset) or ZERO)
