"""The past of one symbol and timeframe, sorted, so that a candle finds its place by halving."""

import numpy as np
from numpy.typing import NDArray

from trading.scanner.metrics import Metric, Percents

CANDLES_MIN = 40
"""With fewer a record candle could not rank among the most extreme 2.5 %: too young to score."""
CANDLES_MAX = 20_000
_FIRST_ROOM = 64
_METRICS = len(Metric)

Counts = NDArray[np.int64]


class RankHistory:
    """The metrics of closed candles, each sorted ascending; only closed candles may enter.

    It begins with the newest `candles_max` of what it is given, and grows by a quarter before it is
    thinned evenly back to them: no clock and no archive is asked, extremes stay, and the older a
    candle is the likelier it is forgotten.
    """

    __slots__ = ("_candles_max", "_count", "_sorted", "_sums")

    def __init__(self, past: Percents | None = None, candles_max: int = CANDLES_MAX) -> None:
        if candles_max < CANDLES_MIN:
            raise ValueError(f"candles_max should be >= {CANDLES_MIN}, was {candles_max}")
        self._candles_max = candles_max
        self._count = 0
        self._sorted: Percents = np.empty((_METRICS, 0), np.float32)
        self._sums = np.zeros(_METRICS)
        if past is not None:
            self._begin(past[:, -candles_max:])

    def __len__(self) -> int:
        return self._count

    @property
    def is_young(self) -> bool:
        """Whether there are too few closed candles to rank anything against."""
        return self._count < CANDLES_MIN

    def add(self, candle: Percents) -> None:
        """Take in the metrics of one candle that has just closed, shape (4,)."""
        if not np.isfinite(candle).all():
            raise ValueError(f"metrics should be finite, were {candle!r}")
        if self._count == self._sorted.shape[1]:
            self._make_room()
        count = self._count
        for row, value in zip(self._sorted, candle, strict=True):
            place = int(row[:count].searchsorted(value, side="right"))
            row[place + 1 : count + 1] = row[place:count]
            row[place] = value
        self._sums += candle
        self._count += 1

    def values(self, metric: Metric) -> Percents:
        """Return one metric ascending, as a view that nobody can write."""
        view = self._sorted[metric, : self._count]
        view.flags.writeable = False
        return view

    def averages(self) -> NDArray[np.float64]:
        """Return the mean of each metric, shape (4,); NaN without candles."""
        if not self._count:
            return np.full(_METRICS, np.nan)
        return self._sums / self._count

    def search(self, pairs: Percents) -> Counts:
        """Return how many past values are at most each value; shape (4, …) in and out."""
        count = self._count
        found = np.empty(pairs.shape, np.int64)
        for metric in range(_METRICS):
            found[metric] = self._sorted[metric, :count].searchsorted(pairs[metric], side="right")
        return found

    def _begin(self, past: Percents) -> None:
        if not np.isfinite(past).all():
            raise ValueError("metrics of past candles should be finite")
        self._count = past.shape[1]
        self._sorted = np.empty((_METRICS, self._room()), np.float32)
        self._sorted[:, : self._count] = np.sort(past, axis=1)
        self._sums = past.sum(axis=1, dtype=np.float64)

    def _room(self) -> int:
        most = self._candles_max + self._candles_max // 4
        return min(max(_FIRST_ROOM, self._count + self._count // 8), most)

    def _make_room(self) -> None:
        room = self._room()
        if room == self._count:
            self._thin()
            return
        larger = np.empty((_METRICS, room), np.float32)
        larger[:, : self._count] = self._sorted[:, : self._count]
        self._sorted = larger

    def _thin(self) -> None:
        kept = np.linspace(0, self._count - 1, self._candles_max).round().astype(np.intp)
        self._count = self._candles_max
        self._sorted[:, : self._count] = self._sorted[:, kept]
        self._sums = self._sorted[:, : self._count].sum(axis=1, dtype=np.float64)
