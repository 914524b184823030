"""The traps of the ancestor that kept private stops, each as a test that would have caught it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.builders import NOON, coin, fill
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
)
from tests.unit.trading.trackers.test_watch import Around
from trading.domain.errors import Refused
from trading.domain.order import Intent, IntentState, Purpose, Side
from trading.domain.time import Timeframe, to_ms
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Confirm,
    ConfirmKind,
    Then,
    ThenKind,
    Tracker,
    TrackerKind,
    TrackerState,
)
from trading.trackers import arming, lines, outcome, rules, slices, trailing
from trading.trackers.confirming import Progress
from trading.trackers.slices import Holdings, Slice

_SWING = Then(ThenKind.SWING, d("0.04"))


def _closed(tracker: Tracker, side: Side) -> Tracker:
    intent = Intent(
        "i",
        BTC.symbol,
        side,
        Purpose.PROTECT,
        d(60000),
        NOON,
        tracker_id=1,
        arm_seq=tracker.arm_seq,
        state=IntentState.DONE,
    )
    done = fill(
        side,
        "0.5",
        "60000",
        "0.0005" if side is Side.BUY else "30",
        "BTC" if side is Side.BUY else "USDT",
    )
    return outcome.after(tracker, intent, [done], BTC, Slice(d(100)), NOON).tracker


def test_trap_1_holdings_are_read_from_the_fill_and_never_from_the_start() -> None:
    sell = armed(TrackerKind.TRAIL, 60000, trail="0.01", then=_SWING)
    buy = _closed(sell, Side.SELL)
    assert (buy.side, buy.quantity, buy.quote) == (Side.BUY, 0, d(29970))
    again = _closed(buy, Side.BUY)
    assert (again.side, again.quantity, again.quote) == (Side.SELL, d("0.4995"), 0)


def test_trap_2_a_stuck_sale_stays_a_sale() -> None:
    # Its way out turned every order that hung into a purchase.
    fired = step(armed(TrackerKind.STOP, 60000, level=58000), 57000).tracker
    assert fired.side is Side.SELL
    assert fired.spec.first_side is Side.SELL


def test_trap_3_the_stop_of_a_sale_lies_below_the_price_that_it_trails() -> None:
    assert trailing.stop_from(d(60000), d("0.01"), Side.SELL, BTC) < 60000
    assert trailing.stop_from(d(60000), d("0.01"), Side.BUY, BTC) > 60000


def test_trap_4_the_record_is_updated_on_every_better_price() -> None:
    last = walk(armed(TrackerKind.TRAIL, 60000, trail="0.5"), 61000, 60500, 62000, 61000)
    assert last.tracker.record_price == d(62000)


def test_trap_5_a_price_is_evaluated_once_and_never_replayed_from_a_queue() -> None:
    around = Around()
    watch = around.watch(armed(TrackerKind.STOP, 60000, level=58000))
    around.see(watch, 57000, 1)
    around.see(watch, 57000, 2)
    assert len(watch.fired) == 1


def test_trap_6_the_hard_stop_is_evaluated_in_every_waiting_state() -> None:
    tracker = armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02", stop=57000)
    for state in (TrackerState.WATCHING, TrackerState.TRAILING, TrackerState.RESTING):
        waiting = replace(tracker, state=state, record_price=d(65000), stop_price=d(63700))
        assert step(waiting, 56000).tracker.fired_rule == rules.HARD_STOP


def test_trap_7_a_tracker_looks_to_one_side_only() -> None:
    buy = armed(TrackerKind.DIP, 60000, level=55000, trail="0.01")
    assert step(buy, 99999).change is None
    sell = armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.01")
    assert step(sell, 1).change is None


def test_trap_8_a_cooldown_needs_the_price_back_in_the_band() -> None:
    resting = replace(
        armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02"), state=TrackerState.RESTING
    )
    assert step(resting, 66000).tracker.state is TrackerState.RESTING
    assert step(resting, 64000).tracker.state is TrackerState.WATCHING


def test_trap_9_amounts_obey_the_instruments_own_steps_and_least_value() -> None:
    ada = coin("ADA")
    owned = slices.allocate(
        Amount(AmountKind.ALL), Side.SELL, Holdings(d("123.456")), [], ada, d("0.5")
    )
    assert owned.quantity == d("123.4")
    with pytest.raises(Refused, match="too small"):
        slices.allocate(Amount(AmountKind.ALL), Side.SELL, Holdings(d(9)), [], ada, d("0.5"))


def test_trap_9_anchors_are_utc_and_crossed_lines_are_found() -> None:
    assert lines.price_at(line(100, 124), to_ms(NOON + timedelta(hours=1))) == 101
    with pytest.raises(Refused, match="below the resistance"):
        armed(
            TrackerKind.LINES,
            60000,
            support=line(70000, 70001),
            resistance=line(60000, 60001),
            trail="0.01",
        )


def test_trap_10_the_signs_are_those_of_the_documented_version() -> None:
    # One version swapped them on purpose, to make its source harder to read.
    assert trailing.stop_from(d(100), d("0.02"), Side.SELL, BTC) == 98
    assert trailing.stop_from(d(100), d("0.02"), Side.BUY, BTC) == 102


def test_shared_trap_fees_are_taken_on_the_notional() -> None:
    # 2 % twice on a 4 % swing lose; taken on the gain alone they would be 0.08 %.
    swing = armed(TrackerKind.TRAIL, 60000, trail="0.01", then=_SWING).spec
    with pytest.raises(Refused, match=r"cannot gain: .*bring 98\.88, .* two fees of 2%"):
        arming.check_swing(swing, d("0.01"), d("0.02"))


def test_shared_trap_a_candle_is_closed_by_its_close_time() -> None:
    confirm = Confirm(ConfirmKind.CLOSE, timeframe=Timeframe("1m"))
    stop = armed(TrackerKind.STOP, 60000, level=58000, confirm=confirm)
    progress = Progress(1000.0, 1, tick(57990, 0))
    still_open = rules.step(stop, tick(57990, 59.9), moment(59.9), BTC, progress)
    assert still_open.evidence is None
    assert rules.step(stop, tick(57990, 60), moment(60), BTC, progress).evidence is not None


def test_shared_trap_milliseconds_are_not_seconds() -> None:
    stop = armed(TrackerKind.STOP, 60000, level=58000)
    evidence = step(stop, 57000, 1).evidence
    assert evidence is not None
    assert evidence.event_time_ms - to_ms(NOON) == 1000


def test_shared_trap_a_pause_is_part_of_the_value_that_is_kept() -> None:
    paused = replace(armed(TrackerKind.STOP, 60000, level=58000), is_paused=True, paused_at=NOON)
    around = Around()
    watch = around.watch(paused)
    watch.observe(observation(1))
    assert watch.fired == []
