"""What follows a close, changed while a tracker runs: which changes mean something, and what."""

from dataclasses import replace

from trading.domain.errors import Refused
from trading.domain.money import plain
from trading.domain.order import Side
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Then,
    ThenKind,
    Tracker,
    TrackerKind,
    TrackerSpec,
    TrackerState,
)
from trading.trackers import rules


def check(tracker: Tracker, wanted: Then) -> None:
    """Refuse a mode that has no clear meaning where the tracker stands."""
    name = f"#{tracker.tracker_id}"
    cancel = f"/tracker {tracker.tracker_id} cancel"
    if wanted == tracker.spec.then:
        return
    if tracker.state is TrackerState.RESTING and tracker.last_fill_price is not None:
        raise Refused(
            f"{name} rests after its fill at {plain(tracker.last_fill_price)}: its mode can be "
            "changed when it watches again, or it can be ended now",
            example=cancel,
        )
    if rules.is_swinging(tracker):
        _check_half(tracker, wanted, cancel)
    elif wanted.kind is ThenKind.COOLDOWN and tracker.side is not tracker.spec.first_side:
        raise Refused(
            f"{name} is the last half of a swing: it has no band of its own to rest in",
            example=cancel,
        )


def _check_half(tracker: Tracker, wanted: Then, cancel: str) -> None:
    name = f"#{tracker.tracker_id}"
    once = f"/tracker {tracker.tracker_id} then once"
    if wanted.kind is not ThenKind.ONCE:
        raise Refused(
            f"{name} is in a later half of its swing, whose level counts from its last fill: only "
            "`then once` can be said now, which makes this half the last",
            example=once,
        )
    if tracker.spec.kind is TrackerKind.LINES and tracker.side is not tracker.spec.first_side:
        raise Refused(
            f"{name} buys back between its lines: it can be made the last half once it has "
            "bought, or ended now",
            example=cancel,
        )


def begun(tracker: Tracker, wanted: TrackerSpec) -> Tracker:
    """Return a tracker as its new mode sees it: a swing begins with its first half.

    Whatever a cooldown filled before is no half of it.
    """
    is_swing, was_swing = (spec.then.kind is ThenKind.SWING for spec in (wanted, tracker.spec))
    return replace(tracker, last_fill_price=None) if is_swing and not was_swing else tracker


def restated(tracker: Tracker, wanted: TrackerSpec) -> TrackerSpec:
    """Return what is watched when a later half becomes the last: a take profit or a dip.

    Its level came from the last fill and stands on its own from then on. What a dip buys is
    watched by nothing, so nothing can guard it.
    """
    is_last = rules.is_swinging(tracker) and wanted.then.kind is ThenKind.ONCE
    if not is_last or wanted.kind is TrackerKind.LINES:
        return wanted
    level, amount = tracker.level_price, wanted.amount
    is_sale = tracker.side is Side.SELL
    if tracker.side is not wanted.first_side and amount == tracker.spec.amount:
        # `all` and shares were said of the other side.
        amount = (
            Amount(AmountKind.BASE, tracker.quantity)
            if is_sale
            else Amount(AmountKind.QUOTE, tracker.quote)
        )
    if is_sale:
        return replace(wanted, kind=TrackerKind.TAKE_PROFIT, level=level, amount=amount)
    return replace(
        wanted,
        kind=TrackerKind.DIP,
        level=level,
        amount=amount,
        stop=None,
        stop_share=None,
        backstop=None,
        backstop_share=None,
    )


def is_loosening(old: Tracker, new: Tracker) -> bool:
    """Whether a new mode may buy more than the old one did, or guards less of what it buys."""
    before, after = old.spec.then.kind, new.spec.then.kind
    if after is ThenKind.SWING and before is not ThenKind.SWING:
        return True
    if old.side is Side.SELL or after is before:
        return False
    if after is ThenKind.COOLDOWN and before is ThenKind.ONCE:
        return True
    return before is ThenKind.SWING and (rules.is_swinging(old) or _guards(old.spec))


def _guards(spec: TrackerSpec) -> bool:
    return spec.stop is not None or spec.stop_share is not None or spec.backstop is not None
