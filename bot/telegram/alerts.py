"""Facts of the journal as messages: which of them deserve one, and those about Umbra itself."""

import re
from collections.abc import Sequence
from dataclasses import replace

from bot import modes
from bot.modes import MODES
from bot.telegram import sorts
from bot.telegram.access_alerts import denied, put_out
from bot.telegram.alert import Alert, AlertFacts
from bot.telegram.keyboards import does
from bot.telegram.order_alerts import intent_closed
from bot.telegram.render.text import Card, age, card_text
from bot.telegram.roster import FORMER_OWNER
from bot.telegram.tracker_alerts import tracker_changed
from trading.domain import events
from trading.domain.chat import Button, Severity
from trading.domain.position import TradingMode

ALERT_KINDS = (
    "AccessDenied",
    "AlertAcknowledged",
    "AlertRaised",
    "AttemptChanged",
    "ConditionChanged",
    "IntentClosed",
    "PersonChanged",
    "ProcessStopped",
    "RecoveryReported",
    "RoundTripClosed",
    "TrackerChanged",
    "TradingModeChanged",
)
# How a start tells of a stop that was crossed while nobody watched, and still stands: of one that
# has sold meanwhile, it goes on with that.
_KEPT = re.compile(
    r"#([0-9]+) \S+: .* (?:was|may have been) crossed while nobody watched, "
    r"and the price is back(?!;)"
)
_KEPT_MAX = 8


def alert_for(event: events.Event, facts: AlertFacts) -> Alert | None:
    """The message that an event deserves, None for most of them."""
    alert = _alert(event, facts)
    if alert is None:
        return None
    sort = sorts.sort_of(event)
    gist = (sorts.gist_of(event, facts.instrument),) if sort else ()
    return replace(alert, sort=sort, gist=gist)


def _alert(event: events.Event, facts: AlertFacts) -> Alert | None:
    alert: Alert | None = None
    match event:
        case events.IntentClosed(intent):
            alert = intent_closed(intent, facts)
        case events.TrackerChanged():
            alert = tracker_changed(event, facts)
        case events.TradingModeChanged():
            alert = _mode_changed(event, facts)
        case events.ConditionChanged():
            alert = _condition(event)
        case events.AlertRaised():
            alert = _raised(event)
        case events.RecoveryReported(blind_seconds, lines):
            alert = _recovered(blind_seconds, lines)
        case events.AccessDenied(tell_owner=True):
            alert = denied(event)
        case events.PersonChanged(reason=reason) if reason.startswith(FORMER_OWNER):
            alert = put_out(event)
        case events.ProcessStopped(reason, unsold=unsold):
            alert = _stopped(reason, unsold)
    return alert


def _mode_changed(event: events.TradingModeChanged, facts: AlertFacts) -> Alert:
    words = MODES[event.mode]
    why = modes.reason(event.reason, event.by)
    then = words.then if facts.is_watching else words.then_early
    text = card_text(f"{words.sign} {words.begun}", *([why] if why else []), then)
    severity = Severity.INFO if event.mode is TradingMode.ACTIVE else Severity.WARN
    asker = modes.asker(event.by)
    row = [does("📊 Status", "/status")]
    if event.mode.is_halted:
        severity = Severity.CRIT
        # What nobody in the chat has asked for repeats until somebody there has seen it.
        row += [does("👍 Seen", "/ack")] * (asker is None)
    return Alert(Card(text, (tuple(row),)), severity, asked_by=asker)


def _condition(event: events.ConditionChanged) -> Alert:
    if not event.is_active:
        return Alert(Card(card_text(f"🟢 Restored: {event.text}")), Severity.INFO)
    sign = "🚨" if event.severity is Severity.CRIT else "⚠️"
    row = (does("📊 Status", "/status"), does("👍 Seen", "/ack"))
    of = "" if event.symbol is None or event.symbol in event.text else f"{event.symbol}: "
    text = card_text(f"{sign} {_begun(f'{of}{event.text}')}")
    return Alert(Card(text, (row,)), event.severity)


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


_SIGNS = {Severity.INFO: "ℹ️", Severity.WARN: "⚠️", Severity.CRIT: "🚨"}  # noqa: RUF001 - an emoji


def _raised(event: events.AlertRaised) -> Alert:
    sign = _SIGNS[event.severity]
    row = [does("👍 Seen", "/ack")] if event.severity is Severity.CRIT else []
    if event.tracker_id is not None:
        row.append(does("📍 Tracker", f"/tracker {event.tracker_id}"))
    elif event.topic == "blocked":
        symbol, _, _ = event.text.partition(": ")
        row += [does("✖️ Abort", f"/abort {symbol}"), does("📋 Orders", "/orders")]
    kept = _KEPT.match(event.text)
    if kept is not None:
        row += [*_ways_out(kept[1])]
    head, dot, rest = _begun(event.text).partition(". ")
    text = card_text(f"{sign} {head}{dot.strip()}", *([rest] if rest else []))
    return Alert(Card(text, (tuple(row),) if row else ()), event.severity)


def _recovered(blind_seconds: int, lines: Sequence[str]) -> Alert:
    title = (
        f"🔄 Back, blind for {age(blind_seconds)} at most"
        if blind_seconds
        else "🔄 Umbra has started"
    )
    row = (does("📊 Status", "/status"), does("📍 Trackers", "/trackers"))
    # A stop that was crossed and is kept is the person's to decide: out, or as it is.
    kept = [found[1] for line in lines if (found := _KEPT.match(line))][:_KEPT_MAX]
    decide = tuple(map(_ways_out, kept))
    return Alert(Card(card_text(title, *lines), (*decide, row)), Severity.WARN)


def _ways_out(number: str) -> tuple[Button, ...]:
    exits = does(f"⚡ Exit #{number} now", f"/tracker {number} exit")
    return exits, does(f"📍 #{number}", f"/tracker {number}")


def _stopped(reason: str, unsold: Sequence[str]) -> Alert:
    lines = [*(f"🚨 {_begun(sale)}." for sale in unsold)]
    if unsold:
        lines.append("Umbra goes on with it at its next start.")
    lines.append("Private stops are NOT watched while I am down.")
    if reason:
        lines.append(reason)
    severity = Severity.CRIT if unsold else Severity.WARN
    return Alert(Card(card_text("⏹ Umbra is stopping", *lines)), severity)
