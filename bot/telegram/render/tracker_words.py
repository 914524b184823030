"""How a tracker is told wherever it is told: its state and kind, its slice, what it protects."""

from dataclasses import replace
from decimal import Decimal

from bot.telegram import phrase
from bot.telegram.render.text import (
    Line,
    gain,
    money,
    price,
    quantity,
    signed,
    unsigned_percent,
)
from trading.domain.instrument import base_and_quote
from trading.domain.money import EXACT
from trading.domain.order import Side
from trading.domain.tracker import (
    ConfirmKind,
    NextLevel,
    PriceKind,
    Then,
    Tracker,
    TrackerKind,
    TrackerState,
)
from trading.overview import TrackerView

KINDS = {
    TrackerKind.STOP: "protective stop",
    TrackerKind.TRAIL: "trailing stop",
    TrackerKind.TAKE_PROFIT: "take profit",
    TrackerKind.DIP: "buy the dip",
    TrackerKind.BREAKOUT: "breakout buy",
    TrackerKind.LINES: "lines",
}
_STATES = {
    TrackerState.WATCHING: "👀 watching",
    TrackerState.TRAILING: "🎯 trailing",
    TrackerState.RESTING: "💤 resting until the band",
    TrackerState.TRIGGERED: "⚡ triggered",
    TrackerState.EXITING: "⚡ at work",
    TrackerState.BLOCKED: "🚨 BLOCKED",
    TrackerState.CLOSED: "✅ closed",
    TrackerState.DUST: "✅ closed, dust left",
    TrackerState.CANCELLED: "✖️ cancelled",
    TrackerState.CLOSED_EXTERNAL: "✖️ closed elsewhere",
    TrackerState.EXPIRED: "✖️ expired",
    TrackerState.ABORTED: "✖️ given up",
}

LEVELS = {
    NextLevel.FIRES: "Fires at",
    NextLevel.TOUCH: "Touch at",
    NextLevel.BAND: "Watches again at",
}


def state_name(tracker: Tracker) -> str:
    """Where a tracker stands, in the words of cards and alerts."""
    if tracker.is_paused:
        return "⏸ PAUSED"
    if tracker.state is TrackerState.TRAILING and tracker.distance is None:
        # Nothing is trailed by a level that stands still.
        return "👀 watching"
    return _STATES[tracker.state]


def view_state(view: TrackerView) -> str:
    """The same of a view, which knows of a level that is crossed and not confirmed yet."""
    return state_name(view.tracker) if view.crossing is None else "⏳ crossed"


def crossed(view: TrackerView) -> list[str]:
    """How far the confirmation of a crossed level has come; empty where none runs."""
    crossing, confirm = view.crossing, view.tracker.spec.confirm
    if crossing is None:
        return []
    so_far = {
        ConfirmKind.TICKS: f"{crossing.ticks} of {confirm.count} ticks",
        ConfirmKind.RUN: f"{crossing.run} of {confirm.count} moves in a row",
        ConfirmKind.SECONDS: f"{crossing.beyond_s:.0f} of {confirm.count} s",
        ConfirmKind.CLOSE: f"waits for the {confirm.timeframe.name} close"
        if confirm.timeframe
        else "",
    }.get(confirm.kind, "")
    return [f"Crossed {price(view.level, view.instrument)}: {so_far}"]


def kind_name(tracker: Tracker) -> str:
    """What sort of tracker it is; in a later half of a swing what it was set up as is over."""
    return "swing" if tracker.is_swinging else KINDS[tracker.spec.kind]


def owned(tracker: Tracker) -> str:
    """The slice a tracker owns."""
    verb = "spends up to" if tracker.side is Side.BUY else "sells"
    return f"{verb} {short_owned(tracker)}"


def short_owned(tracker: Tracker) -> str:
    """The slice alone, where a line has no room for what becomes of it."""
    base, quote = base_and_quote(tracker.symbol)
    if tracker.side is Side.BUY:
        return f"{money(tracker.quote)} {quote}"
    return f"{quantity(tracker.quantity)} {base}"


def protection(is_protecting: bool, side: Side, worst_case: Decimal | None, quote: str) -> str:
    """Whether this rule fires below the present price, and what that costs."""
    if side is Side.BUY:
        return "No position yet: nothing to protect"
    if not is_protecting:
        return "⚠️ NOT PROTECTED if it falls"
    if worst_case is None:
        return "🛡 protected"
    return f"🛡 protected, worst {gain(worst_case, quote)} before fees"


def slipped(tracker: Tracker, worst_case: Decimal | None, now: Decimal | None) -> list[Line]:
    """What a sale at the far end of the slippage that is allowed comes to; empty without a bound.

    The worst case beside it is of a sale where the stop fires.
    """
    share = tracker.spec.slippage_max
    if share is None or worst_case is None or now is None or tracker.side is Side.BUY:
        return []
    more = EXACT.multiply(now * tracker.quantity + worst_case, share)
    return [f"  slipping {unsigned_percent(share)}: worst {signed(worst_case - more)}"]


def spec_lines(tracker: Tracker) -> list[Line]:
    """The options that differ from the defaults; what waits is told with its hard bound."""
    spec = tracker.spec
    lines: list[Line] = []
    if spec.confirm.kind is not ConfirmKind.TOUCH:
        bounded = replace(spec.confirm, loss_max=round(tracker.loss_max, 4))
        lines.append(f"Confirm {phrase.confirm(bounded)}")
    elif spec.confirm.loss_max is not None:
        lines.append(f"Confirm {phrase.confirm(spec.confirm)}")
    if spec.then != Then():
        lines.append(f"Then {phrase.then(spec.then)}")
    if spec.stop_share is not None:
        lines.append(f"Stop {unsigned_percent(spec.stop_share)} from the entry")
    if spec.slippage_max is not None:
        lines.append(f"Slippage at most {unsigned_percent(spec.slippage_max)}")
    if spec.price_kind is not PriceKind.DECISION:
        lines.append(f"Decides on the {spec.price_kind.value} price")
    return lines
