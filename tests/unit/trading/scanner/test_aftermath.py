"""What followed a score: extremes and closes of each horizon, and how much evidence that is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.scanner.make import walk, with_holes
from trading.candles.series import Candles
from trading.scanner.aftermath import HORIZONS_MS, after_crashes, after_rises, aftermath

STEP_MS = 300_000


def naive(candles: Candles, place: int, horizon_ms: int) -> tuple[float, float, float] | None:
    at_ms = int(candles.open_time_ms[place]) + STEP_MS
    closes_ms = candles.open_time_ms + STEP_MS
    inside = (closes_ms > at_ms) & (closes_ms <= at_ms + horizon_ms)
    if not inside.any() or at_ms + horizon_ms > closes_ms[-1]:
        return None
    price = candles.close[place]
    found = (candles.high[inside].max(), candles.low[inside].min(), candles.close[inside][-1])
    return tuple(100 * (value / price - 1) for value in found)  # type: ignore[return-value]


@given(seed=st.integers(0, 10_000), count=st.integers(0, 60), share=st.sampled_from([0.0, 0.4]))
def test_looking_ahead_by_doubling_equals_looking_at_every_candle(
    seed: int, count: int, share: float
) -> None:
    candles = with_holes(walk(count, seed), seed, share)
    horizons_ms = tuple(steps * STEP_MS for steps in (1, 2, 3, 7, 16, 40))
    found = aftermath(candles, STEP_MS, horizons_ms)
    assert found.final.shape == (6, len(candles))
    for row, horizon_ms in enumerate(horizons_ms):
        for place in range(len(candles)):
            expected = naive(candles, place, horizon_ms)
            got = (found.highest[row, place], found.lowest[row, place], found.final[row, place])
            if expected is None:
                assert np.isnan(got).all()
            else:
                assert got == pytest.approx(expected)


def test_the_horizons_reach_from_half_an_hour_to_two_weeks() -> None:
    assert [horizon_ms // STEP_MS for horizon_ms in HORIZONS_MS] == [
        *(6, 12, 48, 144, 288, 864, 2016, 4032)
    ]


def test_a_horizon_that_has_not_passed_is_not_judged() -> None:
    found = aftermath(walk(10), STEP_MS, (3 * STEP_MS,))
    assert np.isnan(found.final[0]).tolist() == [False] * 7 + [True] * 3


def _flat(closes: list[float]) -> Candles:
    prices = np.array(closes)
    return walk(len(closes)).replace(open=prices, high=prices, low=prices, close=prices)


def test_a_crash_is_judged_by_the_rise_after_it_and_a_rise_by_the_fall() -> None:
    candles = _flat([100, 90, 120, 100])
    scores = np.array([1.0, 0.0, 0.0, 0.0])
    after = aftermath(candles, STEP_MS, (2 * STEP_MS,))
    [*_, crash] = after_crashes(scores, after)
    [*_, rise] = after_rises(scores, after)
    assert (crash.best, crash.worst, crash.final) == (
        pytest.approx((20.0,)),
        pytest.approx((-10.0,)),
        pytest.approx((20.0,)),
    )
    assert (rise.best, rise.worst, rise.final) == (
        pytest.approx((10.0,)),
        pytest.approx((-20.0,)),
        pytest.approx((-20.0,)),
    )


def test_averages_say_of_how_many_moments_and_how_many_episodes_they_are() -> None:
    candles = _flat([100, 100, 110, 100, 100, 100, 121, 100])
    scores = np.array([0.5, 0.5, 0.0, 0.5, np.nan, 0.5, 0.0, 0.5])
    rows = after_crashes(scores, aftermath(candles, STEP_MS, (STEP_MS,)))
    half = rows[-1]
    assert half.score == 0.5
    # Five moments in four runs; the last has nothing after it yet.
    assert (half.episodes, half.moments) == (4, (4,))
    # 0 %, +10 %, 0 % and +21 %.
    assert half.final == pytest.approx((7.75,))
    assert [row.score for row in rows] == [0.0, 0.5], "unknown scores are no scores"


def test_a_score_of_which_nothing_is_known_yet_has_no_average() -> None:
    [row] = after_crashes(np.array([np.nan, 1.0]), aftermath(_flat([1, 1]), STEP_MS, (STEP_MS,)))
    assert row.moments == (0,)
    assert np.isnan(row.best).all()
