"""Rates what is monitored: running candles in, scores out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from trading.domain.market import Candle
from trading.domain.time import Timeframe, candle_open_ms, following_ms
from trading.scanner.history import RankHistory
from trading.scanner.metrics import Metric, metrics
from trading.scanner.points import Method, points
from trading.scanner.ranks import percents, places
from trading.scanner.scores import RankScore, Standing, TimeframeScore, shares


@dataclass(frozen=True, slots=True)
class Monitored:
    """What is known of a symbol at a moment of the exchange: each timeframe's past, and its now.

    With `is_close` the moment is the end of some of its candles: these are scored as they came to,
    the others as they stood, against pasts that hold none of them.
    """

    symbol: str
    at_ms: int
    price: float
    histories: Mapping[Timeframe, RankHistory]
    running: Mapping[Timeframe, Candle]
    is_close: bool = False


@dataclass(frozen=True, slots=True)
class _Column:
    timeframe: Timeframe
    history: RankHistory
    candle: Candle


def rate(monitored: Sequence[Monitored], method: Method = Method.RANK) -> list[RankScore]:
    """Score symbols against their past, each over all timeframes that it has a history of.

    A candle that had closed before the moment or is not sound, or that does not hold it, is not
    scored; nor is a timeframe with fewer than 40 closed candles. Both are left out of what was
    possible. Many
    symbols in one call cost less each; a caller that must not be held up asks for some at a time.
    """
    columns = [_present(one) for one in monitored]
    rated = iter(_rate_columns(list(chain.from_iterable(columns)), method))
    scores = []
    for one, its_columns in zip(monitored, columns, strict=True):
        by_timeframe = {column.timeframe: next(rated) for column in its_columns}
        made = tuple(
            by_timeframe.get(timeframe)
            or TimeframeScore(timeframe, Standing.NO_CANDLE, len(history))
            for timeframe, history in one.histories.items()
        )
        scores.append(RankScore(one.symbol, one.at_ms, one.price, *shares(made), made))
    return scores


def _present(one: Monitored) -> list[_Column]:
    found = []
    held_ms = one.at_ms - 1 if one.is_close else one.at_ms
    for timeframe, history in one.histories.items():
        candle = one.running.get(timeframe)
        if candle is None or not candle.is_sound:
            continue
        opened_ms = candle_open_ms(held_ms, timeframe.length_ms)
        is_over = candle.is_closed and following_ms(opened_ms, timeframe.length_ms) != one.at_ms
        # After a rollover the candle that was running is a closed one, whatever it is called.
        if candle.open_time_ms == opened_ms and not is_over:
            found.append(_Column(timeframe, history, candle))
    return found


def _rate_columns(columns: Sequence[_Column], method: Method) -> list[TimeframeScore]:
    if not columns:
        return []
    candles = [column.candle for column in columns]
    prices = np.array([(one.open, one.high, one.low, one.close) for one in candles]).T
    standing = places([column.history for column in columns], metrics(*prices))
    given = points(standing, method)
    ranks = percents(standing)
    known = ranks.astype(object)
    known[np.isnan(ranks) | ~given.is_old_enough] = None
    rows = zip(
        columns,
        given.is_old_enough.tolist(),
        standing.candles.tolist(),
        standing.metrics[: Metric.UP].T.tolist(),
        known.T.tolist(),
        np.stack((given.bull, given.bear, given.change, given.amplitude), axis=1).tolist(),
        strict=True,
    )
    return [
        TimeframeScore(
            column.timeframe,
            Standing.SCORED if is_old_enough else Standing.TOO_YOUNG,
            count,
            *own,
            *candle_ranks,
            *candle_points,
        )
        for column, is_old_enough, count, own, candle_ranks, candle_points in rows
    ]
