"""Many facts at once: each sort of which a batch holds too many becomes one message."""

from collections.abc import Sequence

from bot.telegram.alerts import (
    DONE_WORDS,
    Alert,
    AlertFacts,
    alert_for,
    closed_alert,
    is_told_by_backstop,
)
from bot.telegram.keyboards import does
from bot.telegram.render.text import Card, card_text, price, quantity
from trading.domain import events
from trading.domain.chat import Severity
from trading.domain.order import Intent, IntentState
from trading.domain.tracker import TrackerChange
from trading.domain.watching import AlertType
from trading.ports import Recorded

# From this many of one sort in one batch on, a storm becomes one message.
_STORM = 6
_LISTED_MAX = 12


def alerts_for(batch: Sequence[Recorded], facts: AlertFacts) -> list[tuple[int, Alert]]:
    """All messages of a batch with the seq that names each; storms become one message."""
    found: list[tuple[int, Alert]] = []
    triggered: list[tuple[int, events.TrackerChanged]] = []
    closed: list[tuple[int, Intent]] = []
    for one in batch:
        match one.event:
            case events.TrackerChanged(change=TrackerChange.TRIGGERED) as event:
                triggered.append((one.seq, event))
            case events.IntentClosed(intent) if _has_a_card(intent):
                closed.append((one.seq, intent))
            case event:
                alert = alert_for(event, facts)
                if alert is not None:
                    found.append((one.seq, alert))
    found += _folded_triggers(triggered, facts)
    found += _folded_closes(closed, facts)
    return sorted(found, key=lambda pair: pair[0])


def _has_a_card(intent: Intent) -> bool:
    return intent.state is IntentState.DONE and not is_told_by_backstop(intent)


def _folded_triggers(
    triggered: list[tuple[int, events.TrackerChanged]], facts: AlertFacts
) -> list[tuple[int, Alert]]:
    if len(triggered) < _STORM:
        return [(seq, alert) for seq, event in triggered if (alert := alert_for(event, facts))]
    lines = [
        f"• #{event.tracker.tracker_id} {event.tracker.symbol}"
        for _, event in triggered[:_LISTED_MAX]
    ]
    if len(triggered) > _LISTED_MAX:
        lines.append(f"and {len(triggered) - _LISTED_MAX} more")
    text = card_text(f"⚡ {len(triggered)} trackers triggered", *lines)
    row = (does("📍 Trackers", "/trackers"), does("📋 Orders", "/orders"))
    return [(triggered[-1][0], Alert(Card(text, (row,)), Severity.WARN))]


def _folded_closes(closed: list[tuple[int, Intent]], facts: AlertFacts) -> list[tuple[int, Alert]]:
    if len(closed) < _STORM:
        return [(seq, closed_alert(intent, facts)) for seq, intent in closed]
    folded = []
    for start in range(0, len(closed), _LISTED_MAX):
        part = closed[start : start + _LISTED_MAX]
        lines = [_done_line(intent, facts) for _, intent in part]
        text = card_text(f"✅ {len(part)} orders are done", *lines)
        card = Card(text, ((does("📊 Status", "/status"),),))
        folded.append((part[-1][0], Alert(card, type=AlertType.FILLS)))
    return folded


def _done_line(intent: Intent, facts: AlertFacts) -> str:
    base = intent.symbol.partition("/")[0]
    at = price(intent.average_price, facts.instrument(intent.symbol))
    return f"{DONE_WORDS[intent.side]} {quantity(intent.filled_quantity)} {base} at {at}"
