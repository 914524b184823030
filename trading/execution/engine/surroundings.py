"""What every part of the engine works with: ports, clock, rules, and how it waits."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from trading.deadlines import within
from trading.domain.errors import AuthLost, RateLimited
from trading.domain.events import AttemptPrepared, Event
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.market import Quote
from trading.domain.money import ZERO
from trading.domain.order import Fill, Intent, OrderReport, Purpose, Side
from trading.domain.position import Portfolio, Position
from trading.execution import ladder
from trading.execution.engine import adding
from trading.execution.engine.case import Case
from trading.execution.engine.pacing import Pacer, Sleep
from trading.execution.engine.writing import Writer
from trading.execution.excess import Excess
from trading.execution.settings import ExecutionSettings
from trading.ports.clock import Clock
from trading.ports.exchange import ExchangeGateway
from trading.ports.on_the_way import OnTheWay, UnmarkedWay

_Answer = TypeVar("_Answer")


@dataclass(slots=True)
class Surroundings:
    """The world around the cases; `rules` are the instruments as last loaded, for everybody."""

    gateway: ExchangeGateway
    writer: Writer
    pacer: Pacer
    clock: Clock
    sleep: Sleep
    settings: ExecutionSettings
    rules: dict[str, Instrument]
    quote_of: Callable[[str], Quote | None]
    portfolio_of: Callable[[], Portfolio]
    closing: Callable[[Intent, Sequence[Fill], Decimal], Sequence[Event]]
    prefix: str
    on_excess: Callable[[Excess], None] = lambda _: None
    on_stranger: Callable[[OrderReport], bool] = lambda _: False
    owned_of: Callable[[str, Sequence[Intent]], Decimal] = lambda _, __: ZERO
    undisturbed: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    on_key_refused: Callable[[], None] = lambda: None
    on_missing: Callable[[str], None] = lambda _: None
    worth: Callable[[str, Decimal], Decimal | None] = lambda _, amount: amount
    takes_entries: Callable[[], bool] = lambda: True
    unrecorded: OnTheWay = field(default_factory=UnmarkedWay)
    cases: dict[str, Case] = field(default_factory=dict)
    is_clock_known: bool = False
    is_stopping: bool = False

    def __post_init__(self) -> None:
        self.writer.on_written = self._recorded

    def _recorded(self, events: Sequence[Event]) -> None:
        """Take the marks of sales away whose record a start would find."""
        for event in events:
            if isinstance(event, AttemptPrepared):
                self.unrecorded.arrive(event.attempt.intent_id)

    def now(self) -> datetime:
        """Wall time."""
        return self.clock.now()

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return self.clock.monotonic()

    def time_of(self, case: Case) -> datetime:
        """Now as a decision counts its own time: a clock that is set back gives it no longer life.

        One that is set forward, or slept, ends it early: its price is as old as that clock says.
        """
        now, now_s = self.now(), self.monotonic()
        if case.begun is None:
            case.begun = now, now_s
        at, at_s = case.begun
        return max(now, at + timedelta(seconds=now_s - at_s))

    async def wait(self, case: Case, seconds: float) -> None:
        """Wait until something of the case changes, at most so long."""
        if seconds <= 0 or case.changed.is_set():
            await asyncio.sleep(0)
            return
        alarm = asyncio.ensure_future(self.sleep(seconds))
        changed = asyncio.ensure_future(case.changed.wait())
        try:
            await asyncio.wait({alarm, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
            changed.cancel()

    async def read(self, answer: Awaitable[_Answer]) -> _Answer:
        """Await a read of the exchange with a deadline; raises Unreachable when it passes."""
        try:
            return await within(self.settings.read_deadline_s, answer, self.sleep)
        except RateLimited as error:
            # Our own count of reads must never hold up a sale.
            if not error.is_own_count:
                self.pacer.silence(error.retry_after_s)
            raise
        except AuthLost:
            self.on_key_refused()
            raise

    def at_risk(self, case: Case) -> Decimal:
        """What a case has at risk, in one currency for all; of an unknown one, its own units."""
        value = self.worth(base_and_quote(case.intent.symbol)[1], case.value)
        return case.value if value is None else value

    def is_listed(self, symbol: str) -> bool:
        """Whether the exchange listed a market when its rules were last loaded."""
        return symbol in self.rules

    def is_refused(self, case: Case) -> bool:
        """Whether it adds risk, and none may be added now: no order of it leaves any more."""
        return case.intent.purpose is Purpose.ENTRY and not self.takes_entries()

    def patience_over(self, case: Case) -> ladder.Finish | None:
        """Return the end of a sale that has waited for too long, None while it may go on."""
        return ladder.patience_over(case.intent, case.attempts, self.time_of(case))

    def may_send(self, case: Case) -> bool:
        """Whether an order may leave, its attempt being durable: much may have come meanwhile.

        At the end that is one of an exit alone which has lost its backstop.
        """
        if case.is_held or case.giving_up is not None or self.is_refused(case):
            return False
        if self.patience_over(case) is not None:
            return False
        return case.is_bare or not self.is_stopping

    def fresh_quote(self, symbol: str) -> Quote | None:
        """The quote, if it is young enough to price an order."""
        quote = self.quote_of(symbol)
        if quote is None or quote.is_crossed:
            return None
        age_s = self.monotonic() - quote.received_s
        return quote if age_s <= self.settings.quote_age_max_s else None

    def sight(self, case: Case, quote: Quote | None) -> ladder.Sight:
        """What the next step of a case is decided on."""
        return ladder.Sight(
            intent=case.intent,
            attempts=tuple(case.attempts),
            instrument=self.rules[case.intent.symbol],
            quote=quote,
            available=self.available(case),
            now=self.time_of(case),
            is_band_refused=case.is_band_refused,
        )

    def available(self, case: Case) -> Decimal | None:
        """What may be sold (base units: managed and free) or spent (free quote units)."""
        portfolio, instrument = self.portfolio_of(), self.rules[case.intent.symbol]
        if case.intent.side is Side.BUY:
            return self._free(case, portfolio, instrument.quote)
        managed = max(portfolio.managed(case.intent.symbol) - self._spoken_for(case), ZERO)
        free = self._free(case, portfolio, instrument.base)
        if not case.is_exit:
            return free
        return managed if free is None else min(managed, free)

    def exiting(self, symbol: str) -> Decimal:
        """Managed base units that open exits of a symbol still want to sell, or have sold.

        What is sold, by a backstop too, counts as managed until its executions are booked.
        """
        return sum(
            (
                case.unbooked + (self._left_to_sell(case) if case.is_exit else ZERO)
                for case in self.cases.values()
                if case.intent.symbol == symbol and case.intent.side is Side.SELL
            ),
            ZERO,
        )

    def unowned(self, case: Case, position: Position) -> Decimal:
        """Managed base units that neither a tracker nor another sale than a case owns."""
        cases, symbol = self.cases.values(), case.intent.symbol
        owned = self.owned_of(symbol, adding.exits_of_slices(cases, symbol))
        # Until the end of its purchase a tracker owns what that brings, and no slice counts it.
        owned += adding.bought_of_slices([one for one in cases if one is not case], symbol)
        return position.quantity - owned - adding.owned_beside(case, cases)

    def _left_to_sell(self, case: Case) -> Decimal:
        if case.has_ended:
            return ZERO
        # A decision is cut down once its backstop has ended; until then it counts without this.
        return max(case.residual - self.selling(case.intent.tracker_id), ZERO)

    def selling(self, tracker_id: int | None) -> Decimal:
        """Base units that open backstops of a tracker have sold: its slice still counts them."""
        return sum(
            (
                case.intent.filled_quantity
                for case in self.cases.values()
                if tracker_id is not None
                and (case.is_backstop, case.intent.tracker_id) == (True, tracker_id)
                and not case.intent.state.is_terminal
            ),
            ZERO,
        )

    def exits_of(self, backstop: Case) -> Sequence[Case]:
        """The open exits of a backstop's own tracker: they sell what it has left of the slice."""
        number = backstop.intent.tracker_id
        return [
            other
            for other in self.cases.values()
            if (other.intent.purpose, other.intent.tracker_id) == (Purpose.PROTECT, number)
            and not other.intent.state.is_terminal
        ]

    def in_the_way(self, case: Case) -> Sequence[Case]:
        """Backstops that lock what an exit sells: its tracker's own, or all for a person's sale.

        One that has sold stands in the way until that is booked: it counts as managed before. For
        an order that rests, maybe for days, no more of them go than what it lacks.
        """
        if not case.is_exit:
            return ()
        found = [
            other
            for other in self.cases.values()
            if other.is_backstop
            and other.intent.symbol == case.intent.symbol
            and case.intent.tracker_id in {None, other.intent.tracker_id}
        ]
        return self._enough(case, found) if ladder.is_resting(case.intent) else found

    def _enough(self, case: Case, backstops: Sequence[Case]) -> Sequence[Case]:
        """Return those that lock what a sale lacks: what leaves already, then the youngest."""
        available = self.available(case)
        if available is None:
            return backstops
        lacking = case.intent.quantity - ladder.filled(case.attempts) - available
        chosen = list[Case]()
        youngest = sorted(backstops, key=lambda one: one.intent.created_at, reverse=True)
        for other in sorted(youngest, key=lambda one: one.giving_up is None):
            if lacking < self.rules[case.intent.symbol].quantity_step:
                break
            chosen.append(other)
            lacking -= other.unfilled_live
        return chosen

    def wants_balance(self, case: Case) -> bool:
        """Whether the balance that we know is too small to believe without asking again."""
        if case.fresh_free is not None:
            return False
        portfolio, instrument = self.portfolio_of(), self.rules[case.intent.symbol]
        is_buy = case.intent.side is Side.BUY
        free = self._free(case, portfolio, instrument.quote if is_buy else instrument.base)
        if free is None:
            return False
        if is_buy:
            return free < (case.intent.quote_budget or ZERO) - case.intent.filled_notional
        left = case.intent.quantity - ladder.filled(case.attempts)
        return free < min(left, portfolio.managed(case.intent.symbol))

    def _free(self, case: Case, portfolio: Portfolio, asset: str) -> Decimal | None:
        if case.fresh_free is not None:
            return case.fresh_free
        balance = portfolio.balances.get(asset)
        return balance.free if balance is not None else None

    def _spoken_for(self, case: Case) -> Decimal:
        return sum(
            (
                one.unlisted + one.unbooked + (ZERO if one is case else one.unfilled_live)
                for one in self.cases.values()
                if one.intent.symbol == case.intent.symbol and one.intent.side is Side.SELL
            ),
            ZERO,
        )
