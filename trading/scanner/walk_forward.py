"""The thresholds that would have paid best, and what choosing them so was worth afterwards."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from trading.scanner.metrics import Floats
from trading.scanner.points import POINTS_MAX
from trading.scanner.scores import Thresholds

_LEAST_POINTS = 2

Sides = NDArray[np.int64]
Moments = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Costs:
    """What a trade loses, as shares of its notional: fee and slippage, in and out alike."""

    fee: float = 0.001
    slippage: float = 0.0005

    @property
    def kept(self) -> float:
        """What is left of a notional after one trade."""
        return (1 - self.fee) * (1 - self.slippage)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Profit as a share of what was put in, after all costs, and of how many round trips it is."""

    profit: float
    round_trips: int


# Fewer round trips than this say nothing that luck could not say too.
ROUND_TRIPS_TRUSTED = 30


@dataclass(frozen=True, slots=True)
class Fold:
    """Thresholds chosen on scores before `first` (None: no choice), traded from it up to `past`."""

    first: int
    past: int
    chosen: Thresholds | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class BestThresholds:
    """The thresholds to use, and how far they may be believed.

    - `in_sample`: what they made on all that they were chosen from
    - `out_of_sample`: what the same way of choosing made on data it had not seen, fold after fold;
      its round trips are the size of the sample
    - `held`: what buying at its beginning and holding made in the same time
    """

    thresholds: Thresholds
    in_sample: Outcome
    out_of_sample: Outcome
    held: float
    folds: tuple[Fold, ...]

    @property
    def is_trusted(self) -> bool:
        """Whether the sample is large enough to go by."""
        return self.out_of_sample.round_trips >= ROUND_TRIPS_TRUSTED


@dataclass(frozen=True, slots=True, eq=False)
class ScoredCandles:
    """Scores at the closes of n candles, and the candles' own open and close, shape (n,).

    NaN scores ask for nothing. A score is traded at the open of the candle after it.
    """

    bull: Floats
    bear: Floats
    open: Floats
    close: Floats

    def part(self, first: int, past: int) -> "ScoredCandles":
        """Return the moments from first on, up to past."""
        which = slice(first, past)
        return ScoredCandles(
            self.bull[which], self.bear[which], self.open[which], self.close[which]
        )

    def __len__(self) -> int:
        return len(self.close)


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How thresholds are searched: in steps of a point, with a least number of round trips."""

    timeframes: int
    costs: Costs = Costs()
    folds: int = 4
    round_trips_min: int = 3

    @property
    def choices(self) -> tuple[float, ...]:
        """The thresholds that are tried: 2 points up to one below all."""
        possible = POINTS_MAX * self.timeframes
        return tuple(points / possible for points in range(_LEAST_POINTS, possible))


def trade(candles: ScoredCandles, thresholds: Thresholds, costs: Costs) -> Outcome:
    """Buy all on BUY and sell all on SELL, each at the open after its score; begin without coins.

    What is still held at the end is valued at the last close as if it were sold.
    """
    moments = _changes(_sides(candles.bull, candles.bear, thresholds))
    return _outcome(candles, moments, costs)


def best_thresholds(candles: ScoredCandles, settings: SearchSettings) -> BestThresholds | None:
    """Choose on all that is known, and walk forward to tell what such a choice is worth.

    The known scores are cut in `folds` + 1 parts; each part but the first is traded with what was
    best on those before it. None when nothing made `round_trips_min` round trips.
    """
    known = np.flatnonzero(~np.isnan(candles.bull))
    if not len(known):
        return None
    first, past = int(known[0]), int(known[-1]) + 1
    everything = candles.part(first, past)
    chosen = _choose(everything, settings)
    if chosen is None:
        return None
    folds = tuple(_walk(candles, first, past, settings))
    grown = np.prod([1 + fold.outcome.profit for fold in folds])
    trips = sum(fold.outcome.round_trips for fold in folds)
    unseen = candles.part(folds[0].first, past)
    return BestThresholds(
        chosen,
        trade(everything, chosen, settings.costs),
        Outcome(float(grown) - 1, trips),
        float(unseen.close[-1] / unseen.open[0] * settings.costs.kept**2 - 1),
        folds,
    )


def _walk(
    candles: ScoredCandles, first: int, past: int, settings: SearchSettings
) -> Iterator[Fold]:
    cuts = np.linspace(first, past, settings.folds + 2).round().astype(int).tolist()
    for start, end in pairwise(cuts[1:]):
        chosen = _choose(candles.part(first, start), settings)
        unseen = candles.part(start, end)
        outcome = Outcome(0.0, 0) if chosen is None else trade(unseen, chosen, settings.costs)
        yield Fold(start, end, chosen, outcome)


def _choose(candles: ScoredCandles, settings: SearchSettings) -> Thresholds | None:
    # Moments at which no choice asks for anything need not be looked at for each of them.
    least = settings.choices[0]
    asking = np.flatnonzero((candles.bull >= least) | (candles.bear >= least))
    bull, bear = candles.bull[asking], candles.bear[asking]
    best: tuple[tuple[float, float, float], Thresholds] | None = None
    for thresholds in (Thresholds(*pair) for pair in product(settings.choices, repeat=2)):
        moments = asking[_changes(_sides(bull, bear, thresholds))]
        outcome = _outcome(candles, moments, settings.costs)
        if outcome.round_trips < settings.round_trips_min:
            continue
        # Of equal profits the rarer signal is the safer choice.
        worth = (outcome.profit, thresholds.bull + thresholds.bear, thresholds.bull)
        if best is None or worth > best[0]:
            best = worth, thresholds
    return None if best is None else best[1]


def _sides(bull: Floats, bear: Floats, thresholds: Thresholds) -> Sides:
    """Return 1 for BUY, -1 for SELL and 0 for nothing, as `scores.signal` would."""
    is_bull, is_bear = bull >= thresholds.bull, bear >= thresholds.bear
    buys = is_bear & ~is_bull & (bear > bull)
    sells = is_bull & ~is_bear & (bull > bear)
    return buys.astype(np.int64) - sells


def _changes(sides: Sides) -> Moments:
    """Return the moments of BUY and SELL in turn, the first of each run, a BUY first."""
    asking = np.flatnonzero(sides)
    turns: Moments = asking[np.diff(sides[asking], prepend=-1) != 0]
    return turns


def _outcome(candles: ScoredCandles, moments: Moments, costs: Costs) -> Outcome:
    # The last close has no open after it that could be traded at.
    moments = moments[moments < len(candles) - 1]
    if not len(moments):
        return Outcome(0.0, 0)
    prices = candles.open[moments + 1]
    if len(prices) % 2:
        prices = np.append(prices, candles.close[-1])
    trips = len(prices) // 2
    grown = np.prod(prices[1::2] / prices[::2]) * costs.kept ** (2 * trips)
    return Outcome(float(grown) - 1, trips)
