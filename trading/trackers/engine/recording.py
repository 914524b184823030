"""From memory to the journal: triggers until they are recorded, records and touches in batches."""

import asyncio
import contextlib
import heapq
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial

from trading.domain.chat import Severity
from trading.domain.errors import AlreadyRecorded, Refused, Retryable, StorageLost
from trading.domain.events import AlertRaised, ConditionChanged, Event, TrackerChanged
from trading.domain.instrument import base_and_quote
from trading.domain.order import Side
from trading.domain.tracker import Evidence, Tracker, TrackerChange, TrackerState
from trading.ports.clock import Clock
from trading.ports.storage import Journal
from trading.right_of_way import Claim, RightOfWay
from trading.trackers import rules
from trading.trackers.rules import Moment
from trading.trackers.watch import Change, Fired, Watch

logger = logging.getLogger(__name__)

UNRECORDED = "trigger_unrecorded"
UNSAVED = "trackers_unsaved"
# An order leaves within milliseconds of its trigger's transaction.
_ORDER_LEAVES_S = 0.02
# So long at most what is not urgent stands back, however many triggers there are.
_STANDS_BACK_S = 0.5
# Of older alerts the journal knows that they are told.
_ALERTED_KEPT = 1000


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """Limits of the engine; `record_epsilon` is the share of a record that a crash may cost."""

    record_epsilon: Decimal = Decimal("0.0005")
    fires_at_once_max: int = 50
    retry_s_first: float = 0.1
    retry_s_max: float = 5.0
    reminders_every_sweeps: int = 60


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where facts go: a trigger to whoever opens its intent, durable events to everybody."""

    fire: Callable[[Tracker, Evidence], Awaitable[None]]
    publish: Callable[..., None]
    on_condition: Callable[[ConditionChanged], None]
    way: RightOfWay
    worth: Callable[[str, Decimal], Decimal | None]


class Recorder:
    """Writes what the watch found. `run` owns the writing; `collect` is a plain call."""

    def __init__(
        self,
        watch: Watch,
        journal: Journal,
        clock: Clock,
        outlets: Outlets,
        settings: TrackerSettings,
    ) -> None:
        self._watch = watch
        self._journal = journal
        self._clock = clock
        self._outlets = outlets
        self._settings = settings
        self._fires: list[tuple[Decimal, int, Fired]] = []
        self._in_flight = 0
        self._changes: list[Change] = []
        self._alerts: list[AlertRaised] = []
        self._alerted: OrderedDict[str, None] = OrderedDict()
        self._active: set[tuple[str, str]] = set()
        self._are_records_due = False
        self._is_ending = False
        self._is_calm = asyncio.Event()
        self._is_calm.set()
        self._telling: tuple[Event, ...] = ()
        self._wake = asyncio.Event()
        # Held from reading values to their being durable: a record that is written after the end
        # of its tracker, or after another size of it, would undo that for the next start.
        self.writing = asyncio.Lock()
        self._group: asyncio.TaskGroup | None = None

    def is_own(self, event: Event) -> bool:
        """Whether this recorder wrote a fact that it is telling right now: it knows it already."""
        return any(event is own for own in self._telling)

    @property
    def unrecorded(self) -> int:
        """How many triggers are not durable yet."""
        return len(self._fires) + self._in_flight

    def collect(self) -> None:
        """Take what the watch found: triggers go out at once, changes with the next write."""
        watch = self._watch
        found = [*self._changes, *watch.changes]
        watch.changes.clear()
        fired_ids = {fired.tracker.tracker_id for fired in watch.fired}
        # A trigger carries its touch and its record; written after it, they would undo it.
        self._changes = [c for c in found if c.tracker.tracker_id not in fired_ids]
        for fired in watch.fired:
            self._queue(fired)
        watch.fired.clear()
        self._dispatch()
        self._wake.set()

    def rewrite(self, change: Change) -> None:
        """Write a tracker's present value although no price changed it."""
        self._changes.append(change)
        self._wake.set()

    def records_are_due(self) -> None:
        """Let the next write look at records that moved by less than epsilon, too."""
        self._are_records_due = True

    def raise_alert(self, alert: AlertRaised) -> None:
        """Journal an alert once, however often it is raised."""
        if alert.alert_id not in self._alerted:
            self._alerted[alert.alert_id] = None
            self._alerts.append(alert)
            if len(self._alerted) > _ALERTED_KEPT:
                self._alerted.popitem(last=False)

    async def run(self) -> None:
        """Write until cancelled; after a failure it may be run again and goes on where it was."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                self._dispatch()
                while True:
                    await self._wake.wait()
                    self._wake.clear()
                    self._dispatch()
                    await self.flush()
            finally:
                self._group = None

    async def flush(self, *, is_last: bool = False) -> None:
        """Write touches and re-armings, then records, a few at a time; failures are kept.

        The last one of a process stands back for nobody: no more triggers become orders.
        """
        is_turn, self._are_records_due = self._are_records_due, False
        self._is_ending |= is_last
        await self._stand_back()
        async with self.writing:
            if not await self._write(self._changed()):
                return
        parts = self._watch.moved(is_turn=is_turn)
        while True:
            # A part is read after the waiting: what fired meanwhile is in none.
            await self._stand_back()
            async with self.writing:
                part = next(parts, None)
                if part is None:
                    break
                now = self._clock.now()
                moved = [TrackerChanged(t, TrackerChange.MOVED, now) for t in part]
                if not await self._write(moved):
                    return
            if not part:
                # Reading is work, too: what waits on the loop has its turn.
                await asyncio.sleep(0)
        # Nothing is left that could not be saved: it was, or its tracker has ended.
        self._condition(UNSAVED, "", False, "the trackers' records are saved again")
        await self._flush_alerts()

    async def _stand_back(self) -> None:
        """Leave disk and processor to triggers on their way to an order, for a while."""
        if not self._is_calm.is_set() and not self._is_ending:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STANDS_BACK_S):
                    await self._is_calm.wait()

    def _calm_down(self) -> None:
        if not self.unrecorded:
            self._is_calm.set()

    async def _write(self, events: list[TrackerChanged]) -> bool:
        if not events:
            return True
        befores = [self._watch.live.durable.get(event.tracker.tracker_id) for event in events]
        try:
            await self._journal.append(*events)
        except (Retryable, StorageLost) as error:
            await self._keep(events, error)
            return False
        self._watch.saved(zip((event.tracker for event in events), befores, strict=True))
        self.publish(*events)
        return True

    def publish(self, *events: Event, causes: Sequence[Event] = ()) -> None:
        """Tell everybody of durable facts that this engine wrote, after their causes."""
        self._telling = own = events
        try:
            if events:
                self._outlets.publish(*causes, *own)
        finally:
            self._telling = ()

    # ------------------------------------------------------------ triggers

    def _queue(self, fired: Fired) -> None:
        worth = self._outlets.worth(base_and_quote(fired.tracker.symbol)[1], fired.value)
        value = fired.value if worth is None else worth
        heapq.heappush(self._fires, (-value, fired.tracker.tracker_id, fired))

    def _dispatch(self) -> None:
        while (
            self._group is not None
            and self._fires
            and self._in_flight < self._settings.fires_at_once_max
        ):
            fired = heapq.heappop(self._fires)[2]
            self._in_flight += 1
            self._is_calm.clear()
            claim = self._outlets.way.claim()
            task = self._group.create_task(self._record(fired, claim))
            # Not a `finally`: a task that is cancelled before its first step never enters it.
            task.add_done_callback(partial(self._recorded, fired, claim))

    def _recorded(self, fired: Fired, claim: Claim, task: asyncio.Task[None]) -> None:
        claim.release()
        self._in_flight -= 1
        asyncio.get_running_loop().call_later(_ORDER_LEAVES_S, self._calm_down)
        if not task.cancelled() and task.exception() is None:
            self._dispatch()
            return
        # A trigger is never forgotten: this run goes on with it, or the next one.
        self._queue(fired)
        self._wake.set()

    async def _record(self, fired: Fired, claim: Claim) -> None:
        tracker = fired.tracker
        delay_s = self._settings.retry_s_first
        while self._is_standing(tracker):
            try:
                await self._outlets.fire(tracker, fired.evidence)
            except AlreadyRecorded:
                break
            except Refused as refused:
                self._refused(fired, str(refused))
                break
            except (Retryable, StorageLost) as error:
                text = f"#{tracker.tracker_id} has triggered and cannot be recorded: {error}"
                self._condition(UNRECORDED, tracker.symbol, True, text)
                claim.release()
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, self._settings.retry_s_max)
            else:
                break
        text = f"#{tracker.tracker_id}: its trigger is recorded"
        self._condition(UNRECORDED, tracker.symbol, False, text)

    def _is_standing(self, tracker: Tracker) -> bool:
        # Panic or an abort may have ended it while its trigger waited for the journal.
        known = self._watch.live.find(tracker.tracker_id)
        return known is not None and known.state.is_acting and known.arm_seq == tracker.arm_seq

    def _refused(self, fired: Fired, reason: str) -> None:
        tracker = fired.tracker
        if tracker.side is Side.BUY:
            self._changes.append(Change(self._watch.unfire(fired), TrackerChange.REBUILT, reason))
        else:
            blocked = replace(
                tracker,
                state=TrackerState.BLOCKED,
                reason=reason,
                changed_at=self._clock.now(),
            )
            self._watch.put(blocked)
            self._changes.append(Change(blocked, TrackerChange.BLOCKED, reason))
        self._wake.set()

    # ------------------------------------------------------------ writes

    def _changed(self) -> list[TrackerChanged]:
        changes, self._changes = self._changes, []
        now = self._clock.now()
        events = []
        for change in changes:
            tracker = self._watch.live.find(change.tracker.tracker_id)
            if tracker is None or not _is_same_arming(tracker, change.tracker):
                # Ended, fired or edited since: that fact is durable already, or about to be.
                continue
            why = (change.evidence, change.reason)
            events.append(TrackerChanged(tracker, change.change, now, *why))
        return events

    async def _keep(self, events: list[TrackerChanged], error: Exception) -> None:
        if (UNSAVED, "") not in self._active:
            logger.warning("trackers_unsaved", extra={"error": str(error)})
        self._condition(UNSAVED, "", True, f"the trackers' records cannot be saved: {error}")
        kept = [
            Change(event.tracker, event.change, event.reason, event.evidence)
            for event in events
            if event.change is not TrackerChange.MOVED or event.reason
        ]
        self._changes = kept + self._changes
        self._are_records_due = True
        await asyncio.sleep(self._settings.retry_s_first)
        self._wake.set()

    def end_earlier(self, conditions: Iterable[ConditionChanged]) -> None:
        """Tell that what a process before this one could not write is over: this one can."""
        for told in conditions:
            if told.condition in {UNRECORDED, UNSAVED}:
                self._active.add((told.condition, told.symbol or ""))
                text = "the trackers' records are written again"
                self._condition(told.condition, told.symbol or "", False, text)

    async def _flush_alerts(self) -> None:
        alerts, self._alerts = self._alerts, []
        for alert in alerts:
            try:
                await self._journal.append(alert)
            except AlreadyRecorded:
                continue
            except (Retryable, StorageLost):
                # The next round of reminders raises it again.
                self._alerted.pop(alert.alert_id, None)
                continue
            self.publish(alert)

    def _condition(self, name: str, symbol: str, is_active: bool, text: str) -> None:
        if is_active == ((name, symbol) in self._active):
            return
        self._active ^= {(name, symbol)}
        severity = Severity.CRIT if is_active else Severity.INFO
        now = self._clock.now()
        self._outlets.on_condition(
            ConditionChanged(name, symbol or None, is_active, severity, text, now)
        )


def moment_of(clock: Clock) -> Moment:
    """Return the present moment; lines are read at wall time unless a price brings its own."""
    return rules.moment(clock.now(), clock.monotonic())


def _is_same_arming(now: Tracker, then: Tracker) -> bool:
    return now.arm_seq == then.arm_seq and now.state is then.state and now.side is then.side
