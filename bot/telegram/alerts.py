"""Facts of the journal as messages: what was touched, sold, blocked, lost and found again."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from bot import modes
from bot.modes import MODES
from bot.telegram import phrase, sorts
from bot.telegram.groups import LEFT_GROUP, MOVED_GROUP
from bot.telegram.keyboards import does
from bot.telegram.render.text import (
    Card,
    Line,
    age,
    card_text,
    money,
    percent,
    price,
    quantity,
    signed,
)
from bot.telegram.render.tracker_words import state_name
from trading.domain import events
from trading.domain.chat import Button, Severity
from trading.domain.instrument import Instrument
from trading.domain.order import BACKSTOP_SOLD, Fill, Intent, IntentState, Purpose, Side
from trading.domain.position import RoundTrip, TradingMode
from trading.domain.tracker import (
    NOTHING_LEFT,
    TOO_LITTLE_LEFT,
    PriceKind,
    Tracker,
    TrackerChange,
    TrackerState,
)
from trading.domain.watching import AlertType

ALERT_KINDS = (
    "AccessDenied",
    "AlertAcknowledged",
    "AlertRaised",
    "ConditionChanged",
    "IntentClosed",
    "PersonChanged",
    "ProcessStopped",
    "RecoveryReported",
    "RoundTripClosed",
    "TrackerChanged",
    "TradingModeChanged",
)
# How a start tells of a stop that was crossed while nobody watched, and still stands.
_KEPT = re.compile(r"#([0-9]+) \S+: .* was crossed while nobody watched, and the price is back")
_KEPT_MAX = 8
# How the denial of a code that was right once is named; why it is not any more follows.
ENDED_CODE = "join with a code that is "


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """What the words of an event need besides the event itself."""

    instrument: Callable[[str], Instrument | None]
    fills: Mapping[str, Sequence[Fill]] = field(default_factory=dict)
    round_trips: Mapping[str, RoundTrip] = field(default_factory=dict)
    # Intents whose end only says again what the one before them, or an alarm, has said.
    said_before: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell; `owner_only` for what concerns the installation.

    `since` says of what stands how long it has been so. A `type` can be turned down by each person.
    `asked_by` knows it already, for it was their wish. `sort` and `gist` are what a storm needs.
    """

    card: Card
    severity: Severity = Severity.INFO
    owner_only: bool = False
    is_quiet: bool = False
    since: datetime | None = None
    type: AlertType | None = None
    asked_by: int | None = None
    sort: str = ""
    gist: tuple[str, ...] = ()


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
            alert = _intent_closed(intent, facts)
        case events.TrackerChanged():
            alert = _tracker_changed(event, facts)
        case events.TradingModeChanged():
            alert = _mode_changed(event)
        case events.ConditionChanged():
            alert = _condition(event)
        case events.AlertRaised():
            alert = _raised(event)
        case events.RecoveryReported(blind_seconds, lines):
            alert = _recovered(blind_seconds, lines)
        case events.AccessDenied(tell_owner=True):
            alert = _stranger(event)
        case events.ProcessStopped(reason):
            alert = _stopped(reason)
    return alert


# ---------------------------------------------------------------- intents


def _closed_alert(intent: Intent, facts: AlertFacts) -> Alert:
    """The message that the end of a decision deserves."""
    base, _, quote = intent.symbol.partition("/")
    if intent.state in {IntentState.DONE, IntentState.DUST} and intent.filled_quantity > 0:
        return Alert(_done_card(intent, facts), type=AlertType.FILLS)
    done = sorts.DONE_WORDS[intent.side].lower()
    titles = {
        IntentState.DONE: "✅ Nothing was left to do",
        IntentState.DUST: f"✅ Only dust was left of {base}",
        IntentState.EXPIRED: f"⌛ Not {done}: {intent.symbol} expired",
        IntentState.CLOSED_EXTERNAL: f"✖️ {intent.symbol} was closed elsewhere",
        IntentState.ABORTED: f"✖️ Given up: {intent.side.value} {intent.symbol}",
    }
    lines: list[Line] = []
    if intent.filled_quantity > 0:
        lines.append(f"{done} {quantity(intent.filled_quantity)} {base} before that")
        lines.append(f"for {money(intent.filled_notional)} {quote}")
    if intent.reason:
        lines.append(intent.reason)
    title = titles.get(intent.state, f"{intent.symbol} {intent.state.value}")
    return Alert(_tracker_linked(card_text(title, *lines), intent), Severity.WARN)


def _intent_closed(intent: Intent, facts: AlertFacts) -> Alert | None:
    if intent.purpose is Purpose.BACKSTOP:
        return _backstop_closed(intent, facts)
    return None if _is_told_by_backstop(intent) else _closed_alert(intent, facts)


