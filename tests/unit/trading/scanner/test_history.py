"""The sorted past: stays sorted, stays bounded, and forgets evenly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.scanner.make import candles
from trading.scanner.history import CANDLES_MIN, RankHistory
from trading.scanner.metrics import Metric


@given(seed=st.integers(0, 10_000), count=st.integers(0, 300), known=st.integers(0, 300))
def test_candles_added_one_by_one_give_the_same_past_as_all_at_once(
    seed: int, count: int, known: int
) -> None:
    past = candles(count, seed)
    at_once, grown = RankHistory(past), RankHistory(past[:, : min(known, count)])
    for column in range(min(known, count), count):
        grown.add(past[:, column])
    assert len(at_once) == len(grown) == count
    for metric in Metric:
        assert (at_once.values(metric) == grown.values(metric)).all()
        assert (at_once.values(metric) == np.sort(past[metric])).all()
    assert grown.averages() == pytest.approx(at_once.averages(), nan_ok=True)


def test_the_past_begins_with_the_newest_candles() -> None:
    past = candles(100)
    assert (RankHistory(past, 60).values(Metric.UP) == np.sort(past[Metric.UP, -60:])).all()


def test_the_past_never_holds_more_than_a_quarter_above_its_bound() -> None:
    past = candles(400)
    history = RankHistory(candles_max=80)
    sizes = []
    for column in range(400):
        history.add(past[:, column])
        sizes.append(len(history))
    assert max(sizes) == 100
    assert sizes[100] == 81, "the 101st candle finds the past thinned to 80"


def test_thinning_keeps_the_extremes_and_the_shape() -> None:
    past = candles(5_000)
    history = RankHistory(candles_max=400)
    for column in range(5_000):
        history.add(past[:, column])
    for metric in Metric:
        kept, everything = history.values(metric), np.sort(past[metric])
        assert (kept[0], kept[-1]) == (everything[0], everything[-1])
        assert (np.diff(kept) >= 0).all()
        median = everything.searchsorted(kept[len(kept) // 2]) / 5_000
        assert median == pytest.approx(0.5, abs=0.05)
        assert history.averages()[metric] == pytest.approx(float(kept.mean()), abs=1e-4)


def test_39_candles_are_too_young_and_40_are_not() -> None:
    assert CANDLES_MIN == 40
    assert RankHistory(candles(39)).is_young
    assert not RankHistory(candles(40)).is_young


def test_values_are_a_view_that_nobody_can_write() -> None:
    history = RankHistory(candles(50))
    view = history.values(Metric.DOWN)
    assert not view.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 0


def test_what_is_not_finite_never_enters() -> None:
    past = candles(50)
    past[Metric.UP, 3] = np.nan
    with pytest.raises(ValueError, match="finite"):
        RankHistory(past)
    history = RankHistory()
    with pytest.raises(ValueError, match="finite"):
        history.add(past[:, 3])
    assert len(history) == 0


def test_a_bound_below_what_can_be_scored_is_an_error() -> None:
    with pytest.raises(ValueError, match="candles_max should be >= 40, was 39"):
        RankHistory(candles_max=39)


def test_no_candles_have_no_average() -> None:
    assert np.isnan(RankHistory().averages()).all()
