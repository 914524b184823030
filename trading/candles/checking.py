"""What a source says is judged before it is kept: repaired where that is certain, else refused.

Nothing is made up here. Order, exact doubles and the unit of times can be put right; a candle that
is wrong in itself is handed back with the reason, and becomes a gap.
"""

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

import numpy as np

from trading.candles import contradictions
from trading.candles.grid import are_apart, closes_of, is_on_grid
from trading.candles.merging import agreement
from trading.candles.series import (
    COLUMNS,
    PRICES,
    REQUIRED,
    UNKNOWN_TIME_MS,
    Candles,
    Column,
    Mask,
    Times,
)

# No market is older than its first exchange, and no clock of ours reaches further.
_TIME_MIN_MS = 1_230_768_000_000  # 2009-01-01
_TIME_MAX_MS = 4_102_444_800_000  # 2100-01-01
# From one close to the open right after it no market moves so far, and no mistake of a unit
# (cents, thousands, a redenominated coin) is smaller.
_UNIT_FACTOR = 50.0
# At the same moment one market has one price.
_FAR_FACTOR = 1.5
# Of candles half as long every other one opens between two times of the grid.
_SHORTER_SHARE = 0.4
_SHORTER_COUNT = 5
_REGULAR_COUNT = 50
_REGULAR_SHARE = 0.9


class Fault(Enum):
    """Why a candle is not kept."""

    TIME = "opens at no time that can be"
    OFF_GRID = "opens between two times of the grid"
    SHORTER = "is one of many that open too near each other for this timeframe"
    FUTURE = "opens in the future"
    NOT_A_NUMBER = "holds something that is no number"
    PRICE = "has a price that is not above 0"
    EXTREMES = "has a high or a low that does not bound open and close"
    VOLUME = "has a volume below 0"
    TOLD_TWICE = "is told twice, and not alike"
    UNIT = "has prices in another unit than the candles around it"
    CONTRADICTED = "has a price or a volume that its own quote volume contradicts"
    ANSWER = (
        "comes with others most of which contradict their own quote volume: prices or volumes are "
        "in another unit"
    )
    OTHER_LENGTH = "has prices far from those held of the symbol in other candles"
    DISAGREES = "disagrees with the candle held"


class Repair(Enum):
    """What was put right."""

    ORDER = "put in order of time"
    DOUBLE = "told twice alike, kept once"
    TIME_UNIT = "time turned into milliseconds"
    FIELD = "an optional field left out, for it contradicts the candle"


_TIME_IS_RIGHT = frozenset({Fault.UNIT, Fault.CONTRADICTED, Fault.ANSWER})


@dataclass(frozen=True, slots=True)
class Rejected:
    """Candles that are not kept, for one reason."""

    fault: Fault
    candles: Candles


@dataclass(frozen=True, slots=True)
class Checked:
    """Closed candles fit to be kept, ascending and unique, and the fate of all others."""

    candles: Candles
    rejected: tuple[Rejected, ...]
    repaired: dict[Repair, int]
    running: int
    """How many were left out because they had not closed yet."""

    @property
    def told_ms(self) -> Times:
        """When the closed candles open that the source has, also those that it tells wrong."""
        wrong = (one.candles.open_time_ms for one in self.rejected if one.fault in _TIME_IS_RIGHT)
        return np.concatenate((self.candles.open_time_ms, *wrong))

    @property
    def rejected_count(self) -> int:
        """How many candles were handed back."""
        return sum(len(one.candles) for one in self.rejected)


def check(told: Candles, length_ms: int, now_ms: int) -> Checked:
    """Judge what a source told of one series, without knowing what is held of it.

    Times in seconds, microseconds or nanoseconds are turned into milliseconds when
    all are in the same unit.
    """
    repaired: dict[Repair, int] = {}
    rejected: list[Rejected] = []
    candles = _in_milliseconds(told, repaired)
    candles = _in_order(candles, repaired)
    candles = _reject(candles, {Fault.SHORTER: _are_shorter(candles, length_ms)}, rejected)
    candles = _reject(candles, _row_faults(candles, length_ms, now_ms), rejected)
    # Before doubles are compared: two looks at a running candle differ, and rightly.
    is_running = closes_of(candles.open_time_ms, length_ms) > now_ms
    candles = _once(candles.take(~is_running), repaired, rejected)
    if contradictions.most_contradict(candles):
        # The few that agree are no better known to be right.
        candles = _reject(candles, {Fault.ANSWER: np.ones(len(candles), np.bool_)}, rejected)
    is_foreign = in_another_unit(candles, length_ms)
    candles = _reject(candles, {Fault.UNIT: is_foreign}, rejected)
    is_untrue = contradictions.are_untrue(candles)
    candles = _reject(candles, {Fault.CONTRADICTED: is_untrue}, rejected)
    candles = _without_contradictions(candles, repaired)
    return Checked(candles, tuple(rejected), repaired, int(is_running.sum()))


