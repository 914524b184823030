"""Indicators of closed candles; the running candle never counts."""

from collections.abc import Sequence

import numpy as np

from trading.domain.market import Candle

ATR_PERIOD = 14


def atr(candles: Sequence[Candle], period: int = ATR_PERIOD) -> float | None:
    """Return Wilder's average true range of closed candles, oldest first, in price units.

    The first value is the mean of the first `period` true ranges, each from the second candle on;
    later ones are (previous * (period - 1) + true range) / period (Wilder 1978). None with fewer
    than `period` + 1 closed candles or with prices that are not finite and above 0.
    """
    closed = [candle for candle in candles if candle.is_closed]
    if len(closed) < period + 1:
        return None
    rows = np.array([(candle.high, candle.low, candle.close) for candle in closed])
    if not np.isfinite(rows).all() or (rows <= 0).any():
        return None
    high, low, before = rows[1:, 0], rows[1:, 1], rows[:-1, 2]
    ranges = np.maximum.reduce([high - low, np.abs(high - before), np.abs(low - before)])
    value = float(ranges[:period].mean())
    for true_range in ranges[period:]:
        value = (value * (period - 1) + float(true_range)) / period
    return value
