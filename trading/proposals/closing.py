"""What a closing would sell, and what any sale leaves to the trackers that wait."""

from decimal import Decimal

from trading.desk import CloseLine, Shown, Shrinkage
from trading.domain.errors import Refused
from trading.domain.money import ZERO
from trading.proposals.consent import share_of
from trading.proposals.holding import Holding
from trading.trackers import slices


def close_line(
    holding: Holding, share: Decimal, price: Decimal | None, shown: Shown | None = None
) -> CloseLine:
    """Return what closing a share of one holding would sell; Refused when that is nothing.

    `shown` is what the question said, None before it is asked.
    """
    instrument = holding.instrument
    wanted = share_of(holding.managed, share, shown)
    quantity = instrument.quantity(min(wanted, holding.managed - holding.bound))
    if quantity <= 0:
        if holding.exiting or holding.bound:
            raise Refused(f"nothing of {instrument.symbol} is left: {holding.locked}", "/orders")
        raise Refused(f"nothing of {instrument.symbol} is managed", example="/positions")
    value = quantity * price if price is not None else None
    return CloseLine(instrument.symbol, instrument.base, quantity, value)


def left_of(holding: Holding, sold: Decimal) -> Decimal:
    """Return the base units that a sale leaves for trackers that wait."""
    left = max(holding.managed - sold, ZERO)
    # What the step cannot sell is not worth a tracker.
    return left if left >= holding.instrument.quantity_step else ZERO


def shrunk(holding: Holding, sold: Decimal) -> tuple[Shrinkage, ...]:
    """Return the waiting trackers that a sale of so many base units leaves with less."""
    instrument = holding.instrument
    waiting = {
        item.tracker_id: item for item in holding.trackers if item.symbol == instrument.symbol
    }
    left = left_of(holding, sold)
    return tuple(
        Shrinkage(each.tracker_id, before, each.quantity)
        for each in slices.resize(tuple(waiting.values()), left, instrument)
        if each.quantity < (before := waiting[each.tracker_id].quantity)
    )
