"""What followed each score: how far the price went, how far against it, and where it was then."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.candles.series import Candles
from trading.scanner.metrics import Floats

_MINUTE_MS = 60_000
HORIZONS_MS = tuple(
    minutes * _MINUTE_MS for minutes in (30, 60, 240, 720, 1440, 4320, 10080, 20160)
)
"""30 minutes to 2 weeks."""

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Aftermath:
    """What followed each of n moments within each of h horizons, in percent, shape (h, n).

    `highest` and `lowest` are the extremes that could be traded after the moment, `final` the last
    close. NaN where the past ends before the horizon does, or holds nothing within it.
    """

    highest: Floats
    lowest: Floats
    final: Floats


def aftermath(
    candles: Candles, length_ms: int, horizons_ms: tuple[int, ...] = HORIZONS_MS
) -> Aftermath:
    """Look ahead from the close of every candle; the only place here that may."""
    at_ms = candles.open_time_ms + length_ms
    firsts = np.arange(1, len(candles) + 1)
    ends_ms = at_ms + np.array(horizons_ms, np.int64)[:, None]
    # The candles that have closed by the end of the horizon; holes make them fewer.
    pasts = at_ms.searchsorted(ends_ms, side="right")
    is_known = (pasts > firsts) & (ends_ms <= (at_ms[-1] if len(at_ms) else 0))
    windows = (np.broadcast_to(firsts, pasts.shape)[is_known], pasts[is_known])
    prices = np.broadcast_to(candles.close, pasts.shape)[is_known]

    def percent(values: Floats) -> Floats:
        found = np.full(pasts.shape, np.nan)
        found[is_known] = 100 * (values / prices - 1)
        return found

    return Aftermath(
        percent(_highest(candles.high, *windows)),
        percent(-_highest(-candles.low, *windows)),
        percent(candles.close[windows[1] - 1]),
    )


def _highest(values: Floats, firsts: Places, pasts: Places) -> Floats:
    """Return the greatest of values[first:past] for many windows, by doubling their length."""
    found = np.empty(len(firsts))
    steps = np.frexp((pasts - firsts).astype(np.float64))[1] - 1
    table, width = values, 1
    for step in range(int(steps.max(initial=-1)) + 1):
        asked = np.flatnonzero(steps == step)
        # Two spans of this width cover the window, from its beginning and up to its end.
        found[asked] = np.maximum(table[firsts[asked]], table[pasts[asked] - width])
        table, width = np.maximum(table[:-width], table[width:]), 2 * width
    return found


@dataclass(frozen=True, slots=True)
class Following:
    """What followed one score on average, in percent per horizon, with the size of the sample.

    `best` is how far the price went the way that the score asks for (a fall after a rise, a rise
    after a crash), `worst` how far the other way, `final` where it closed; all positive in favour.
    `moments` counts the scores per horizon, `episodes` the runs of one after the other: moments of
    one run are no independent evidence.
    """

    score: float
    episodes: int
    moments: tuple[int, ...]
    best: tuple[float, ...]
    worst: tuple[float, ...]
    final: tuple[float, ...]


def after_crashes(bear: Floats, after: Aftermath) -> tuple[Following, ...]:
    """Sum up what followed each bear score that occurred, ascending; unknown ones are left out."""
    return _following(bear, after.highest, after.lowest, after.final)


def after_rises(bull: Floats, after: Aftermath) -> tuple[Following, ...]:
    """Sum up what followed each bull score that occurred, ascending; unknown ones are left out."""
    return _following(bull, -after.lowest, -after.highest, -after.final)


def _following(scores: Floats, best: Floats, worst: Floats, final: Floats) -> tuple[Following, ...]:
    rows = []
    # Shares of different possibilities may differ in their last digit alone.
    rounded = scores.round(6)
    for score in np.unique(rounded[~np.isnan(rounded)]).tolist():
        is_score = rounded == score
        began = is_score & ~np.concatenate(([False], is_score[:-1]))
        rows.append(
            Following(
                score,
                int(began.sum()),
                tuple((~np.isnan(final[:, is_score])).sum(axis=1).tolist()),
                *(_means(values[:, is_score]) for values in (best, worst, final)),
            )
        )
    return tuple(rows)


def _means(values: Floats) -> tuple[float, ...]:
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    sums = np.where(known, values, 0.0).sum(axis=1)
    return tuple(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).tolist())
