"""Confirmation rules, and the hard bound that none of them can be without."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.trackers.make import BTC, armed, d, moment, step, tick, walk
from trading.domain.order import Side
from trading.domain.time import Timeframe
from trading.domain.tracker import Confirm, ConfirmKind, Tracker, TrackerChange, TrackerKind
from trading.market.buffer import TickBuffer
from trading.trackers import confirming, rules


def _stop(kind: ConfirmKind, count: int = 1, loss_max: str | None = None) -> Tracker:
    timeframe = Timeframe("15m") if kind is ConfirmKind.CLOSE else None
    confirm = Confirm(kind, count, timeframe, d(loss_max) if loss_max else None)
    return armed(TrackerKind.STOP, 60000, level=58000, confirm=confirm)


def test_touch_fires_on_the_first_price() -> None:
    assert step(_stop(ConfirmKind.TOUCH), 58000).change is TrackerChange.TRIGGERED


def test_three_ticks_need_three_prices_beyond_the_level() -> None:
    assert walk(_stop(ConfirmKind.TICKS, 3), 57990, 57980).evidence is None
    fired = walk(_stop(ConfirmKind.TICKS, 3), 57990, 57980, 57990)
    assert fired.evidence is not None
    assert fired.evidence.rule == "stop, 3 ticks"


def test_a_return_starts_the_count_anew() -> None:
    assert walk(_stop(ConfirmKind.TICKS, 3), 57990, 57980, 58010, 57990, 57980).evidence is None


def test_ticks_are_not_waited_for_longer_than_five_seconds() -> None:
    stop = _stop(ConfirmKind.TICKS, 1000)
    begun = step(stop, 57990)
    late = rules.step(stop, tick(57990), moment(5, is_tick=False), BTC, begun.progress)
    assert late.change is TrackerChange.TRIGGERED


def test_a_run_fires_at_the_last_of_its_moves_in_a_row() -> None:
    assert walk(_stop(ConfirmKind.RUN, 3), 57990, 57980).evidence is None
    fired = walk(_stop(ConfirmKind.RUN, 3), 57990, 57980, 57970)
    assert fired.evidence is not None
    assert (fired.evidence.price, fired.evidence.rule) == (d(57970), "stop, run of 3")


def test_a_move_back_beyond_the_level_begins_a_run_anew_and_a_pause_does_not() -> None:
    wavering = walk(_stop(ConfirmKind.RUN, 3), 57990, 57980, 57985, 57980, 57970)
    assert wavering.evidence is None
    assert walk(_stop(ConfirmKind.RUN, 3), 57990, 57990, 57980, 57980, 57970).evidence is not None


def test_a_run_of_one_is_a_touch() -> None:
    assert step(_stop(ConfirmKind.RUN, 1), 57990).change is TrackerChange.TRIGGERED


def test_the_run_of_a_purchase_goes_up() -> None:
    confirm = Confirm(ConfirmKind.RUN, 2)
    tracker = armed(TrackerKind.BREAKOUT, 60000, level=62000, confirm=confirm)
    assert walk(tracker, 62010, 62005).evidence is None
    assert walk(tracker, 62010, 62020).evidence is not None


def test_seconds_beyond_the_level_are_enough_where_no_run_comes() -> None:
    stop = _stop(ConfirmKind.RUN, 100)
    begun = step(stop, 57990)
    early = rules.step(stop, tick(57990), moment(4.9, is_tick=False), BTC, begun.progress)
    assert early.change is None
    late = rules.step(stop, tick(57990), moment(5, is_tick=False), BTC, begun.progress)
    assert late.change is TrackerChange.TRIGGERED


@given(prices=st.lists(st.integers(57_000, 57_999), min_size=1, max_size=30))
def test_a_run_is_that_of_the_tick_buffer(prices: list[int]) -> None:
    buffer, progress = TickBuffer(), None
    buffer.push(58_001.0, 0.0)
    for number, price in enumerate(prices):
        buffer.push(float(price), 1.0 + number)
        seen = tick(price, number)
        progress = confirming.advance(Side.SELL, progress, seen, 0.0, is_tick=True)
    signature = buffer.signature()
    assert progress is not None
    assert signature is not None
    assert progress.run == max(-signature.run, 0)


def test_time_that_passes_is_not_a_tick() -> None:
    stop = _stop(ConfirmKind.TICKS, 2)
    begun = step(stop, 57990)
    later = rules.step(stop, tick(57990), moment(1, is_tick=False), BTC, begun.progress)
    assert later.change is None
    assert later.progress == begun.progress


def test_seconds_beyond_the_level_fire_without_a_further_tick() -> None:
    stop = _stop(ConfirmKind.SECONDS, 5)
    begun = step(stop, 57990)
    assert (
        rules.step(stop, tick(57990), moment(4.9, is_tick=False), BTC, begun.progress).change
        is None
    )
    fired = rules.step(stop, tick(57990), moment(5, is_tick=False), BTC, begun.progress)
    assert fired.evidence is not None
    assert fired.evidence.rule == "stop, 5 s"


def test_a_candle_close_fires_when_the_candle_of_the_last_price_beyond_has_closed() -> None:
    stop = _stop(ConfirmKind.CLOSE)
    inside = step(stop, 57990, 899)
    assert inside.change is None
    # The first price of the next candle is back above, but the close was beyond.
    fired = step(stop, 58500, 901, inside.progress)
    assert fired.evidence is not None
    assert (fired.evidence.price, fired.evidence.rule) == (d(57990), "stop, close 15m")


def test_a_candle_has_not_closed_a_millisecond_before_its_end() -> None:
    stop = _stop(ConfirmKind.CLOSE)
    begun = step(stop, 57990, 100)
    early = rules.step(stop, tick(57990, 100), moment(899.999, is_tick=False), BTC, begun.progress)
    assert early.change is None
    due = rules.step(stop, tick(57990, 100), moment(900, is_tick=False), BTC, begun.progress)
    assert due.change is TrackerChange.TRIGGERED


def test_a_candle_that_closed_back_inside_does_not_fire() -> None:
    stop = _stop(ConfirmKind.CLOSE)
    begun = step(stop, 57990, 100)
    back = step(stop, 58010, 899, begun.progress)
    assert back.progress is None
    assert step(stop, 57990, 901, back.progress).change is None


def test_a_candle_closes_in_silence_too() -> None:
    stop = _stop(ConfirmKind.CLOSE)
    begun = step(stop, 57990, 100)
    closed = rules.step(stop, tick(57990, 100), moment(901, is_tick=False), BTC, begun.progress)
    assert closed.change is TrackerChange.TRIGGERED


def test_weekly_candles_close_on_sunday_at_midnight() -> None:
    # Noon of the tests is Friday 20 November 2026; the week ends 2.5 days later.
    confirm = Confirm(ConfirmKind.CLOSE, timeframe=Timeframe("1w"))
    stop = armed(TrackerKind.STOP, 60000, level=58000, confirm=confirm)
    begun = step(stop, 57990, 0)
    two_and_a_half_days = 216_000
    assert step(stop, 57990, two_and_a_half_days - 1, begun.progress).change is None
    assert step(stop, 57990, two_and_a_half_days, begun.progress).change is TrackerChange.TRIGGERED
    last = moment(two_and_a_half_days - 0.001, is_tick=False)
    assert rules.step(stop, tick(57990), last, BTC, begun.progress).change is None


def test_only_a_close_that_was_begun_can_close() -> None:
    progress = step(_stop(ConfirmKind.CLOSE), 57990).progress
    late_ms = moment(10_000).line_ms
    minutes = Timeframe("15m")
    assert confirming.closed_beyond(
        Confirm(ConfirmKind.CLOSE, timeframe=minutes), progress, late_ms
    )
    assert not confirming.closed_beyond(
        Confirm(ConfirmKind.CLOSE, timeframe=minutes), None, late_ms
    )
    assert not confirming.closed_beyond(
        Confirm(ConfirmKind.TICKS, timeframe=minutes), progress, late_ms
    )
    assert not confirming.closed_beyond(Confirm(ConfirmKind.CLOSE), progress, late_ms)


@pytest.mark.parametrize("kind", [ConfirmKind.TICKS, ConfirmKind.SECONDS, ConfirmKind.CLOSE])
def test_past_its_bound_a_rule_fires_at_once(kind: ConfirmKind) -> None:
    # Without another word the bound is 1 %: 57420.
    assert step(_stop(kind, 100), "57420.01").change is None
    fired = step(_stop(kind, 100), 57420)
    assert fired.evidence is not None
    assert fired.evidence.rule.endswith("past its bound")


def test_the_bound_of_a_trailing_stop_is_its_distance() -> None:
    confirm = Confirm(ConfirmKind.TICKS, 100)
    trail = armed(TrackerKind.TRAIL, 50000, trail="0.02", confirm=confirm)
    # 49000 less 2 % is 48020.
    assert step(trail, "48020.01").change is None
    assert step(trail, 48020).change is TrackerChange.TRIGGERED


def test_the_bound_can_be_set_and_counts_upwards_for_a_buy() -> None:
    confirm = Confirm(ConfirmKind.TICKS, 100, loss_max=d("0.005"))
    breakout = armed(TrackerKind.BREAKOUT, 60000, level=62000, confirm=confirm)
    assert step(breakout, "62309.99").change is None
    assert step(breakout, 62310).change is TrackerChange.TRIGGERED


def test_the_hard_stop_asks_for_no_confirmation() -> None:
    confirm = Confirm(ConfirmKind.TICKS, 100)
    tracker = armed(
        TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02", stop=57000, confirm=confirm
    )
    assert step(tracker, 57000).change is TrackerChange.TRIGGERED


@given(st.lists(st.decimals("57500", "58500", places=2), max_size=30), st.integers(1, 5))
def test_n_ticks_fire_exactly_after_n_consecutive_prices_beyond(
    prices: list[Decimal], count: int
) -> None:
    run = 0
    expected = None
    for number, price in enumerate(prices):
        run = run + 1 if price <= 58000 else 0
        if run == count or (run and run > 5):
            expected = number
            break
    last = walk(_stop(ConfirmKind.TICKS, count), *prices)
    assert (last.evidence is not None) == (expected is not None)
    if last.evidence is not None and expected is not None:
        assert last.evidence.price == prices[expected]