def _is_told_by_backstop(intent: Intent) -> bool:
    """Whether the card of its backstop's sale has said already how a tracker's exit ended."""
    return intent.tracker_id is not None and intent.reason == BACKSTOP_SOLD


def _backstop_closed(intent: Intent, facts: AlertFacts) -> Alert | None:
    if intent.filled_quantity > 0:
        return Alert(_done_card(intent, facts), type=AlertType.FILLS)
    if intent.state is not IntentState.EXPIRED or intent.intent_id in facts.said_before:
        # Withdrawn before an exit, or because its tracker changed: nobody has to act.
        return None
    title = f"⚠️ NO backstop for #{intent.tracker_id} {intent.symbol}"
    lines = (
        intent.reason,
        "The private stop is watched as before. It is tried again within a minute.",
    )
    return Alert(_tracker_linked(card_text(title, *lines), intent), Severity.WARN)


def _done_card(intent: Intent, facts: AlertFacts) -> Card:
    base, _, quote = intent.symbol.partition("/")
    instrument = facts.instrument(intent.symbol)
    average = intent.average_price
    word = "proceeds" if intent.side is Side.SELL else "cost"
    lines: list[Line] = [
        f"at {price(average, instrument)} {quote} on average",
        f"{word} {money(intent.filled_notional)} {quote}",
    ]
    lines.extend(_fee_lines(facts.fills.get(intent.intent_id, ())))
    if average is not None and intent.reference_price > 0:
        slipped = (average - intent.reference_price) / intent.reference_price
        reference = price(intent.reference_price, instrument)
        lines.append(f"slippage {percent(slipped)} from {reference}")
    trip = facts.round_trips.get(intent.intent_id)
    if trip is not None:
        is_known = trip.entry_price is not None
        profit = f"{signed(trip.profit)} {quote} after fees" if is_known else "not known"
        lines.append(f"P&L {profit}")
    if intent.state is IntentState.DUST:
        lines.append(f"{quantity(intent.residual)} {base} is too small to sell: dust")
    if intent.purpose is Purpose.BACKSTOP:
        lines.append("its backstop on the exchange fired")
    if intent.tracker_id is not None:
        lines.append(f"tracker #{intent.tracker_id} · {intent.symbol}")
    title = f"✅ {sorts.DONE_WORDS[intent.side]} {quantity(intent.filled_quantity)} {base}"
    return _tracker_linked(card_text(title, *lines), intent)


def _fee_lines(fills: Sequence[Fill]) -> list[Line]:
    fees: dict[str, Decimal] = {}
    for fill in fills:
        if fill.fee:
            fees[fill.fee_asset] = fees.get(fill.fee_asset, Decimal(0)) + fill.fee
    return [f"fee {money(fee)} {asset}" for asset, fee in fees.items()]


def _tracker_linked(text: str, intent: Intent) -> Card:
    buttons = (does("📊 Status", "/status"), does("📜 History", "/history"))
    return Card(text, (buttons,))


# ---------------------------------------------------------------- trackers


def _tracker_changed(event: events.TrackerChanged, facts: AlertFacts) -> Alert | None:
    tracker, change = event.tracker, event.change
    instrument = facts.instrument(tracker.symbol)
    name = f"{tracker.symbol} #{tracker.tracker_id}"
    if change is TrackerChange.TRIGGERED:
        return Alert(_linked(tracker, *_triggered(event, instrument)), Severity.WARN)
    if change is TrackerChange.BLOCKED:
        return _blocked(event, name)
    if change is TrackerChange.TOUCHED:
        lines = _touched(tracker, instrument)
        return Alert(_linked(tracker, f"👀 Touched: {name}", *lines), type=AlertType.TOUCHES)
    return _ended_or_rested(event, name)


def _ended_or_rested(event: events.TrackerChanged, name: str) -> Alert | None:
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
        return Alert(_linked(tracker, f"👀 Not bought: {name}", *_reason(event)))
    if change in {TrackerChange.RESTED, TrackerChange.REARMED}:
        word = "💤 Resting" if change is TrackerChange.RESTED else "🔁 Watching again"
        lines = [*_reason(event), phrase.rule_now(tracker)]
        return Alert(_linked(tracker, f"{word}: {name}", *lines), is_quiet=True)
    return None


_SOURCES = {"stream": "live prices", "rest": "a price that was asked for"}


