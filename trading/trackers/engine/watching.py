"""The engine that an agent keeps: prices in, durable triggers out, people's changes in between."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from decimal import Decimal

from trading.domain.errors import Refused, Retryable
from trading.domain.events import ConditionChanged, Event, TrackerChanged
from trading.domain.instrument import Instrument
from trading.domain.market import Observation
from trading.domain.money import ZERO
from trading.domain.order import BACKSTOP_SOLD, Fill, Intent, Purpose, Side
from trading.domain.time import Timeframe
from trading.domain.tracker import Evidence, ThenKind, Tracker, TrackerChange, TrackerState
from trading.market.gap import Gap
from trading.ports.clock import Clock
from trading.ports.storage import Journal
from trading.right_of_way import RightOfWay
from trading.trackers import outcome, reminders, slices
from trading.trackers.confirming import Progress
from trading.trackers.engine.changing import Changing
from trading.trackers.engine.recording import Outlets, Recorder, TrackerSettings, moment_of
from trading.trackers.missed import Missed
from trading.trackers.slices import Holdings, Slice
from trading.trackers.watch import SYNC_PARTS, Change, Watch, World

logger = logging.getLogger(__name__)

ReadGap = Callable[[str], Awaitable[Gap]]


def _log_condition(event: ConditionChanged) -> None:
    logger.error("condition_changed", extra={"condition": event.condition, "text": event.text})


def _no_holdings(_: str) -> Holdings:
    return Holdings()


@dataclass(frozen=True, slots=True)
class Hooks:
    """Calls into the conductor; all but `fire` are plain calls, answered from memory.

    `holdings` tells what a cooldown may own next; without it such a tracker ends after its fill.
    Each trigger claims the `way` until its order is on the wire. `worth` says what units of an
    asset are worth in the account's currency, None where no market tells: what is worth most fires
    first.
    """

    instruments: Mapping[str, Instrument]
    fire: Callable[[Tracker, Evidence], Awaitable[None]]
    may_enter: Callable[[str], bool]
    is_stale: Callable[[str], bool]
    publish: Callable[..., None]
    on_condition: Callable[[ConditionChanged], None] = _log_condition
    holdings: Callable[[str], Holdings] = _no_holdings
    way: RightOfWay = field(default_factory=RightOfWay)
    worth: Callable[[str, Decimal], Decimal | None] = lambda _, amount: amount


class TrackerEngine:
    """Owns the live trackers.

    `observe` is a plain call: a trigger stands in memory when it returns, and `run` records it
    through `fire` until that has succeeded. `fire` makes TrackerChanged(TRIGGERED), the intent and
    its first attempt durable in one transaction and returns; it may raise Refused (a buy waits
    again, a sale is BLOCKED), AlreadyRecorded (the trigger is known), StorageLost (asked again with
    back-off, while the condition `trigger_unrecorded` is active). Changes by people are written
    first, one at a time; a tracker whose change is being written neither touches nor fires, and
    reacts to what it missed right after, so that a trigger and a cancel never both win.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        hooks: Hooks,
        settings: TrackerSettings | None = None,
    ) -> None:
        self._settings = settings or TrackerSettings()
        self._clock = clock
        self._instruments = hooks.instruments
        self._holdings = hooks.holdings
        world = World(
            instrument=lambda symbol: hooks.instruments[symbol],
            may_enter=hooks.may_enter,
            is_stale=hooks.is_stale,
            moment=lambda: moment_of(clock),
        )
        self._watch = Watch(world, self._settings.record_epsilon)
        self._live = self._watch.live
        outlets = Outlets(hooks.fire, hooks.publish, hooks.on_condition, hooks.way, hooks.worth)
        self._recorder = Recorder(self._watch, journal, clock, outlets, self._settings)
        self._changing = Changing(self._watch, self._recorder, journal, clock)
        self._sweeps = 0

    # ------------------------------------------------------------ prices and time

    def load(self, trackers: Iterable[Tracker]) -> None:
        """Take durable live trackers; what has fired already is the business of its intent.

        One whose instrument the exchange no longer knows is BLOCKED: nothing is done in another
        unit.
        """
        for tracker in trackers:
            if tracker.symbol in self._instruments or not tracker.state.is_waiting:
                self._watch.put(tracker)
                continue
            reason = f"the exchange no longer knows {tracker.symbol}"
            now = self._clock.now()
            blocked = replace(tracker, state=TrackerState.BLOCKED, reason=reason, changed_at=now)
            self._watch.put(blocked)
            self._recorder.rewrite(Change(blocked, TrackerChange.BLOCKED, reason))

    async def recover(self, trackers: Iterable[Tracker], read_gap: ReadGap) -> list[str]:
        """Take the trackers of a start and judge the time without eyes; lines for its card.

        A trigger that nobody recorded before the end is seen again by the price that stands.
        Raises Retryable as `catch_up` does.
        """
        self.load(trackers)
        return [
            line
            for symbol in sorted(self._live.symbols())
            for line in await self.catch_up(symbol, read_gap)
        ]

    async def catch_up(
        self, symbol: str, read_gap: ReadGap, levels_since_ms: Mapping[int, int] | None = None
    ) -> list[str]:
        """Judge missed time of one symbol: rebuild records, fire what is due now, tell the rest.

        `levels_since_ms` says when the levels of trackers, by their number, changed last.

        Raises Retryable when it cannot be read now, but may be later.
        """
        if symbol not in self._instruments:
            # Nobody has its prices any more: its trackers are BLOCKED, and the others go on.
            return []
        try:
            gap = await read_gap(symbol)
        except Retryable:
            self._watch.blind(symbol)
            raise
        judged: Sequence[Missed] = ()
        for part in self._watch.recall(
            symbol, gap.candles, gap.price, gap.event_time_ms, levels_since_ms
        ):
            judged = part
            if not part:
                await asyncio.sleep(0)
        self._recorder.collect()
        return [
            f"#{result.tracker.tracker_id} {symbol}: {result.text}"
            for result in judged
            if result.text
        ]

    def observe(self, observation: Observation) -> None:
        """Evaluate one price that passed the gate."""
        if self._watch.observe(observation):
            self._recorder.collect()

    async def sweep(self) -> None:
        """Let a second pass: lines, confirmations, records to be saved, reminders."""
        self._watch.sweep()
        self._recorder.records_are_due()
        part = self._live.part(self._sweeps, self._settings.reminders_every_sweeps)
        for alert in reminders.due(part, self._clock.now(), self._instruments):
            self._recorder.raise_alert(alert)
        self._sweeps += 1
        self._recorder.collect()

    def end_earlier(self, conditions: Iterable[ConditionChanged]) -> None:
        """Tell that what a process before this one could not write is over: this one can."""
        self._recorder.end_earlier(conditions)

    def blind(self, symbol: str) -> None:
        """Prices of a symbol are being missed: a buy may not act on what it sees first again."""
        self._watch.blind(symbol)

    def tighten(self, symbol: str, timeframe: Timeframe, atr_share: Decimal) -> None:
        """Give ATR trackers a new ATR(14) as a share of the price; only a smaller one acts."""
        self._watch.tighten(symbol, timeframe, atr_share)
        self._recorder.collect()

    async def run(self) -> None:
        """Record triggers and save trackers until cancelled; may be run again after a failure."""
        await self._recorder.run()

    async def flush(self) -> None:
        """Save what moved now, instead of with the next turn of `run`."""
        await self._recorder.flush()

    async def stop(self) -> None:
        """Save every record once more; triggers that stand stay in memory for `run`."""
        for _ in range(SYNC_PARTS):
            self._recorder.records_are_due()
            await self._recorder.flush(is_last=True)

    # ------------------------------------------------------------ what others journal

    def outcome(
        self, intent: Intent, fills: Sequence[Fill], unowned: Decimal
    ) -> list[TrackerChanged]:
        """Return the facts to journal in the transaction that closes an intent of a tracker.

        Of `unowned` base units a swing owns what it has bought: all, unless some were sold since.
        """
        number = intent.tracker_id
        tracker = None if number is None else self._live.find(number)
        if tracker is not None and intent.purpose is Purpose.BACKSTOP:
            rules = self._instruments.get(tracker.symbol)
            written = self._live.written(tracker.tracker_id)
            return outcome.after_backstop(tracker, intent, rules, self._clock.now(), written)
        if tracker is None or not tracker.state.is_acting or tracker.arm_seq != intent.arm_seq:
            return []
        instrument = self._instruments.get(tracker.symbol)
        slice_ = Slice(unowned)
        if tracker.spec.then.kind is not ThenKind.SWING:
            rules = instrument
            slice_ = Slice() if rules is None else self._next_slice(tracker, intent, rules)
        now = self._clock.now()
        return [outcome.after(tracker, intent, fills, instrument, slice_, now)]

    def applied(self, *events: Event) -> None:
        """Take tracker values that somebody else made durable; ended ones leave memory.

        Facts that this engine wrote are known already; a value older than a trigger that stands in
        memory does not undo it.
        """
        news = [
            event
            for event in events
            if isinstance(event, TrackerChanged) and not self._recorder.is_own(event)
        ]
        for event in news:
            if event.change is TrackerChange.RESIZED:
                self._take_size(event)
            elif not self._is_outrun(event.tracker):
                self._watch.put(event.tracker)
        if news:
            self._recorder.collect()

    def changed(self, tracker_id: int, state: TrackerState, reason: str) -> TrackerChanged | None:
        """Return the fact that an exit goes on (EXITING) or cannot (BLOCKED), for its owner."""
        tracker = self._live.find(tracker_id)
        if tracker is None or not tracker.state.is_acting:
            return None
        blocked = state is TrackerState.BLOCKED
        if tracker.state is state and (not blocked or tracker.reason == reason):
            return None
        now = self._clock.now()
        acted = replace(tracker, state=state, reason=reason, changed_at=now)
        change = TrackerChange.BLOCKED if blocked else TrackerChange.EXITING
        return TrackerChanged(acted, change, now, reason=reason)

    # ------------------------------------------------------------ people

    async def arm(self, tracker: Tracker, causes: Sequence[Event] = ()) -> None:
        """Make an armed tracker durable with its causes in one append, and watch it.

        Like an edit it is worked out and made within one `undisturbed`, or two take the same coins.
        """
        await self._changing.arm(tracker, causes)

    def undisturbed(self) -> AbstractAsyncContextManager[None]:
        """Let no record be written while the block arms or writes ends or sizes of trackers.

        Fires are. It cannot be entered twice: `pause`, `resume` and `cancel` enter it themselves.
        """
        return self._recorder.writing

    async def edit(self, before: Tracker, after: Tracker, causes: Sequence[Event] = ()) -> None:
        """Replace a waiting tracker by its change; refused when it moved on since `before`."""
        await self._changing.edit(before, after, causes)

    async def pause(self, tracker_id: int, causes: Sequence[Event] = ()) -> None:
        """Stop watching for a while (whoever calls has asked: it loosens)."""
        await self._changing.pause(tracker_id, causes)

    async def resume(self, tracker_id: int, causes: Sequence[Event] = ()) -> None:
        """Watch again; refused with the price when that would fire at once."""
        await self._changing.resume(tracker_id, causes)

    async def cancel(self, tracker_id: int, causes: Sequence[Event] = ()) -> None:
        """End a waiting tracker without a trade; refused when it has fired."""
        await self._changing.cancel(tracker_id, causes)

    def resized(
        self, symbol: str, managed: Decimal, by_hand: str = "", bought: Decimal = ZERO
    ) -> list[Event]:
        """Return the facts that fit a symbol's slices to its managed quantity, to be journaled.

        A slice of which nothing is left ends its tracker. What shrinks or ends is told, unless a
        person ended it; `by_hand` is the reason then. Nothing grows by what purchases of trackers
        have `bought` and none of them owns yet.
        """
        instrument = self._instruments.get(symbol)
        if instrument is None:
            # Its trackers wait for the market as they are: what a step of it is nobody knows.
            return []
        now = self._clock.now()
        # As memory has them: a record that is just being written must not be undone by the facts.
        own = [self._live.find(tracker.tracker_id) or tracker for tracker in self._live.of(symbol)]
        before = {tracker.tracker_id: tracker.quantity for tracker in own}
        facts: list[Event] = []
        for tracker in slices.resize(own, managed, instrument, bought):
            resized = replace(tracker, changed_at=now)
            if resized.quantity > 0:
                facts.append(TrackerChanged(resized, TrackerChange.RESIZED, now))
            else:
                reason = by_hand or slices.GONE
                closed = replace(resized, state=TrackerState.CLOSED, reason=reason)
                facts.append(TrackerChanged(closed, TrackerChange.CLOSED, now, reason=reason))
            facts += reminders.shrunk(resized, before[tracker.tracker_id], by_hand, now)
        return facts

    # ------------------------------------------------------------ questions

    def all(self) -> list[Tracker]:
        """All live trackers by id; waiting ones as they are durable: no shown stop falls."""
        return sorted(self._live.all(), key=lambda tracker: tracker.tracker_id)

    def of(self, symbol: str) -> list[Tracker]:
        """Live trackers of one symbol by id, as `all` gives them."""
        return sorted(self._live.of(symbol), key=lambda tracker: tracker.tracker_id)

    def owned(self, symbol: str, exits: Iterable[Intent]) -> Decimal:
        """Return the managed base units of a symbol that trackers own; `exits` are those open."""
        return slices.owned(self._live.of(symbol), symbol, exits)

    def with_backstop(self) -> list[Tracker]:
        """Waiting trackers that want a stop on the exchange, by id, as they are durable."""
        return self._live.with_backstop()

    def acting(self) -> list[Tracker]:
        """Live trackers that have fired and are not done, blocked ones included."""
        return self._live.acting()

    def count(self) -> int:
        """How many trackers are live."""
        return self._live.count()

    def get(self, tracker_id: int) -> Tracker | None:
        """One live tracker as memory has it, its record included."""
        return self._live.find(tracker_id)

    def progress(self, tracker_id: int) -> Progress | None:
        """How far the confirmation of one beyond its level has come; None where none runs."""
        return self._live.progress(tracker_id)

    def symbols(self) -> frozenset[str]:
        """Symbols that a live tracker needs prices of."""
        return self._live.symbols()

    def is_near(self, symbol: str, share: Decimal = Decimal("0.01")) -> bool:
        """Whether a tracker of a symbol would change within a share of its last price."""
        return self._watch.is_near(symbol, share)

    @property
    def unrecorded(self) -> int:
        """How many triggers are not durable yet."""
        return self._recorder.unrecorded

    # ------------------------------------------------------------ inside

    def _take_size(self, event: TrackerChanged) -> None:
        resized = event.tracker
        known = self._live.find(resized.tracker_id)
        if known is None or known.arm_seq != resized.arm_seq:
            return
        sized = replace(known, quantity=resized.quantity, quote=resized.quote)
        if known.state.is_acting:
            # What else takes coins away leaves one that has fired its slice.
            if event.reason == BACKSTOP_SOLD:
                self._live.act(sized)
            return
        self._watch.put(sized)
        if sized.state is not resized.state:
            # It was touched while the new size was written: the journal needs its state again.
            self._recorder.rewrite(Change(sized, TrackerChange.TOUCHED))

    def _is_outrun(self, tracker: Tracker) -> bool:
        known = self._live.find(tracker.tracker_id)
        if known is None:
            return False
        if known.arm_seq != tracker.arm_seq:
            return known.arm_seq > tracker.arm_seq
        return known.state.is_acting and tracker.state.is_waiting

    def _next_slice(self, tracker: Tracker, intent: Intent, instrument: Instrument) -> Slice:
        if tracker.spec.then.kind is not ThenKind.COOLDOWN:
            return Slice()
        others = [
            other
            for other in self._live.all()
            if other.tracker_id != tracker.tracker_id
            # What is being sold is none of the holdings any more.
            and not (tracker.side is Side.SELL and other.state is TrackerState.EXITING)
        ]
        # Coins that were never put under care are not taken by a tracker that goes round.
        holdings = replace(self._holdings(tracker.symbol), unmanaged=ZERO)
        try:
            return slices.allocate(
                tracker.spec.amount,
                tracker.side,
                holdings,
                slices.rivals(others, tracker.side, instrument),
                instrument,
                intent.reference_price,
            )
        except Refused:
            return Slice()
