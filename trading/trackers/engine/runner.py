"""Prices to triggers to durable facts: the engine that a running agent keeps."""

import asyncio
import heapq
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from trading.domain.chat import Severity
from trading.domain.errors import AlreadyRecorded, Refused, Retryable, StorageLost
from trading.domain.events import AlertRaised, ConditionChanged, TrackerChanged
from trading.domain.market import Candle, Observation
from trading.domain.order import Fill, Intent, Side
from trading.domain.time import Timeframe, to_ms
from trading.domain.tracker import Tracker, TrackerChange, TrackerState
from trading.ports import Clock, Journal
from trading.trackers import outcome, protection, reminders, rules, slices
from trading.trackers.engine.hooks import Hooks, TrackerSettings
from trading.trackers.missed import Missed
from trading.trackers.rules import Moment
from trading.trackers.slices import Slice
from trading.trackers.watch import Change, Fired, Watch, World

logger = logging.getLogger(__name__)

UNRECORDED = "trigger_unrecorded"
UNSAVED = "trackers_unsaved"


class TrackerEngine:
    """Owns the live trackers: prices in, durable triggers out.

    `observe` and `sweep` are plain calls; `run` owns every write that they cause. A trigger stands
    in memory from the price on and is recorded until that has succeeded, whatever fails between.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        hooks: Hooks,
        settings: TrackerSettings | None = None,
    ) -> None:
        self.settings = settings or TrackerSettings()
        self.watch = Watch(
            World(hooks.instrument, hooks.may_enter, hooks.is_stale, self.moment),
            self.settings.record_epsilon,
        )
        self._journal = journal
        self._clock = clock
        self._hooks = hooks
        self._fires: list[tuple[Decimal, int, Fired]] = []
        self._in_flight = 0
        self._changes: list[Change] = []
        self._alerts: list[AlertRaised] = []
        self._alerted: set[str] = set()
        self._active: set[tuple[str, str | None]] = set()
        self._are_records_due = False
        self._sweeps = 0
        self._wake = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None

    # ------------------------------------------------------------ prices and time

    def load(self, trackers: Iterable[Tracker]) -> None:
        """Take the durable live trackers of a start; what has fired is its intent's business."""
        for tracker in trackers:
            self.watch.put(tracker)

    def observe(self, observation: Observation) -> None:
        """Evaluate one price that passed the gate; triggers are marked before this returns."""
        if self.watch.observe(observation):
            self.collect()

    def sweep(self) -> None:
        """Let a second pass: lines, confirmations, records to be saved, reminders."""
        self.watch.sweep()
        self._are_records_due = True
        if self._sweeps % self.settings.reminders_every_sweeps == 0:
            self._remind()
        self._sweeps += 1
        self.collect()

    def blind(self, symbol: str) -> None:
        """Prices of a symbol are being missed: a buy may not act on what it sees first again."""
        self.watch.blind(symbol)

    def recall(
        self, symbol: str, candles: Sequence[Candle], price: Decimal, event_time_ms: int
    ) -> list[Missed]:
        """Judge missed time from candles that cover it and the present price; fires what is due."""
        judged = self.watch.recall(symbol, candles, price, event_time_ms)
        self.collect()
        return judged

    def tighten(self, symbol: str, timeframe: Timeframe, atr_share: Decimal) -> None:
        """Give ATR trackers a new ATR(14) as a share of the price; only a smaller one acts."""
        self.watch.tighten(symbol, timeframe, atr_share)
        self.collect()

    async def run(self) -> None:
        """Write what prices and time cause, until cancelled; may be run again after a failure."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                self._dispatch()
                while True:
                    await self._wake.wait()
                    self._wake.clear()
                    await self.flush()
            finally:
                self._group = None

    async def flush(self) -> None:
        """Write touches, re-armings and records in one append; on failure wait and keep them."""
        events = self._pending()
        befores = [self.watch.durable(event.tracker.tracker_id) for event in events]
        try:
            if events:
                await self._journal.append(*events)
        except (Retryable, StorageLost) as error:
            logger.warning("trackers_unsaved", extra={"error": str(error)})
            self._condition(UNSAVED, None, True, f"tracker records cannot be saved: {error}")
            restored = [Change(e.tracker, e.change, e.reason) for e in events if _is_kept(e)]
            self._changes = restored + self._changes
            await asyncio.sleep(self.settings.retry_s_first)
            self._are_records_due = True
            self._wake.set()
            return
        if events:
            self._condition(UNSAVED, None, False, "tracker records are saved again")
        for event, before in zip(events, befores, strict=True):
            self.watch.saved(event.tracker, before)
            self._hooks.publish(event)
        await self._flush_alerts()

    # ------------------------------------------------------------ what others journal

    def outcome(self, intent: Intent, fills: Sequence[Fill]) -> list[TrackerChanged]:
        """Return the facts to journal in the transaction that closes an intent of a tracker."""
        tracker = self.watch.find(intent.tracker_id) if intent.tracker_id is not None else None
        if tracker is None or not tracker.state.is_acting:
            return []
        instrument = self._hooks.instrument(tracker.symbol)
        next_slice = self._next_slice(tracker, intent)
        now = self._clock.now()
        return [outcome.after(tracker, intent, fills, instrument, next_slice, now)]

    def applied(self, *events: TrackerChanged) -> None:
        """Take tracker values that somebody else made durable; ended ones leave memory."""
        for event in events:
            known = self.watch.find(event.tracker.tracker_id)
            if known is not None and known.arm_seq > event.tracker.arm_seq:
                continue
            self.watch.put(event.tracker)
        self.collect()

    def exiting(self, tracker_id: int, intent_id: str) -> TrackerChanged | None:
        """Return the fact that an exit is under way, to be journaled by its owner."""
        return self._acted(tracker_id, TrackerState.EXITING, TrackerChange.EXITING, "", intent_id)

    def blocked(self, tracker_id: int, reason: str) -> TrackerChanged | None:
        """Return the fact that an exit cannot be done now, to be journaled by its owner."""
        return self._acted(tracker_id, TrackerState.BLOCKED, TrackerChange.BLOCKED, reason)

    # ------------------------------------------------------------ questions

    def trackers(self) -> list[Tracker]:
        """All live trackers with durable values, by id."""
        return sorted(self.watch.trackers(), key=lambda tracker: tracker.tracker_id)

    def tracker(self, tracker_id: int) -> Tracker | None:
        """One live tracker as memory has it."""
        return self.watch.find(tracker_id)

    def coverage(
        self, symbol: str, managed: Decimal, backstops: Sequence[int] = ()
    ) -> protection.Coverage:
        """Return how much of a managed quantity is protected now."""
        return protection.coverage(
            symbol,
            managed,
            self.watch.trackers(),
            self._hooks.price(symbol),
            to_ms(self._clock.now()),
            backstops,
        )

    def unrecorded(self) -> int:
        """Return how many triggers are not durable yet."""
        return len(self._fires) + self._in_flight

    def moment(self) -> Moment:
        """Return the present moment."""
        at = self._clock.now()
        return Moment(at, to_ms(at), self._clock.monotonic())

    def collect(self) -> None:
        """Take what the watch found: triggers go out at once, changes with the next write."""
        watch = self.watch
        if watch.fired:
            fired_ids = {fired.tracker.tracker_id for fired in watch.fired}
            # The trigger carries the touch and the record; writing them later would undo it.
            kept = (*self._changes, *watch.changes)
            self._changes = [c for c in kept if c.tracker.tracker_id not in fired_ids]
            for fired in watch.fired:
                heapq.heappush(self._fires, (-fired.value, fired.tracker.tracker_id, fired))
            watch.fired.clear()
            self._dispatch()
        else:
            self._changes += watch.changes
        watch.changes.clear()
        self._wake.set()

    # ------------------------------------------------------------ triggers

    def _dispatch(self) -> None:
        while (
            self._group is not None
            and self._fires
            and self._in_flight < self.settings.fires_at_once_max
        ):
            fired = heapq.heappop(self._fires)[2]
            self._in_flight += 1
            self._group.create_task(self._record(fired))

    async def _record(self, fired: Fired) -> None:
        is_done = False
        try:
            await self._record_until_durable(fired)
            is_done = True
        finally:
            self._in_flight -= 1
            if not is_done:
                # The next run goes on with it: a trigger is never forgotten.
                heapq.heappush(self._fires, (-fired.value, fired.tracker.tracker_id, fired))
        self._dispatch()

    async def _record_until_durable(self, fired: Fired) -> None:
        tracker = fired.tracker
        delay_s = self.settings.retry_s_first
        while True:
            try:
                await self._hooks.fire(tracker, fired.evidence)
            except AlreadyRecorded:
                break
            except Refused as refused:
                self._refused(fired, str(refused))
                break
            except (Retryable, StorageLost) as error:
                text = f"#{tracker.tracker_id} has triggered and cannot be recorded: {error}"
                self._condition(UNRECORDED, tracker.symbol, True, text)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, self.settings.retry_s_max)
            else:
                break
        text = f"#{tracker.tracker_id}: the trigger is recorded"
        self._condition(UNRECORDED, tracker.symbol, False, text)

    def _refused(self, fired: Fired, reason: str) -> None:
        tracker, now = fired.tracker, self._clock.now()
        if tracker.side is Side.BUY:
            waiting = replace(tracker, state=TrackerState.TRAILING, fired_rule="")
            instrument = self._hooks.instrument(tracker.symbol)
            fresh = rules.rebuild_entry(waiting, fired.evidence.price, self.moment(), instrument)
            self.watch.unfire(fresh)
            self._changes.append(Change(fresh, TrackerChange.REBUILT, reason))
        else:
            blocked = replace(tracker, state=TrackerState.BLOCKED, reason=reason, changed_at=now)
            self.watch.put(blocked)
            self._changes.append(Change(blocked, TrackerChange.BLOCKED, reason))
        self._wake.set()

    # ------------------------------------------------------------ writes

    def _pending(self) -> list[TrackerChanged]:
        changes, self._changes = self._changes, []
        moved = self.watch.moved(is_turn=self._are_records_due)
        self._are_records_due = False
        now = self._clock.now()
        events = []
        told = set()
        for change in changes:
            tracker = self.watch.find(change.tracker.tracker_id)
            # Ended or fired since: its later fact is durable already, or comes with the trigger.
            if tracker is None or tracker.arm_seq != change.tracker.arm_seq:
                continue
            if tracker.state is not change.tracker.state:
                continue
            told.add(tracker.tracker_id)
            events.append(TrackerChanged(tracker, change.change, now, reason=change.reason))
        events += [
            TrackerChanged(tracker, TrackerChange.MOVED, now)
            for tracker in moved
            if tracker.tracker_id not in told
        ]
        return events

    async def _flush_alerts(self) -> None:
        alerts, self._alerts = self._alerts, []
        for alert in alerts:
            try:
                await self._journal.append(alert)
            except AlreadyRecorded:
                continue
            except (Retryable, StorageLost):
                self._alerted.discard(alert.alert_id)
                continue
            self._hooks.publish(alert)

    def _remind(self) -> None:
        for alert in reminders.due(self.watch.trackers(), self._clock.now()):
            if alert.alert_id not in self._alerted:
                self._alerted.add(alert.alert_id)
                self._alerts.append(alert)

    def _acted(
        self,
        tracker_id: int,
        state: TrackerState,
        change: TrackerChange,
        reason: str,
        intent_id: str | None = None,
    ) -> TrackerChanged | None:
        tracker = self.watch.find(tracker_id)
        if tracker is None or not tracker.state.is_acting:
            return None
        now = self._clock.now()
        acted = replace(
            tracker,
            state=state,
            reason=reason,
            intent_id=intent_id or tracker.intent_id,
            changed_at=now,
        )
        return TrackerChanged(acted, change, now, reason=reason)

    def _next_slice(self, tracker: Tracker, intent: Intent) -> Slice:
        instrument = self._hooks.instrument(tracker.symbol)
        others = [
            t
            for t in self.rivals(tracker.symbol, tracker.side)
            if t.tracker_id != tracker.tracker_id
        ]
        holdings = replace(self._hooks.holdings(tracker.symbol), unmanaged=Decimal(0))
        try:
            return slices.allocate(
                tracker.spec.amount,
                tracker.side,
                holdings,
                others,
                instrument,
                intent.reference_price,
            )
        except Refused:
            return Slice()

    def rivals(self, symbol: str, side: Side) -> list[Tracker]:
        """Return the live trackers that own coins of a symbol, or money of its quote."""
        if side is Side.SELL:
            return [t for t in self.watch.trackers() if t.symbol == symbol]
        quote = self._hooks.instrument(symbol).quote
        return [
            tracker
            for tracker in self.watch.trackers()
            if tracker.side is Side.BUY and self._hooks.instrument(tracker.symbol).quote == quote
        ]

    def _condition(self, name: str, symbol: str | None, is_active: bool, text: str) -> None:
        key = (name, symbol)
        if is_active == (key in self._active):
            return
        if is_active:
            self._active.add(key)
        else:
            self._active.discard(key)
        severity = Severity.CRIT if is_active else Severity.INFO
        now = self._clock.now()
        self._hooks.on_condition(ConditionChanged(name, symbol, is_active, severity, text, now))


def _is_kept(event: TrackerChanged) -> bool:
    return event.change is not TrackerChange.MOVED or bool(event.reason)
