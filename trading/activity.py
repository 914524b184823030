"""What added risk lately, for the risk gate: the last minute's entries, the day's notional.

A fold of durable events: a start from the journal and a long run count alike.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from trading.domain.events import Event, IntentClosed, IntentOpened
from trading.domain.instrument import base_and_quote
from trading.domain.money import ZERO
from trading.domain.order import Intent
from trading.portfolio import PortfolioBook
from trading.risk.gate import Decided

_MINUTE_S = 60.0
# Asks beyond this many a minute change nothing any more: far below, the gate takes no entries.
_ASKS_KEPT = 10_000
# The events that count.
KINDS = (IntentOpened.__name__, IntentClosed.__name__)


@dataclass(frozen=True, slots=True)
class _Ask:
    intent: Intent
    at_s: float
    is_approved: bool


class EntryLog:
    """Counts what added risk; money by the quote asset that it was or may still be spent in."""

    def __init__(self, book: PortfolioBook) -> None:
        self._book = book
        self._asks: deque[_Ask] = deque(maxlen=_ASKS_KEPT)
        # Durable and not ended, whatever day they are of.
        self._open: set[str] = set()
        self._day: date | None = None
        # Of the present day: the intents, open or ended, and their sums by quote asset.
        self._counted: dict[str, Decimal] = {}
        self._spent: dict[str, Decimal] = {}

    def load(
        self, events: Iterable[Event], working: Iterable[Intent], now: datetime, now_s: float
    ) -> None:
        """Take what was decided and ended since `begins`, and what is open."""
        for event in events:
            age_s = max((now - event.at).total_seconds(), 0.0)
            self.apply(event, now_s - age_s)
        self._open |= {one.intent_id for one in working if not one.purpose.reduces_risk}

    def apply(self, event: Event, now_s: float) -> None:
        """Count an entry that was decided; one that ended counts for what it spent."""
        if not isinstance(event, IntentOpened | IntentClosed) or event.intent.purpose.reduces_risk:
            return
        intent = event.intent
        if isinstance(event, IntentOpened):
            self._turn(event.at)
            self._open.add(intent.intent_id)
            self._asks.append(_Ask(intent, now_s, is_approved=True))
            self._count(intent, intent.budget)
            return
        self._open.discard(intent.intent_id)
        if intent.intent_id in self._counted:
            self._count(intent, intent.filled_notional)

    def refused(self, intent: Intent, now_s: float) -> None:
        """Count an entry that the gate did not let pass."""
        self._asks.append(_Ask(intent, now_s, is_approved=False))

    def lately(self, now_s: float, working: Iterable[Intent] = ()) -> tuple[Decided, ...]:
        """Return the last minute's entries; `working` adds those that are not durable yet."""
        while self._asks and self._asks[0].at_s <= now_s - _MINUTE_S:
            self._asks.popleft()
        return (
            *(Decided(ask.intent, now_s - ask.at_s, ask.is_approved) for ask in self._asks),
            *(Decided(intent, 0.0) for intent in self._unwritten(working)),
        )

    def today(self, now: datetime, working: Iterable[Intent] = ()) -> Decimal:
        """Return what the day's entries spent and may still spend, in the valuation currency."""
        is_over = self._day is None or now.date() > self._day
        spent = {} if is_over else dict(self._spent)
        for intent in self._unwritten(working):
            quote = _quote(intent)
            spent[quote] = spent.get(quote, ZERO) + intent.budget
        values = (self._book.value(asset, amount) for asset, amount in spent.items())
        return sum((value for value in values if value is not None), ZERO)

    def _unwritten(self, working: Iterable[Intent]) -> Sequence[Intent]:
        # One that was approved a moment ago counts although its transaction is still under way.
        return [
            intent
            for intent in working
            if not intent.purpose.reduces_risk and intent.intent_id not in self._open
        ]

    def _turn(self, at: datetime) -> None:
        # A clock that was set back does not give a day's leave anew.
        if self._day is None or at.date() > self._day:
            self._day = at.date()
            self._counted, self._spent = {}, {}

    def _count(self, intent: Intent, amount: Decimal) -> None:
        before = self._counted.get(intent.intent_id, ZERO)
        quote = _quote(intent)
        self._counted[intent.intent_id] = amount
        self._spent[quote] = self._spent.get(quote, ZERO) - before + amount


def begins(now: datetime) -> datetime:
    """Return from when on events count at a start: the UTC day and the last minute."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return min(midnight, now - timedelta(seconds=_MINUTE_S))


def _quote(intent: Intent) -> str:
    return base_and_quote(intent.symbol)[1]
