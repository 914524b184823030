"""The times at which candles of a length open: evenly apart, or on the first of each month."""

import numpy as np

from trading.candles.series import Mask, Times
from trading.domain.time import MONTH_MS, grid_start_ms


def is_on_grid(opens_ms: Times, length_ms: int) -> Mask:
    """Return which times are those of an opening, shape (n,)."""
    found: Mask = opens_ms == opens_of(opens_ms, length_ms)
    return found


def opens_of(times_ms: Times, length_ms: int) -> Times:
    """Return when the candles open that hold some moments, shape (n,)."""
    if length_ms == MONTH_MS:
        return _month_starts(_months(times_ms))
    opens_ms: Times = times_ms - (times_ms - grid_start_ms(length_ms)) % length_ms
    return opens_ms


def closes_of(opens_ms: Times, length_ms: int) -> Times:
    """Return when candles end, shape (n,)."""
    if length_ms == MONTH_MS:
        return _month_starts(_months(opens_ms) + 1)
    return opens_ms + length_ms


def are_apart(opens_ms: Times, length_ms: int) -> Mask:
    """Return after which openings of an ascending row one is missing, shape (n - 1,)."""
    if length_ms == MONTH_MS:
        return np.diff(_months(opens_ms)) > 1
    return np.diff(opens_ms) > length_ms


def _months(times: Times) -> Times:
    return times.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)


def _month_starts(months: Times) -> Times:
    return months.astype("datetime64[M]").astype("datetime64[ms]").astype(np.int64)
