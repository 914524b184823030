"""History as ports: candles and scores that outlive the process; no order stands on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trading.candles.combining import Gathered
from trading.candles.series import Candles, Column, Mask, Points, Times
from trading.domain.market import Candle
from trading.domain.time import Timeframe


class CandleStore(Protocol):
    """Closed candles of one exchange that outlive the process."""

    async def load(self, symbol: str, timeframe: Timeframe, newest: int) -> Candles:
        """Return the newest so many candles that are held, oldest first; holes stay holes."""
        ...

    async def gathered(self, symbol: str, timeframe: Timeframe, newest: int) -> Gathered | None:
        """Return the newest so many of what a person has combined; None where that is nothing."""
        ...

    async def append(self, closed: Sequence[tuple[str, Timeframe, Candle]]) -> None:
        """Keep closed candles, in any order, those that are held already too.

        Raises Retryable or Fatal when nothing is certain to be kept; doing it again is safe.
        """
        ...


@dataclass(frozen=True, slots=True)
class RecordedScore:
    """The scores of one symbol at one moment, shares in [0, 1]; NaN where nothing was scored.

    They are over all timeframes that anybody watches; `points` holds those of each that was scored.
    """

    symbol: str
    at_ms: int
    price: float
    bull: float
    bear: float
    change: float
    points: tuple["RecordedPoints", ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedPoints:
    """What one timeframe gave to the scores of a moment, 0 to 6 each."""

    timeframe: Timeframe
    bull: int
    bear: int
    change: int


@dataclass(frozen=True, slots=True, eq=False)
class ScoreColumns:
    """Recorded scores of one symbol at n moments, oldest first, each column of shape (n,).

    `points` has shape (n, k, 3): bull, bear and change points of each of the k timeframes that were
    asked for, -1 where it was not scored. Where not `is_split`, as older versions recorded, nobody
    knows the points of one timeframe.
    """

    at_ms: Times
    price: Column
    bull: Column
    bear: Column
    change: Column
    points: Points
    is_split: Mask


class ScoreStore(Protocol):
    """Scores as they were recorded; one that is lost is no loss of anything else."""

    async def append(self, scores: Sequence[RecordedScore]) -> None:
        """Keep scores behind those that are kept; raises OSError when the disk takes none."""
        ...

    async def since(
        self, symbol: str, since_ms: int, timeframes: Sequence[Timeframe] = ()
    ) -> ScoreColumns:
        """Return what was recorded from a moment on; what cannot be read whole is left out."""
        ...

    async def forget(self, before_ms: int) -> int:
        """Delete months that ended before a moment, and return how many."""
        ...
