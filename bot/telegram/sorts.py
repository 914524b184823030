"""Of which sort a piece of news is, and what one line of many says of it."""

from collections.abc import Callable

from bot.telegram.render.text import price, quantity
from bot.telegram.render.trading import is_in_part
from trading.domain import events
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.order import Intent, IntentState, Purpose, Side
from trading.domain.tracker import TrackerChange, TrackerState

DONE_WORDS = {Side.SELL: "Sold", Side.BUY: "Bought"}
DONE = "done"
TRIGGERED = f"tracker:{TrackerChange.TRIGGERED.value}"
BLOCKED = f"tracker:{TrackerChange.BLOCKED.value}"
CLOSED_ELSEWHERE = f"tracker:{TrackerState.CLOSED_EXTERNAL.value}"
NO_BACKSTOP = "backstop_refused"
# The chat's own loss, which is over once anything is read there.
CHAT_LOST = "chat_lost"
# A service manager that tries again and again leaves many of these.
STOPPED = "process_stopped"
# What stands and is told again.
REPEAT = "repeat"
BEGUN, OVER = "begun", "over"
_CHAT_LOST_NAME = "telegram_lost"
# Alarms of one symbol or order each, by the beginning of their ids; all others concern everything.
_OF_ONE = frozenset(
    {
        *("unresolved", "rate_limit", "blocked", "fills", "failed", "backstop", "self_trade"),
        *("late", "orphan", "stranded", "excess", "short", "outside", "gap", "delisting"),
        *("backstop_lost", "backstop_held_back"),
    }
)
_WHY_LENGTH_MAX = 100


def sort_of(event: events.Event) -> str:
    """Name the sort of an event; empty for what concerns the whole account, which is never many."""
    sort = ""
    match event:
        case events.TrackerChanged(tracker, change):
            is_elsewhere = tracker.state is TrackerState.CLOSED_EXTERNAL
            sort = CLOSED_ELSEWHERE if is_elsewhere else f"tracker:{change.value}"
        case events.IntentClosed(intent):
            sort = _intent_sort(intent)
        case events.ConditionChanged(condition=name, symbol=str(), is_active=is_active):
            sort = f"condition:{name}:{BEGUN if is_active else OVER}"
        case events.ConditionChanged(condition=name, is_active=True) if name == _CHAT_LOST_NAME:
            sort = CHAT_LOST
        case events.AlertRaised(alert_id, tracker_id=number):
            name = alert_id.partition(":")[0]
            sort = f"alert:{name}" if number is not None or name in _OF_ONE else ""
        case events.ProcessStopped():
            sort = STOPPED
    return sort


def _intent_sort(intent: Intent) -> str:
    is_backstop = intent.purpose is Purpose.BACKSTOP
    is_end = is_backstop or intent.state in {IntentState.DONE, IntentState.DUST}
    if is_end and intent.filled_quantity > 0:
        return DONE
    return NO_BACKSTOP if is_backstop else f"intent:{intent.state.value}"


def gist_of(event: events.Event, instrument: Callable[[str], Instrument | None]) -> str:
    """What one line says of an event that has a sort: which one, and after a colon why."""
    gist = ""
    match event:
        case events.TrackerChanged(tracker):
            name = f"#{tracker.tracker_id} {tracker.symbol}"
            # A trigger is told with why it does not sell; what came before it is past.
            before = None if event.change is TrackerChange.TRIGGERED else tracker.reason
            gist = _with_reason(name, event.reason or before)
        case events.IntentClosed(intent) if _intent_sort(intent) == DONE:
            rules = instrument(intent.symbol)
            gist = f"{done_words(intent, rules)} at {price(intent.average_price, rules)}"
        case events.IntentClosed(intent):
            number = "" if intent.tracker_id is None else f"#{intent.tracker_id} "
            gist = _with_reason(f"{number}{intent.symbol}", intent.reason)
        case events.ConditionChanged(symbol=symbol, text=text):
            gist = symbol or text
        case events.AlertRaised(text=text):
            gist = _short(text.partition(". ")[0])
        case events.ProcessStopped(reason, at, unsold):
            gist = _with_reason(f"{at:%H:%M:%S} UTC", "; ".join((*unsold, reason)))
    return gist


def done_words(intent: Intent, rules: Instrument | None) -> str:
    """What a decision came to: `Sold 0.5 BTC`, `Bought only 7.9 ADA`."""
    only = " only" if is_in_part(intent, rules) else ""
    base = base_and_quote(intent.symbol)[0]
    return f"{DONE_WORDS[intent.side]}{only} {quantity(intent.filled_quantity)} {base}"


def _with_reason(name: str, reason: str | None) -> str:
    return f"{name}: {_short(reason)}" if reason else name


def _short(text: str) -> str:
    return text if len(text) <= _WHY_LENGTH_MAX else f"{text[: _WHY_LENGTH_MAX - 1]}…"
