"""What added risk lately, for the risk gate: entries per minute, notional per day."""

from collections import deque
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal

from trading.domain.events import Event, IntentOpened
from trading.domain.money import ZERO
from trading.domain.order import Fill, Intent, Side
from trading.portfolio import PortfolioBook

_MINUTE_S = 60.0


class EntryLog:
    """Counts what added risk; the day's sum starts from the fills that storage holds."""

    def __init__(self, book: PortfolioBook) -> None:
        self._book = book
        self._opened_s: deque[float] = deque()
        self._day: date | None = None
        self._notional = ZERO

    def load(self, fills: Iterable[Fill], now: datetime) -> None:
        """Take the buys of the present UTC day."""
        self._day = now.date()
        self._notional = sum(
            (
                self._worth(fill.symbol, fill.notional)
                for fill in fills
                if fill.side is Side.BUY and fill.at.date() == self._day
            ),
            ZERO,
        )

    def apply(self, event: Event, now_s: float) -> None:
        """Count an entry that was decided."""
        if not isinstance(event, IntentOpened) or event.intent.purpose.reduces_risk:
            return
        if event.at.date() != self._day:
            self._day, self._notional = event.at.date(), ZERO
        self._opened_s.append(now_s)
        self._notional += self._worth(event.intent.symbol, budget(event.intent))

    def last_minute(self, now_s: float) -> int:
        """Return how many entries were decided within the last minute."""
        while self._opened_s and self._opened_s[0] <= now_s - _MINUTE_S:
            self._opened_s.popleft()
        return len(self._opened_s)

    def today(self, now: datetime) -> Decimal:
        """Return the notional of the day's entries in the valuation currency."""
        return self._notional if self._day == now.date() else ZERO

    def _worth(self, symbol: str, notional: Decimal) -> Decimal:
        return self._book.value(symbol.rpartition("/")[2], notional) or ZERO


def budget(intent: Intent) -> Decimal:
    """Return the quote units that an entry may spend at most."""
    if intent.quote_budget is not None:
        return intent.quote_budget
    return intent.quantity * (intent.limit_price or intent.reference_price)
