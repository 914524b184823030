"""A private stop and its backstop on the exchange: which of the two would sell first."""

from decimal import Decimal

from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.money import EXACT, ONE, grouped, plain, rounded
from trading.domain.order import Side
from trading.domain.tracker import Tracker
from trading.trackers import rules

# How far below the private stop a backstop is proposed.
_GAP = Decimal("0.05")


def sells_first_at(tracker: Tracker, at_ms: int) -> Decimal | None:
    """Return where the private stop sells at the latest, None unless its backstop sells before it.

    A private stop that waits for a confirmation sells at its bound at the latest.
    """
    backstop = tracker.spec.backstop
    if backstop is None or tracker.side is not Side.SELL or not tracker.state.is_waiting:
        return None
    worst = rules.worst_price(tracker, at_ms)
    return None if worst is None or backstop < worst else worst


def check(tracker: Tracker, at_ms: int, instrument: Instrument, words: str) -> None:
    """Refuse a backstop that would sell before the private stop; `words` begin the example."""
    worst = sells_first_at(tracker, at_ms)
    if worst is not None:
        raise Refused(
            f"the backstop {plain(tracker.spec.backstop or worst)} should be below "
            f"{_short(worst)}, where the private stop sells at the latest: "
            "the exchange would sell first",
            example=f"{words} {plain(wide(worst, instrument))}",
        )


def warning(tracker: Tracker, at_ms: int, instrument: Instrument) -> str:
    """Say that a private stop has moved below its backstop, and what to send; empty if not."""
    worst = sells_first_at(tracker, at_ms)
    if worst is None:
        return ""
    number = tracker.tracker_id
    return (
        f"The backstop {plain(tracker.spec.backstop or worst)} on the exchange sells before the "
        f"private stop of #{number} at {_short(worst)}. To set it lower: "
        f"/tracker {number} backstop {plain(wide(worst, instrument))}"
    )


def cut(tracker: Tracker, instrument: Instrument) -> str:
    """Say how much of its slice a backstop covers; empty where one order takes all of it."""
    whole = instrument.quantity(tracker.quantity)
    most = instrument.at_market(whole)
    if tracker.spec.backstop is None or tracker.side is not Side.SELL or most >= whole:
        return ""
    return (
        f"its backstop covers {grouped(most)} of {grouped(whole)} {instrument.base}: one order "
        "takes no more"
    )


def wide(worst: Decimal, instrument: Instrument) -> Decimal:
    """Return a price for a backstop that leaves the private stop room to act first."""
    return instrument.price_down(EXACT.multiply(worst, ONE - _GAP))


def _short(value: Decimal) -> str:
    return plain(rounded(value, 8))
