"""Time without eyes: records are rebuilt, what is due fires now, and the rest is told."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import NOON
from tests.catalogue import fired
from tests.unit.trading.trackers.make import BTC, armed, candle, d, moment, step, tick
from trading.domain.market import Candle
from trading.domain.time import to_ms
from trading.domain.tracker import Then, ThenKind, Tracker, TrackerKind, TrackerState
from trading.trackers import missed, rules
from trading.trackers.missed import Missed, Verdict


def _judge(tracker: Tracker, price: object, *candles: Candle) -> Missed:
    return missed.evaluate(tracker, candles, tick(price), moment(600), BTC)


def _stop(**fields: object) -> Tracker:
    return armed(TrackerKind.STOP, 60000, level=58000, **fields)


@pytest.mark.fault("M02", "SAID")
def test_a_price_beyond_the_stop_now_fires_now() -> None:
    missed = candle(1, 57000, 60000)
    result = _judge(_stop(), 57500, missed)
    assert result.verdict is Verdict.FIRE
    assert result.evidence is not None
    assert (result.evidence.price, result.evidence.rule) == (d(57500), "stop crossed while blind")
    assert "the price 57500 is beyond 58000 after time without eyes" in result.text
    fired([one for one in (missed,) if one.low < 58000], words=result.evidence.rule)


@pytest.mark.fault("M02", "SAID")
def test_a_stop_that_was_crossed_and_left_again_is_told_and_kept() -> None:
    missed = candle(1, 57000, 60000), candle(2, 58500, 60000)
    result = _judge(_stop(), 59000, *missed)
    assert (result.verdict, result.evidence) == (Verdict.CROSSED_AND_BACK, None)
    assert result.tracker.state is TrackerState.TRAILING
    assert "58000 was crossed" in result.text
    fired([one for one in missed if one.low < 58000], words=result.text)


def test_a_gap_that_touched_nothing_changes_nothing() -> None:
    stop = _stop()
    assert _judge(stop, 60000, candle(1, 59000, 61000)) == Missed(stop, Verdict.UNTOUCHED)


def test_a_record_is_rebuilt_before_the_present_price_is_judged() -> None:
    trail = armed(TrackerKind.TRAIL, 60000, trail="0.02")
    # The high of 65000 lifts the stop to 63700: 63000 is beyond it.
    result = _judge(trail, 63000, candle(1, 62000, 65000))
    assert result.verdict is Verdict.FIRE
    assert result.tracker.record_price == d(65000)
    kept = _judge(trail, 64000, candle(1, 64000, 65000))
    assert (kept.verdict, kept.tracker.stop_price) == (Verdict.REBUILT, d(63700))


def test_within_a_candle_a_crossing_is_rather_told_than_missed() -> None:
    trail = armed(TrackerKind.TRAIL, 60000, trail="0.02")
    # Whether 62000 or 65000 came first is unknown.
    result = _judge(trail, 64500, candle(1, 62000, 65000))
    assert result.verdict is Verdict.CROSSED_AND_BACK
    assert "63700 may have been crossed" in result.text


def test_what_one_candle_proves_no_later_one_makes_doubtful() -> None:
    trail = armed(TrackerKind.TRAIL, 60000, trail="0.02")
    # The second begins with a stop of 63700, the third may have lifted it before it fell.
    result = _judge(
        trail, 66500, *map(candle, (1, 2, 3), (64000, 62000, 65800), (65000, 65000, 67500))
    )
    assert "63700 was crossed" in result.text


def test_a_touch_in_the_gap_counts() -> None:
    waiting = armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02")
    result = _judge(waiting, 65500, candle(1, 64900, 66000))
    assert (result.tracker.state, result.tracker.record_price) == (TrackerState.TRAILING, d(66000))
    assert _judge(waiting, 64000, candle(1, 63000, 64000)).tracker is waiting


def test_a_hard_stop_that_the_price_is_below_now_fires_now() -> None:
    waiting = armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02", stop=57000)
    result = _judge(waiting, 56000)
    assert result.evidence is not None
    assert result.evidence.rule == rules.HARD_STOP


def test_a_hard_stop_is_reached_at_its_very_price() -> None:
    waiting = armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02", stop=57000)
    assert _judge(waiting, 57000).verdict is Verdict.FIRE
    assert _judge(waiting, "57000.01").verdict is Verdict.UNTOUCHED


def test_a_candle_from_before_the_arming_says_nothing() -> None:
    assert _judge(_stop(), 60000, candle(-1, 57000, 60000)).verdict is Verdict.UNTOUCHED
    assert _judge(_stop(), 60000, candle(0, 57000, 60000)).verdict is Verdict.CROSSED_AND_BACK


def test_in_the_minute_of_the_arming_seconds_tell_before_from_after() -> None:
    stop = replace(_stop(), armed_at=NOON + timedelta(seconds=20, milliseconds=400))
    before, after = (
        replace(candle(0, 57000, 60000), open_time_ms=to_ms(NOON) + second * 1_000)
        for second in (20, 21)
    )
    assert _judge(stop, 60000, before).verdict is Verdict.UNTOUCHED
    assert _judge(stop, 60000, before, after).verdict is Verdict.CROSSED_AND_BACK


def test_a_candle_from_before_the_latest_arming_says_nothing() -> None:
    again = replace(_stop(then=Then(ThenKind.COOLDOWN)), arm_seq=2, changed_at=moment(300).at)
    assert _judge(again, 60000, candle(1, 57000, 60000)).verdict is Verdict.UNTOUCHED
    assert _judge(again, 60000, candle(6, 57000, 60000)).verdict is Verdict.CROSSED_AND_BACK


def test_a_buy_never_acts_on_time_it_did_not_see() -> None:
    dip = step(armed(TrackerKind.DIP, 60000, level=55000, trail="0.01"), 54000).tracker
    result = _judge(dip, 53000, candle(1, 50000, 53000))
    assert (result.verdict, result.evidence) == (Verdict.CROSSED_AND_BACK, None)
    assert result.tracker.record_price == d(53000)
    assert "would have bought while nobody watched; it starts from this price" in result.text


def test_a_breakout_that_is_crossed_now_rests_until_it_is_crossed_again() -> None:
    breakout = armed(TrackerKind.BREAKOUT, 60000, level=62000)
    result = _judge(breakout, 63000)
    assert result.tracker.state is TrackerState.RESTING
    assert "would have bought while nobody watched; it waits anew" in result.text
    back = _judge(breakout, 61000, candle(1, 61000, 63000))
    assert (back.verdict, back.tracker.state) == (Verdict.CROSSED_AND_BACK, TrackerState.TRAILING)


def test_a_lower_low_in_the_gap_lowers_the_record_of_a_buy() -> None:
    dip = step(armed(TrackerKind.DIP, 60000, level=55000, trail="0.1"), 54000).tracker
    result = _judge(dip, 52000, candle(1, 50000, 52000))
    assert (result.verdict, result.tracker.record_price) == (Verdict.REBUILT, d(50000))
    assert _judge(dip, 54500, candle(1, 54400, 55000)).verdict is Verdict.UNTOUCHED


def test_paused_and_fired_trackers_are_left_alone() -> None:
    paused = replace(_stop(), is_paused=True, paused_at=NOON)
    assert _judge(paused, 1).tracker is paused
    fired = replace(_stop(), state=TrackerState.EXITING)
    assert _judge(fired, 1).verdict is Verdict.UNTOUCHED


def test_a_resting_tracker_rests_on() -> None:
    resting = replace(_stop(), state=TrackerState.RESTING)
    assert _judge(resting, 57000, candle(1, 56000, 57000)).tracker is resting
