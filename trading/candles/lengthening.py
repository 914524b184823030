"""Longer candles made of shorter ones."""

import numpy as np

from trading.candles.series import Candles, Column
from trading.domain.time import grid_start_ms


def lengthened(candles: Candles, length_ms: int) -> Candles:
    """Put candles in order of time together to candles of `length_ms`, a multiple of their own.

    Each is made of those that are there: the first and the last may tell of a part of their time
    only, and so do those around holes. What was unknown of one is unknown of their sum.
    """
    if not len(candles):
        return candles
    times = candles.open_time_ms
    opens_ms = times - (times - grid_start_ms(length_ms)) % length_ms
    firsts = np.flatnonzero(np.diff(opens_ms, prepend=opens_ms[0] - 1))
    lasts = np.append(firsts[1:], len(candles)) - 1

    def sums(values: Column) -> Column:
        return np.add.reduceat(values, firsts)

    return Candles(
        opens_ms[firsts],
        candles.open[firsts],
        np.maximum.reduceat(candles.high, firsts),
        np.minimum.reduceat(candles.low, firsts),
        candles.close[lasts],
        sums(candles.volume),
        sums(candles.quote_volume),
        sums(candles.trades),
        sums(candles.taker_buy_volume),
    )
