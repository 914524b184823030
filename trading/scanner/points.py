"""Points of a candle's place: 0 for the ordinary, 6 for the most extreme of its timeframe."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from trading.scanner.history import CANDLES_MIN, Counts
from trading.scanner.metrics import Metric
from trading.scanner.ranks import Places, percents

POINTS_MAX = 6
# Ranks in percent up to which 6, 5, 4, 3, 2 and 1 points are given.
_RANK_STEPS = np.array((2.5, 5, 10, 15, 20, 25))
# Quantiles in thousandths that are worth 1 to 6 points. The first is reached, the rest exceeded.
_REACH_STEPS = (750, 800, 850, 900, 950, 985)
_AMPLITUDE_STEPS = (750, 800, 850, 900, 950, 975)
_CHANGE_STEPS = (900, 925, 950, 970, 980, 990)
_SMALL_AMPLITUDE = 50

Points = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Method(Enum):
    """How a place becomes points: by its rank, or by the quantiles that it exceeds."""

    RANK = "rank"
    QUANTILE = "quantile"


@dataclass(frozen=True, slots=True)
class CandlePoints:
    """The points of n running candles, each shape (n,).

    - `is_old_enough`: whether the series has enough closed candles; all points are 0 where not
    - `bull`, `bear`: how unusual its rise or fall is, 0 to 6
    - `change`: how unlikely it is that so much of the move stays until the close, 0 to 6; given
      only beside bull or bear points
    - `amplitude`: how unusual its whole span is, 0 to 6; -1 for unusually small
    """

    is_old_enough: Flags
    bull: Points
    bear: Points
    change: Points
    amplitude: Points


def points(standing: Places, method: Method = Method.RANK) -> CandlePoints:
    """Rate running candles by where they stand; a candle that has not moved earns nothing."""
    by_method = {Method.RANK: _by_rank, Method.QUANTILE: _by_quantile}[method]
    is_old_enough = standing.candles >= CANDLES_MIN
    up, down = by_method(standing)
    # In a market that hardly trades most candles stand still, and a flat one would rank high.
    bull = np.where(is_old_enough & (standing.change > 0), up, 0)
    bear = np.where(is_old_enough & (standing.change < 0), down, 0)
    change = np.where(bull > 0, _rise(standing), np.where(bear > 0, _fall(standing), 0))
    amplitude = np.where(is_old_enough, _amplitude(standing), 0)
    return CandlePoints(is_old_enough, bull, bear, change, amplitude)


def _by_rank(standing: Places) -> tuple[Points, Points]:
    # NaN sorts behind all steps and so earns nothing.
    found = POINTS_MAX - _RANK_STEPS.searchsorted(percents(standing)[[Metric.UP, Metric.DOWN]])
    return found[0], found[1]


def _by_quantile(standing: Places) -> tuple[Points, Points]:
    return (
        _exceeded(standing, Metric.UP, _REACH_STEPS),
        _exceeded(standing, Metric.DOWN, _REACH_STEPS),
    )


def _exceeded(standing: Places, metric: Metric, steps: tuple[int, ...]) -> Points:
    at = _quantile_places(standing.candles, steps)
    # x > H[k] where more than k values are less than x; x >= H[k] where more than k are at most x.
    exceeded = standing.below[metric] > at
    exceeded[0] = standing.upto[metric] > at[0]
    return _sum(exceeded)


def _rise(standing: Places) -> Points:
    return _exceeded(standing, Metric.CHANGE, _CHANGE_STEPS)


def _fall(standing: Places) -> Points:
    at = _quantile_places(standing.candles, tuple(1000 - step for step in _CHANGE_STEPS))
    undercut = standing.upto[Metric.CHANGE] <= at
    undercut[0] = standing.below[Metric.CHANGE] <= at[0]
    return _sum(undercut)


def _amplitude(standing: Places) -> Points:
    found = _exceeded(standing, Metric.AMPLITUDE, _AMPLITUDE_STEPS)
    at = _quantile_places(standing.candles, (_SMALL_AMPLITUDE,))
    is_small = standing.below[Metric.AMPLITUDE] <= at[0]
    return np.where((found == 0) & is_small, -1, found)


def _quantile_places(candles: Counts, thousandths: tuple[int, ...]) -> Counts:
    # In whole numbers, so that no step hangs on how a product of floats is rounded.
    places: Counts = np.array(thousandths)[:, None] * candles // 1000
    return places


def _sum(steps: Flags) -> Points:
    summed: Points = steps.sum(axis=0, dtype=np.int64)
    return summed
