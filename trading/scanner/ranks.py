"""Ranks of running candles among all past candles of their series: small is extreme."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trading.scanner.history import Counts, RankHistory
from trading.scanner.metrics import Floats, Metric, Percents, sought


@dataclass(frozen=True, slots=True)
class Places:
    """Where n running candles stand in the sorted past of their series.

    - `metrics`: the candles' own, shape (4, n)
    - `below`, `upto`: how many past values are less than theirs, and at most theirs, shape (4, n)
    - `candles`: how many closed candles the past holds, shape (n,)
    """

    metrics: Percents
    below: Counts
    upto: Counts
    candles: Counts

    @property
    def change(self) -> Percents:
        """The present change of each candle in percent, shape (n,)."""
        change: Percents = self.metrics[Metric.CHANGE]
        return change


def pairs(made: Percents) -> Percents:
    """Return what is looked up for n running candles, shape (4, n, 2).

    Beside each value stands the greatest number below it: one search then finds how many past
    values are less, and how many are at most as much.
    """
    looked_up = sought(made)
    return np.stack((np.nextafter(looked_up, np.float32(-np.inf)), looked_up), axis=-1)


def places(histories: Sequence[RankHistory], made: Percents) -> Places:
    """Look up one running candle in each history; `made` has their metrics, shape (4, n)."""
    looked_up = pairs(made)
    found = np.empty(looked_up.shape, np.int64)
    for column, history in enumerate(histories):
        found[:, column] = history.search(looked_up[:, column])
    candles = np.array([len(history) for history in histories], np.int64)
    return Places(made, found[..., 0], found[..., 1], candles)


def places_in(history: RankHistory, made: Percents) -> Places:
    """Look up n moments of one running candle in the history of its series."""
    found = history.search(pairs(made))
    candles = np.full(made.shape[1], len(history), np.int64)
    return Places(made, found[..., 0], found[..., 1], candles)


def percents(standing: Places) -> Floats:
    """Return the ranks in percent, 100 * (1 + how many are more extreme) / candles, shape (4, n).

    Rows as `Metric` names them; at most 100. NaN: without candles, up while the candle has fallen
    and down while it has risen.
    """
    candles = standing.candles.astype(np.float64)
    candles[candles == 0] = np.nan
    ranks = np.minimum(100 * (1 + candles - standing.upto) / candles, 100.0)
    ranks[Metric.UP, standing.change < 0] = np.nan
    ranks[Metric.DOWN, standing.change > 0] = np.nan
    return ranks
