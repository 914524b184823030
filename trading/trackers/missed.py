"""Time without eyes: what candles say a tracker would have done, and what it does now."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum

from trading.domain.instrument import Instrument
from trading.domain.market import Candle
from trading.domain.order import Side
from trading.domain.time import to_ms
from trading.domain.tracker import Evidence, Tracker, TrackerState
from trading.trackers import rules, trailing
from trading.trackers.confirming import Tick
from trading.trackers.rules import Moment


class Verdict(Enum):
    """What missed time means for one tracker."""

    UNTOUCHED = "untouched"
    REBUILT = "rebuilt"
    CROSSED_AND_BACK = "crossed_and_back"
    FIRE = "fire"


@dataclass(frozen=True, slots=True)
class Missed:
    """The tracker with its record rebuilt, the verdict, and the evidence of a trigger now."""

    tracker: Tracker
    verdict: Verdict
    evidence: Evidence | None = None
    text: str = ""


def evaluate(
    tracker: Tracker,
    candles: Sequence[Candle],
    tick: Tick,
    moment: Moment,
    instrument: Instrument,
    level_since_ms: int = 0,
) -> Missed:
    """Judge a gap from its candles and the present price.

    Where its levels are known to have changed at `level_since_ms`, what came before that was no
    crossing of where they are.

    Within a candle the order of its extremes is unknown: the record is rebuilt first, so that a
    crossing is rather told than missed, as one that may have been. Sells fire when the price is
    beyond the stop *now*; a level that was crossed and left again is told and kept. Buys never act
    on time they did not see.
    """
    if tracker.is_paused or not tracker.state.is_waiting:
        return Missed(tracker, Verdict.UNTOUCHED)
    since_ms = max(_since_ms(tracker), level_since_ms)
    seen = [candle for candle in candles if candle.open_time_ms >= since_ms]
    rebuilt, crossing = _replay(tracker, seen, moment, instrument)
    if tracker.side is Side.BUY:
        return _entry(tracker, rebuilt, crossing, tick, moment, instrument)
    stop = _lowest_true(rebuilt, tick.price, moment.line_ms)
    if stop is not None:
        level, rule = stop
        step = rules.fire(rebuilt, tick, moment, level, rule)
        return Missed(
            step.tracker, Verdict.FIRE, step.evidence, _beyond_sentence(tick.price, level)
        )
    if crossing is not None:
        verb = "was" if crossing.is_certain else "may have been"
        text = (
            f"{_price(crossing.level)} {verb} crossed while nobody watched, and the price is back"
        )
        return Missed(rebuilt, Verdict.CROSSED_AND_BACK, None, text)
    return Missed(rebuilt, Verdict.UNTOUCHED if rebuilt == tracker else Verdict.REBUILT)


def _since_ms(tracker: Tracker) -> int:
    # A candle that began before this arming says nothing about it.
    began = tracker.armed_at if tracker.arm_seq == 1 else tracker.changed_at or tracker.armed_at
    return to_ms(began)


@dataclass(frozen=True, slots=True)
class _Crossing:
    """A level that a gap went beyond: for certain when it stood there before its candle."""

    level: Decimal
    is_certain: bool


def _replay(
    tracker: Tracker, candles: Sequence[Candle], moment: Moment, instrument: Instrument
) -> tuple[Tracker, _Crossing | None]:
    crossing: _Crossing | None = None
    for candle in candles:
        high, low = Decimal(repr(candle.high)), Decimal(repr(candle.low))
        best, worst = (high, low) if tracker.side is Side.SELL else (low, high)
        before = _lowest_true(tracker, worst, candle.open_time_ms)
        tracker = _meet(tracker, best, candle.open_time_ms, moment, instrument)
        after = _lowest_true(tracker, worst, candle.open_time_ms)
        if before is not None:
            crossing = _Crossing(before[0], is_certain=True)
        elif after is not None and (crossing is None or not crossing.is_certain):
            crossing = _Crossing(after[0], is_certain=False)
    return tracker, crossing


def _meet(
    tracker: Tracker, best: Decimal, at_ms: int, moment: Moment, instrument: Instrument
) -> Tracker:
    if tracker.state is TrackerState.WATCHING:
        level = rules.touch_level(tracker, at_ms)
        if level is None or not trailing.is_beyond(tracker.side.opposite, best, level):
            return tracker
        tracker = replace(
            tracker, state=TrackerState.TRAILING, touched_at=moment.at, changed_at=moment.at
        )
    if tracker.state is TrackerState.TRAILING:
        return trailing.follow(tracker, best, instrument)
    return tracker


def _lowest_true(tracker: Tracker, price: Decimal, at_ms: int) -> tuple[Decimal, str] | None:
    hard_stop = rules.hard_stop_at(tracker, at_ms)
    if hard_stop is not None and price <= hard_stop:
        return hard_stop, rules.HARD_STOP
    if tracker.state is not TrackerState.TRAILING:
        return None
    stop = rules.stop_at(tracker, at_ms)
    if stop is not None and trailing.is_beyond(tracker.side, price, stop):
        return stop, "stop crossed while blind"
    return None


def _entry(
    tracker: Tracker,
    rebuilt: Tracker,
    crossing: _Crossing | None,
    tick: Tick,
    moment: Moment,
    instrument: Instrument,
) -> Missed:
    is_true_now = _lowest_true(rebuilt, tick.price, moment.line_ms) is not None
    if crossing is None and not is_true_now:
        return Missed(rebuilt, Verdict.UNTOUCHED if rebuilt == tracker else Verdict.REBUILT)
    fresh = rebuilt
    if is_true_now or rebuilt.distance is not None:
        fresh = rules.rebuild_entry(rebuilt, tick.price, moment, instrument)
    anew = "waits anew" if fresh.state is not TrackerState.TRAILING else "starts from this price"
    text = f"would have bought while nobody watched; it {anew}"
    return Missed(fresh, Verdict.CROSSED_AND_BACK, None, text)


def _beyond_sentence(price: Decimal, level: Decimal) -> str:
    return f"fired now: the price {_price(price)} is beyond {_price(level)} after time without eyes"


def _price(value: Decimal) -> str:
    return format(value.normalize(), "f")
