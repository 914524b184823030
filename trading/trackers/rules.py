"""The state machine of a waiting tracker: what one price, or the passing of time, changes in it."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from trading.domain.instrument import Instrument
from trading.domain.market import Observation
from trading.domain.money import EXACT, ONE
from trading.domain.order import Side
from trading.domain.time import to_ms
from trading.domain.tracker import (
    ConfirmKind,
    Evidence,
    NextLevel,
    PriceKind,
    Tracker,
    TrackerChange,
    TrackerKind,
    TrackerState,
)
from trading.trackers import confirming, lines, trailing
from trading.trackers.confirming import Progress, Tick

HARD_STOP = "hard stop"
_TOUCH = "touch"
# Each tick asks for these: to look a member up on its Enum costs 75 ns.
_DECISION, _LAST, _BID = PriceKind.DECISION, PriceKind.LAST, PriceKind.BID
_TOUCHED_FIRST = frozenset({TrackerKind.TAKE_PROFIT, TrackerKind.DIP, TrackerKind.LINES})


@dataclass(frozen=True, slots=True)
class Moment:
    """When a rule is asked: wall time, the time lines are read at, and our monotonic clock.

    `is_tick` is false when only time has passed, so that nothing is counted twice.
    """

    at: datetime
    line_ms: int
    now_s: float
    is_tick: bool = True


def moment(at: datetime, now_s: float) -> Moment:
    """Return a moment whose lines are read at wall time."""
    return Moment(at, to_ms(at), now_s)


@dataclass(frozen=True, slots=True)
class Step:
    """What a price made of a tracker; `change` None means that nothing is different.

    A touch and a trigger carry their `evidence`.
    """

    tracker: Tracker
    change: TrackerChange | None = None
    evidence: Evidence | None = None
    progress: Progress | None = None


def price_for(kind: PriceKind, observation: Observation) -> Decimal | None:
    """Return the price of a kind that this observation brings, None when it brings no new one."""
    if kind is _DECISION:
        return observation.price
    if kind is _LAST:
        return observation.last if observation.is_trade else None
    wanted = observation.bid if kind is _BID else observation.mid
    if not observation.is_trade:
        return wanted
    # Without a sane book the print is all there is, and a stop must not go blind.
    return observation.last if wanted is None else None


def waits_for_touch(tracker: Tracker) -> bool:
    """Whether this arming begins with a level that must be touched first."""
    return tracker.spec.kind in _TOUCHED_FIRST or is_swinging(tracker)


def is_swinging(tracker: Tracker) -> bool:
    """Whether it is in a later half of a swing: its level comes from the last fill."""
    return tracker.is_swinging


def are_lines_spent(tracker: Tracker, at_ms: int) -> bool:
    """Whether its lines have crossed or reached 0: no new touch from then on."""
    spec = tracker.spec
    if spec.support is not None and spec.resistance is not None:
        support, resistance = (
            lines.price_at(line, at_ms) for line in (spec.support, spec.resistance)
        )
        return support >= resistance or support <= 0
    return spec.level is not None and lines.price_at(spec.level, at_ms) <= 0


def touch_level(tracker: Tracker, at_ms: int) -> Decimal | None:
    """Return the level whose touch is waited for; None when its lines are spent."""
    spec = tracker.spec
    if spec.kind is not TrackerKind.LINES:
        if tracker.level_price is not None:
            return tracker.level_price
        if spec.level is None or are_lines_spent(tracker, at_ms):
            return None
        return lines.price_at(spec.level, at_ms)
    line = spec.resistance if tracker.side is Side.SELL else spec.support
    if line is None or are_lines_spent(tracker, at_ms):
        return None
    level = lines.price_at(line, at_ms)
    if tracker.level_price is None:
        return level
    # A swing between lines still has to gain: never nearer to the last fill than its share.
    return (
        max(level, tracker.level_price)
        if tracker.side is Side.SELL
        else min(level, tracker.level_price)
    )


def stop_at(tracker: Tracker, at_ms: int) -> Decimal | None:
    """Return the level that fires while TRAILING: the moving stop, never beyond the fixed one."""
    spec = tracker.spec
    if spec.kind not in {TrackerKind.STOP, TrackerKind.BREAKOUT} or is_swinging(tracker):
        return tracker.stop_price
    if spec.level is None:
        return tracker.stop_price
    fixed = lines.price_at(spec.level, at_ms)
    if tracker.distance is None or tracker.stop_price is None:
        return fixed
    return trailing.tighter(tracker.side, fixed, tracker.stop_price)


def hard_stop_at(tracker: Tracker, at_ms: int) -> Decimal | None:
    """Return the fixed stop that is active in every waiting state; only coins have one."""
    if tracker.side is not Side.SELL or tracker.quantity <= 0:
        return None
    stop = tracker.spec.stop
    return tracker.hard_stop_price if stop is None else lines.price_at(stop, at_ms)


def is_stopped_out(tracker: Tracker, price: Decimal, at_ms: int) -> bool:
    """Whether what is bought at a price would be sold by the tracker's own fixed stop at once."""
    stop = tracker.spec.stop
    return stop is not None and price <= lines.price_at(stop, at_ms)