def _triggered(event: events.TrackerChanged, instrument: Instrument | None) -> list[str]:
    tracker, evidence = event.tracker, event.evidence
    lines = [f"⚡ Triggered: {tracker.symbol} #{tracker.tracker_id}"]
    if evidence is not None:
        lines.append(f"price {price(evidence.price, instrument)}")
        lines.append(f"level {price(evidence.level, instrument)} ({evidence.rule})")
        kind = "" if evidence.price_kind is PriceKind.DECISION else f"{evidence.price_kind.value} "
        lines.append(f"{kind}in {_SOURCES.get(evidence.source, evidence.source)}")
    if event.reason:
        word = "selling" if tracker.side is Side.SELL else "buying"
        lines.append(f"NOT {word}: {event.reason}")
    elif tracker.side is Side.SELL:
        lines.append(f"selling {quantity(tracker.quantity)} {tracker.symbol.partition('/')[0]}")
    else:
        lines.append(f"buying for {money(tracker.quote)} {tracker.symbol.partition('/')[2]}")
    return lines


def _touched(tracker: Tracker, instrument: Instrument | None) -> list[str]:
    lines = [f"level {price(tracker.level_price, instrument)}"]
    if tracker.stop_price is not None:
        lines.append(f"now trails, fires at {price(tracker.stop_price, instrument)}")
    return lines


def _blocked(event: events.TrackerChanged, name: str) -> Alert:
    tracker = event.tracker
    number = tracker.tracker_id
    reason = event.reason or tracker.reason or "the exit cannot be executed now"
    text = card_text(f"🚨 BLOCKED: {name}", reason, "Not sold. It repeats until /ack.")
    row = (
        does("⚡ Exit now", f"/tracker {number} exit"),
        does("✖️ Abort", f"/abort {number}"),
        does("👍 Seen", "/ack"),
    )
    return Alert(Card(text, (row,), name=blocked_name(tracker)), Severity.CRIT)


def blocked_name(tracker: Tracker) -> str:
    """The name of the alarm of a blocked exit, and of the card that tells it."""
    return f"blocked:{tracker.tracker_id}:{tracker.arm_seq}"


def unblocked_card(tracker: Tracker) -> Card:
    """What is left of the alarm of a blocked exit once it is over: nothing to press twice."""
    title = f"{state_name(tracker)} · {tracker.symbol} #{tracker.tracker_id}"
    return _linked(tracker, title, "It was BLOCKED here, and is not any more.")


def _reason(event: events.TrackerChanged) -> list[str]:
    reason = event.reason or event.tracker.reason
    return [reason] if reason else []


def _linked(tracker: Tracker, title: str, *lines: str) -> Card:
    row = (
        does("📍 Tracker", f"/tracker {tracker.tracker_id}"),
        does("📈 Chart", f"/chart {tracker.symbol}"),
    )
    return Card(card_text(title, *lines), (row,))


# ---------------------------------------------------------------- the rest


def _mode_changed(event: events.TradingModeChanged) -> Alert:
    words = MODES[event.mode]
    why = modes.reason(event.reason, event.by)
    text = card_text(f"{words.sign} {words.begun}", *([why] if why else []), words.then)
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


def _stranger(event: events.AccessDenied) -> Alert:
    if event.update_kind.startswith(ENDED_CODE):
        return _late(event)
    if event.update_kind.startswith((LEFT_GROUP, MOVED_GROUP)):
        return _grouped(event)
    text = card_text(
        "🚪 A stranger wrote to this bot",
        f"Number {event.user_id}. It got no answer and saw nothing.",
        "There is nothing to do.",
    )
    return Alert(Card(text), owner_only=True, is_quiet=True)


def _grouped(event: events.AccessDenied) -> Alert:
    if event.update_kind.startswith(MOVED_GROUP):
        text = card_text(
            "🚪 A group of yours has moved",
            f"It was {event.chat_id} and is {event.update_kind[len(MOVED_GROUP) :]} now. Nobody is "
            "answered there.",
            "To open it again put the new number into UMBRA_ALLOWED_CHAT_IDS and start anew.",
        )
    else:
        text = card_text(
            "🚪 Left a group",
            f"Number {event.user_id} had this bot in {event.chat_id}.",
            "It said nothing there and has left.",
            "There is nothing to do.",
        )
    return Alert(Card(text), owner_only=True, is_quiet=True)


def _late(event: events.AccessDenied) -> Alert:
    text = card_text(
        "🚪 An invitation came too late",
        f"Number {event.user_id} sent a code that is {event.update_kind[len(ENDED_CODE) :]}.",
        "It got no answer and saw nothing.",
    )
    row = (does("🎟 Invite again", "/invite"),)
    return Alert(Card(text, (row,)), owner_only=True, is_quiet=True)


def _stopped(reason: str) -> Alert:
    lines = ["Private stops are NOT watched while I am down."]
    if reason:
        lines.append(reason)
    return Alert(Card(card_text("⏹ Umbra is stopping", *lines)), Severity.WARN)
