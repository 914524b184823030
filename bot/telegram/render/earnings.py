"""What finished exits earned: each in its own quote, for profits of two are never one number."""

from collections.abc import Sequence
from decimal import Decimal

from bot.telegram.render.text import Line, count, gain, price, quantity, six_digits, worth
from trading.domain.instrument import base_and_quote
from trading.domain.money import ZERO
from trading.domain.order import NO_FEES, Fees
from trading.domain.position import RoundTrip


def profit_lines(trip: RoundTrip) -> list[Line]:
    """What one exit earned, and which fees that does not count."""
    if trip.entry_price is None:
        return ["P&L not known"]
    return _after_fees(f"P&L {gain(trip.profit, _quote(trip))}", trip.fees_unpriced)


def exit_lines(trips: Sequence[RoundTrip]) -> list[Line]:
    """How many exits there were and what they earned in each quote, and what that does not count.

    The first line is whole on its own.
    """
    profits: dict[str, Decimal] = {}
    fees = NO_FEES
    known = [trip for trip in trips if trip.entry_price is not None]
    for trip in known:
        profits[_quote(trip)] = profits.get(_quote(trip), ZERO) + trip.profit
        fees += Fees(unpriced=trip.fees_unpriced)
    head = count(len(trips), "exit")
    if not known:
        return [f"{head}, P&L not known"]
    told = ", ".join(gain(profit, quote) for quote, profit in sorted(profits.items()))
    lines = _after_fees(f"{head}, {told}", fees.unpriced)
    unknown = len(trips) - len(known)
    return [*lines, *[f"P&L of {unknown} not known"][: bool(unknown)]]


def trip_lines(trip: RoundTrip) -> list[Line]:
    """One exit: when, what it earned, from which price to which, and the fees of both."""
    quote, is_known = _quote(trip), trip.entry_price is not None
    profit = gain(trip.profit, quote) if is_known else "P&L not known"
    entry = price(trip.entry_price) if is_known else "?"
    return [
        f"{trip.closed_at:%b %d %H:%M} {trip.symbol} {profit}",
        f"  {quantity(trip.quantity)}: {entry} to {price(trip.exit_price)}",
        f"  fees {worth(trip.fees_quote, quote)}",
        *(f"  {line}" for line in uncounted(trip.fees_unpriced)),
    ]


def _after_fees(profit: str, unpriced: Sequence[tuple[str, Decimal]]) -> list[Line]:
    return [profit, *uncounted(unpriced)] if unpriced else [f"{profit} after fees"]


def uncounted(unpriced: Sequence[tuple[str, Decimal]]) -> list[Line]:
    """Name fees, units by asset, that no profit counts for nobody knew their worth."""
    if not unpriced:
        return []
    amounts = (f"{six_digits(amount)} {asset or '?'}" for asset, amount in unpriced)
    return [f"+ {', '.join(amounts)} fees not counted"]


def _quote(trip: RoundTrip) -> str:
    return base_and_quote(trip.symbol)[1]
