"""The trading agent: owns the engines and wires facts to decisions.

It routes and never reckons: what a tick means is the trackers' business, what may be done the
gate's, how it is done the execution's. Starting is recovery, and there is no other way to start.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial

from trading import activity, backstops, decide
from trading.activity import EntryLog
from trading.bus import Bus
from trading.commanding.executing import Executor
from trading.commanding.firing import Firing
from trading.commanding.guarding import Guarding
from trading.commanding.proposing import Proposer
from trading.commanding.workings import Workings
from trading.decide import DecisionSettings
from trading.domain.chat import Severity
from trading.domain.errors import AlreadyRecorded, Retryable, SettingsInvalid, StorageLost
from trading.domain.events import (
    AlertRaised,
    CommandExecuted,
    ConditionChanged,
    Event,
    Heartbeat,
    Installed,
    IntentChanged,
    IntentClosed,
    PositionAdjusted,
    ProcessStarted,
    ProcessStopped,
    RecoveryReported,
    TradingModeChanged,
)
from trading.domain.market import Observation
from trading.domain.money import ZERO, plain
from trading.domain.order import AttemptState, Intent, IntentState, Purpose
from trading.domain.position import Balance
from trading.domain.tracker import Evidence, Tracker, TrackerState
from trading.execution.engine import ExecutionEngine
from trading.execution.settings import ExecutionSettings
from trading.housekeeping import Housekeeping, read_back
from trading.market.engine import DEGRADED_DATA, STALE_DATA, MarketEngine, MarketHooks
from trading.ports import Clock, ExchangeGateway, Journal, Records, StoredState
from trading.pricing import Prices
from trading.probing import Probing
from trading.proposals import Holding
from trading.risk import halts
from trading.risk.gate import Activity, Refusal
from trading.risk.limits import RiskLimits
from trading.state import AgentState
from trading.trackers.engine import Hooks, TrackerEngine
from trading.trackers.slices import Holdings

logger = logging.getLogger(__name__)

_HEARTBEAT_S = 10.0
_HELD_TOLD_MAX = 10
_STABLE_S = 30.0
_RECONCILE_S = 5.0
_FOLLOW_UPS_MAX = 10_000
_CAUSES_KEPT = 1000
# Each is two requests, and a far exchange answers slowly.
_CATCH_UPS_AT_ONCE = 8
_ATR_CANDLES = 60
_BLINDING = frozenset({STALE_DATA, DEGRADED_DATA})
_BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_FEE_SHARE = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this installation is; fixed by the first start of a database."""

    install_id: str
    order_prefix: str


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What the agent must know beside its parts."""

    mode: str
    exchange: str
    currency: str
    version: str
    limits: RiskLimits
    decisions: DecisionSettings
    fee: Decimal = _FEE_SHARE
    accepts_unrestricted_key: bool = False


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside that the agent talks to."""

    gateway: ExchangeGateway
    journal: Journal
    records: Records
    clock: Clock
    bus: Bus
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class TradingAgent:
    """One account on one exchange and its private stops."""

    def __init__(self, ports: Ports, identity: Identity, settings: AgentSettings) -> None:
        self.settings = settings
        self.gateway = ports.gateway
        self.journal = ports.journal
        self.records = ports.records
        self.clock = ports.clock
        self._bus = ports.bus
        self._sleep = ports.sleep
        self._identity = identity
        self.state = AgentState(settings.currency, ports.clock.now())
        self._entries = EntryLog(self.state.book)
        self._halting = asyncio.Lock()
        self._is_started = False
        self.market = MarketEngine(
            ports.gateway,
            ports.clock,
            MarketHooks(self._on_observation, self._on_condition, self._is_near, self._on_gap),
            sleep=ports.sleep,
        )
        self.prices = Prices(self.market, ports.gateway, ports.clock)
        self.trackers = TrackerEngine(
            ports.journal,
            ports.clock,
            Hooks(
                instruments=self.state.instruments,
                fire=self._fire,
                may_enter=self._may_enter,
                is_stale=self.prices.is_stale,
                publish=self._publish,
                on_condition=self._on_condition,
                holdings=self._holdings,
            ),
        )
        self.execution = ExecutionEngine(
            ports.gateway,
            ports.journal,
            ports.clock,
            instruments=self.state.instruments,
            settings=ExecutionSettings(
                exit_attempts_per_minute_max=settings.limits.exit_attempts_per_minute_max
            ),
            quote_of=self.market.touch,
            portfolio_of=self.state.book.snapshot,
            closing=self.trackers.outcome,
            publish=self._publish,
            order_prefix=identity.order_prefix,
            sleep=ports.sleep,
        )
        workings = self._workings()
        self.proposer = Proposer(workings)
        self._firing = Firing(workings, self.alert)
        self.guarding = Guarding(workings)
        self.executor = Executor(workings, self._firing)
        self._housekeeping = Housekeeping(workings, self.market, self.alert)
        self._probing = Probing(workings, self._on_condition)
        self.is_ready = False
        self.account_stream = "connecting"
        self._heartbeat_s = float("-inf")
        self._reconciled_s = float("-inf")
        self._is_overflowed = False
        # What follows from facts is written by one task, in order.
        self._follow_ups: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue(
            _FOLLOW_UPS_MAX
        )

    def _workings(self) -> Workings:
        return Workings(
            state=self.state,
            prices=self.prices,
            trackers=self.trackers,
            execution=self.execution,
            gateway=self.gateway,
            clock=self.clock,
            limits=self.settings.limits,
            decisions=self.settings.decisions,
            fee=self.settings.fee,
            record=self.record,
            activity=self._activity,
            refused=self._note_refusal,
        )

    # ------------------------------------------------------------ life

    async def recover(self) -> None:
        """Start: load, reconcile, judge the time without eyes, then take commands.

        Raises Unreachable while the exchange does not answer (call again), AuthLost, or
        SettingsInvalid when the database belongs to another account.
        """
        await self.gateway.connect()
        instruments = await self.gateway.instruments()
        # What a full disk left in the reserve is part of what is known.
        await self.journal.append()
        stored = await self.records.state()
        self.state.load(stored, instruments)
        self.execution.take_rules(instruments)
        for known in await self.journal.latest(_CAUSES_KEPT, (CommandExecuted.__name__,)):
            self.state.apply(known.event)
        await self._pin_account(stored)
        accepts = self.settings.accepts_unrestricted_key
        await self._housekeeping.refuse_dangerous_key(accepts_unrestricted=accepts)
        now = self.clock.now()
        decided = await read_back(self.journal, activity.begins(now), activity.KINDS)
        self._entries.load(decided, stored.intents, now, self.clock.monotonic())
        if not self._is_started:
            # A start that is tried again after a lost connection is no second one.
            await self._housekeeping.judge_crashes(self.journal)
            await self.record(
                ProcessStarted(self.settings.version, self.settings.mode, stored.last_alive_at, now)
            )
            self._is_started = True
        await self._housekeeping.refresh_balances()
        lines = list(await self.execution.recover(stored))
        if not self.state.mode.takes_entries:
            # The end may have come between the mode and the end of what it ends.
            self.execution.cancel_entries("entries are refused")
        self.trackers.load(stored.trackers)
        # Before time passes: no decision that was open has ended yet.
        await self._tell_stranded(stored)
        since = stored.last_alive_at or now
        # Judged before the first live price: a buy would take that for news of its own.
        lines += await self._judge_downtime(since)
        self._watch()
        for intent in self.execution.intents:
            # The end may have come between an exit's change and its tracker's.
            self._follow(partial(self._mirror, intent))
        self._probing.load()
        self.is_ready = True
        # From here on a death is told and judged, however soon it comes.
        await self.beat()
        told = self._found(lines) if stored.last_alive_at else tuple(lines)
        await self.record(RecoveryReported(int((now - since).total_seconds()), told, now))
        await self._housekeeping.open_day()
        # Neither is worth another recovery when the exchange asks for silence now.
        self._follow(self._housekeeping.check_permissions)
        self._follow(self._housekeeping.reconcile)

    def _found(self, lines: Sequence[str]) -> tuple[str, ...]:
        held = [
            f"{plain(position.quantity)} {symbol.partition('/')[0]}"
            for symbol, position in sorted(self.state.book.positions.items())
            if position.quantity
        ]
        waiting = sum(1 for tracker in self.trackers.all() if tracker.state.is_waiting)
        working = len(self.execution.intents)
        return (
            *(lines or ("Nothing fired meanwhile; there is nothing to do.",)),
            f"Held: {', '.join(held[:_HELD_TOLD_MAX])}" if held else "Nothing is held.",
            f"Watched again: {waiting}" + (f", orders at work: {working}" if working else ""),
        )

    async def run_follow_ups(self) -> None:
        """Do what follows from facts, one after the other, until cancelled."""
        while True:
            work = await self._follow_ups.get()
            if self._is_overflowed:
                raise StorageLost(f"{_FOLLOW_UPS_MAX} facts wait to be written: the journal hangs")
            try:
                await work()
            except Retryable as error:
                logger.warning("follow_up_failed", extra={"error": str(error)})

    async def run_account_stream(self) -> None:
        """Follow orders and balances until cancelled; every gap is covered by queries."""
        failures = 0
        while True:
            began_s = self.clock.monotonic()
            self.account_stream = "live"
            try:
                await self.gateway.stream_account(self.execution.on_report, self._on_balance)
            except Retryable as error:
                logger.warning("account_stream_lost", extra={"error": str(error)})
            self.account_stream = "reconnecting"
            if self.clock.monotonic() - began_s > _STABLE_S:
                failures = 0
            await self._sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
            failures += 1
            await self._catch_up_account()

    async def stop(self, reason: str) -> None:
        """Stop in order: nothing new; what is in flight is answered or stays to be recovered."""
        # Asked before the engine forgets them.
        resting = backstops.told(self.execution.backstops)
        await self.trackers.stop()
        await self.execution.stop()
        now = self.clock.now()
        was_watching, self.is_ready = self.is_ready, False
        facts = (Heartbeat(now), ProcessStopped(f"{reason}; {resting}", now))
        await self.record(*(facts if was_watching else facts[1:]))

    async def record(self, *events: Event) -> None:
        """Make facts durable, then tell everybody."""
        await self.journal.append(*events)
        self._publish(*events)

    @property
    def clock_offset_ms(self) -> int:
        """Exchange time minus ours, as last measured."""
        return self._housekeeping.clock_offset_ms

    def unresolved(self) -> int:
        """Return how many orders the exchange has not told the fate of."""
        unknown = AttemptState.UNKNOWN
        return sum(1 for attempt in self.execution.attempts if attempt.state is unknown)

    async def _judge_downtime(self, since: datetime) -> list[str]:
        read_gap = self.market.gap_reader(since)
        turns = asyncio.Semaphore(_CATCH_UPS_AT_ONCE)

        async def judge(symbol: str) -> list[str]:
            async with turns:
                return await self.trackers.catch_up(symbol, read_gap)

        judged = await asyncio.gather(*(judge(each) for each in sorted(self.trackers.symbols())))
        return [line for lines in judged for line in lines]

    async def _pin_account(self, stored: StoredState) -> None:
        account = await self.gateway.account_id()
        if stored.installed is None:
            identity = self._identity
            now = self.clock.now()
            await self.record(Installed(identity.install_id, identity.order_prefix, account, now))
        elif stored.installed.account != account:
            raise SettingsInvalid(
                f"this database belongs to account {stored.installed.account} and the key to "
                f"{account}: set UMBRA_DATABASE_URL or UMBRA_DATA_DIR to another place, "
                "for example UMBRA_DATA_DIR=~/.umbra-second"
            )

    async def _catch_up_account(self) -> None:
        try:
            await self.execution.check_open_attempts()
            await self._housekeeping.refresh_balances()
        except Retryable as error:
            logger.warning("catch_up_failed", extra={"error": str(error)})

    async def _tell_stranded(self, stored: StoredState) -> None:
        # A trigger whose intent was refused or never opened must not wait for a new crossing.
        open_ids = {intent.intent_id for intent in self.execution.intents}
        for tracker in stored.trackers:
            if (
                tracker.state.is_acting
                and decide.intent_id(tracker, self.settings.decisions) not in open_ids
                # What the gate refused is tried again with each sweep.
                and not self._firing.is_refused(tracker)
            ):
                logger.error("trigger_without_intent", extra={"tracker": tracker.tracker_id})
                await self.alert(
                    f"stranded:{tracker.tracker_id}:{tracker.arm_seq}",
                    f"#{tracker.tracker_id} {tracker.symbol} had fired and nothing was being sold: "
                    f"/close {tracker.symbol} sells, /abort {tracker.tracker_id} gives it up",
                )

    # ------------------------------------------------------------ reactions

    def _on_observation(self, observation: Observation) -> None:
        if observation.price is not None:
            self.state.book.set_price(observation.symbol, observation.price)
        self.trackers.observe(observation)

    def _on_balance(self, balance: Balance) -> None:
        self.state.book.set_balance(balance)
        now_s = self.clock.monotonic()
        is_short = self.state.book.managed_of(balance.asset) > balance.total
        if is_short and not self.execution.intents and now_s - self._reconciled_s > _RECONCILE_S:
            self._reconciled_s = now_s
            self._follow(self._housekeeping.reconcile)

    def _on_condition(self, event: ConditionChanged) -> None:
        if event.symbol is not None and event.is_active and event.condition in _BLINDING:
            self.trackers.blind(event.symbol)
        self._follow(lambda: self.record(event))

    async def _fire(self, tracker: Tracker, evidence: Evidence) -> None:
        await self._firing.fire(tracker, evidence)

    async def _sweep_trackers(self) -> None:
        await self.trackers.sweep()
        if self.is_ready:
            await self._firing.retry()
            await self.guarding.sync()

    def _may_enter(self, symbol: str) -> bool:
        is_open = self.is_ready and self.state.mode.takes_entries
        return is_open and not self.market.is_degraded(symbol)

    def _on_gap(self, missed: frozenset[str], since: datetime) -> None:
        for symbol in sorted(missed & self.trackers.symbols()):
            self.trackers.blind(symbol)
            self._follow(partial(self._judge_gap, symbol, since))

    async def _judge_gap(self, symbol: str, since: datetime) -> None:
        for line in await self.trackers.catch_up(symbol, self.market.gap_reader(since)):
            now = self.clock.now()
            alert_id = f"gap:{symbol}:{now.isoformat()}:{line[:20]}"
            await self.record(AlertRaised(alert_id, Severity.WARN, line, now))

    def _is_near(self, symbol: str) -> bool:
        return self.trackers.is_near(symbol)

    def _publish(self, *events: Event) -> None:
        now_s = self.clock.monotonic()
        for event in events:
            self.state.apply(event)
            self._entries.apply(event, now_s)
        self.trackers.applied(*events)
        self._bus.publish(*events)
        for event in events:
            self._react(event)
        self._watch()

    def _react(self, event: Event) -> None:
        match event:
            case IntentChanged(intent=intent):
                self._follow(lambda: self._mirror(intent))
            case IntentClosed(intent=intent):
                if intent.purpose is Purpose.BACKSTOP:
                    self.guarding.closed(intent)
                self._follow(lambda: self._resize(intent.symbol))
            case TradingModeChanged(by=halts.BY):
                self.execution.cancel_entries(event.reason)
            case PositionAdjusted(symbol=symbol) if event.quantity < 0:
                self._follow(lambda: self._resize(symbol))
            case _:
                pass

    def _follow(self, work: Callable[[], Awaitable[None]]) -> None:
        # A fact is never dropped: past the bound the process ends, and the next one recovers.
        try:
            self._follow_ups.put_nowait(work)
        except asyncio.QueueFull:
            self._is_overflowed = True

    async def _mirror(self, intent: Intent) -> None:
        if intent.tracker_id is None or intent.purpose is Purpose.BACKSTOP:
            return
        blocked = intent.state is IntentState.BLOCKED
        state = TrackerState.BLOCKED if blocked else TrackerState.EXITING
        event = self.trackers.changed(intent.tracker_id, state, intent.reason)
        if event is not None:
            await self.record(event)

    async def _resize(self, symbol: str) -> None:
        await self.execution.fit(symbol)
        # The slice of an exit at work still counts what it has sold.
        sold = (
            intent.filled_quantity
            for intent in self.execution.intents
            if (intent.symbol, intent.purpose) == (symbol, Purpose.PROTECT)
        )
        managed = self.state.book.snapshot().managed(symbol) + sum(sold, ZERO)
        events = self.trackers.resized(symbol, managed)
        if events:
            await self.record(*events)

    def _watch(self) -> None:
        wanted = self._housekeeping.concerned() | self.prices.asked()
        self.market.watch(wanted & self.state.instruments.keys())

    def _holdings(self, symbol: str) -> Holdings:
        instrument = self.state.instruments[symbol]
        exiting = self.execution.exiting(symbol)
        return Holding(instrument, self.state.book.snapshot(), (), exiting).shared

    def _activity(self, intent: Intent) -> Activity:
        symbol, working = intent.symbol, self.execution.intents
        instrument = self.state.instruments.get(symbol)
        seen = Activity(
            instrument=instrument,
            open_intent_ids=frozenset(one.intent_id for one in working),
            exiting=self.execution.exiting(symbol),
        )
        if intent.purpose.reduces_risk:
            # No cap binds it, and its way out must not grow with what the account holds.
            return seen
        equity, day = self.state.book.equity(), self.state.day
        return replace(
            seen,
            quote=self.prices.quote(symbol),
            market=self.prices.newest(symbol),
            entries_open=sum(1 for one in working if not one.purpose.reduces_risk),
            reserved=self.execution.reserved(instrument.quote) if instrument else ZERO,
            lately=self._entries.lately(self.clock.monotonic(), working),
            notional_today=self._entries.today(self.clock.now(), working),
            equity=equity,
            loss_today=halts.loss_share(day.equity, equity) if day else ZERO,
            is_stale=self.prices.is_stale(symbol),
        )

    async def _note_refusal(self, refusal: Refusal) -> None:
        if refusal.intent.purpose.reduces_risk:
            return
        self._entries.refused(refusal.intent, self.clock.monotonic())
        async with self._halting:
            halt = halts.stricter(self.state.mode, refusal.halt)
            if halt is not None:
                now = self.clock.now()
                await self.record(TradingModeChanged(halt.mode, halt.reason, halts.BY, now))
                await self.alert(
                    f"cap:{now.isoformat()}",
                    f"{halt.reason}. Private stops are watched and sell, nothing new is bought. "
                    "Look into it, then /resume",
                )

    # ------------------------------------------------------------ recurring work

    def jobs(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the agent's part of the table of recurring jobs."""
        return {
            "tracker_sweep": self._sweep_trackers,
            "staleness_watch": self.market.sweep,
            "open_attempts": self.execution.check_open_attempts,
            "exchange_probe": self._probing.probe,
            "balances": self._housekeeping.refresh_balances,
            "full_reconcile": self._housekeeping.reconcile,
            "key_permissions": self._housekeeping.check_permissions,
            "daily_risk_reset": self._housekeeping.open_day,
            "atr_distances": self._housekeeping.tighten,
        }

    async def beat(self) -> None:
        """Leave a durable sign of life, twice a minute."""
        now_s = self.clock.monotonic()
        if now_s - self._heartbeat_s >= _HEARTBEAT_S:
            self._heartbeat_s = now_s
            await self.record(Heartbeat(self.clock.now()))

    async def alert(self, alert_id: str, text: str) -> None:
        """Raise a CRIT alert; one that stands under this id already is not raised again."""
        with contextlib.suppress(AlreadyRecorded):
            await self.record(AlertRaised(alert_id, Severity.CRIT, text, self.clock.now()))

    def task_died(self, name: str, error: BaseException) -> None:
        """Tell that a task of the process died and runs again, at most once an hour per task."""
        self._follow(partial(self._tell_death, name, type(error).__name__))

    async def _tell_death(self, name: str, error: str) -> None:
        # A lost disk is told past the journal; it must not end the process here.
        with contextlib.suppress(StorageLost):
            await self.alert(
                f"task_died:{name}:{self.clock.now():%Y-%m-%dT%H}",
                f"A part of Umbra died and was started again: {name} ({error}). "
                "Five deaths within a minute end the process; the log says more",
            )
