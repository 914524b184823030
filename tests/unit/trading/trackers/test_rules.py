"""The state machine of a waiting tracker, kind by kind and state by state."""

from dataclasses import replace

import pytest

from tests.builders import NOON
from tests.unit.trading.trackers.make import (
    BTC,
    armed,
    d,
    line,
    moment,
    observation,
    step,
    tick,
    walk,
    with_spec,
)
from trading.domain.order import Side
from trading.domain.time import to_ms
from trading.domain.tracker import (
    Confirm,
    ConfirmKind,
    NextLevel,
    PriceKind,
    Then,
    ThenKind,
    Tracker,
    TrackerChange,
    TrackerKind,
    TrackerState,
)
from trading.trackers import rules

_NOON_MS = to_ms(NOON)
_HOUR_MS = 3_600_000
_SWING = Then(ThenKind.SWING, d("0.1"))


def _take_profit(**fields: object) -> Tracker:
    return armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02", **fields)


def test_a_protective_stop_fires_at_its_level_and_not_a_tick_above() -> None:
    stop = armed(TrackerKind.STOP, 60000, level=58000)
    assert step(stop, "58000.01").change is None
    fired = step(stop, 58000)
    assert fired.change is TrackerChange.TRIGGERED
    assert fired.tracker.state is TrackerState.TRIGGERED


def test_a_trigger_carries_its_evidence() -> None:
    stop = armed(TrackerKind.STOP, 60000, level=58000)
    evidence = step(stop, 57990, 3).evidence
    assert evidence is not None
    assert (evidence.price, evidence.level, evidence.rule) == (d(57990), d(58000), "stop")
    assert evidence.event_time_ms == _NOON_MS + 3000
    assert evidence.source == "stream"


def test_a_stop_that_trails_follows_the_record_and_never_falls_below_its_price() -> None:
    stop = armed(TrackerKind.STOP, 60000, level=59500, trail="0.02")
    # 60000 * 0.98 = 58800 lies below 59500; from 62000 on the trail leads: 60760.
    assert rules.stop_at(stop, _NOON_MS) == d(59500)
    moved = step(stop, 62000).tracker
    assert rules.stop_at(moved, _NOON_MS) == d(60760)
    assert step(moved, 60760).change is TrackerChange.TRIGGERED


def test_a_trailing_stop_fires_a_distance_below_the_best_price_since() -> None:
    fired = walk(armed(TrackerKind.TRAIL, 60000, trail="0.03"), 61000, 64000, 62500, 62080)
    assert fired.evidence is not None
    assert fired.evidence.level == d(62080)


def test_a_take_profit_waits_for_its_touch_then_trails() -> None:
    waiting = _take_profit()
    assert waiting.state is TrackerState.WATCHING
    assert step(waiting, "64999.99").change is None
    touched = step(waiting, 65000)
    assert touched.change is TrackerChange.TOUCHED
    assert (touched.tracker.record_price, touched.tracker.stop_price) == (d(65000), d(63700))
    assert step(touched.tracker, 63700).change is TrackerChange.TRIGGERED


def test_no_fill_can_happen_on_the_tick_that_touches() -> None:
    assert step(_take_profit(), 99999).change is TrackerChange.TOUCHED


def test_a_dip_buyer_mirrors_the_take_profit() -> None:
    waiting = armed(TrackerKind.DIP, 60000, level=55000, trail="0.01")
    assert waiting.side is Side.BUY
    assert step(waiting, "55000.01").change is None
    touched = step(waiting, 55000).tracker
    lower = step(touched, 50000)
    assert lower.change is TrackerChange.MOVED
    assert lower.tracker.stop_price == d(50500)
    assert step(lower.tracker, "50499.99").change is None
    assert step(lower.tracker, 50500).change is TrackerChange.TRIGGERED


def test_a_breakout_buys_at_or_above_its_price() -> None:
    breakout = armed(TrackerKind.BREAKOUT, 60000, level=62000)
    assert step(breakout, "61999.99").change is None
    assert step(breakout, 62000).change is TrackerChange.TRIGGERED


def test_a_breakout_of_a_line_buys_at_the_price_that_the_line_has_by_then() -> None:
    falling = armed(TrackerKind.BREAKOUT, 60000, level=line(62400, 60000))
    assert rules.stop_at(falling, _NOON_MS + 12 * _HOUR_MS) == d(61200)


@pytest.mark.parametrize("state", [TrackerState.WATCHING, TrackerState.TRAILING])
def test_the_hard_stop_is_active_before_and_after_the_touch(state: TrackerState) -> None:
    tracker = _take_profit(stop=57000)
    if state is TrackerState.TRAILING:
        tracker = step(tracker, 65000).tracker
    fired = step(tracker, 57000)
    assert fired.evidence is not None
    assert (fired.evidence.rule, fired.evidence.level) == (rules.HARD_STOP, d(57000))
    assert fired.tracker.fired_rule == rules.HARD_STOP


