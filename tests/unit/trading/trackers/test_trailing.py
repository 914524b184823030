"""The moving stop: it follows the record and never moves against the position."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.trackers.make import BTC, armed, d, step
from trading.domain.order import Side
from trading.domain.tracker import Tracker, TrackerKind
from trading.trackers import trailing

_prices = st.lists(st.decimals("100", "100000", places=2), min_size=1, max_size=40)
_share = st.decimals("0.0001", "0.5", places=4)


def _trail(side: Side, distance: object, price: object) -> Tracker:
    if side is Side.SELL:
        return armed(TrackerKind.TRAIL, price, trail=distance)
    watching = armed(TrackerKind.DIP, price, level=d(price) * 2, trail=distance)
    return step(watching, price).tracker


def test_the_stop_is_a_distance_below_the_record_of_a_sell_and_above_that_of_a_buy() -> None:
    assert trailing.stop_from(d(65000), d("0.02"), Side.SELL, BTC) == d(63700)
    assert trailing.stop_from(d(65000), d("0.02"), Side.BUY, BTC) == d(66300)


def test_rounding_moves_the_stop_towards_the_price_so_that_it_never_fires_later_than_asked() -> (
    None
):
    # 1000.01 * 0.99 = 990.0099
    assert trailing.stop_from(d("1000.01"), d("0.01"), Side.SELL, BTC) == d("990.01")
    # 1000.01 * 1.01 = 1010.0101
    assert trailing.stop_from(d("1000.01"), d("0.01"), Side.BUY, BTC) == d("1010.01")


def test_a_distance_below_one_tick_still_leaves_a_tick() -> None:
    assert trailing.stop_from(d("1.00"), d("0.0001"), Side.SELL, BTC) == d("0.99")
    assert trailing.stop_from(d("1.00"), d("0.0001"), Side.BUY, BTC) == d("1.01")


@pytest.mark.parametrize("side", list(Side))
@given(prices=_prices, distance=_share)
def test_stop_never_moves_against_the_position(
    side: Side, prices: list[Decimal], distance: Decimal
) -> None:
    tracker = _trail(side, distance, prices[0])
    for price in prices:
        before = tracker
        tracker = trailing.follow(tracker, price, BTC)
        assert tracker.stop_price is not None
        assert before.stop_price is not None
        assert trailing.tighter(side, tracker.stop_price, before.stop_price) == tracker.stop_price
    best = max(prices) if side is Side.SELL else min(prices)
    assert tracker.record_price == best


@given(prices=_prices, distance=_share)
def test_both_sides_share_one_body(prices: list[Decimal], distance: Decimal) -> None:
    sell, buy = _trail(Side.SELL, distance, prices[0]), _trail(Side.BUY, distance, prices[0])
    top, bottom = max(prices), min(prices)
    for price in prices:
        sell, buy = (trailing.follow(tracker, price, BTC) for tracker in (sell, buy))
    assert sell.stop_price == trailing.stop_from(top, distance, Side.SELL, BTC)
    assert buy.stop_price == trailing.stop_from(bottom, distance, Side.BUY, BTC)


def test_a_price_that_is_no_record_leaves_the_very_same_tracker() -> None:
    tracker = _trail(Side.SELL, "0.02", 65000)
    assert trailing.follow(tracker, d(64999), BTC) is tracker
    assert trailing.follow(tracker, d(65000), BTC) is tracker
    bought = _trail(Side.BUY, "0.02", 65000)
    assert trailing.follow(bought, d(65001), BTC) is bought
    assert trailing.follow(bought, d(65000), BTC) is bought


@pytest.mark.parametrize(
    ("side", "closer", "record"), [(Side.SELL, 64900, 66000), (Side.BUY, 65100, 64000)]
)
def test_a_stop_that_was_moved_closer_waits_for_the_distance_to_catch_up(
    side: Side, closer: int, record: int
) -> None:
    # 66000 less 2 % is 64680, 64000 and 2 % are 65280: both would be a step back.
    moved = replace(_trail(side, "0.02", 65000), stop_price=d(closer))
    followed = trailing.follow(moved, d(record), BTC)
    assert (followed.record_price, followed.stop_price) == (d(record), d(closer))


def test_a_calmer_atr_tightens_and_a_wilder_one_changes_nothing() -> None:
    tracker = _trail(Side.SELL, "0.02", 65000)
    assert trailing.tighten(tracker, d("0.01"), BTC).stop_price == d(64350)
    assert trailing.tighten(tracker, d("0.03"), BTC) is tracker


def test_a_tracker_that_waits_for_its_touch_keeps_a_tighter_distance_for_later() -> None:
    waiting = armed(TrackerKind.TAKE_PROFIT, 60000, level=65000, trail="0.02")
    tightened = trailing.tighten(waiting, d("0.01"), BTC)
    assert (tightened.distance, tightened.stop_price) == (d("0.01"), None)
    for half in (replace(waiting, record_price=d(1)), replace(waiting, stop_price=d(1))):
        assert trailing.tighten(half, d("0.01"), BTC) == replace(half, distance=d("0.01"))


def test_the_same_distance_again_tightens_nothing() -> None:
    tracker = _trail(Side.SELL, "0.02", 65000)
    assert trailing.tighten(tracker, d("0.02"), BTC) is tracker


def test_a_stop_without_distance_does_not_follow() -> None:
    fixed = armed(TrackerKind.STOP, 60000, level=58000)
    assert trailing.follow(fixed, d(99999), BTC) is fixed
    assert trailing.tighten(fixed, d("0.01"), BTC) is fixed
