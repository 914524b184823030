"""The trading agent: owns the engines and wires facts to decisions.

It routes and never reckons: what a tick means is the trackers' business, what may be done the
gate's, how it is done the execution's. Starting is recovery, and there is no other way to start.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial

from trading import activity, backstops, decide, last_words, start_card, views
from trading.account_stream import AccountStream
from trading.alarms import Alarms
from trading.catching_up import CatchingUp, moved_since
from trading.commanding.executing import Executor
from trading.commanding.firing import Firing
from trading.commanding.flattening import Flattening
from trading.commanding.guarding import Guarding
from trading.commanding.proposing import Proposer
from trading.commanding.reviewing import Reviewing
from trading.commanding.workings import Workings
from trading.deadlines import Patience
from trading.domain.errors import StorageLost, UmbraError
from trading.domain.events import (
    CommandExecuted,
    ConditionChanged,
    Event,
    Heartbeat,
    ProcessStarted,
    ProcessStopped,
    RecoveryReported,
)
from trading.domain.market import Observation
from trading.domain.order import AttemptState, Fill, Intent, OrderReport
from trading.domain.tracker import Evidence, Tracker
from trading.execution.engine import Excess, ExecutionEngine
from trading.execution.settings import ExecutionSettings
from trading.follow_ups import FollowUps
from trading.housekeeping import Housekeeping
from trading.installation import (
    AgentSettings,
    Identity,
    Ports,
    refuse_other_account,
    refuse_unknown_currency,
)
from trading.locking import Locking
from trading.market.engine import DEGRADED_DATA, STALE_DATA, MarketEngine, MarketHooks
from trading.ports.storage import StoredState
from trading.pricing import Prices
from trading.probing import Probing
from trading.reacting import Reacting
from trading.reading_back import read_back
from trading.restoring import Restoring
from trading.start_card import StartLog
from trading.state import CAUSES_KEPT, AgentState
from trading.trackers.engine import Hooks, TrackerEngine
from trading.trackers.slices import Holdings

logger = logging.getLogger(__name__)

_HEARTBEAT_S = 10.0
_BLINDING = frozenset({STALE_DATA, DEGRADED_DATA})


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
        self._claim_account = ports.claim_account
        self._identity = identity
        self.state = AgentState(settings.currency, ports.clock.now())
        self._follow_ups = FollowUps(ports.sleep)
        self.alarms = Alarms(self.state, ports.clock, self.record)
        self._is_started = False
        # What the journal holds, until execution carries it out.
        self._stored: StoredState | None = None
        self._start_log: StartLog | None = None
        self._program_changes: tuple[str, ...] = ()
        self.market = MarketEngine(
            ports.gateway,
            ports.clock,
            MarketHooks(
                self._on_observation,
                self._on_condition,
                self._is_near,
                self._on_gap,
                *(self._is_needed, self._is_of_worth),
            ),
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
                way=ports.way,
                worth=self.state.book.value,
            ),
        )
        self.execution = self._execution(ports)
        self._reviewing = Reviewing(
            self.state, self.execution, self.prices, ports.clock, self.alarms
        )
        self._of = workings = self._workings()
        self.proposer = Proposer(workings)
        self._firing = Firing(workings, self.alarms)
        self._flattening = Flattening(workings, self.alarms)
        self.guarding = Guarding(workings)
        self.executor = Executor(workings, self._firing, ports.journal, self._follow_ups.end)
        self._reacting = Reacting(workings, self.guarding, self._follow_ups, self._flattening.owed)
        self._housekeeping = Housekeeping(workings, self.market, self.alarms)
        self._locking = Locking(workings)
        self.bound = self._locking.bound
        self.in_doubt = self._housekeeping.lost.in_doubt
        self._probing = Probing(workings, self._on_condition)
        self._restoring = Restoring(workings, self.alarms, self._follow_ups)
        self._catching_up = CatchingUp(
            *(self.market, self.trackers, self._follow_ups, ports.clock, self.record),
            self.execution.trust,
        )
        self._account = AccountStream(workings, self._housekeeping, self._follow_ups, ports.sleep)
        self.is_ready = False
        self._heartbeat_s = float("-inf")

    def _execution(self, ports: Ports) -> ExecutionEngine:
        most = self.settings.limits.exit_attempts_per_minute_max
        return ExecutionEngine(
            ports.gateway,
            ports.journal,
            ports.clock,
            instruments=self.state.instruments,
            settings=ExecutionSettings(exit_attempts_per_minute_max=most),
            quote_of=self.market.touch,
            portfolio_of=self.state.book.snapshot,
            closing=self._ends_with,
            publish=self._publish,
            order_prefix=self._identity.order_prefix,
            on_excess=self._bought_too_much,
            on_stranger=self._order_unknown,
            owned_of=self.trackers.owned,
            undisturbed=self.trackers.undisturbed,
            on_key_refused=self._key_refused,
            on_overflow=self._follow_ups.give_up,
            worth=self.state.book.value,
            on_missing=self._coins_missing,
            takes_entries=lambda: self.state.mode.takes_entries,
            unrecorded=ports.unrecorded,
            sleep=ports.sleep,
        )

    def _ends_with(
        self, intent: Intent, fills: Sequence[Fill], unowned: Decimal
    ) -> Sequence[Event]:
        return (*self.trackers.outcome(intent, fills, unowned), *self.guarding.gone(intent))

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
            activity=self._reviewing.activity,
            waits_for=self._reviewing.waits_for,
            refused=self._reviewing.refused,
            key_refused=self._key_refused,
            sleep=self._sleep,
            patience=Patience(self.clock.monotonic, self._sleep),
        )

    # ------------------------------------------------------------ life

    async def recover(self) -> None:
        """Start: load, reconcile, judge the time without eyes, then take commands.

        Raises Unreachable while the exchange does not answer (call again), AuthLost,
        SettingsInvalid when the database belongs to another account, or InstanceConflict when
        another agent of this host trades it.
        """
        await self.gateway.connect()
        stored = self._stored = await self._load()
        now = self.clock.now()
        since = stored.last_alive_at or now
        await self._begin(stored)
        await self._housekeeping.refresh_balances()
        # A start that is tried again goes on where it was.
        self._start_log = self._start_log or StartLog(
            stored.trackers, stored.attempts, stored.intents
        )
        self._restoring.doubt(stored, since)
        # Before execution learns which of them are gone.
        self.guarding.load(stored)
        findings = self._start_log.unexplained(
            await self.execution.recover(stored, self._housekeeping.lost.missing.whole_at)
        )
        if settled := await self._restoring.settle(stored):
            findings += settled
            stored = await self.records.state()
        mode = self.state.trading_mode
        if mode is not None and mode.ends_entries:
            # The end may have come between the mode and the end of what it ends.
            await self.execution.cancel_entries("entries are refused")
        self.trackers.load(stored.trackers)
        # What closes from here on takes its tracker with it.
        self.execution.go_on()
        self._stored = None
        # Before time passes: no decision that was open has ended yet.
        await self._tell_stranded(stored)
        # What is sold must not be judged as still held, nor sold once more.
        await self.execution.conclude()
        for symbol in await self._housekeeping.lost.settle_missed():
            await self._reacting.resize(symbol)
        # Judged before the first live price: a buy would take that for news of its own.
        findings += await self._catching_up.after_downtime(
            since, await moved_since(self.journal, since)
        )
        self._watch()
        # The end may have come between an exit's change and its tracker's.
        self._reacting.mirror(self.execution.intents)
        # What a death left standing belongs to whoever tells of its end.
        self._probing.load()
        self._account.load()
        self.market.resume(self.state.conditions)
        self.trackers.end_earlier(self.state.conditions)
        self.is_ready = True
        # From here on a death is told and judged, however soon it comes.
        await self._now_or_later(self.beat)
        findings = self._start_log.completed(
            findings, self.trackers.acting(), self.state.instruments
        )
        self._start_log = None
        told = self._card(findings) if stored.last_alive_at else tuple(findings)
        blind_s = math.ceil((now - since).total_seconds())
        await self._now_or_later(partial(self.record, RecoveryReported(blind_s, told, now)))
        await self._now_or_later(self._housekeeping.open_day)
        # Neither is worth another recovery when the exchange asks for silence now.
        self._follow_ups.add(self._housekeeping.check_permissions)
        self._follow_ups.add(self._housekeeping.reconcile)

    async def _now_or_later(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the last of a start as soon as the disk takes it: what watches must not end for it."""
        try:
            await work()
        except StorageLost:
            self._follow_ups.add(work)

    async def tell_unreached(self, advice: str) -> None:
        """Say once that this start waits for the exchange, and that nothing is watched so long."""
        await self._probing.tell_unreached(await self.records.state(), advice)

    async def _load(self) -> StoredState:
        instruments = await self.gateway.instruments()
        refuse_unknown_currency(self.settings.currency, instruments)
        # What a full disk left in the reserve is part of what is known.
        await self.journal.append()
        before = self.state.trading_mode
        stored = await self.records.state()
        if self.state.trading_mode is not before:
            # A halt that was asked for while this was read is newer than what was read.
            stored = replace(stored, trading_mode=self.state.trading_mode)
        self.state.load(stored, instruments)
        await self._housekeeping.load(self.journal)
        newest = await self.journal.latest(CAUSES_KEPT, (CommandExecuted.__name__,))
        for known in reversed(newest):
            self.state.apply(known.event)
        return stored

    async def _begin(self, stored: StoredState) -> None:
        await self._pin_account(stored)
        accepts = self.settings.accepts_unrestricted_key
        await self._housekeeping.refuse_dangerous_key(accepts_unrestricted=accepts)
        now = self.clock.now()
        decided = await read_back(self.journal, activity.begins(now), activity.KINDS)
        self._reviewing.load(decided, stored.intents)
        if not self._is_started:
            # A start that is tried again after a lost connection is no second one.
            await self._restoring.judge(stored)
            await self._housekeeping.judge_crashes(self.journal)
            await self._note_start(stored, now)
            self._is_started = True

    async def _note_start(self, stored: StoredState, now: datetime) -> None:
        of = self.settings
        started = ProcessStarted(
            of.version, of.mode, stored.last_alive_at, now, of.build, of.configured
        )
        newest = await self.journal.latest(1, (ProcessStarted.__name__,))
        before = newest[0].event if newest else None
        if isinstance(before, ProcessStarted):
            self._program_changes = start_card.program_changes(before, started)
        await self.record(started)

    def _card(self, findings: Sequence[str]) -> tuple[str, ...]:
        held = [position for _, position in sorted(self.state.book.positions.items())]
        sold = start_card.selling(held, self.execution)
        left = start_card.left(held, sold)
        positions = list(views.worth_an_order(left, self.state.instruments, self.prices.price))
        working = len(self.execution.intents)
        at, trackers = self.clock.now(), self.trackers.all()
        resting = self.guarding.all_resting()
        standing = start_card.Standing(
            *(at, positions, trackers, working, self.state.mode, resting, sold),
            views.too_little(self.state.instruments, self.prices.price),
            start_card.waiting(self.execution),
            {each.symbol: bound for each in positions if (bound := self.bound(each.symbol))},
            self.in_doubt(),
            self.guarding.all_left(),
        )
        return start_card.card(findings, standing, self._program_changes)

    async def run_follow_ups(self) -> None:
        """Do what follows from facts, one after the other, until cancelled."""
        await self._follow_ups.run()

    async def run_account_stream(self) -> None:
        """Follow orders and balances until cancelled; every gap is covered by queries."""
        await self._account.run()

    @property
    def account_stream(self) -> str:
        """How the account's stream is: connecting, live or reconnecting."""
        return self._account.state

    async def stop(self, reason: str) -> None:
        """Stop in order: nothing new; what is in flight is answered or stays to be recovered."""
        # At once: what is written before the end may wait for a database that another holds.
        self.execution.send_nothing_new()
        try:
            await self.trackers.stop()
        finally:
            await self.execution.stop()
        if not self._is_started:
            # Nothing that it could say of the end would be true: it never knew what there is.
            return
        now = self.clock.now()
        was_watching, self.is_ready = self.is_ready, False
        # What was at work may have ended while it was awaited.
        stopped = ProcessStopped(f"{reason}; {self._resting()}", now, self._unsold())
        facts = (Heartbeat(now), stopped)
        # An end that only the reserve can take is no crash, either.
        await self.record(*(facts if was_watching else facts[1:]), reserve=True)

    def left_behind(self) -> str:
        """Say for when nobody watches: which sales are done or not, and what the exchange holds."""
        sold = last_words.sold(self.execution.unsaved_ends)
        return "; ".join((*self._unsold(), *sold, self._resting()))

    async def unwatched(self) -> tuple[str, ...]:
        """Say of a start that was refused what nobody watches or sells; raises StorageLost."""
        return last_words.unwatched(await self.records.state())

    def _unsold(self) -> tuple[str, ...]:
        if (stored := self._stored) is not None:
            return last_words.unsold_before(stored, self.state.backstops)
        of = self.execution
        return last_words.unsold(of.intents, self.trackers.acting(), of.attempts)

    def _resting(self) -> str:
        if not self._is_started:
            return "whether backstops rest on the exchange is not known"
        stored = self._stored
        attempts = self.execution.attempts if stored is None else stored.attempts
        return backstops.told(backstops.may_rest(self.state.backstops, attempts))

    async def record(self, *events: Event, reserve: bool = False) -> None:
        """Make facts durable, in the `reserve` if they must not wait, then tell everybody."""
        await self.journal.append(*events, reserve=reserve)
        self._publish(*events)

    @property
    def clock_offset_ms(self) -> int:
        """Exchange time minus ours, as last measured."""
        probed_ms = self._probing.offset_ms
        return self._housekeeping.clock_offset_ms if probed_ms is None else probed_ms

    def unresolved(self) -> int:
        """Return how many orders the exchange has not told the fate of."""
        unknown = AttemptState.UNKNOWN
        return sum(1 for attempt in self.execution.attempts if attempt.state is unknown)

    async def _pin_account(self, stored: StoredState) -> None:
        account = await self.gateway.account_id()
        if stored.installed is not None:
            refuse_other_account(stored.installed, account)
        self._claim_account(account)
        if stored.installed is None:
            await self.record(self._identity.installed(account, self.clock.now()))

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
                await self.alarms.stranded(tracker)

    # ------------------------------------------------------------ reactions

    def _on_observation(self, observation: Observation) -> None:
        if observation.price is not None:
            self.state.book.set_price(observation.symbol, observation.price)
        self.trackers.observe(observation)

    def _on_condition(self, event: ConditionChanged) -> None:
        if event.symbol is not None and event.is_active and event.condition in _BLINDING:
            self.trackers.blind(event.symbol)
        self._follow_ups.add(partial(self.record, event))

    async def _fire(self, tracker: Tracker, evidence: Evidence) -> None:
        await self._firing.fire(tracker, evidence)

    async def _sweep_market(self) -> None:
        await self.market.sweep()
        # One event may tell of several symbols or be older than this process, and others follow
        # without one.
        for symbol in filter(self.market.is_told_stale, self.trackers.symbols()):
            self.trackers.blind(symbol)

    async def _sweep_trackers(self) -> None:
        await self.trackers.sweep()
        if self.is_ready:
            self._catching_up.go_on()
            await self._firing.retry()
            await self.guarding.sync()

    def _may_enter(self, symbol: str) -> bool:
        is_open = self.is_ready and self.state.mode.takes_entries
        return is_open and not (self._reviewing.waits_for() or self.market.is_degraded(symbol))

    def _on_gap(self, missed: frozenset[str], since: datetime) -> None:
        self._catching_up.on_gap(missed, since)

    def _is_needed(self, symbol: str) -> bool:
        # What somebody only looked at, or holds without a stop, waits for no price.
        return symbol in self.trackers.symbols() or self.execution.exiting(symbol) > 0

    def _is_of_worth(self, symbol: str) -> bool:
        return self._housekeeping.is_of_worth(symbol)

    def is_green(self, condition: str) -> bool:
        """Whether a condition of the exchange stands only until it has been green for a while."""
        return self._probing.is_green(condition)

    def _is_near(self, symbol: str) -> bool:
        return self.trackers.is_near(symbol)

    def _publish(self, *events: Event) -> None:
        for event in events:
            self.state.apply(event)
            self._reviewing.apply(event)
            self._housekeeping.apply(event)
            if self._start_log is not None:
                self._start_log.apply(event)
        self.trackers.applied(*events)
        self._bus.publish(*events)
        for event in events:
            self._reacting.react(event)
        self._watch()

    def _watch(self) -> None:
        wanted = self._housekeeping.concerned() | self.prices.asked()
        self.market.watch(wanted & self.state.instruments.keys())

    def _holdings(self, symbol: str) -> Holdings:
        return self._of.coins(symbol).shared

    # ------------------------------------------------------------ recurring work

    def jobs(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the agent's part of the table of recurring jobs."""
        return {
            "tracker_sweep": self._sweep_trackers,
            "staleness_watch": self._sweep_market,
            "open_attempts": self.execution.check_open_attempts,
            "exchange_probe": self._probe,
            "balances": self._housekeeping.refresh_balances,
            "full_reconcile": self._housekeeping.reconcile,
            "key_permissions": self._housekeeping.check_permissions,
            "daily_risk_reset": self._housekeeping.open_day,
            "atr_distances": self._housekeeping.tighten,
        }

    async def _probe(self) -> None:
        self._account.judge()
        if look := self._housekeeping.lost.look_again():
            self._follow_ups.add(look)
        self._follow_ups.add(self._locking.judge)
        await self._probing.probe()

    def _coins_missing(self, asset: str) -> None:
        if self._housekeeping.lost.missing.notice(asset):
            self._follow_ups.add(self._housekeeping.lost.look_for_missing)

    def _bought_too_much(self, excess: Excess) -> None:
        self._flattening.owe(excess)
        self._follow_ups.add(partial(self._flattening.sell, excess))
        # Where it is too little to sell, it is for a stop after all.
        self._follow_ups.add(partial(self._reacting.resize, excess.bought.symbol))

    def _order_unknown(self, report: OrderReport) -> bool:
        return self._restoring.on_stranger(report)

    def _key_refused(self) -> None:
        self._probing.key_was_refused()

    async def beat(self) -> None:
        """Leave a durable sign of life, twice a minute."""
        now_s = self.clock.monotonic()
        if now_s - self._heartbeat_s >= _HEARTBEAT_S:
            self._heartbeat_s = now_s
            await self.record(Heartbeat(self.clock.now()))

    def task_died(self, name: str, error: BaseException) -> None:
        """Tell that a task of the process died and runs again, at most once an hour per task."""
        self._follow_ups.add(partial(self.alarms.task_died, name, type(error).__name__))

    def advice_died(self, name: str, error: BaseException) -> None:
        """Tell the same, more quietly, of a task that no stop and no order needs."""
        why = str(error) if isinstance(error, UmbraError) else type(error).__name__
        self._follow_ups.add(partial(self.alarms.advice_died, name, why))
