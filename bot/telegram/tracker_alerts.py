"""What became of trackers, as messages: touched, fired, blocked, ended and watching again."""

from decimal import Decimal

from bot.telegram import phrase
from bot.telegram.alert import Alert, AlertFacts
from bot.telegram.keyboards import does
from bot.telegram.render.text import Card, card_text, money, price, quantity
from bot.telegram.render.tracker_words import state_name
from trading.domain import events
from trading.domain.chat import Severity
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.money import ZERO
from trading.domain.order import Side
from trading.domain.tracker import (
    NOTHING_LEFT,
    TOO_LITTLE_LEFT,
    Evidence,
    PriceKind,
    Tracker,
    TrackerChange,
    TrackerState,
)
from trading.domain.watching import AlertType


def tracker_changed(event: events.TrackerChanged, facts: AlertFacts) -> Alert | None:
    """Tell what became of a tracker, where that is news."""
    tracker, change = event.tracker, event.change
    instrument = facts.instrument(tracker.symbol)
    name = f"{tracker.symbol} #{tracker.tracker_id}"
    if change is TrackerChange.TRIGGERED and event.reason and tracker.side is Side.SELL:
        # The alarm that it is blocked was written with it, and says what fired.
        return None
    if change is TrackerChange.TRIGGERED:
        return Alert(_linked(tracker, *_triggered(event, instrument)), Severity.WARN)
    if change is TrackerChange.BLOCKED:
        sold = facts.sold.get(tracker.intent_id or "", ZERO)
        return _blocked(event, name, sold, instrument)
    if change is TrackerChange.TOUCHED:
        lines = _touched(event, instrument)
        return Alert(_linked(tracker, f"👀 Touched: {name}", *lines), type=AlertType.TOUCHES)
    if tracker.intent_id in facts.closed_elsewhere:
        # One end is told once, by who knows what was sold before it.
        return None
    return _ended_or_begun_anew(event, name, instrument)


def _waits_for(tracker: Tracker, instrument: Instrument | None) -> str:
    """What a purchase that could not be made begins anew with."""
    if tracker.state is TrackerState.TRAILING:
        return f"buys at {price(tracker.stop_price, instrument)} now, lower if the price falls"
    return f"waits anew: {phrase.rule_now(tracker)}"


def blocked_name(tracker: Tracker) -> str:
    """The name of the alarm of a blocked exit, and of the card that tells it."""
    return f"blocked:{tracker.tracker_id}:{tracker.arm_seq}"


def unblocked_card(tracker: Tracker) -> Card:
    """What is left of the alarm of a blocked exit once it is over: nothing to press twice."""
    title = f"{state_name(tracker)} · {tracker.symbol} #{tracker.tracker_id}"
    return _linked(tracker, title, "It was BLOCKED here, and is not any more.")


def _ended_or_begun_anew(
    event: events.TrackerChanged, name: str, instrument: Instrument | None
) -> Alert | None:
    tracker, change = event.tracker, event.change
    if change is TrackerChange.EXPIRED and tracker.intent_id is None:
        card = _linked(tracker, f"⌛ Expired: {name}", *_reason(event))
        return Alert(card, Severity.WARN)
    if tracker.state is TrackerState.CLOSED_EXTERNAL:
        card = _linked(tracker, f"✖️ Closed elsewhere: {name}", *_reason(event))
        return Alert(card, Severity.WARN)
    if change is TrackerChange.CLOSED and tracker.reason in {NOTHING_LEFT, TOO_LITTLE_LEFT}:
        return Alert(_linked(tracker, f"🏁 Not again: {name}", *_reason(event)))
    if change is TrackerChange.REBUILT and tracker.side is Side.BUY and event.reason:
        lines = [*_reason(event), _waits_for(tracker, instrument)]
        return Alert(_linked(tracker, f"👀 Not bought: {name}", *lines))
    if change in {TrackerChange.RESTED, TrackerChange.REARMED}:
        word = "💤 Resting" if change is TrackerChange.RESTED else "🔁 Watching again"
        lines = [*_reason(event), phrase.rule_now(tracker)]
        return Alert(_linked(tracker, f"{word}: {name}", *lines), is_quiet=True)
    return None


_SOURCES = {"stream": "live", "rest": "fetched"}
_PRICES = {PriceKind.LAST: "last price", PriceKind.BID: "bid", PriceKind.MID: "middle price"}


def _triggered(event: events.TrackerChanged, instrument: Instrument | None) -> list[str]:
    tracker = event.tracker
    lines = [f"⚡ Triggered: {tracker.symbol} #{tracker.tracker_id}"]
    lines += _seen(event.evidence, instrument)
    if event.reason:
        lines.append(f"NOT buying: {event.reason}")
    elif tracker.side is Side.SELL:
        lines.append(f"selling {quantity(tracker.quantity)} {base_and_quote(tracker.symbol)[0]}")
    else:
        lines.append(f"buying for {money(tracker.quote)} {base_and_quote(tracker.symbol)[1]}")
    return lines


def _seen(evidence: Evidence | None, instrument: Instrument | None) -> list[str]:
    """The price that made a rule come true, and the rule."""
    if evidence is None:
        return []
    kind = _PRICES.get(evidence.price_kind, "price")
    source = _SOURCES.get(evidence.source, evidence.source)
    return [
        f"{kind} {price(evidence.price, instrument)} ({source})",
        f"level {price(evidence.level, instrument)} ({evidence.rule})",
    ]


def _touched(event: events.TrackerChanged, instrument: Instrument | None) -> list[str]:
    tracker, evidence = event.tracker, event.evidence
    level = tracker.level_price if evidence is None else evidence.level
    lines = [] if level is None else [f"level {price(level, instrument)}"]
    if tracker.stop_price is not None:
        lines.append(f"now trails, fires at {price(tracker.stop_price, instrument)}")
    return lines


def _blocked(
    event: events.TrackerChanged, name: str, sold: Decimal, instrument: Instrument | None
) -> Alert:
    tracker = event.tracker
    number = tracker.tracker_id
    reason = event.reason or tracker.reason or "the exit cannot be executed now"
    left = "Not sold."
    if sold:
        base = base_and_quote(tracker.symbol)[0]
        left = f"{quantity(sold)} {base} sold, the rest NOT."
    # One that is blocked from the first is told once: by what it fired, and why it does not sell.
    fired = _seen(event.evidence, instrument)
    text = card_text(f"🚨 BLOCKED: {name}", *fired, reason, f"{left} It repeats until /ack.")
    row = (
        does("⚡ Exit now", f"/tracker {number} exit"),
        does("✖️ Abort", f"/abort {number}"),
        does("👍 Seen", "/ack"),
    )
    return Alert(Card(text, (row,), name=blocked_name(tracker)), Severity.CRIT)


def _reason(event: events.TrackerChanged) -> list[str]:
    reason = event.reason or event.tracker.reason
    return [reason] if reason else []


def _linked(tracker: Tracker, title: str, *lines: str) -> Card:
    row = (
        does("📍 Tracker", f"/tracker {tracker.tracker_id}"),
        does("📈 Chart", f"/chart {tracker.symbol}"),
    )
    return Card(card_text(title, *lines), (row,))
