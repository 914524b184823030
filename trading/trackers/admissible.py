"""What the exchange would take of a tracker: levels on its price step, sales of its least value."""

from collections.abc import Iterable
from decimal import ROUND_UP, Context, Decimal

from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.money import EXACT, ONE, ZERO, plain, rounded
from trading.domain.order import Side
from trading.domain.tracker import Level, Line, Tracker, TrackerKind, TrackerSpec, TrackerState
from trading.trackers import rules

# How far from the price a refusal proposes a level.
AWAY = Decimal("0.05")
_DIVISION = Context(prec=28)
_TENTH = Decimal("0.1")
_TRAIL_MOST_PERCENT = 50


def levels(spec: TrackerSpec) -> tuple[tuple[str, str, Level | None], ...]:
    """Return what a person may have typed as a price: its name, the word that sets it, itself."""
    name = "stop" if spec.kind is TrackerKind.STOP else "level"
    return (
        (name, "level", spec.level),
        ("stop", "stop", spec.stop),
        ("backstop", "backstop", spec.backstop),
    )


def check_steps(said: Iterable[tuple[str, str, Level | None]], instrument: Instrument) -> None:
    """Refuse a price between two steps: it is never rounded in silence. Lines have no step."""
    for name, word, level in said:
        if level is None or isinstance(level, Line):
            continue
        low, high = instrument.price_down(level), instrument.price_up(level)
        if low == high:
            continue
        near = f"{plain(low)} or {plain(high)}" if low > 0 else f"{plain(high)} is the least"
        raise Refused(
            f"{name} should be a multiple of {plain(instrument.price_tick)}, "
            f"was {plain(level)}: {near}",
            example=f"{word} {plain(low if low > 0 else high)}",
        )


def check_saleable(tracker: Tracker, price: Decimal, at_ms: int, instrument: Instrument) -> None:
    """Refuse a stop at which the exchange would not take the sale: it would protect nothing."""
    if tracker.side is not Side.SELL or tracker.quantity <= 0:
        return
    for name, stop in _stops(tracker, at_ms):
        if stop is None or not instrument.is_dust(tracker.quantity, stop):
            continue
        value = plain(rounded(EXACT.multiply(tracker.quantity, stop), 2).normalize() or ZERO)
        raise Refused(
            f"the {name} {plain(rounded(stop, 8))} could never sell: {plain(tracker.quantity)} "
            f"{instrument.base} would be worth {value} {instrument.quote} there, and the exchange "
            f"takes orders from {plain(instrument.notional_min)} {instrument.quote} on",
            example=_that_sells(tracker, name, price, instrument),
        )


def _stops(tracker: Tracker, at_ms: int) -> tuple[tuple[str, Decimal | None], ...]:
    is_trailing = tracker.state is TrackerState.TRAILING
    return (
        ("stop", rules.stop_at(tracker, at_ms) if is_trailing else None),
        ("stop", rules.hard_stop_at(tracker, at_ms)),
        ("backstop", tracker.spec.backstop),
    )


def _that_sells(tracker: Tracker, name: str, price: Decimal, instrument: Instrument) -> str:
    near = instrument.price_down(EXACT.multiply(price, ONE - AWAY))
    if instrument.is_dust(tracker.quantity, near):
        return "all"
    if name == "backstop":
        return "backstop 10%"
    if tracker.spec.kind is TrackerKind.STOP:
        return f"level {plain(near)}"
    return trail_away(tracker, price) if is_trailing(tracker) else f"stop {plain(near)}"


def is_trailing(tracker: Tracker) -> bool:
    """Whether its stop follows a record now."""
    return tracker.state is TrackerState.TRAILING and tracker.distance is not None


def trail_away(tracker: Tracker, price: Decimal) -> str:
    """Return the words of a trail whose stop is well away from the price, or of the end.

    It counts from the record, which a price that ran away has left far behind.
    """
    record = price if tracker.record_price is None else tracker.record_price
    sign = tracker.side.sign
    stop = EXACT.multiply(price, ONE + sign * AWAY)
    share = sign * (_DIVISION.divide(stop, record) - ONE)
    percent = max((share * 100).quantize(_TENTH, ROUND_UP), 100 * AWAY)
    if percent > _TRAIL_MOST_PERCENT:
        return f"/tracker {tracker.tracker_id} cancel"
    return f"trail {plain(percent)}%"