def in_another_unit(candles: Candles, length_ms: int, held: Candles | None = None) -> Mask:
    """Say which prices are off by a factor that only a mistake of the unit explains.

    Candles are compared that follow each other directly, and with those `held` at the same times,
    right before and right after; where none of a stretch are, the most usual unit counts. Over a
    pause anything may happen. Both ascend; the answer has shape (n,).
    """
    if not len(candles):
        return np.zeros(0, np.bool_)
    steps = _jumps(candles.open, np.concatenate((candles.open[:1], candles.close[:-1])))
    levels = np.cumsum(steps)
    known = np.full(len(candles), np.nan) if not held else _known(candles, length_ms, held)
    pauses = np.flatnonzero(are_apart(candles.open_time_ms, length_ms)) + 1
    bounds = [0, *pauses.tolist(), len(candles)]
    foreign = np.zeros(len(candles), np.bool_)
    for start, end in pairwise(bounds):
        own, told = levels[start:end], ~np.isnan(known[start:end])
        # Where a candle is off by `known`, our own unit lies that far below its level.
        ours = np.median((own - known[start:end])[told]) if told.any() else np.median(own)
        foreign[start:end] = np.abs(own - ours) > 1.0
    return foreign


def far_from(candles: Candles, length_ms: int, held: Candles, held_length_ms: int) -> bool | None:
    """Whether candles of one length are of another market or unit than those of another length.

    Candles that end together end with the same trade. None where none do.
    """
    ends = closes_of(candles.open_time_ms, length_ms)
    held_ends = closes_of(held.open_time_ms, held_length_ms)
    _, ours, theirs = np.intersect1d(ends, held_ends, assume_unique=True, return_indices=True)
    if not len(ours):
        return None
    away = np.abs(np.log(candles.close[ours]) - np.log(held.close[theirs]))
    return bool(np.median(away) > np.log(_FAR_FACTOR))


def _known(candles: Candles, length_ms: int, held: Candles) -> Column:
    """Return by how much candles are off those held beside them, NaN where none is."""
    times, ends = candles.open_time_ms, closes_of(candles.open_time_ms, length_ms)
    held_ends = closes_of(held.open_time_ms, length_ms)
    known = np.full(len(candles), np.nan)
    for ours, theirs, price, beside in (
        (ends, held.open_time_ms, candles.close, held.open),
        (times, held_ends, candles.open, held.close),
        (times, held.open_time_ms, candles.close, held.close),
    ):
        places = np.minimum(np.searchsorted(theirs, ours), len(theirs) - 1)
        is_beside = theirs[places] == ours
        if is_beside.any():
            known[is_beside] = _jumps(price[is_beside], beside[places[is_beside]])
    return known


def _jumps(prices: Column, before: Column) -> Column:
    """Return the logarithm of each price by the one before it, 0 where it is but a move."""
    jumps: Column = np.log(prices) - np.log(before)
    jumps[np.abs(jumps) < np.log(_UNIT_FACTOR)] = 0.0
    return jumps


def times_too_long(told: Candles, length_ms: int) -> int:
    """Return how many times longer candles are than they should be, 0 where that is not certain.

    Where few trade, candles lack; but so many in a row never lack with the regularity of a clock.
    """
    times = _in_milliseconds(told, {}).open_time_ms
    if len(times) < _REGULAR_COUNT:
        return 0
    steps, counts = np.unique(np.diff(np.sort(times)), return_counts=True)
    usual = int(counts.argmax())
    longer, rest = divmod(int(steps[usual]), length_ms)
    is_regular = counts[usual] >= _REGULAR_SHARE * (len(times) - 1)
    return longer if is_regular and longer > 1 and not rest else 0


