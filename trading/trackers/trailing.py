"""The moving stop: the best price since is kept, and the stop follows it, never back."""

from dataclasses import replace
from decimal import Decimal

from trading.domain.instrument import Instrument
from trading.domain.money import EXACT, ONE
from trading.domain.order import Side
from trading.domain.tracker import Tracker


def is_beyond(side: Side, price: Decimal, stop: Decimal) -> bool:
    """Whether a price makes a stop true: at or below it for a sell, at or above for a buy."""
    return price <= stop if side is Side.SELL else price >= stop


def is_better(side: Side, price: Decimal, record: Decimal) -> bool:
    """Whether a price is a new record: higher for a sell, lower for a buy."""
    return price > record if side is Side.SELL else price < record


def tighter(side: Side, first: Decimal, second: Decimal) -> Decimal:
    """Return the stop that fires first."""
    return max(first, second) if side is Side.SELL else min(first, second)


def stop_from(record: Decimal, distance: Decimal, side: Side, instrument: Instrument) -> Decimal:
    """Return the stop at `distance` from a record, on the tick, never later than asked.

    A distance of less than one tick still leaves one: a stop at the record would fire at once.
    """
    exact = EXACT.multiply(record, ONE + side.sign * distance)
    tick = instrument.price_tick
    if side is Side.SELL:
        return min(instrument.price_up(exact), instrument.price_down(record - tick))
    return max(instrument.price_down(exact), instrument.price_up(record + tick))


def follow(tracker: Tracker, price: Decimal, instrument: Instrument) -> Tracker:
    """Return the tracker after a price: the same object unless the record or the stop moved."""
    if tracker.distance is None:
        return tracker
    record = tracker.record_price
    if record is not None and not is_better(tracker.side, price, record):
        return tracker
    stop = stop_from(price, tracker.distance, tracker.side, instrument)
    if tracker.stop_price is not None:
        stop = tighter(tracker.side, stop, tracker.stop_price)
    return replace(tracker, record_price=price, stop_price=stop)


def tighten(tracker: Tracker, distance: Decimal, instrument: Instrument) -> Tracker:
    """Return the tracker with a smaller distance (a calmer ATR); a wider one changes nothing."""
    if tracker.distance is None or distance >= tracker.distance:
        return tracker
    if tracker.record_price is None or tracker.stop_price is None:
        return replace(tracker, distance=distance)
    stop = stop_from(tracker.record_price, distance, tracker.side, instrument)
    return replace(
        tracker, distance=distance, stop_price=tighter(tracker.side, stop, tracker.stop_price)
    )