def step(
    tracker: Tracker,
    tick: Tick,
    moment: Moment,
    instrument: Instrument,
    progress: Progress | None = None,
) -> Step:
    """Return what a price makes of a waiting tracker: touched, moved, re-armed, triggered, or same.

    The hard stop is asked first and without confirmation; a touch and a trigger never share a tick.
    """
    if tracker.is_paused or not tracker.state.is_waiting:
        return Step(tracker)
    hard_stop = hard_stop_at(tracker, moment.line_ms)
    if hard_stop is not None and tick.price <= hard_stop:
        return fire(tracker, tick, moment, hard_stop, HARD_STOP)
    if tracker.state is TrackerState.WATCHING:
        return _touch(tracker, tick, moment, instrument)
    if tracker.state is TrackerState.RESTING:
        return _rest(tracker, tick, moment, instrument)
    return _trail(tracker, tick, moment, instrument, progress)


def fire(tracker: Tracker, tick: Tick, moment: Moment, level: Decimal, rule: str) -> Step:
    """Return the trigger and the evidence that justifies it."""
    triggered = replace(
        tracker,
        state=TrackerState.TRIGGERED,
        stop_price=level if rule != HARD_STOP else tracker.stop_price,
        fired_rule=rule,
        reason="",
        changed_at=moment.at,
    )
    return Step(triggered, TrackerChange.TRIGGERED, _evidence(tick, moment, level, rule))


def _evidence(tick: Tick, moment: Moment, level: Decimal, rule: str) -> Evidence:
    return Evidence(
        price=tick.price,
        price_kind=tick.kind,
        source=tick.source.value,
        event_time_ms=tick.event_time_ms,
        observed_at=moment.at,
        level=level,
        rule=rule,
    )


def rebuild_entry(
    tracker: Tracker, price: Decimal, moment: Moment, instrument: Instrument
) -> Tracker:
    """Return a buy that may not act on what it saw: it waits for a new retrace, or a new crossing.

    A trailing buy starts its record at the present price, and with that above the level that it
    was to touch it waits for a new touch: it buys no further above it than its distance. A breakout
    rests until the price has come back below its level.
    """
    if tracker.distance is None:
        return replace(tracker, state=TrackerState.RESTING, changed_at=moment.at)
    fresh = replace(tracker, record_price=None, stop_price=None, changed_at=moment.at)
    level = touch_level(tracker, moment.line_ms) if waits_for_touch(tracker) else None
    if level is not None and price > level:
        return replace(fresh, state=TrackerState.WATCHING, touched_at=None)
    return trailing.follow(fresh, price, instrument)


def bounds(tracker: Tracker, begin_ms: int, end_ms: int) -> tuple[Decimal | None, Decimal | None]:
    """Return (low, high): strictly between them no price of that time changes more than a record.

    Lines are straight, so the two ends of the time hold their extremes.
    """
    lows: list[Decimal] = []
    highs: list[Decimal] = []
    for at_ms in (begin_ms, end_ms):
        hard_stop = hard_stop_at(tracker, at_ms)
        if hard_stop is not None:
            lows.append(hard_stop)
        level, is_below = _threshold(tracker, at_ms)
        if level is not None:
            (lows if is_below else highs).append(level)
    return max(lows, default=None), min(highs, default=None)


def _threshold(tracker: Tracker, at_ms: int) -> tuple[Decimal | None, bool]:
    is_sell = tracker.side is Side.SELL
    if tracker.state is TrackerState.TRAILING:
        return stop_at(tracker, at_ms), is_sell
    if tracker.state is TrackerState.WATCHING:
        return touch_level(tracker, at_ms), not is_sell
    return band_edge(tracker, at_ms), is_sell == waits_for_touch(tracker)


def band_edge(tracker: Tracker, at_ms: int) -> Decimal | None:
    """Return the price past which a resting tracker watches again."""
    return touch_level(tracker, at_ms) if waits_for_touch(tracker) else stop_at(tracker, at_ms)


def _touch(tracker: Tracker, tick: Tick, moment: Moment, instrument: Instrument) -> Step:
    level = touch_level(tracker, moment.line_ms)
    # A level to touch lies where the opposite side's stop would: above for a sell.
    if level is None or not trailing.is_beyond(tracker.side.opposite, tick.price, level):
        return Step(tracker)
    touched = replace(
        tracker,
        state=TrackerState.TRAILING,
        record_price=None,
        stop_price=None,
        touched_at=moment.at,
        changed_at=moment.at,
    )
    # A line has moved on when this is told: where it was touched is written with the touch.
    evidence = _evidence(tick, moment, level, _TOUCH)
    return Step(trailing.follow(touched, tick.price, instrument), TrackerChange.TOUCHED, evidence)


