"""The synchronous heart: prices in, triggers and changes out; memory only, nothing waits here."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from trading.domain.instrument import Instrument
from trading.domain.market import Candle, Observation, PriceSource
from trading.domain.order import Side
from trading.domain.time import Timeframe, to_ms
from trading.domain.tracker import Evidence, Tracker, TrackerChange, TrackerState
from trading.trackers import missed, rules, trailing
from trading.trackers.arming import DISTANCE_MIN
from trading.trackers.confirming import Tick
from trading.trackers.index import Group
from trading.trackers.live import LiveTrackers
from trading.trackers.missed import Missed, Verdict
from trading.trackers.rules import Moment, Step

# A held tracker is still for one durable write; what comes after that many prices repeats them.
_HELD_MAX = 64
# Told again after that long, when a buy keeps wanting what it may not have.
_REFUSAL_REPEAT_S = 600.0
# Records are read in that many parts, one per sweep, so that no sweep takes long.
SYNC_PARTS = 4
_MOVED_AT_ONCE = 8
# Symbols whose records are read in one go.
_READ_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule came true: the tracker is TRIGGERED in memory and must be recorded."""

    tracker: Tracker
    evidence: Evidence

    @property
    def value(self) -> Decimal:
        """Value at risk in quote: what is worth most leaves first."""
        tracker = self.tracker
        return tracker.quote if tracker.side is Side.BUY else tracker.quantity * self.evidence.price


@dataclass(frozen=True, slots=True)
class Change:
    """A tracker's new value in memory that is not durable yet; `reason` is for the person."""

    tracker: Tracker
    change: TrackerChange
    reason: str = ""
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class World:
    """What a decision must know besides the price; plain calls, answered from memory."""

    instrument: Callable[[str], Instrument]
    may_enter: Callable[[str], bool]
    is_stale: Callable[[str], bool]
    moment: Callable[[], Moment]


