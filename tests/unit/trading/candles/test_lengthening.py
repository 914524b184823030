"""Longer candles of shorter ones: what a slow reckoning makes of them, whatever is missing."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.scanner.make import walk, with_holes
from trading.candles.lengthening import lengthened
from trading.candles.series import no_candles
from trading.domain.time import Timeframe, candle_open_ms

WEEK_MS = Timeframe("1w").length_ms


@given(
    count=st.integers(1, 300),
    times=st.sampled_from([1, 3, 12, 2016]),
    seed=st.integers(0, 50),
    share=st.sampled_from([0.0, 0.3, 0.9]),
)
def test_each_longer_candle_is_made_of_those_that_open_in_it(
    count: int, times: int, seed: int, share: float
) -> None:
    short, length_ms = with_holes(walk(count, seed), seed, share), 300_000 * times
    long = lengthened(short, length_ms)
    opens_ms = [candle_open_ms(int(at_ms), length_ms) for at_ms in short.open_time_ms]
    assert long.open_time_ms.tolist() == sorted(set(opens_ms))
    for place, opened_ms in enumerate(long.open_time_ms.tolist()):
        own = short.take([one == opened_ms for one in opens_ms])
        assert long.open[place] == own.open[0]
        assert long.close[place] == own.close[-1]
        assert long.high[place] == max(own.high)
        assert long.low[place] == min(own.low)
        assert math.isclose(long.volume[place], math.fsum(own.volume))
        assert np.isnan(long.trades[place])


def test_weeks_open_on_monday() -> None:
    long = lengthened(walk(4_000), WEEK_MS)
    assert set((long.open_time_ms % WEEK_MS).tolist()) == {4 * 86_400_000}


def test_no_candles_make_none() -> None:
    assert len(lengthened(no_candles(), WEEK_MS)) == 0