def _rest(tracker: Tracker, tick: Tick, moment: Moment, instrument: Instrument) -> Step:
    edge = band_edge(tracker, moment.line_ms)
    if edge is None:
        return Step(tracker)
    if waits_for_touch(tracker):
        is_back = not trailing.is_beyond(tracker.side.opposite, tick.price, edge)
        state = TrackerState.WATCHING
    else:
        is_back = not trailing.is_beyond(tracker.side, tick.price, edge)
        state = TrackerState.TRAILING
    if not is_back:
        return Step(tracker)
    rearmed = replace(
        tracker,
        state=state,
        arm_seq=tracker.arm_seq + 1,
        record_price=None,
        stop_price=None if tracker.distance is not None else tracker.stop_price,
        touched_at=None,
        changed_at=moment.at,
    )
    if state is TrackerState.TRAILING:
        rearmed = trailing.follow(rearmed, tick.price, instrument)
    return Step(rearmed, TrackerChange.REARMED)


def _trail(
    tracker: Tracker,
    tick: Tick,
    moment: Moment,
    instrument: Instrument,
    progress: Progress | None,
) -> Step:
    confirm = tracker.spec.confirm
    followed = trailing.follow(tracker, tick.price, instrument)
    stop = stop_at(followed, moment.line_ms)
    if stop is None:
        return Step(followed)
    if progress is not None and confirming.closed_beyond(confirm, progress, moment.line_ms):
        return fire(followed, progress.tick, moment, stop, _rule(tracker))
    if not trailing.is_beyond(tracker.side, tick.price, stop):
        return Step(followed, TrackerChange.MOVED if followed is not tracker else None)
    if confirming.is_past_bound(tracker, tick.price, stop) and not _is_touch(tracker):
        return fire(followed, tick, moment, stop, f"{_rule(tracker)}, past its bound")
    progress = confirming.advance(
        tracker.side, progress, tick, moment.now_s, is_tick=moment.is_tick
    )
    if confirming.is_confirmed(confirm, progress, moment.now_s):
        return fire(followed, tick, moment, stop, _rule(tracker))
    return Step(followed, None, None, progress)


def _is_touch(tracker: Tracker) -> bool:
    return tracker.spec.confirm.kind is ConfirmKind.TOUCH


# By side, and whether it trails.
_RULES = {
    (Side.SELL, False): "stop",
    (Side.SELL, True): "trailing stop",
    (Side.BUY, False): "buy stop",
    (Side.BUY, True): "trailing purchase",
}


def _rule(tracker: Tracker) -> str:
    confirm = tracker.spec.confirm
    name = _RULES[tracker.side, tracker.distance is not None]
    if confirm.kind is ConfirmKind.TOUCH:
        return name
    if confirm.kind is ConfirmKind.TICKS:
        return f"{name}, {confirm.count} ticks"
    if confirm.kind is ConfirmKind.RUN:
        return f"{name}, run of {confirm.count}"
    if confirm.kind is ConfirmKind.SECONDS:
        return f"{name}, {confirm.count} s"
    return f"{name}, close {confirm.timeframe.name if confirm.timeframe else ''}".rstrip()


def worst_price(tracker: Tracker, at_ms: int) -> Decimal | None:
    """Return the worst price at which it acts if nothing gaps; None when no rule would act.

    For a sell this is the level below which the coins are no longer held; for a buy the most that
    the rule pays.
    """
    worst: list[Decimal] = []
    hard_stop = hard_stop_at(tracker, at_ms)
    if hard_stop is not None:
        worst.append(hard_stop)
    stop = stop_at(tracker, at_ms) if tracker.state is TrackerState.TRAILING else None
    if stop is not None and stop > 0:
        loss = Decimal(0) if _is_touch(tracker) else tracker.loss_max
        worst.append(EXACT.multiply(stop, ONE + tracker.side.sign * loss))
    if not worst:
        return None
    return max(worst) if tracker.side is Side.SELL else min(worst)


def next_level(tracker: Tracker, at_ms: int) -> tuple[NextLevel, Decimal | None]:
    """Return the price that makes a difference next, and which difference it makes."""
    if tracker.state is TrackerState.RESTING:
        edge = band_edge(tracker, at_ms)
        if edge is not None:
            return NextLevel.BAND, edge
    elif tracker.state is TrackerState.WATCHING:
        touch = touch_level(tracker, at_ms)
        if touch is not None:
            return NextLevel.TOUCH, touch
    hard_stop = hard_stop_at(tracker, at_ms)
    is_untouched = tracker.state in {TrackerState.WATCHING, TrackerState.RESTING}
    stop = None if is_untouched else stop_at(tracker, at_ms)
    # Only coins have a hard stop, so the higher one is met first.
    both = [level for level in (stop, hard_stop) if level is not None]
    return NextLevel.FIRES, max(both, default=None)
