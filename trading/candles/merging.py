"""Two sources of the same series become one; where they disagree the older answer stays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.candles.series import OPTIONAL, REQUIRED, Candles, Column, Mask, join

Places = NDArray[np.intp]
# Numbers that went through text or float arithmetic on the way differ in their last digits.
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Merged:
    """The union in order of time, and what of the incoming contradicts what was held."""

    candles: Candles
    disagreeing: Candles
    added: int
    completed: int
    """Candles held before that learned an optional field."""


def merge(held: Candles, incoming: Candles) -> Merged:
    """Add candles to those held; both ascend by time and are unique in it.

    A candle that both hold must agree in every number that both tell, within 1e-9 of it; if not,
    the one held stays and the incoming one is handed back.
    """
    places = np.searchsorted(held.open_time_ms, incoming.open_time_ms)
    inside = np.minimum(places, max(len(held) - 1, 0))
    is_held = (
        held.open_time_ms[inside] == incoming.open_time_ms
        if len(held)
        else np.zeros(len(incoming), np.bool_)
    )
    ours, theirs = held.take(places[is_held]), incoming.take(is_held)
    agree = agreement(ours, theirs)
    completed, count = _complete(held, places[is_held][agree], theirs.take(agree))
    fresh = incoming.take(~is_held)
    united = join(completed, fresh)
    if len(fresh) and len(held) and fresh.open_time_ms[0] < held.open_time_ms[-1]:
        united = united.take(np.argsort(united.open_time_ms, kind="stable"))
    return Merged(united, theirs.take(~agree), len(fresh), count)


def agreement(some: Candles, others: Candles) -> Mask:
    """Return which of two equally long lists of candles say the same, shape (n,)."""
    agree = np.ones(len(some), np.bool_)
    for name in REQUIRED:
        agree &= _same(some.column(name), others.column(name))
    for name in OPTIONAL:
        one, other = some.column(name), others.column(name)
        agree &= _same(one, other) | np.isnan(one) | np.isnan(other)
    return agree


def _same(some: Column, others: Column) -> Mask:
    same: Mask = np.isclose(some, others, rtol=_TOLERANCE, atol=0.0)
    return same


def _complete(held: Candles, places: Places, told: Candles) -> tuple[Candles, int]:
    learned = np.zeros(len(places), np.bool_)
    columns = {}
    for name in OPTIONAL:
        column, theirs = held.column(name), told.column(name)
        is_news = np.isnan(column[places]) & ~np.isnan(theirs)
        if is_news.any():
            column = column.copy()
            column[places[is_news]] = theirs[is_news]
            columns[name] = column
            learned |= is_news
    return held.replace(**columns), int(learned.sum())
