"""Ranks: the place found by halving is the place found by counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.scanner.make import candles, reaches, running
from trading.scanner.history import RankHistory
from trading.scanner.metrics import Metric, Percents, metrics, sought
from trading.scanner.ranks import Places, percents, places, places_in


def standing(history: RankHistory, change: float) -> Places:
    candle = running(change)
    prices = (candle.open, candle.high, candle.low, candle.close)
    return places([history], metrics(*(np.array([price]) for price in prices)))


def down_rank(history: RankHistory, change: float) -> float:
    return float(percents(standing(history, change))[Metric.DOWN, 0])


def up_rank(history: RankHistory, change: float) -> float:
    return float(percents(standing(history, change))[Metric.UP, 0])


def naive(past: Percents, looked_up: float, metric: Metric) -> float:
    more_extreme = sum(1 for value in past[metric] if value > looked_up)
    return min(100 * (1 + more_extreme) / past.shape[1], 100.0)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 200), coarse=st.booleans())
def test_the_rank_by_halving_equals_the_rank_by_counting(
    seed: int, count: int, coarse: bool
) -> None:
    past, now = candles(count, seed), candles(20, seed + 1)
    if coarse:
        # Tenths make ties, which must not matter.
        past, now = past.round(1), now.round(1)
    ranks = percents(places_in(RankHistory(past), now))
    looked_up = sought(now)
    for column in range(20):
        change = now[Metric.CHANGE, column]
        for metric in Metric:
            if (metric is Metric.UP and change < 0) or (metric is Metric.DOWN and change > 0):
                assert np.isnan(ranks[metric, column])
            else:
                expected = naive(past, looked_up[metric, column], metric)
                assert ranks[metric, column] == expected


@given(seed=st.integers(0, 10_000))
def test_many_histories_at_once_rank_like_each_alone(seed: int) -> None:
    pasts = [candles(count, seed + count) for count in (0, 1, 39, 40, 150)]
    now = candles(len(pasts), seed)
    together = percents(places([RankHistory(past) for past in pasts], now))
    for column, past in enumerate(pasts):
        alone = percents(places_in(RankHistory(past), now[:, column : column + 1]))
        assert np.array_equal(together[:, column], alone[:, 0], equal_nan=True)


def test_a_record_crash_ranks_first() -> None:
    # The ancestor looked for an equal value, and gave a record the last rank of all.
    history = reaches([float(reach) for reach in range(1, 41)])
    assert down_rank(history, -41) == 2.5
    assert up_rank(history, +41) == 2.5


def test_a_fall_between_two_past_ones_ranks_between_them() -> None:
    history = reaches([1.0, 2.0, 3.0, 5.0])
    assert down_rank(history, -3.3) == 50.0
    assert down_rank(history, -0.5) == 100.0, "never more than all"


def test_a_rise_has_no_rank_among_falls_and_a_flat_candle_has_both() -> None:
    history = reaches([1.0, 2.0, 3.0, 5.0])
    assert np.isnan(down_rank(history, +1))
    assert np.isnan(up_rank(history, -1))
    assert (up_rank(history, 0), down_rank(history, 0)) == (100.0, 100.0)


def test_equal_values_are_not_more_extreme() -> None:
    assert up_rank(reaches([5.0, 5.0, 5.0, 1.0]), 5.0) == 25.0


def test_without_candles_there_is_no_rank() -> None:
    assert np.isnan(up_rank(RankHistory(), 5.0))


@pytest.mark.parametrize("change", [-7.0, 0.0, 7.0])
def test_looking_up_changes_nothing(change: float) -> None:
    history = reaches([float(reach) for reach in range(1, 41)])
    before = history.values(Metric.UP).copy()
    standing(history, change)
    assert (history.values(Metric.UP) == before).all()
    assert len(history) == 40