def test_the_hard_stop_stays_active_while_resting() -> None:
    # The ancestor never looked at its stop again once it was in its free mode.
    resting = replace(_take_profit(stop=57000), state=TrackerState.RESTING)
    assert step(resting, 57000).change is TrackerChange.TRIGGERED


def test_a_hard_stop_of_coins_that_are_not_held_does_nothing() -> None:
    swung = replace(
        _take_profit(stop=57000, then=_SWING),
        side=Side.BUY,
        last_fill_price=d(65000),
        level_price=d(50000),
        quantity=d(0),
        quote=d(500),
    )
    assert step(swung, 56000).change is None


def test_a_resting_take_profit_waits_until_the_price_has_re_entered_the_band() -> None:
    # In the ancestor the cooldown asked for what idling asked for, so it did nothing.
    resting = replace(_take_profit(), state=TrackerState.RESTING)
    assert step(resting, 66000).change is None
    assert step(resting, 65000).change is None
    back = step(resting, "64999.99")
    assert back.change is TrackerChange.REARMED
    assert (back.tracker.state, back.tracker.arm_seq) == (TrackerState.WATCHING, 2)
    assert back.tracker.record_price is None


def test_a_resting_stop_waits_until_the_price_is_above_the_stop_that_fired() -> None:
    trail = armed(TrackerKind.TRAIL, 60000, trail="0.02")
    resting = replace(trail, state=TrackerState.RESTING, stop_price=d(58800), record_price=None)
    assert step(resting, 58800).change is None
    back = step(resting, 59000).tracker
    assert (back.state, back.arm_seq, back.record_price) == (TrackerState.TRAILING, 2, d(59000))
    assert back.stop_price == d(57820)


def test_a_resting_fixed_stop_keeps_its_price() -> None:
    resting = replace(armed(TrackerKind.STOP, 60000, level=58000), state=TrackerState.RESTING)
    back = step(resting, 58500).tracker
    assert (back.state, rules.stop_at(back, _NOON_MS)) == (TrackerState.TRAILING, d(58000))


def test_a_paused_tracker_reacts_to_nothing() -> None:
    paused = replace(armed(TrackerKind.STOP, 60000, level=58000), is_paused=True)
    assert step(paused, 1).tracker is paused


@pytest.mark.parametrize("state", [TrackerState.EXITING, TrackerState.CLOSED])
def test_a_tracker_that_has_fired_reacts_to_no_price(state: TrackerState) -> None:
    fired = replace(armed(TrackerKind.STOP, 60000, level=58000), state=state)
    assert step(fired, 1).tracker is fired


def test_only_a_swing_that_has_filled_is_swinging() -> None:
    swing, plain = _take_profit(then=_SWING), _take_profit()
    assert not rules.is_swinging(swing)
    assert not rules.is_swinging(replace(plain, last_fill_price=d(65000)))
    assert rules.is_swinging(replace(swing, last_fill_price=d(65000)))


def test_a_stop_waits_for_no_touch_until_it_swings() -> None:
    stop = armed(TrackerKind.STOP, 60000, level=58000, trail="0.02", then=_SWING)
    assert not rules.waits_for_touch(stop)
    swung = replace(stop, last_fill_price=d(58000), stop_price=d(1))
    assert rules.waits_for_touch(swung)
    assert rules.stop_at(swung, _NOON_MS) == d(1)


def test_a_price_now_counts_as_a_tick() -> None:
    assert rules.moment(NOON, 1000.0) == moment(0, is_tick=True)


def test_a_stop_without_a_level_is_its_moving_stop() -> None:
    trail = replace(with_spec(armed(TrackerKind.STOP, 60000, level=58000), level=None))
    assert rules.stop_at(replace(trail, stop_price=d(57000)), _NOON_MS) == d(57000)
    assert rules.stop_at(trail, _NOON_MS) == trail.stop_price


def test_a_resting_tracker_without_a_level_rests_on() -> None:
    nothing = with_spec(_take_profit(), level=None)
    resting = replace(nothing, state=TrackerState.RESTING, level_price=None)
    assert step(resting, 1).tracker is resting
    assert step(resting, 1).change is None


def test_a_trailing_tracker_without_a_stop_fires_at_no_price() -> None:
    bare = with_spec(armed(TrackerKind.STOP, 60000, level=58000), level=None)
    assert step(replace(bare, stop_price=None), 1).change is None


