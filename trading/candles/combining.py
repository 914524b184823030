"""Several exchanges as one history of a coin: the first leads, the others fill what it lacks.

Prices of two exchanges are never mixed in one candle, no candle of the leader is replaced, and for
each candle it is known whose it is. Volumes stay those of the exchange a candle comes from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trading.candles.series import Candles, Mask, Times, join
from trading.domain.errors import Refused

# Closes of one coin differ by less between exchanges in all but a few minutes of a crash.
UNLIKE_SHARE = 0.01
# What differs by so much as a rule is another coin, or counted in another unit.
_FOREIGN_SHARE = 0.1
_SOURCES_MAX = 250


@dataclass(frozen=True, slots=True)
class Compared:
    """What one exchange gave, and how it compares where it was not needed."""

    filled_before: int
    filled_gaps: int
    overlap: int
    """How many candles both hold; without any nothing is taken, for nobody knows what it is."""
    ratio_median: float
    """Its close by the close held, at those times; NaN without any."""
    unlike: int
    """How many closes differ by more than `UNLIKE_SHARE`."""
    worst_ms: int
    worst_ratio: float
    is_foreign: bool
    """Whether nothing of it was taken, as its prices are not those of the same coin."""

    @property
    def filled(self) -> int:
        """How many of its candles are part of the history."""
        return self.filled_before + self.filled_gaps


@dataclass(frozen=True, slots=True, eq=False)
class Combined:
    """One history: `source[i]` says from which of the histories given candle i is, from 0."""

    candles: Candles
    source: NDArray[np.uint8]
    compared: tuple[Compared, ...]
    """Of all but the first, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """A history of several exchanges: candle i is of `exchanges[source[i]]`; the first leads."""

    candles: Candles
    source: NDArray[np.uint8]
    exchanges: tuple[str, ...]


def combine(histories: Sequence[Candles]) -> Combined:
    """Combine candles of one timeframe, the leader's first; each ascends and is unique.

    A later history fills what all before it lack up to the leader's last candle: what lies before
    the first one, and the gaps. Refused without a leader's candle.
    """
    leader = histories[0]
    if not len(leader):
        raise Refused("the exchange that leads a combined history should have candles, has none")
    if len(histories) > _SOURCES_MAX:
        raise Refused(f"at most {_SOURCES_MAX} histories can be combined, were {len(histories)}")
    held, source = leader, np.zeros(len(leader), np.uint8)
    bounds_ms = (int(leader.open_time_ms[0]), int(leader.open_time_ms[-1]))
    compared = []
    for number, told in enumerate(histories[1:], start=1):
        is_held, places = _places(held.open_time_ms, told.open_time_ms)
        found = _compare(held.take(places[is_held]), told.take(is_held))
        is_wanted = ~is_held & (told.open_time_ms <= bounds_ms[1])
        if found.is_foreign or not found.overlap:
            is_wanted[:] = False
        fresh = told.take(is_wanted)
        before = int((fresh.open_time_ms < bounds_ms[0]).sum())
        compared.append(replace(found, filled_before=before, filled_gaps=len(fresh) - before))
        held = join(held, fresh)
        source = np.concatenate((source, np.full(len(fresh), number, np.uint8)))
        order = np.argsort(held.open_time_ms, kind="stable")
        held, source = held.take(order), source[order]
    return Combined(held, source, tuple(compared))


def _places(held_ms: Times, told_ms: Times) -> tuple[Mask, NDArray[np.intp]]:
    places = np.minimum(np.searchsorted(held_ms, told_ms), len(held_ms) - 1)
    is_held: Mask = held_ms[places] == told_ms
    return is_held, places


def _compare(held: Candles, told: Candles) -> Compared:
    if not len(told):
        return Compared(0, 0, 0, float("nan"), 0, 0, float("nan"), is_foreign=False)
    ratios = told.close / held.close
    away = np.abs(np.log(ratios))
    worst, median = int(away.argmax()), float(np.median(ratios))
    return Compared(
        filled_before=0,
        filled_gaps=0,
        overlap=len(told),
        ratio_median=median,
        unlike=int((away > np.log1p(UNLIKE_SHARE)).sum()),
        worst_ms=int(told.open_time_ms[worst]),
        worst_ratio=float(ratios[worst]),
        is_foreign=bool(abs(np.log(median)) > np.log1p(_FOREIGN_SHARE)),
    )