class Watch:
    """Evaluates all live trackers.

    After each call `fired` and `changes` hold what is new; the owner takes it away.
    """

    def __init__(self, world: World, record_epsilon: Decimal) -> None:
        self._world = world
        self._record_epsilon = record_epsilon
        self.live = LiveTrackers()
        self._groups = self.live.groups
        self._held: dict[int, list[tuple[Tick, Moment]]] = {}
        self._refused_s: dict[int, float] = {}
        self._sync_part = 0
        self.fired: list[Fired] = []
        self.changes: list[Change] = []

    def observe(self, observation: Observation) -> bool:
        """Evaluate one price; whether `fired`, `changes` or a record wait for the owner."""
        groups = self._groups.get(observation.symbol)
        if groups is None:
            return False
        has_news = False
        for group in groups:
            # What most look at needs no call for each tick.
            price = (
                observation.price
                if group.is_of_decisions
                else rules.price_for(group.kind, observation)
            )
            if price is None:
                continue
            group.seen = observation
            if not group.is_quiet(price, observation.event_time_ms):
                self._look(group, price, observation)
                has_news = True
            elif group.is_flush_due:
                has_news = True
        return has_news

    def sweep(self) -> None:
        """Let time pass: lines move and confirmations run out without a tick."""
        for symbol in list(self._groups):
            for group in self._groups.get(symbol, [])[:]:
                if not group.needs_time():
                    continue
                tick = _last_tick(group)
                group.sync()
                if tick is None or self._world.is_stale(symbol):
                    self._rebuild(group)
                else:
                    self._evaluate(group, tick, replace(self._world.moment(), is_tick=False))

    def moved(self, *, is_turn: bool) -> Iterator[list[Tracker]]:
        """Read records and give, a few at a time, the trackers whose record is not durable yet.

        Groups whose record moved by epsilon are always read; with `is_turn` a part of the others.
        A trigger waits for one part to be read or written at most, so each takes milliseconds; a
        part may be empty.
        """
        self._sync_part = (self._sync_part + is_turn) % SYNC_PARTS
        found: list[Tracker] = []
        for number, symbol in enumerate(list(self._groups)):
            is_part = is_turn and number % SYNC_PARTS == self._sync_part
            for group in self._groups.get(symbol, ()):
                if is_part or group.is_flush_due:
                    self._read_records(group)
                    found += [t for t in group.trackers.values() if self._is_record_new(t)]
            is_due = number % _READ_AT_ONCE == _READ_AT_ONCE - 1
            while is_due or len(found) >= _MOVED_AT_ONCE:
                yield [t for t in found[:_MOVED_AT_ONCE] if self._is_still_moved(t)]
                del found[:_MOVED_AT_ONCE]
                is_due = False
        if found:
            yield [t for t in found if self._is_still_moved(t)]

    def _is_still_moved(self, seen: Tracker) -> bool:
        # Whoever wrote a tracker meanwhile, or is about to, knows better.
        durable = self.live.durable.get(seen.tracker_id)
        if durable is None or seen.tracker_id in self._held:
            return False
        return _but_record(durable) == _but_record(seen)

    def put(self, tracker: Tracker) -> None:
        """Add or replace a durable value; one that ended leaves memory.

        A record that was made while the value was written is not lost.
        """
        known = self.live.find(tracker.tracker_id)
        self.remove(tracker.tracker_id)
        if tracker.state.is_acting:
            self.live.act(tracker)
        elif tracker.state.is_waiting:
            group = self.live.group(tracker, self._world.instrument)
            self.live.wait(group, tracker, _with_record_of(known, tracker, group.instrument))
            self._rebuild(group)

    def remove(self, tracker_id: int) -> None:
        """Forget a tracker; its group's others keep their records."""
        self._refused_s.pop(tracker_id, None)
        group = self.live.leave(tracker_id)
        if group is not None and group.trackers:
            self._rebuild(group)

    def hold(self, tracker_id: int) -> None:
        """Let a tracker neither touch nor fire while a change of it is being written."""
        self._held[tracker_id] = []

    def release(self, tracker_id: int) -> None:
        """Evaluate the prices that a held tracker would have reacted to."""
        prices = self._held.pop(tracker_id, [])
        group = self.live.home.get(tracker_id)
        if group is not None and prices:
            group.sync()
        for tick, moment in prices:
            if group is None or tracker_id not in group.trackers:
                continue
            # A change of what it looks at makes what it saw before another price.
            if tick.kind is group.kind:
                self._evaluate_one(group, tracker_id, tick, moment)
        if group is not None and prices:
            self._rebuild(group)

    def saved(self, written: Iterable[tuple[Tracker, Tracker | None]]) -> None:
        """Note durable values, each unless another one than before has been noted meanwhile."""
        groups: dict[int, Group] = {}
        for tracker, before in written:
            group = self.live.home.get(tracker.tracker_id)
            if group is not None and self.live.durable.get(tracker.tracker_id) is before:
                self.live.saved(tracker)
                groups[id(group)] = group
        for group in groups.values():
            # Prices went on while it was written: their extremes are records, too.
            group.sync()
            self._rebuild(group)

    def recall(
        self,
        symbol: str,
        candles: Sequence[Candle],
        price: Decimal,
        event_time_ms: int,
        levels_since_ms: Mapping[int, int] | None = None,
    ) -> Iterator[list[Missed]]:
        """Judge time without eyes for every waiting tracker of a symbol; fires what is due.

        A thousand candles are milliseconds for each: after each one an empty part is given, so that
        others have their turn. All is acted on at once with the last part, which holds the
        verdicts. `levels_since_ms` says when the levels of trackers, by their number, changed last.
        """
        moment = self._world.moment()

        def judge(group: Group, tracker: Tracker) -> Missed:
            tick = Tick(price, group.kind, PriceSource.REST, event_time_ms, moment.now_s)
            since_ms = (levels_since_ms or {}).get(tracker.tracker_id, 0)
            return missed.evaluate(tracker, candles, tick, moment, group.instrument, since_ms)

        verdicts: dict[int, tuple[Tracker, Missed]] = {}
        for group, tracker in self._waiting(symbol):
            verdicts[tracker.tracker_id] = tracker, judge(group, tracker)
            yield []
        judged = []
        for group, tracker in self._waiting(symbol):
            seen, verdict = verdicts.get(tracker.tracker_id, (None, None))
            # What was changed or saw a price meanwhile is judged as it is by now.
            if verdict is None or seen is not tracker:
                verdict = judge(group, tracker)
            judged.append(verdict)
            self._take(group, verdict)
        for group in self._groups.get(symbol, [])[:]:
            self._settle(group, self._world.moment())
        yield judged

    def _waiting(self, symbol: str) -> list[tuple[Group, Tracker]]:
        groups = self._groups.get(symbol, [])
        for group in groups:
            group.sync()
        return [(group, tracker) for group in groups for tracker in group.trackers.values()]

    def tighten(self, symbol: str, timeframe: Timeframe, atr_share: Decimal) -> None:
        """Let ATR distances of a symbol follow a calmer market; they never widen."""
        for group in self._groups.get(symbol, ()):
            group.sync()
            for tracker in list(group.trackers.values()):
                trail = tracker.spec.trail
                if trail is None or trail.atr_multiple is None or trail.timeframe != timeframe:
                    continue
                if tracker.tracker_id in self._held:
                    continue
                distance = max(trail.atr_multiple * atr_share, DISTANCE_MIN)
                calmer = trailing.tighten(tracker, distance, group.instrument)
                if calmer.distance != tracker.distance:
                    group.trackers[tracker.tracker_id] = calmer
                    self.changes.append(Change(calmer, TrackerChange.MOVED, "the ATR is smaller"))
            self._rebuild(group)

    def unfire(self, fired: Fired) -> Tracker:
        """Let a buy that was not permitted after all wait again, from the price that it saw."""
        waiting = replace(fired.tracker, state=TrackerState.TRAILING, fired_rule="")
        fresh = rules.rebuild_entry(
            waiting,
            fired.evidence.price,
            self._world.moment(),
            self._world.instrument(waiting.symbol),
        )
        self.put(fresh)
        return fresh

    def blind(self, symbol: str) -> None:
        """Prices of a symbol were missed: what a buy sees next must not be acted on."""
        for group in self._groups.get(symbol, ()):
            group.sync()
            group.is_blind = True
            self._rebuild(group)

    def is_near(self, symbol: str, share: Decimal) -> bool:
        """Whether something of a symbol would change within a share of its last price."""
        for group in self._groups.get(symbol, ()):
            tick = _last_tick(group)
            if tick is None or group.low >= tick.price * (1 - share):
                return True
            if group.high <= tick.price * (1 + share):
                return True
        return False

    def last_tick(self, tracker: Tracker) -> Tick | None:
        """The last price of the kind that a tracker looks at."""
        group = self.live.home.get(tracker.tracker_id)
        return None if group is None else _last_tick(group)

    def _look(self, group: Group, price: Decimal, observation: Observation) -> None:
        moment = self._world.moment()
        if observation.event_time_ms > 0:
            moment = replace(moment, line_ms=observation.event_time_ms)
        group.sync()
        self._evaluate(group, _tick(observation, group, price), moment)
        if group.is_blind:
            group.is_blind = False
            self._rebuild(group, moment.line_ms)

    def _evaluate(self, group: Group, tick: Tick, moment: Moment) -> None:
        for tracker_id in list(group.trackers):
            self._evaluate_one(group, tracker_id, tick, moment)
        self._settle(group, moment)

    def _settle(self, group: Group, moment: Moment) -> None:
        self.fired.sort(key=lambda fired: -fired.value)
        if not group.trackers:
            self.live.drop(group)
        elif self.fired:
            # A trigger waits for its owner: the band of the others is made with the next price.
            group.forget_band()
        else:
            self._rebuild(group, moment.line_ms)

    def _evaluate_one(self, group: Group, tracker_id: int, tick: Tick, moment: Moment) -> None:
        tracker = group.trackers[tracker_id]
        progress = group.progress.get(tracker_id)
        step = rules.step(tracker, tick, moment, group.instrument, progress)
        if tracker_id in self._held and step.change is not TrackerChange.MOVED:
            if step.change is not None or step.progress is not None:
                self._held[tracker_id].append((tick, moment))
                del self._held[tracker_id][_HELD_MAX:]
            return
        if step.progress is None:
            group.progress.pop(tracker_id, None)
        else:
            group.progress[tracker_id] = step.progress
        if step.evidence is not None and step.change is TrackerChange.TRIGGERED:
            self._trigger(group, step, step.evidence, tick, moment)
            return
        group.trackers[tracker_id] = step.tracker
        if step.change is not None and step.change is not TrackerChange.MOVED:
            self.changes.append(Change(step.tracker, step.change, evidence=step.evidence))

    def _trigger(
        self, group: Group, step: Step, evidence: Evidence, tick: Tick, moment: Moment
    ) -> None:
        tracker = step.tracker
        if refusal := self._refusal(group, tracker, tick, moment):
            self._rebuild_entry(group, tracker.tracker_id, tick, moment, refusal)
        else:
            self._fire(group, tracker, evidence)

    def _fire(self, group: Group, tracker: Tracker, evidence: Evidence) -> None:
        self.live.fire(group, tracker)
        self.fired.append(Fired(tracker, evidence))

    def _take(self, group: Group, result: Missed) -> None:
        if result.verdict is Verdict.UNTOUCHED or result.tracker.tracker_id in self._held:
            return
        if result.evidence is not None:
            self._fire(group, result.tracker, result.evidence)
            return
        group.trackers[result.tracker.tracker_id] = result.tracker
        self.changes.append(Change(result.tracker, TrackerChange.REBUILT, result.text))

    def _refusal(self, group: Group, tracker: Tracker, tick: Tick, moment: Moment) -> str:
        """Why a trigger may not buy now, empty when it may."""
        if tracker.side is not Side.BUY:
            return ""
        if group.is_blind:
            return "it was blind"
        world = self._world
        if world.is_stale(group.symbol) or not world.may_enter(group.symbol):
            return "entries are refused now"
        if rules.is_stopped_out(tracker, tick.price, moment.line_ms):
            return "its own stop would sell at once"
        return ""

    def _rebuild_entry(
        self, group: Group, tracker_id: int, tick: Tick, moment: Moment, why: str
    ) -> None:
        tracker = group.trackers[tracker_id]
        fresh = rules.rebuild_entry(tracker, tick.price, moment, group.instrument)
        group.trackers[tracker_id] = fresh
        told_s = self._refused_s.get(tracker_id)
        is_told = told_s is not None and moment.now_s - told_s < _REFUSAL_REPEAT_S
        if not is_told:
            self._refused_s[tracker_id] = moment.now_s
        self.changes.append(Change(fresh, TrackerChange.REBUILT, "" if is_told else why))

    def _read_records(self, group: Group) -> None:
        if group.has_new_record():
            group.sync()
            self._rebuild(group)
        group.is_flush_due = False

    def _is_record_new(self, tracker: Tracker) -> bool:
        durable = self.live.durable.get(tracker.tracker_id)
        return (
            durable is not None
            and tracker.state is TrackerState.TRAILING
            # A touch that is being written carries its record itself.
            and durable.state is TrackerState.TRAILING
            and durable.record_price != tracker.record_price
        )

    def _rebuild(self, group: Group, at_ms: int | None = None) -> None:
        group.rebuild(
            to_ms(self._world.moment().at) if at_ms is None else at_ms,
            self._record_epsilon,
            self.live.durable,
        )


def _with_record_of(known: Tracker | None, tracker: Tracker, instrument: Instrument) -> Tracker:
    if (
        known is None
        or known.record_price is None
        or known.arm_seq != tracker.arm_seq
        or known.side is not tracker.side
        or tracker.state is not TrackerState.TRAILING
    ):
        return tracker
    return trailing.follow(tracker, known.record_price, instrument)


def _but_record(tracker: Tracker) -> tuple[object, ...]:
    known = (tracker.spec, tracker.arm_seq, tracker.state, tracker.side, tracker.is_paused)
    return (*known, tracker.quantity, tracker.quote, tracker.distance)


def _last_tick(group: Group) -> Tick | None:
    if group.seen is None:
        return None
    price = rules.price_for(group.kind, group.seen)
    return None if price is None else _tick(group.seen, group, price)


def _tick(observation: Observation, group: Group, price: Decimal) -> Tick:
    return Tick(
        price,
        group.kind,
        observation.source,
        observation.event_time_ms,
        observation.received_s,
    )