def test_lines_sell_at_the_resistance_and_buy_at_the_support() -> None:
    support, resistance = line(50000, 52400), line(70000, 72400)
    sell = armed(
        TrackerKind.LINES, 60000, support=support, resistance=resistance, trail="0.01", then=_SWING
    )
    # After 12 hours the resistance is at 71200, the support at 51200.
    half = 12 * 3600
    assert step(sell, 71199, half).change is None
    touched = step(sell, 71250, half)
    assert touched.change is TrackerChange.TOUCHED
    assert touched.evidence is not None
    assert (touched.evidence.price, touched.evidence.level) == (d(71250), d(71200))
    buy = replace(sell, side=Side.BUY, quote=d(500), quantity=d(0))
    assert step(buy, 51201, half).change is None
    assert step(buy, 51200, half).change is TrackerChange.TOUCHED


def test_a_swing_between_lines_never_trades_nearer_to_its_last_fill_than_its_share() -> None:
    support, resistance = line(50000, 50000.01), line(70000, 70000.01)
    buy = replace(
        armed(
            TrackerKind.LINES,
            60000,
            support=support,
            resistance=resistance,
            trail="0.01",
            then=_SWING,
        ),
        side=Side.BUY,
        quote=d(500),
        level_price=d(45000),
        last_fill_price=d(50000),
    )
    assert rules.touch_level(buy, _NOON_MS) == d(45000)
    sell = replace(buy, side=Side.SELL, level_price=d(75000), quantity=d(1))
    assert rules.touch_level(sell, _NOON_MS) == d(75000)


def test_lines_that_have_met_take_no_new_touch_and_keep_their_hard_stop() -> None:
    met = armed(
        TrackerKind.LINES,
        60000,
        support=line(50000, 62000),
        resistance=line(70000, 60000),
        trail="0.01",
        stop=40000,
    )
    later = 36 * 3600
    assert rules.are_lines_spent(met, _NOON_MS + later * 1000)
    assert step(met, 99999, later).change is None
    assert step(met, 40000, later).change is TrackerChange.TRIGGERED


def test_a_falling_level_that_reached_zero_is_never_touched() -> None:
    falling = armed(TrackerKind.TAKE_PROFIT, 60000, level=line(65000, 1000), trail="0.01")
    assert step(falling, 99999, 30 * 3600).change is None


def test_a_level_is_spent_at_zero_and_not_just_above() -> None:
    falling = armed(TrackerKind.TAKE_PROFIT, 60000, level=line(24, 0.5), trail="0.01")
    assert not rules.are_lines_spent(falling, _NOON_MS + 24 * 3_600_000)
    ending = armed(TrackerKind.TAKE_PROFIT, 60000, level=line(48, 24), trail="0.01")
    assert rules.are_lines_spent(ending, _NOON_MS + 48 * 3_600_000)
    assert rules.touch_level(ending, _NOON_MS + 48 * 3_600_000) is None


def test_a_stop_on_a_line_is_read_at_the_time_of_the_price() -> None:
    stop = armed(TrackerKind.STOP, 60000, level=line(50000, 59600))
    assert step(stop, 52400, 5 * 3600).change is None
    assert step(stop, 52400, 6 * 3600).change is TrackerChange.TRIGGERED


def test_a_buy_that_may_not_act_starts_its_record_at_the_present_price() -> None:
    touched = step(armed(TrackerKind.DIP, 60000, level=55000, trail="0.01"), 50000).tracker
    fresh = rules.rebuild_entry(touched, d(54000), moment(), BTC)
    assert (fresh.record_price, fresh.stop_price) == (d(54000), d(54540))
    assert fresh.state is TrackerState.TRAILING


def test_a_buy_that_may_not_act_waits_for_a_new_touch_where_the_price_is_above_its_level() -> None:
    touched = step(armed(TrackerKind.DIP, 60000, level=55000, trail="0.01"), 54900).tracker
    assert touched.state is TrackerState.TRAILING
    fresh = rules.rebuild_entry(touched, d(55450), moment(), BTC)
    assert fresh.state is TrackerState.WATCHING
    assert (fresh.record_price, fresh.stop_price, fresh.touched_at) == (None, None, None)
    # Far above it nothing is bought, and after a new touch no further above it than the distance.
    assert step(fresh, 58000).change is None
    assert step(fresh, 58600).change is None
    again = step(fresh, 55000)
    assert again.change is TrackerChange.TOUCHED
    assert again.tracker.stop_price == d(55550)


def test_a_breakout_that_may_not_act_rests_until_the_price_is_back_below() -> None:
    breakout = armed(TrackerKind.BREAKOUT, 60000, level=62000)
    resting = rules.rebuild_entry(breakout, d(63000), moment(), BTC)
    assert resting.state is TrackerState.RESTING
    assert step(resting, 62500).change is None
    back = step(resting, 61000).tracker
    assert step(back, 62000).change is TrackerChange.TRIGGERED


