"""Bull and bear scores of a symbol over its timeframes, and what they ask for.

A high bull score means a rise that is unlikely to last and asks to SELL; a high bear score means a
crash and asks to BUY.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from trading.domain.errors import Refused
from trading.domain.time import Timeframe
from trading.scanner.points import POINTS_MAX


class Standing(Enum):
    """Whether a timeframe takes part in a score, or why not."""

    SCORED = "scored"
    TOO_YOUNG = "too young"
    NO_CANDLE = "no running candle"
    UNREAD = "not read yet"


@dataclass(frozen=True, slots=True)
class TimeframeScore:
    """What one running candle adds; `change` and `amplitude` are its own, in percent.

    The ranks are in percent, small is extreme; None where nothing can be ranked. The points are 0
    unless the standing is SCORED. `candles` counts the closed ones of its past.
    """

    timeframe: Timeframe
    standing: Standing
    candles: int
    change: float | None = None
    amplitude: float | None = None
    change_rank: float | None = None
    amplitude_rank: float | None = None
    up_rank: float | None = None
    down_rank: float | None = None
    bull_points: int = 0
    bear_points: int = 0
    change_points: int = 0
    amplitude_points: int = 0


@dataclass(frozen=True, slots=True)
class RankScore:
    """The scores of a symbol, each a share in [0, 1] of the points that were possible.

    None when no timeframe could be scored: nothing is guessed. `change` says how unlikely it is
    that the candles keep what they have moved.
    """

    symbol: str
    at_ms: int
    price: float
    bull: float | None
    bear: float | None
    change: float | None
    timeframes: tuple[TimeframeScore, ...]

    @property
    def scored(self) -> tuple[TimeframeScore, ...]:
        """The timeframes that the scores are made of."""
        return tuple(each for each in self.timeframes if each.standing is Standing.SCORED)

    @property
    def unread(self) -> tuple[Timeframe, ...]:
        """The timeframes whose past is not there: the scores are made without them."""
        return tuple(each.timeframe for each in self.timeframes if each.standing is Standing.UNREAD)

    @property
    def too_young(self) -> tuple[Timeframe, ...]:
        """The timeframes that have too few closed candles."""
        return tuple(
            each.timeframe for each in self.timeframes if each.standing is Standing.TOO_YOUNG
        )

    def over(self, timeframes: Iterable[Timeframe]) -> "RankScore":
        """Return the scores over some timeframes only; one that is not known is not read yet."""
        known = {each.timeframe: each for each in self.timeframes}
        made = tuple(
            known.get(one) or TimeframeScore(one, Standing.UNREAD, 0) for one in timeframes
        )
        bull, bear, change = shares(made)
        return replace(self, bull=bull, bear=bear, change=change, timeframes=made)


def shares(
    made: Iterable[TimeframeScore],
) -> tuple[float | None, float | None, float | None]:
    """Return bull, bear and change points as shares of what was possible.

    Takes the timeframes of one symbol, or of all symbols of a coin.
    """
    scored = [each for each in made if each.standing is Standing.SCORED]
    if not scored:
        return None, None, None
    possible = POINTS_MAX * len(scored)
    return (
        sum(each.bull_points for each in scored) / possible,
        sum(each.bear_points for each in scored) / possible,
        sum(each.change_points for each in scored) / possible,
    )


class ScoreSignal(Enum):
    """What a pair of scores asks for."""

    NONE = "none"
    SELL = "sell"
    BUY = "buy"
    INDECISION = "indecision"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which scores on something is asked for, as shares in (0, 1]."""

    bull: float = 0.5
    bear: float = 0.5

    def __post_init__(self) -> None:
        for value in (self.bull, self.bear):
            if not 0 < value <= 1:
                raise Refused(
                    f"a threshold should be above 0 and at most 100, was {value * 100:g}",
                    example="50",
                )


def signal(
    bull: float | None, bear: float | None, thresholds: Thresholds | None = None
) -> ScoreSignal:
    """Return what the scores ask for; both at their thresholds is indecision, unknown is none."""
    limits = thresholds or Thresholds()
    bull, bear = (-1.0 if score is None else score for score in (bull, bear))
    is_bull, is_bear = bull >= limits.bull, bear >= limits.bear
    if is_bull and is_bear:
        return ScoreSignal.INDECISION
    if is_bull and bull > bear:
        return ScoreSignal.SELL
    if is_bear and bear > bull:
        return ScoreSignal.BUY
    return ScoreSignal.NONE
