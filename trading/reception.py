"""The desk of the running agent: questions answered from memory, commands handed on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from trading import symbols, views
from trading.agent import TradingAgent
from trading.desk import Outcome, Proposal, Shown
from trading.domain.commands import AcknowledgeAlerts, CloseAll, Command, Panic, SetTradingMode
from trading.domain.errors import Refused
from trading.domain.events import TRACKER_MOVED, ConditionChanged
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.market import Quote
from trading.domain.money import ZERO
from trading.domain.order import Attempt, Fill, Intent
from trading.domain.position import RoundTrip, TradingMode
from trading.domain.time import Timeframe, to_ms
from trading.domain.tracker import TrackerState
from trading.market.engine import STALE_DATA
from trading.overview import (
    AccountView,
    ChartView,
    Crossing,
    EndedTrackerView,
    HealthView,
    JobView,
    PositionView,
    Signature,
    StandingView,
    StatusView,
    SummaryView,
    TrackerView,
)
from trading.ports.storage import Recorded
from trading.reachability import AUTH_LOST, EXCHANGE_DOWN
from trading.schedule import Schedule

_AUDIT_KINDS = (
    "CommandExecuted",
    "TradingModeChanged",
    "PersonChanged",
    "AccessDenied",
    "InvitationMade",
    "InvitationClosed",
    "TrackerChanged",
    TRACKER_MOVED,
    "IntentOpened",
    "IntentClosed",
    "AlertAcknowledged",
    "ConfirmationAnswered",
    "FundsMoved",
    "ProcessStarted",
    "ProcessStopped",
)
_SUMMARY_MAX = 1000


@dataclass(frozen=True, slots=True)
class Vitals:
    """Measurements of the process that the agent itself does not take."""

    loop_lag_ms_p99: float
    loop_lag_ms_max: float
    is_storage_degraded: bool
    messages_waiting: int
    memory_mb: float
    tasks: dict[str, float]
    second_channel: str = ""


@dataclass(frozen=True, slots=True)
class _Ages:
    """Seconds since each tracked price was true, None before its first; and those of stale ones."""

    by_symbol: Mapping[str, float | None]
    stale: Sequence[float]

    @property
    def oldest_s(self) -> float | None:
        return max((age for age in self.by_symbol.values() if age is not None), default=None)


class Reception:
    """Implements `Desk` for one agent."""

    def __init__(
        self,
        agent: TradingAgent,
        schedule: Schedule,
        vitals: Callable[[], Vitals],
        forbid: Callable[[Command], None] = lambda _command: None,
    ) -> None:
        self._agent = agent
        self._schedule = schedule
        self._vitals = vitals
        self._forbid = forbid

    @property
    def is_simulated(self) -> bool:
        """Whether no real money can move."""
        return self._agent.gateway.is_simulated

    @property
    def mode(self) -> str:
        """`live` or `paper`."""
        return self._agent.settings.mode

    # ------------------------------------------------------------ questions

    def instrument(self, text: str) -> Instrument:
        """Match what a person typed; raises Refused with near misses."""
        self._check_ready()
        return symbols.resolve(text, self._agent.state.instruments)

    def quote(self, symbol: str) -> Quote | None:
        """Return the newest sane quote that is watched, or was read moments ago."""
        return self._agent.prices.quote(symbol)

    async def look(self, symbol: str) -> Quote | None:
        """Return the best prices, read where nobody watches them; None where none come in time."""
        return await self._agent.proposer.quote(symbol)

    def status(self) -> StatusView:
        """Return the whole state on one card."""
        agent, state, ages = self._agent, self._agent.state, self._ages()
        trackers = agent.trackers.all()
        waiting, acting, paused = views.count(trackers)
        equity, base = state.book.equity(), state.equity_base
        is_lost = self._vitals().is_storage_degraded
        storage = [views.storage_lost(agent.clock.now(), is_watching=agent.is_ready)][:is_lost]
        return StatusView(
            mode=agent.settings.mode,
            is_simulated=agent.gateway.is_simulated,
            exchange=agent.settings.exchange,
            trading_mode=state.trading_mode,
            positions=tuple(self.positions()),
            trackers_waiting=waiting,
            trackers_acting=acting,
            trackers_paused=paused,
            data_age_s=ages.oldest_s,
            stream=self._stream(ages),
            equity=equity,
            currency=state.book.currency,
            profit_today=equity - base if base is not None else None,
            conditions=(*storage, *self._conditions()),
            alerts=state.alerts,
            unresolved=agent.unresolved(),
            started_at=state.started_at,
            now=agent.clock.now(),
            is_ready=agent.is_ready,
            uncounted=state.book.unpriced(),
            exits_blocked=views.blocked(agent.trackers.acting(), agent.execution.intents),
        )

    def standing(self) -> StandingView:
        """Return what is wrong and was not acknowledged."""
        acting = self._agent.trackers.acting()
        blocked = (item for item in acting if item.state is TrackerState.BLOCKED)
        state = self._agent.state
        halt = state.trading_mode if state.mode.is_halted else None
        return StandingView(self._conditions(), state.alerts, tuple(blocked), halt)

    def positions(self) -> Sequence[PositionView]:
        """Return managed holdings, greatest value first."""
        return [*self._positions()]

    def greatest_positions(self, most: int) -> Iterator[PositionView]:
        """Give the greatest managed holdings, each looked at when it is asked for."""
        return self._positions(most)

    def _positions(self, most: int | None = None) -> Iterator[PositionView]:
        state, trackers_of = self._agent.state, self._agent.trackers.of
        prices = self._prices()
        return views.positions(state.book.snapshot(), trackers_of, state.instruments, prices, most)

    def account(self) -> AccountView:
        """Return every balance, valued."""
        state = self._agent.state
        return views.account(state.book, state.instruments, self._agent.clock.monotonic())

    def open_orders(self) -> Sequence[tuple[Intent, Attempt | None]]:
        """Return decisions at work and their newest attempts, None where none is under way."""
        working = self._agent.execution
        newest = {attempt.intent_id: attempt for attempt in working.attempts}
        return [
            (intent, newest.get(intent.intent_id))
            for intent in (*working.intents, *self._agent.state.backstops.values())
        ]

    def trackers(self) -> Sequence[TrackerView]:
        """Return live trackers, nearest to fire first."""
        # How each market has ticked is worked out for one tracker at a time, not for all.
        prices = replace(self._prices(), signature=_no_signature)
        instruments = self._agent.state.instruments
        return views.nearest_first(
            views.tracker(item, instruments.get(item.symbol), prices)
            for item in self._agent.trackers.all()
        )

    def tracker(self, tracker_id: int) -> TrackerView:
        """Return one live tracker; raises Refused."""
        tracker = self._agent.trackers.get(tracker_id)
        if tracker is None:
            raise Refused(f"there is no live tracker #{tracker_id}", "/trackers")
        notes = self._agent.guarding.words(tracker)
        instrument = self._agent.state.instruments.get(tracker.symbol)
        return views.tracker(tracker, instrument, self._prices(tracker.symbol), notes)

    async def ended_tracker(self, tracker_id: int) -> EndedTrackerView:
        """Return one tracker that is over; raises Refused when there never was one."""
        records = self._agent.records
        tracker = await records.tracker(tracker_id)
        if tracker is None:
            raise Refused(f"there is no tracker #{tracker_id}", "/trackers")
        intent = await records.intent(tracker.intent_id) if tracker.intent_id else None
        return EndedTrackerView(tracker, self._agent.state.instruments.get(tracker.symbol), intent)

    def jobs(self) -> Sequence[JobView]:
        """Return the table of recurring jobs."""
        return [
            JobView(job.name, job.rhythm, last_at, outcome, next_at)
            for job, last_at, outcome, next_at in self._schedule.rows()
        ]

    def health(self) -> HealthView:
        """Return the state of the process."""
        agent, vitals, ages = self._agent, self._vitals(), self._ages()
        is_down = not agent.is_ready or self._is_down()
        account_stream = "lost" if is_down else agent.account_stream
        troubles, remarks = views.troubles(
            self._conditions(),
            unresolved=agent.unresolved(),
            stale_s=max(ages.stale, default=None),
            account_stream=account_stream,
            unseen=self._unseen(ages),
        )
        uptime = agent.clock.now() - agent.state.started_at
        return HealthView(
            is_working=agent.is_ready and not vitals.is_storage_degraded,
            troubles=troubles if agent.is_ready else (self._starting(),),
            loop_lag_ms_p99=vitals.loop_lag_ms_p99,
            loop_lag_ms_max=vitals.loop_lag_ms_max,
            stream=self._stream(ages),
            data_age_s=ages.oldest_s,
            account_stream=account_stream,
            clock_offset_ms=None if is_down else agent.clock_offset_ms,
            is_storage_degraded=vitals.is_storage_degraded,
            open_intents=len(agent.execution.intents),
            unresolved=agent.unresolved(),
            messages_waiting=vitals.messages_waiting,
            memory_mb=vitals.memory_mb,
            uptime_s=uptime.total_seconds(),
            tasks=vitals.tasks,
            second_channel=vitals.second_channel,
            remarks=remarks,
        )

    async def history(self, limit: int) -> Sequence[RoundTrip]:
        """Return finished exits, newest first."""
        return await self._agent.records.round_trips(limit=limit)

    async def fills(self, since: datetime | None, limit: int) -> Sequence[Fill]:
        """Return executions, newest first."""
        return await self._agent.records.fills(since=since, limit=limit)

    async def audit(self, limit: int) -> Sequence[Recorded]:
        """Return who asked what and what was decided, newest first."""
        return await self._agent.journal.latest(limit, _AUDIT_KINDS)

    async def chart(self, symbol: str, timeframe: Timeframe, limit: int) -> ChartView:
        """Return candles with trackers and fills; raises Unreachable."""
        candles = await self._agent.gateway.candles(symbol, timeframe, limit)
        live = self._agent.market.price(symbol)
        last = Decimal(repr(candles[-1].close)) if candles else None
        return ChartView(
            symbol=symbol,
            timeframe=timeframe,
            candles=candles,
            trackers=self._agent.trackers.of(symbol),
            fills=await self._agent.records.fills(symbol=symbol, limit=_SUMMARY_MAX),
            price=live if live is not None else last,
            now=self._agent.clock.now(),
            is_simulated=self.is_simulated,
            are_stops_held=self._are_stops_held,
            backstops=self._agent.guarding.all_resting(symbol),
            is_blind=self._is_blind(symbol),
        )

    async def summary(self, since: datetime) -> SummaryView:
        """Return what happened since a moment, or since the installation where that is later."""
        records, state = self._agent.records, self._agent.state
        day, installed = state.day, state.installed
        since = since if installed is None else max(since, installed.at)
        fired = await self._agent.journal.latest(_SUMMARY_MAX, ("TrackerChanged",))
        triggers = sum(
            1
            for item in fired
            if item.event.at >= since and (item.event.key or "").startswith("triggered:")
        )
        return SummaryView(
            since=since,
            status=self.status(),
            account=self.account(),
            round_trips=await records.round_trips(since=since, limit=_SUMMARY_MAX),
            fills=await records.fills(since=since, limit=_SUMMARY_MAX),
            triggers=triggers,
            equity_before=day.equity if day is not None and day.at >= since else None,
            moved=state.moved_today,
        )

    # ------------------------------------------------------------ commands

    async def propose(self, command: Command, by: int) -> Proposal:
        """Check a command against the present; raises Refused."""
        self._forbid(command)
        self._check_able(command)
        return await self._agent.proposer.propose(command, by)

    async def execute(
        self,
        command: Command,
        by: int,
        cause: str,
        reference_price: Decimal | None = None,
        shown: Shown | None = None,
    ) -> Outcome:
        """Do a command once per cause; raises AlreadyRecorded or Refused.

        A halt is taken before the exchange has answered, too: recovery then starts with it.
        """
        self._forbid(command)
        self._check_able(command)
        is_early = not self._agent.is_ready
        outcome = await self._agent.executor.execute(command, by, cause, reference_price, shown)
        if not is_early:
            return outcome
        text = f"{outcome.text} {self._starting()}, so NO STOP IS WATCHED."
        return replace(outcome, text=text)

    def _check_able(self, command: Command) -> None:
        # Neither a halt nor a look at an alarm, which else would ring on, needs the exchange.
        is_halt = isinstance(command, SetTradingMode) and not command.mode.takes_entries
        if not is_halt and not isinstance(command, AcknowledgeAlerts):
            # Who wants to sell can at least see to it that nothing is bought.
            self._check_ready("/halt" if isinstance(command, CloseAll | Panic) else None)

    def _check_ready(self, example: str | None = None) -> None:
        if not self._agent.is_ready:
            raise Refused(f"{self._starting()}. Say it again once it has", example)

    def _starting(self) -> str:
        is_lost = self._vitals().is_storage_degraded
        waits_for = "the journal cannot be written" if is_lost else "the exchange has not answered"
        return f"Umbra is still starting: {waits_for} yet"

    def _prices(self, symbol: str | None = None) -> views.Prices:
        """What views ask about this moment, of all symbols or of one alone."""
        market = self._agent.market
        at_ms = to_ms(self._agent.clock.now())
        doubt = self._agent.in_doubt(None if symbol is None else base_and_quote(symbol)[0])

        def missing(asked: str) -> Decimal:
            quantity = doubt.get(base_and_quote(asked)[0], ZERO)
            return min(quantity, self._agent.state.book.managed(asked))

        return views.Prices(
            at_ms=at_ms,
            price=self._agent.prices.price,
            age_s=market.age_s,
            signature=self._signature,
            are_stops_held=self._are_stops_held,
            backstop=self._agent.guarding.all_resting(symbol).get,
            backstop_quantity=self._agent.guarding.all_left().get,
            is_blind=self._is_blind,
            leaving=self._agent.guarding.leaving,
            bound=self._agent.bound,
            missing=missing,
            value=self._agent.state.book.value,
            crossing=self._crossing,
        )

    @property
    def _are_stops_held(self) -> bool:
        return self._agent.state.mode is TradingMode.HALTED_EVERYTHING

    def _is_blind(self, symbol: str) -> bool:
        names = {each.condition for each in self._conditions()}
        return bool(names & {EXCHANGE_DOWN, AUTH_LOST}) or self._is_stale(symbol)

    def _is_down(self) -> bool:
        return any(each.condition == EXCHANGE_DOWN for each in self._conditions())

    def _conditions(self) -> tuple[ConditionChanged, ...]:
        """Return what is wrong now: not what only has to be green for a while before it ends."""
        agent = self._agent
        tracked = agent.trackers.symbols()
        return tuple(
            agent.market.present(each)
            for each in agent.state.conditions
            if not agent.is_green(each.condition)
            and (
                each.condition != STALE_DATA
                or any(map(agent.prices.is_stale, (each.symbol,) if each.symbol else tracked))
            )
        )

    def _is_stale(self, symbol: str) -> bool:
        return self._agent.market.age_s(symbol) is not None and self._agent.prices.is_stale(symbol)

    def _ages(self) -> _Ages:
        # Asked once per view: of hundreds of symbols that takes a millisecond.
        market, is_stale = self._agent.market, self._agent.prices.is_stale
        ages = {symbol: market.age_s(symbol) for symbol in self._agent.trackers.symbols()}
        # Before its first price a symbol is unknown, not stale.
        stale = [age for symbol, age in ages.items() if age is not None and is_stale(symbol)]
        return _Ages(ages, stale)

    def _unseen(self, ages: _Ages) -> list[str]:
        known = self._agent.state.instruments
        return sorted(each for each, age in ages.by_symbol.items() if age is None and each in known)

    def _stream(self, ages: _Ages) -> str:
        is_all_stale = 0 < len(ages.stale) == len(ages.by_symbol)
        state, age_s = self._agent.market.stream_state, ages.oldest_s
        return views.stream(state, self._conditions(), is_all_stale=is_all_stale, age_s=age_s)

    def _signature(self, symbol: str) -> Signature | None:
        found = self._agent.market.signature(symbol)
        if found is None:
            return None
        return Signature(
            ticks=found.ticks,
            volatility=found.volatility,
            range_share=found.span,
            imbalance=found.imbalance,
            run_length=found.run,
            reversal=found.reversal,
        )

    def _crossing(self, tracker_id: int) -> Crossing | None:
        progress = self._agent.trackers.progress(tracker_id)
        if progress is None:
            return None
        beyond_s = self._agent.clock.monotonic() - progress.since_s
        return Crossing(progress.ticks, progress.run, beyond_s)


def _no_signature(symbol: str) -> None:
    del symbol
