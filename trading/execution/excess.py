"""What was bought too much: by an order proven absent, or after a stop or a panic has sold."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from trading.domain.events import AlertRaised, Event, FillBooked, IntentClosed, IntentOpened
from trading.domain.money import ZERO, plain
from trading.domain.order import PANICKED, Fill, Intent, Side

# Why an entry is given up that has bought a part of what a stop sells.
UNWOUND = "its stop has fired"
_LATE = "an order proven absent was filled"
# What is said of that which an entry buys after it was given up for this.
_AFTER = {UNWOUND: "its stop had fired", PANICKED: "a panic had sold everything"}
_OF_UNWOUND = "unwound:"


@dataclass(frozen=True, slots=True)
class Excess:
    """Base units that an entry bought beyond its decision, and that nobody has dealt with yet.

    `alert_id` is that of the alert that is written when somebody does.
    """

    bought: Intent
    quantity: Decimal
    why: str
    alert_id: str


def excess(bought: Intent, before: Decimal, total: Decimal) -> Excess:
    """Return what to deal with: `total` is too much by now, of which `before` was known."""
    why = _AFTER.get(bought.given_up, _LATE)
    return Excess(bought, total - before, why, f"{_prefix(bought)}{plain(total)}")


def unwound_at(intent: Intent) -> Decimal | None:
    """Return the base units that an entry had bought when a stop or a panic sold its coins."""
    return intent.given_up_filled if is_unwinding(intent.given_up) else None


def is_unwinding(reason: str) -> bool:
    """Whether what an entry buys after it was given up for this is not wanted."""
    return reason in _AFTER


def _prefix(bought: Intent) -> str:
    return f"excess:{bought.intent_id}:{'' if unwound_at(bought) is None else _OF_UNWOUND}"


def owed(events: Iterable[Event], at_work: Iterable[Intent]) -> list[Excess]:
    """Return what was booked and not dealt with: the process died between the two.

    `events` are the newest ones of the journal, oldest first; a decision before them is left out.
    `at_work` are the decisions that have not ended, as they are now.
    """
    bought: dict[str, Intent] = {}
    fills: dict[str, list[Fill]] = defaultdict(list)
    alerts = []
    for event in events:
        match event:
            case IntentOpened(intent=intent) if intent.side is Side.BUY:
                bought[intent.intent_id] = intent
            case IntentClosed(intent=intent) if intent.intent_id in bought:
                bought[intent.intent_id] = intent
            case FillBooked(fill=fill, intent_id=intent_id) if intent_id in bought:
                fills[intent_id].append(fill)
            case AlertRaised(alert_id=alert_id) if alert_id.startswith("excess:"):
                alerts.append(alert_id)
    bought.update((one.intent_id, one) for one in at_work if one.intent_id in bought)
    found = (
        excess(intent, _dealt_with(intent, alerts), too_much(intent, fills[intent_id]))
        for intent_id, intent in bought.items()
        if fills[intent_id]
    )
    return [each for each in found if each.quantity > 0]


def _dealt_with(bought: Intent, alert_ids: Sequence[str]) -> Decimal:
    """Return how much of an entry's excess alerts have told of; all of it by an unknown id."""
    most, prefix = ZERO, _prefix(bought)
    for alert_id in alert_ids:
        rest = alert_id.removeprefix(prefix)
        if rest == alert_id or rest.startswith(_OF_UNWOUND):
            continue
        try:
            most = max(most, Decimal(rest))
        except InvalidOperation:
            return Decimal("Infinity")
    return most


def too_much(intent: Intent, fills: Sequence[Fill]) -> Decimal:
    """Return the base units that nobody wants: beyond its decision, or since its coins are sold."""
    before = unwound_at(intent)
    if before is None:
        return bought_beyond(intent, fills)
    return max(sum((fill.quantity for fill in fills), ZERO) - before, ZERO)


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