def test_each_price_kind_takes_its_own_price_of_an_observation() -> None:
    quote = replace(observation(100, is_trade=False), price=None, bid=d(99), ask=d(101), mid=d(100))
    trade = replace(observation(98), bid=d(99), mid=d(100))
    kinds = (PriceKind.DECISION, PriceKind.LAST, PriceKind.BID, PriceKind.MID)
    assert [rules.price_for(kind, quote) for kind in kinds] == [None, None, d(99), d(100)]
    assert [rules.price_for(kind, trade) for kind in kinds] == [d(98), d(98), None, None]
    # What the watch reads in place.
    assert all(rules.price_for(PriceKind.DECISION, one) is one.price for one in (quote, trade))


def test_without_a_sane_book_the_print_decides_for_bid_and_mid_too() -> None:
    trade = observation(98)
    assert rules.price_for(PriceKind.MID, trade) == d(98)
    assert rules.price_for(PriceKind.BID, trade) == d(98)


def test_bounds_hold_for_the_whole_time_they_are_asked_for() -> None:
    tracker = armed(
        TrackerKind.TAKE_PROFIT,
        60000,
        level=line(65000, 62600),
        trail="0.01",
        stop=line(50000, 52400),
    )
    low, high = rules.bounds(tracker, _NOON_MS, _NOON_MS + 3_600_000)
    assert (low, high) == (d(50100), d(64900))


def test_the_worst_price_is_the_stop_less_what_a_confirmation_may_cost() -> None:
    stop = armed(TrackerKind.STOP, 60000, level=58000)
    assert rules.worst_price(stop, _NOON_MS) == d(58000)
    assert rules.worst_price(_take_profit(), _NOON_MS) is None
    assert rules.worst_price(_take_profit(stop=57000), _NOON_MS) == d(57000)
    touched = step(_take_profit(stop=57000), 65000).tracker
    assert rules.worst_price(touched, _NOON_MS) == d(63700)


def test_the_worst_price_of_two_stops_is_that_of_the_higher_one() -> None:
    touched = step(_take_profit(stop=57000), 65000).tracker
    closer = with_spec(touched, stop=d(64000))
    assert rules.worst_price(closer, _NOON_MS) == d(64000)


def test_a_confirmation_may_cost_a_sale_downwards_and_a_purchase_upwards() -> None:
    confirm = Confirm(ConfirmKind.TICKS, 3, loss_max=d("0.01"))
    stop = armed(TrackerKind.STOP, 60000, level=58000, confirm=confirm)
    assert rules.worst_price(stop, _NOON_MS) == d(57420)
    breakout = armed(TrackerKind.BREAKOUT, 60000, level=62000, confirm=confirm)
    assert rules.worst_price(breakout, _NOON_MS) == d(62620)


def test_a_stop_at_or_below_zero_has_no_worst_price() -> None:
    stop = armed(TrackerKind.STOP, 60000, level=line(48, 24))
    assert rules.worst_price(stop, _NOON_MS + 48 * 3_600_000) is None
    assert rules.worst_price(stop, _NOON_MS + 47 * 3_600_000) == 1


def test_the_next_level_of_a_waiting_tracker_is_its_touch_and_then_its_stop() -> None:
    waiting = _take_profit(stop=57000)
    assert rules.next_level(waiting, _NOON_MS) == (NextLevel.TOUCH, d(65000))
    touched = step(waiting, 65000).tracker
    assert rules.next_level(touched, _NOON_MS) == (NextLevel.FIRES, d(63700))
    resting = replace(waiting, state=TrackerState.RESTING)
    assert rules.next_level(resting, _NOON_MS) == (NextLevel.BAND, d(65000))


@pytest.mark.parametrize(("stop", "fires"), [(63800, 63800), (63600, 63700)])
def test_of_a_moving_and_a_hard_stop_the_higher_one_fires_next(stop: int, fires: int) -> None:
    touched = step(_take_profit(stop=57000), 65000).tracker
    raised = with_spec(replace(touched, hard_stop_price=d(stop)), stop=d(stop))
    assert rules.next_level(raised, _NOON_MS) == (NextLevel.FIRES, d(fires))


@pytest.mark.parametrize("state", [TrackerState.WATCHING, TrackerState.RESTING])
def test_without_a_level_the_next_one_is_the_hard_stop(state: TrackerState) -> None:
    spent = armed(TrackerKind.TAKE_PROFIT, 60000, level=line(48, 24), trail="0.01", stop=20)
    later_ms = _NOON_MS + 48 * 3_600_000
    found = rules.next_level(replace(spent, state=state), later_ms)
    assert found == (NextLevel.FIRES, d(20))


def test_a_level_that_was_edited_away_is_not_touched() -> None:
    tracker = with_spec(armed(TrackerKind.TRAIL, 60000, trail="0.02"), level=None)
    waiting = replace(tracker, state=TrackerState.WATCHING, level_price=None)
    assert rules.step(waiting, tick(1), moment(), BTC).change is None
