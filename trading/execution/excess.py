"""What was bought beyond a decision: an order that was proven absent, and filled after all."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from trading.domain.events import AlertRaised, Event, FillBooked, IntentOpened
from trading.domain.money import ZERO, plain
from trading.domain.order import Fill, Intent, Side

_LATE = "an order proven absent was filled"
_UNWOUND = "its stop had fired"


@dataclass(frozen=True, slots=True)
class Excess:
    """Base units that an entry bought beyond its decision, and that nobody has dealt with yet.

    `alert_id` is that of the alert that is written when somebody does.
    """

    bought: Intent
    quantity: Decimal
    why: str
    alert_id: str


def late(bought: Intent, before: Decimal, total: Decimal) -> Excess:
    """Return what came after an order was proven absent: `total` is too much, `before` known."""
    return Excess(bought, total - before, _LATE, f"{_prefix(bought)}{plain(total)}")


def unwound(bought: Intent, before: Decimal, total: Decimal) -> Excess:
    """Return what an entry still bought after its stop had fired."""
    alert_id = f"{_prefix(bought)}unwound:{plain(total)}"
    return Excess(bought, total - before, _UNWOUND, alert_id)


def _prefix(bought: Intent) -> str:
    return f"excess:{bought.intent_id}:"


def owed(events: Iterable[Event]) -> list[Excess]:
    """Return what was booked and not dealt with: the process died between the two.

    `events` are the newest ones of the journal, oldest first; a decision before them is left out.
    """
    bought: dict[str, Intent] = {}
    fills: dict[str, list[Fill]] = defaultdict(list)
    alerts = []
    for event in events:
        match event:
            case IntentOpened(intent=intent) if intent.side is Side.BUY:
                bought[intent.intent_id] = intent
            case FillBooked(fill=fill, intent_id=intent_id) if intent_id in bought:
                fills[intent_id].append(fill)
            case AlertRaised(alert_id=alert_id) if alert_id.startswith("excess:"):
                alerts.append(alert_id)
    found = (
        late(intent, _dealt_with(intent, alerts), bought_beyond(intent, fills[intent_id]))
        for intent_id, intent in bought.items()
        if fills[intent_id]
    )
    return [excess for excess in found if excess.quantity > 0]


def _dealt_with(bought: Intent, alert_ids: Sequence[str]) -> Decimal:
    """Return how much of an entry's excess alerts have told of; all of it by an unknown id."""
    most, prefix = ZERO, _prefix(bought)
    for alert_id in alert_ids:
        rest = alert_id.removeprefix(prefix)
        if rest == alert_id or rest.startswith("unwound:"):
            continue
        try:
            most = max(most, Decimal(rest))
        except InvalidOperation:
            return Decimal("Infinity")
    return most


def bought_beyond(intent: Intent, fills: Sequence[Fill]) -> Decimal:
    """Return the base units that executions bought beyond what an intent wanted.

    The newest executions, of `fills` oldest first, are what was too much. A sale buys nothing.
    """
    if intent.side is not Side.BUY:
        return ZERO
    if intent.quote_budget is None:
        return max(sum((fill.quantity for fill in fills), ZERO) - intent.quantity, ZERO)
    over = sum((fill.notional for fill in fills), ZERO) - intent.quote_budget
    beyond = ZERO
    for fill in reversed(fills):
        if over <= 0:
            break
        beyond += min(fill.quantity, over / fill.price)
        over -= fill.notional
    return beyond
