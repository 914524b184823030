"""What a closing would sell, and what any sale leaves to the trackers that wait."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from trading.desk import CloseLine, Hurried, Shown, Shrinkage
from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.money import ONE, ZERO
from trading.domain.order import Intent
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


@dataclass(frozen=True, slots=True)
class Closing:
    """What closing a share of one holding comes to: in all, by a new sale, by older ones."""

    line: CloseLine
    fresh: CloseLine
    hurried: tuple[Hurried, ...] = ()

    @property
    def released(self) -> Decimal:
        """Base units of the older sales that nothing sells any more."""
        return sum((each.released for each in self.hurried), ZERO)

    @property
    def let_go(self) -> Decimal:
        """Those of them that are not managed any more with the end of these sales."""
        return sum((each.let_go for each in self.hurried), ZERO)


def closing(
    holding: Holding,
    waiting: Sequence[Intent],
    share: Decimal,
    price: Decimal | None,
    shown: Shown | None = None,
) -> Closing:
    """Return what closing a share of a holding sells while sales of it are `waiting`.

    All of them go to the market with everything. A part needs them for what lies in no sale: as few
    as can be, the youngest first, and what they hold is sold before coins that stops protect.
    Raises Refused when nothing would be sold.
    """
    given = sum((sale.residual for sale in waiting), ZERO)
    freed = replace(holding, exiting=max(holding.exiting - given, ZERO))
    line = close_line(freed, share, price, shown)
    if not waiting:
        return Closing(line, line)
    is_all = share == ONE
    lacking = ZERO if is_all else line.quantity - holding.managed
    hurried, left = [], line.quantity
    for sale in sorted(waiting, key=lambda sale: sale.created_at, reverse=True):
        if is_all or lacking > 0:
            part = sale.residual if is_all else min(sale.residual, left)
            hurried.append(Hurried(sale, sale.residual - part))
            lacking, left = lacking - sale.residual, left - part
    fresh = holding.instrument.quantity(max(left, ZERO))
    if hurried and _is_dust(holding.instrument, fresh, price):
        fresh = ZERO
    quantity = fresh + sum((each.quantity for each in hurried), ZERO)
    return Closing(_line(line, quantity, price), _line(line, fresh, price), tuple(hurried))


def _line(whole: CloseLine, quantity: Decimal, price: Decimal | None) -> CloseLine:
    return replace(whole, quantity=quantity, value=None if price is None else quantity * price)


def _is_dust(instrument: Instrument, quantity: Decimal, price: Decimal | None) -> bool:
    return instrument.is_small(quantity) if price is None else instrument.is_dust(quantity, price)


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
