"""The scores that were: a past told candle by candle, each score made of what was known then."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trading.candles.grid import opens_of
from trading.candles.series import Candles, Times
from trading.domain.time import Timeframe, candle_open_ms, divides
from trading.scanner.history import CANDLES_MAX, RankHistory
from trading.scanner.metrics import Floats, Metric, Percents, metrics
from trading.scanner.points import POINTS_MAX, CandlePoints, Flags, Method, Points, points
from trading.scanner.ranks import Places, pairs

SCORED_TIMEFRAMES = tuple(Timeframe(name) for name in ("1h", "4h", "12h", "1d", "3d"))
_DAY_MS = 86_400_000

SmallPoints = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """What is replayed: over which timeframes, and how much of the beginning only teaches.

    Candles of the first `skipped_ms` enter no past: a new listing moves like nothing after it.
    Scores are given from `taught_ms` after the beginning on, and only where 40 candles are known.
    """

    timeframes: tuple[Timeframe, ...] = SCORED_TIMEFRAMES
    method: Method = Method.RANK
    skipped_ms: int = 3 * _DAY_MS
    taught_ms: int = 21 * _DAY_MS
    candles_max: int = CANDLES_MAX


@dataclass(frozen=True, slots=True, eq=False)
class ScoreHistory:
    """Scores at n moments, one after each candle that was replayed.

    - `at_ms`: when the candle had closed, shape (n,); `price`: its close
    - `bull`, `bear`, `change`: shares in [0, 1], NaN where nothing could be scored, shape (n,)
    - `bull_points`, `bear_points`, `is_old_enough`: per timeframe, shape (timeframes, n)
    """

    timeframes: tuple[Timeframe, ...]
    at_ms: Times
    price: Floats
    bull: Floats
    bear: Floats
    change: Floats
    bull_points: SmallPoints
    bear_points: SmallPoints
    is_old_enough: Flags

    def __len__(self) -> int:
        return len(self.at_ms)


def replay(candles: Candles, length_ms: int, settings: ReplaySettings) -> ScoreHistory:
    """Score the close of every candle against what had closed before it.

    `candles` ascend by time, are sound and `length_ms` long; holes stay holes. Of each scored
    timeframe the running candle is made of what came since it opened. ValueError for a timeframe
    that the candles' length does not divide.
    """
    for timeframe in settings.timeframes:
        if not divides(length_ms, timeframe.length_ms):
            raise ValueError(f"{timeframe.name} should be a multiple of {length_ms} ms")
    given = [_replay_timeframe(candles, timeframe, settings) for timeframe in settings.timeframes]
    is_old_enough = np.array([one.is_old_enough for one in given])
    at_ms = candles.open_time_ms + length_ms
    if len(candles):
        is_old_enough &= at_ms >= candles.open_time_ms[0] + settings.taught_ms
    return ScoreHistory(
        settings.timeframes,
        at_ms,
        candles.close,
        _share([one.bull for one in given], is_old_enough),
        _share([one.bear for one in given], is_old_enough),
        _share([one.change for one in given], is_old_enough),
        np.array([one.bull for one in given], np.int8),
        np.array([one.bear for one in given], np.int8),
        is_old_enough,
    )


def _share(given: list[Points], is_old_enough: Flags) -> Floats:
    possible = POINTS_MAX * is_old_enough.sum(axis=0)
    reached = np.where(is_old_enough, np.array(given), 0).sum(axis=0)
    shares: Floats = np.where(possible > 0, reached / np.maximum(possible, 1), np.nan)
    return shares


def _replay_timeframe(
    candles: Candles, timeframe: Timeframe, settings: ReplaySettings
) -> CandlePoints:
    bounds = _bounds(candles.open_time_ms, timeframe.length_ms)
    made = _running_metrics(candles, bounds)
    looked_up = pairs(made)
    found = np.zeros(looked_up.shape, np.int64)
    known = np.zeros(len(candles), np.int64)
    history = RankHistory(candles_max=settings.candles_max)
    for start, end, is_taught in _chunks(candles.open_time_ms, bounds, timeframe, settings):
        # The past stands still while a candle runs, so its moments are looked up together.
        found[:, start:end] = history.search(looked_up[:, start:end])
        known[start:end] = len(history)
        if is_taught:
            history.add(made[:, end - 1])
    return points(Places(made, found[..., 0], found[..., 1], known), settings.method)


def _bounds(opens_ms: Times, length_ms: int) -> list[int]:
    starts = np.flatnonzero(np.diff(opens_of(opens_ms, length_ms))) + 1
    return [0, *starts.tolist(), len(opens_ms)]


def _chunks(
    opens_ms: Times, bounds: list[int], timeframe: Timeframe, settings: ReplaySettings
) -> Iterator[tuple[int, int, bool]]:
    if not len(opens_ms):
        return
    began_ms = int(opens_ms[0])
    for start, end in pairwise(bounds):
        opened_ms = candle_open_ms(int(opens_ms[start]), timeframe.length_ms)
        # A candle that had opened before the past begins is not known in whole.
        yield start, end, opened_ms >= began_ms + settings.skipped_ms


def _running_metrics(candles: Candles, bounds: list[int]) -> Percents:
    opens, highs, lows = (np.empty(len(candles)) for _ in range(3))
    for start, end in pairwise(bounds):
        opens[start:end] = candles.open[start : start + 1]
        np.maximum.accumulate(candles.high[start:end], out=highs[start:end])
        np.minimum.accumulate(candles.low[start:end], out=lows[start:end])
    if not len(candles):
        return np.empty((len(Metric), 0), np.float32)
    return metrics(opens, highs, lows, candles.close)
