"""Longer candles made of shorter ones.

They open on the grid of all exchanges and so are anybody's: days at midnight UTC, weeks on Monday,
months on the first, whatever else is longer than a day counted in days from 1 January 1970.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from trading.candles.grid import opens_of
from trading.candles.rows import columns_of, rows_of
from trading.candles.series import Candles, Column
from trading.domain.errors import Refused
from trading.domain.market import Candle
from trading.domain.time import (
    Timeframe,
    divides,
    following_ms,
    preceding_ms,
)


def source_of(timeframe: Timeframe, names: Collection[str]) -> Timeframe | None:
    """Return of which candles an exchange's are made: themselves where it has them.

    Else the longest that divide them, of those that it has; None where none do.
    """
    if timeframe.name in names:
        return timeframe
    known = [one for name in names if (one := _known(name)) is not None]
    shorter = [one for one in known if divides(one.length_ms, timeframe.length_ms)]
    return max(shorter, key=lambda one: one.length_ms, default=None)


def shorter_needed(longer: int, shorter_ms: int, length_ms: int) -> int:
    """Return how many candles so many longer ones are made of, at most."""
    a_long_one_ms = 31 * 86_400_000 if length_ms == Timeframe("1M").length_ms else length_ms
    return longer * (a_long_one_ms // shorter_ms)


def from_shorter(
    told: Sequence[Candle], shorter_ms: int, length_ms: int, now_ms: int
) -> list[Candle]:
    """Make longer candles of an answer, oldest first, the running one last.

    One that the answer begins or ends within is left out, unless it ends with the running one.
    """
    if not told:
        return []
    made = rows_of(lengthened(columns_of(told), length_ms))
    if told[0].open_time_ms != made[0].open_time_ms:
        del made[0]
    if not made:
        return []
    newest, ends_ms = told[-1], following_ms(made[-1].open_time_ms, length_ms)
    if not newest.is_closed or ends_ms > now_ms:
        running = replace(made.pop(), is_closed=False)
        return [*made, running] if following_ms(newest.open_time_ms, shorter_ms) > now_ms else made
    return made if newest.open_time_ms == preceding_ms(ends_ms, shorter_ms) else made[:-1]


def whole_only(candles: Candles, shorter_ms: int, length_ms: int) -> Candles:
    """Make longer candles of a past, without those that it begins or ends within."""
    made = lengthened(candles, length_ms)
    if not len(made):
        return made
    ends_ms = following_ms(int(made.open_time_ms[-1]), length_ms)
    is_first_whole = candles.open_time_ms[0] == made.open_time_ms[0]
    is_last_whole = candles.open_time_ms[-1] == preceding_ms(ends_ms, shorter_ms)
    return made.take(slice(0 if is_first_whole else 1, len(made) if is_last_whole else -1))


def _known(name: str) -> Timeframe | None:
    try:
        return Timeframe.parse(name)
    except Refused:
        return None


def lengthened(candles: Candles, length_ms: int) -> Candles:
    """Put candles in order of time together to candles of `length_ms`, which their own divides.

    Each is made of those that are there: the first and the last may tell of a part of their time
    only, and so do those around holes. What was unknown of one is unknown of their sum.
    """
    if not len(candles):
        return candles
    opens_ms = opens_of(candles.open_time_ms, length_ms)
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
