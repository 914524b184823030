"""What came in or went out while nobody told of it: what is held against what should be.

What should be is what was counted once, and since then every fill and every movement that was told.
A trade changes two assets in opposite directions, whoever made it: what changed alone, or together
with others in one direction, came in or went out. Executions are asked for where it may have been a
trade; what not even they explain is told, and counts the way that hides no loss.
"""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from trading.domain.chat import Severity
from trading.domain.errors import Retryable
from trading.domain.events import AccountCounted, AlertRaised, Event, FillBooked, FundsMoved
from trading.domain.instrument import Instrument
from trading.domain.money import ZERO, grouped
from trading.domain.order import Fill
from trading.domain.position import Movement
from trading.funds import Funds
from trading.ports.clock import Clock
from trading.ports.exchange import ExchangeGateway
from trading.ports.storage import Journal
from trading.state import AgentState

logger = logging.getLogger(__name__)
_PAGE = 1000
# As a share of what all is worth: roundings and interest are no reason to ask.
_TRIFLE = Decimal("0.0001")
# A fill is booked, and a movement told, a moment before or after balances show it: what is still
# there at a second look is neither. Whoever trades elsewhere all the time is judged after some.
_SECOND_LOOK_S = 5.0
_LOOKS_MAX = 5
# Each costs much of the exchange's budget per minute.
_ASKED_MAX = 10
_MARGIN = timedelta(seconds=10)
_KNOWN_FOR = timedelta(minutes=10)
_KEPT = 100
_NAMED_MAX = 5


def is_mixed(deltas: Mapping[str, Decimal]) -> bool:
    """Whether something came and something went, as in a trade."""
    return any(delta > 0 for delta in deltas.values()) and any(
        delta < 0 for delta in deltas.values()
    )


def tradable(deltas: Mapping[str, Decimal], instruments: Mapping[str, Instrument]) -> Sequence[str]:
    """Return the symbols whose trades change two of these in opposite directions."""
    return sorted(
        symbol
        for symbol, of in instruments.items()
        if of.base in deltas and of.quote in deltas and deltas[of.base] * deltas[of.quote] < 0
    )


