"""What follows when an intent of a tracker closes: its end, a rest, or a swing's other half."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from trading.domain.events import TrackerChanged
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.money import EXACT, ONE, ZERO
from trading.domain.order import BACKSTOP_SOLD, PANICKED, Fill, Intent, IntentState, Purpose, Side
from trading.domain.tracker import (
    NOTHING_LEFT,
    TOO_LITTLE_LEFT,
    ThenKind,
    Tracker,
    TrackerChange,
    TrackerKind,
    TrackerState,
)
from trading.trackers import arming, rules
from trading.trackers.slices import Slice

_ENDS = {
    IntentState.EXPIRED: (TrackerState.EXPIRED, TrackerChange.EXPIRED),
    IntentState.CLOSED_EXTERNAL: (TrackerState.CLOSED_EXTERNAL, TrackerChange.CLOSED),
    IntentState.ABORTED: (TrackerState.ABORTED, TrackerChange.ABORTED),
}


@dataclass(frozen=True, slots=True)
class Gained:
    """What the fills of an intent gave: coins net of fees in coins, money net of fees in money."""

    quantity: Decimal
    quote: Decimal
    price: Decimal | None


def gained(fills: Sequence[Fill], symbol: str) -> Gained:
    """Sum fills of a symbol; a fee in a third coin costs neither coins nor money."""
    quantity = sum((fill.quantity for fill in fills), ZERO)
    notional = sum((fill.notional for fill in fills), ZERO)
    fee_base, fee_quote = (
        sum((fill.fee for fill in fills if fill.fee_asset == asset), ZERO)
        for asset in base_and_quote(symbol)
    )
    price = EXACT.divide(notional, quantity) if quantity else None
    return Gained(quantity - fee_base, notional - fee_quote, price)


def after(
    tracker: Tracker,
    intent: Intent,
    fills: Sequence[Fill],
    instrument: Instrument | None,
    next_slice: Slice,
    now: datetime,
) -> TrackerChanged:
    """Return the tracker's fact to be journaled with the closing of its intent.

    `next_slice` is what a cooldown would own next, and the coins that nobody else owns: of those a
    swing owns what the fills gave. With no `instrument` the exchange lists the market no more, and
    nothing goes on.
    """
    result = gained(fills, tracker.symbol)
    spent = replace(
        tracker,
        quantity=ZERO,
        quote=ZERO,
        intent_id=intent.intent_id,
        last_fill_price=result.price or tracker.last_fill_price,
        reason="" if _bought_all(intent, instrument) else intent.reason,
        changed_at=now,
    )
    end = _ENDS.get(intent.state)
    if end is not None and (intent.state is not IntentState.EXPIRED or result.price is None):
        return _ended(spent, *end, now)
    if instrument is None or not _goes_on(tracker, intent, result):
        if intent.state is IntentState.DUST:
            return _ended(spent, TrackerState.DUST, TrackerChange.CLOSED, now)
        return _ended(spent, TrackerState.CLOSED, TrackerChange.CLOSED, now)
    if tracker.spec.then.kind is ThenKind.SWING:
        # What was sold by hand of a purchase before its end is none of the swing's.
        left = max(next_slice.quantity, ZERO) if tracker.side is Side.BUY else result.quantity
        own = replace(result, quantity=min(result.quantity, left))
        return _swung(spent, own, instrument, now)
    return _rested(spent, tracker, next_slice, now)


def after_backstop(
    tracker: Tracker,
    intent: Intent,
    instrument: Instrument | None,
    now: datetime,
    written: Tracker | None = None,
) -> list[TrackerChanged]:
    """Return what a backstop's sale leaves of its tracker: less, or nothing.

    What it sold is none of the slice any more, whether the tracker still waited or not. `written`
    is what the journal has of one that has fired and whose trigger it does not have yet. One whose
    trigger it has ends with its own exit, which is cut down to what is left.
    """
    if not intent.filled_quantity or tracker.state.is_terminal:
        return []
    left = max(tracker.quantity - intent.filled_quantity, ZERO)
    price = intent.average_price or intent.reference_price
    # How little is too little is not known of a market that the exchange lists no more.
    is_enough = left > 0 if instrument is None else not instrument.is_dust(left, price)
    if is_enough or (tracker.state.is_acting and written is None):
        cut = replace(written or tracker, quantity=left, changed_at=now)
        return [TrackerChanged(cut, TrackerChange.RESIZED, now, reason=BACKSTOP_SOLD)]
    spent = replace(
        tracker,
        quantity=ZERO,
        intent_id=intent.intent_id,
        last_fill_price=intent.average_price,
        reason=BACKSTOP_SOLD,
        changed_at=now,
    )
    return [_ended(spent, TrackerState.CLOSED, TrackerChange.CLOSED, now)]


def _bought_all(intent: Intent, instrument: Instrument | None) -> bool:
    """Whether a purchase got what it wanted: what ended it then kept nothing from it."""
    is_purchase = intent.side is Side.BUY and intent.filled_quantity > 0
    return is_purchase and not intent.left_over(instrument)


def _goes_on(tracker: Tracker, intent: Intent, result: Gained) -> bool:
    return (
        tracker.spec.then.kind is not ThenKind.ONCE
        and result.price is not None
        and intent.purpose is not Purpose.PANIC
        and intent.given_up != PANICKED
        # Who set a hard stop wanted out: buying back after it would add the risk it took away.
        and tracker.fired_rule != rules.HARD_STOP
    )


def _ended(
    tracker: Tracker, state: TrackerState, change: TrackerChange, now: datetime
) -> TrackerChanged:
    return TrackerChanged(replace(tracker, state=state), change, now, reason=tracker.reason)


def _swung(
    tracker: Tracker, result: Gained, instrument: Instrument, now: datetime
) -> TrackerChanged:
    side = tracker.side.opposite
    price = result.price or ZERO
    exact = EXACT.multiply(price, ONE - side.sign * arming.swing_share(tracker.spec))
    # Rounded away from the fill, so that the half always gains what was promised.
    level = instrument.price_up(exact) if side is Side.SELL else instrument.price_down(exact)
    swung = replace(
        tracker,
        side=side,
        state=TrackerState.WATCHING,
        arm_seq=tracker.arm_seq + 1,
        quantity=instrument.quantity(result.quantity) if side is Side.SELL else ZERO,
        quote=result.quote if side is Side.BUY else ZERO,
        level_price=level,
        record_price=None,
        stop_price=None,
        touched_at=None,
        hard_stop_price=_next_hard_stop(tracker, side, price, instrument),
        intent_id=None,
    )
    can_sell = side is Side.SELL and not instrument.is_dust(swung.quantity, level)
    can_buy = side is Side.BUY and not instrument.is_dust(EXACT.divide(swung.quote, level), level)
    if not can_sell and not can_buy:
        ended = replace(tracker, reason=TOO_LITTLE_LEFT)
        return _ended(ended, TrackerState.CLOSED, TrackerChange.CLOSED, now)
    return TrackerChanged(swung, TrackerChange.REARMED, now)


def _next_hard_stop(
    tracker: Tracker, side: Side, price: Decimal, instrument: Instrument
) -> Decimal | None:
    spec = tracker.spec
    if side is not Side.SELL or spec.stop_share is None:
        return spec.stop if isinstance(spec.stop, Decimal) and side is Side.SELL else None
    return instrument.price_up(EXACT.multiply(price, ONE - spec.stop_share))


def _rested(spent: Tracker, fired: Tracker, next_slice: Slice, now: datetime) -> TrackerChanged:
    if next_slice.quantity <= 0 and next_slice.quote <= 0:
        ended = replace(spent, reason=NOTHING_LEFT)
        return _ended(ended, TrackerState.CLOSED, TrackerChange.CLOSED, now)
    rested = replace(
        spent,
        state=TrackerState.RESTING,
        # Its hard stop may fire while it rests: a sale of its own, under a name of its own.
        arm_seq=spent.arm_seq + 1,
        quantity=next_slice.quantity,
        quote=next_slice.quote,
        record_price=None,
        # Without a level to touch, the stop that fired is the edge of the band.
        stop_price=fired.stop_price if fired.spec.kind in _STOPS else None,
        touched_at=None,
        intent_id=None,
    )
    return TrackerChanged(rested, TrackerChange.RESTED, now)


_STOPS = frozenset({TrackerKind.STOP, TrackerKind.TRAIL, TrackerKind.BREAKOUT})