def _in_milliseconds(candles: Candles, repaired: dict[Repair, int]) -> Candles:
    times = candles.open_time_ms
    for multiply, divide in ((1000, 1), (1, 1000), (1, 1_000_000)):
        least, most = _TIME_MIN_MS * divide // multiply, _TIME_MAX_MS * divide // multiply
        if len(times) and ((times >= least) & (times < most)).all():
            whole = times % divide == 0
            # A time between two milliseconds is no open time; it falls to the next check.
            scaled = np.where(whole, times * multiply // divide, UNKNOWN_TIME_MS)
            repaired[Repair.TIME_UNIT] = len(times)
            return _at(candles, scaled)
    return candles


def _at(candles: Candles, times: Times) -> Candles:
    return Candles(times, *(candles.column(name) for name in COLUMNS[1:]))


def _in_order(candles: Candles, repaired: dict[Repair, int]) -> Candles:
    behind = int((np.diff(candles.open_time_ms) < 0).sum())
    if not behind:
        return candles
    repaired[Repair.ORDER] = behind
    return candles.take(np.argsort(candles.open_time_ms, kind="stable"))


def _are_shorter(candles: Candles, length_ms: int) -> Mask:
    """Say of all that they are candles of a shorter timeframe, even those that open on the grid."""
    is_off = ~is_on_grid(candles.open_time_ms, length_ms)
    is_so = len(candles) >= _SHORTER_COUNT and is_off.mean() >= _SHORTER_SHARE
    return np.full(len(candles), is_so)


def _row_faults(candles: Candles, length_ms: int, now_ms: int) -> dict[Fault, Mask]:
    times = candles.open_time_ms
    prices = np.stack([candles.column(name) for name in PRICES])
    numbers = np.stack([candles.column(name) for name in REQUIRED])
    body_high = np.maximum(candles.open, candles.close)
    body_low = np.minimum(candles.open, candles.close)
    return {
        Fault.TIME: (times < _TIME_MIN_MS) | (times >= _TIME_MAX_MS),
        Fault.OFF_GRID: ~is_on_grid(times, length_ms),
        Fault.FUTURE: times > now_ms,
        Fault.NOT_A_NUMBER: ~np.logical_and.reduce(np.isfinite(numbers), axis=0),
        Fault.PRICE: np.logical_or.reduce(prices <= 0, axis=0),
        Fault.EXTREMES: (candles.high < body_high) | (candles.low > body_low),
        Fault.VOLUME: candles.volume < 0,
    }


def _reject(candles: Candles, faults: dict[Fault, Mask], rejected: list[Rejected]) -> Candles:
    left = np.ones(len(candles), np.bool_)
    for fault, is_wrong in faults.items():
        found = is_wrong & left
        if found.any():
            rejected.append(Rejected(fault, candles.take(found)))
            left &= ~found
    return candles if left.all() else candles.take(left)


def _once(candles: Candles, repaired: dict[Repair, int], rejected: list[Rejected]) -> Candles:
    """Keep one of doubles that agree, and none of those that do not."""
    times, firsts, counts = np.unique(candles.open_time_ms, return_index=True, return_counts=True)
    if len(times) == len(candles):
        return candles
    first_of = np.repeat(firsts, counts)
    agree = agreement(candles.take(first_of), candles)
    all_agree = np.logical_and.reduceat(agree, firsts)
    if not all_agree.all():
        told_unlike = np.repeat(~all_agree, counts)
        rejected.append(Rejected(Fault.TOLD_TWICE, candles.take(told_unlike)))
    doubles = int((counts[all_agree] - 1).sum())
    if doubles:
        repaired[Repair.DOUBLE] = doubles
    return candles.take(firsts[all_agree])


def _without_contradictions(candles: Candles, repaired: dict[Repair, int]) -> Candles:
    """Leave out optional numbers that cannot be, such as a taker's share above the volume."""
    changed: dict[str, Column] = {}
    count = 0
    for name, is_wrong in contradictions.impossible_fields(candles).items():
        if is_wrong.any():
            count += int(is_wrong.sum())
            changed[name] = np.where(is_wrong, np.nan, candles.column(name))
    if count:
        repaired[Repair.FIELD] = count
    return candles.replace(**changed)