def unexplained(deltas: Mapping[str, Decimal], worth: Decimal, currency: str) -> str:
    """Say what nobody can tell from trades or transfers, and how it counts."""
    named = [f"{delta:+,f} {asset}" for asset, delta in sorted(deltas.items())][:_NAMED_MAX]
    more = f" and {len(deltas) - _NAMED_MAX} more" if len(deltas) > _NAMED_MAX else ""
    counts = (
        "so it counts as a loss of the day" if worth < 0 else "so it is not counted as a profit"
    )
    return (
        f"The account has changed by {', '.join(named)}{more}, together "
        f"{grouped(round(worth, 2))} {currency}, and no execution tells why. It may be "
        f"trades or transfers, {counts}"
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """The worth of what is not judged yet, whether anything was, and what is to be told."""

    pending: Decimal = ZERO
    is_judged: bool = False
    facts: Sequence[Event] = ()


class Transfers:
    """Compares each answer about balances with what they should be; once counted, for good."""

    def __init__(
        self, state: AgentState, gateway: ExchangeGateway, clock: Clock, funds: Funds
    ) -> None:
        self._state = state
        self._gateway = gateway
        self._clock = clock
        self._funds = funds
        self._is_loaded = False
        # None until the account was counted once.
        self._expected: dict[str, Decimal] | None = None
        self._since = clock.now()
        self._known: dict[tuple[str, str], datetime] = {}
        # Told before `load`, and the newest that were told since.
        self._early: list[Movement] = []
        self._heard: deque[Movement] = deque(maxlen=_KEPT)
        # The newest that were found here, for whoever tells of them later.
        self._found: deque[Movement] = deque(maxlen=_KEPT)
        self._before: Mapping[str, Decimal] = {}
        self._looked_s = float("-inf")
        self._looks = 0

    async def load(self, journal: Journal) -> AccountCounted | None:
        """Take what the account should hold by the journal, where it was ever counted.

        Returns that, as of when it was counted last and with our own executions since; None when
        it never was, or was loaded before.
        """
        if self._is_loaded:
            return None
        newest = await journal.latest(1, (AccountCounted.__name__,))
        if newest and isinstance(counted := newest[0].event, AccountCounted):
            self._expected, self._since = dict(counted.totals), counted.at
            seq, page = newest[0].seq, newest
            while page:
                kinds = (FillBooked.__name__, FundsMoved.__name__)
                page = await journal.events(seq, _PAGE, kinds)
                for one in page:
                    seq = one.seq
                    self.apply(one.event)
                    if isinstance(one.event, FundsMoved):
                        self._hear(one.event.movement)
        self._is_loaded = True
        for movement in self._early:
            self.told(movement)
        self._early.clear()
        return None if self._expected is None else AccountCounted(self._totals(), self._since)

    def apply(self, event: Event) -> None:
        """Take what a booked fill does to the account."""
        if isinstance(event, FillBooked):
            self._take(event.fill, event.base, event.quote)

    def told(self, movement: Movement) -> bool:
        """Take a movement that the exchange tells; returns whether it is news."""
        if not self._is_loaded:
            self._early.append(movement)
            return True
        if movement in self._heard:
            return False
        for found in self._found:
            is_older = movement.cleared_at <= found.cleared_at
            if is_older and (found.asset, found.quantity) == (movement.asset, movement.quantity):
                return False
        self._hear(movement)
        return True

    def counted(self) -> AccountCounted | None:
        """Return what the account should hold, for the journal; None while that is not certain."""
        # What is not written yet would count twice.
        if self._expected is None or self._funds.is_waiting:
            return None
        return AccountCounted(self._totals(), self._clock.now())

    def _totals(self) -> tuple[tuple[str, Decimal], ...]:
        expected = self._expected or {}
        return tuple((asset, total) for asset, total in sorted(expected.items()) if total)

    def open_day(self) -> None:
        """Take what is held now for what should be: a day opens with all of it."""
        if self._expected is None or self._apart():
            self._expected = self._held()
            self._end()

    async def compare(self) -> Comparison:
        """Compare what is held with what should be; what came or went is left to `Funds`."""
        apart = self._apart()
        if not apart:
            if self._expected is not None:
                # Trifles do not add up.
                self._expected = self._held()
            self._end()
            return Comparison()
        now_s = self._clock.monotonic()
        if now_s - self._looked_s < _SECOND_LOOK_S:
            return Comparison(self._worth(apart))
        is_same = apart == self._before
        self._before, self._looked_s, self._looks = apart, now_s, self._looks + 1
        if not is_same and self._looks < _LOOKS_MAX:
            return Comparison(self._worth(apart))
        try:
            await self._ask(self._differing())
        except Retryable as error:
            logger.warning("executions_not_told", extra={"error": str(error)})
            return Comparison(self._worth(self._apart()))
        facts = self._judge(self._apart())
        self._end()
        return Comparison(ZERO, True, facts)

    # ------------------------------------------------------------ what should be, and what is

    def _held(self) -> dict[str, Decimal]:
        balances = self._state.book.snapshot().balances
        return {asset: of.total for asset, of in balances.items() if of.total}

    def _differing(self) -> dict[str, Decimal]:
        if self._expected is None:
            return {}
        held, expected = self._held(), self._expected
        deltas = {
            asset: held.get(asset, ZERO) - expected.get(asset, ZERO)
            for asset in held.keys() | expected.keys()
        }
        return {asset: delta for asset, delta in deltas.items() if delta}

    def _apart(self) -> dict[str, Decimal]:
        """What differs by more than a trifle; what has no price is none."""
        trifle = self._state.book.equity() * _TRIFLE
        return {
            asset: delta
            for asset, delta in self._differing().items()
            if (worth := self._state.book.value(asset, delta)) is None or abs(worth) > trifle
        }

    def _worth(self, deltas: Mapping[str, Decimal]) -> Decimal:
        value = self._state.book.value
        return sum((value(asset, delta) or ZERO for asset, delta in deltas.items()), ZERO)

    def _change(self, asset: str, delta: Decimal) -> None:
        if self._expected is not None:
            self._expected[asset] = self._expected.get(asset, ZERO) + delta

    def _hear(self, movement: Movement) -> None:
        self._heard.append(movement)
        self._change(movement.asset, movement.quantity)

    def _take(self, fill: Fill, base: str, quote: str) -> None:
        if (name := (fill.symbol, fill.trade_id)) not in self._known:
            self._known[name] = fill.at
            for asset, delta in fill.effects(base, quote):
                self._change(asset, delta)

    def _end(self) -> None:
        self._before, self._looks, self._since = {}, 0, self._clock.now()
        oldest = self._since - _KNOWN_FOR
        self._known = {name: at for name, at in self._known.items() if at >= oldest}

    # ------------------------------------------------------------ why

    async def _ask(self, deltas: Mapping[str, Decimal]) -> None:
        """Take executions that nobody has told of: somebody else's, or not booked yet."""
        symbols = tradable(deltas, self._state.instruments)
        if len(symbols) > _ASKED_MAX:
            return
        for symbol in symbols:
            of = self._state.instruments[symbol]
            for fill in await self._gateway.fills_since(symbol, self._since - _MARGIN):
                self._take(fill, of.base, of.quote)

    def _judge(self, deltas: Mapping[str, Decimal]) -> Sequence[Event]:
        now, worth, facts = self._clock.now(), self._worth(deltas), list[Event]()
        is_doubtful = is_mixed(deltas)
        if is_doubtful:
            text = unexplained(deltas, worth, self._state.book.currency)
            facts.append(AlertRaised(f"unexplained:{now.isoformat()}", Severity.WARN, text, now))
        for asset, delta in deltas.items():
            self._change(asset, delta)
            movement = Movement(asset, delta, now)
            self._found.append(movement)
            if not is_doubtful or worth >= 0:
                self._funds.take(movement)
            logger.info("account_changed_untold", extra={"asset": asset, "delta": str(delta)})
        return facts
