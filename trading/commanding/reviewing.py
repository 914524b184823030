"""What the gate is told of an intent, and what follows when a cap has refused one."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from trading.activity import EntryLog
from trading.alarms import Alarms
from trading.domain.events import Event
from trading.domain.money import ZERO
from trading.domain.order import Intent
from trading.execution import reconcile
from trading.execution.engine import ExecutionEngine
from trading.ports.clock import Clock
from trading.pricing import Prices
from trading.reachability import ENTRIES_WAIT_FOR
from trading.risk import halts
from trading.risk.gate import Activity, Refusal
from trading.state import AgentState


class Reviewing:
    """Keeps count of what added risk, for the gate."""

    def __init__(
        self,
        state: AgentState,
        execution: ExecutionEngine,
        prices: Prices,
        clock: Clock,
        alarms: Alarms,
    ) -> None:
        self._state = state
        self._execution = execution
        self._prices = prices
        self._clock = clock
        self._alarms = alarms
        self._entries = EntryLog(state.book)

    def load(self, decided: Iterable[Event], working: Iterable[Intent]) -> None:
        """Take what was decided and ended since `activity.begins`, and what is open."""
        self._entries.load(decided, working, self._clock.now(), self._clock.monotonic())

    def apply(self, event: Event) -> None:
        """Count a durable fact."""
        self._entries.apply(event, self._clock.monotonic())

    def activity(self, intent: Intent) -> Activity:
        """Return what is going on around an intent."""
        symbol, working = intent.symbol, self._execution.intents
        instrument = self._state.instruments.get(symbol)
        seen = Activity(
            instrument=instrument,
            open_intent_ids=frozenset(one.intent_id for one in working),
            exiting=self._execution.exiting(symbol),
        )
        if intent.purpose.reduces_risk:
            # No cap binds it, and its way out must not grow with what the account holds.
            return seen
        equity = self._state.book.equity()
        return replace(
            seen,
            quote=self._prices.quote(symbol),
            market=self._prices.newest(symbol),
            entries_open=sum(1 for one in working if not one.purpose.reduces_risk),
            reserved=self._execution.reserved(instrument.quote) if instrument else ZERO,
            offered=self._execution.offered(instrument.quote) if instrument else ZERO,
            lately=self._entries.lately(self._clock.monotonic(), working),
            notional_today=self._entries.today(self._clock.now(), working),
            equity=equity,
            loss_today=self._loss_today(equity),
            is_stale=self._prices.is_stale(symbol),
            waits_for=self.waits_for(),
        )

    def _loss_today(self, equity: Decimal) -> Decimal:
        """Return the share that was lost today; managed coins that are not shown are not lost."""
        base, book = self._state.equity_base, self._state.book
        if base is None:
            return ZERO
        shown = book.snapshot().balances
        if reconcile.shortfalls(book.positions, shown, self._state.instruments):
            # It is looked into, and what is gone counts from then on.
            return ZERO
        return halts.loss_share(base, equity)

    def waits_for(self) -> tuple[str, ...]:
        """Return what has to end before anything may be added to what is at risk, in words."""
        standing = [name for name in ENTRIES_WAIT_FOR if self._state.has_condition(name)]
        doubts = [name.replace("_", " ") for name in standing]
        if not self._execution.is_clock_known:
            doubts.append("the exchange's clock is not known")
        return tuple(doubts)

    async def refused(self, refusal: Refusal) -> None:
        """Count an entry that did not pass; a reached cap ends entries, and is told."""
        if refusal.intent.purpose.reduces_risk:
            return
        self._entries.refused(refusal.intent, self._clock.monotonic())
        await self._alarms.halt_loudly(refusal.halt, "cap")
