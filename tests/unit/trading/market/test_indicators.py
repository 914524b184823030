"""Wilder's average true range, by hand and by its bounds."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.market.make import candle
from trading.market.indicators import atr


def test_the_first_value_is_a_mean_and_later_ones_are_smoothed() -> None:
    candles = [candle(10, 11, 9, 10), candle(10, 12, 10, 11), candle(11, 15, 11, 14)]
    # True ranges 2 and 4: mean 3.
    assert atr(candles, 2) == 3
    # A gap to 20: max(22 - 19, 22 - 14, 19 - 14) = 8, so (3 * 1 + 8) / 2.
    assert atr([*candles, candle(20, 22, 19, 21)], 2) == 5.5


def test_the_running_candle_never_counts() -> None:
    candles = [candle(10, 11, 9, 10)] * 15
    assert atr(candles) == 2
    assert atr([*candles, candle(10, 99, 1, 50, is_closed=False)]) == 2


def test_too_few_closed_candles_have_no_atr() -> None:
    assert atr([candle(10, 11, 9, 10)] * 14) is None
    assert atr([]) is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -1.0])
def test_nonsense_has_no_atr(bad: float) -> None:
    assert atr([candle(10, 11, 9, 10)] * 15 + [candle(10, 11, 9, bad)]) is None


@given(st.lists(st.tuples(st.floats(1, 1000), st.floats(0, 50)), min_size=15, max_size=60))
def test_the_atr_lies_between_the_least_and_the_greatest_true_range(
    rows: list[tuple[float, float]],
) -> None:
    candles = [candle(low, low + span, low, low + span / 2) for low, span in rows]
    ranges = [
        max(now.high - now.low, abs(now.high - before.close), abs(now.low - before.close))
        for before, now in itertools.pairwise(candles)
    ]
    value = atr(candles)
    assert value is not None
    assert min(ranges) - 1e-9 <= value <= max(ranges) + 1e-9
