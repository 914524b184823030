"""The running scanner as its front ends see it: a Protocol, and the values that it shows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from trading.candles.series import Times
from trading.domain.time import Timeframe
from trading.domain.watching import Interest
from trading.scanner.aftermath import Following
from trading.scanner.metrics import Floats
from trading.scanner.scores import RankScore, Thresholds
from trading.scanner.walk_forward import BestThresholds


class Readiness(Enum):
    """Whether the scores of a symbol can be believed."""

    WARMING = "its past is being read"
    LIVE = "live"
    STALE = "its candles do not come"


@dataclass(frozen=True, slots=True)
class Missing:
    """A timeframe that no score is made of yet, and why, in words.

    `retry_s` says in how many seconds its past is asked for again, where that has failed.
    """

    timeframe: Timeframe
    why: str
    retry_s: float | None = None


@dataclass(frozen=True, slots=True)
class MonitoredView:
    """One symbol that is scanned: over which timeframes, since when, and what it scores.

    `score` is None before the first scan; `young` names timeframes with too few candles,
    `missing` those whose past is not there.
    """

    symbol: str
    timeframes: tuple[Timeframe, ...]
    readiness: Readiness
    score: RankScore | None
    young: tuple[Timeframe, ...] = ()
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ScoreLine:
    """Scores of one symbol as they were recorded: n moments, shape (n,) each, oldest first.

    `bull`, `bear` and `change` are shares in [0, 1], NaN where nothing could be scored; `price` is
    the price then. They are over the timeframes that were asked for, but for the first `united`
    moments: of those only the scores over all that was watched then are known.
    """

    symbol: str
    at_ms: Times
    price: Floats
    bull: Floats
    bear: Floats
    change: Floats
    united: int = 0


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """What scores were worth in a symbol's own past, made without looking ahead.

    `best` is None where nothing made enough round trips to choose by. `candles` says how much past
    it was made of, `length_ms` how long each candle was.
    """

    symbol: str
    timeframes: tuple[Timeframe, ...]
    candles: int
    length_ms: int
    after_rises: tuple[Following, ...]
    after_crashes: tuple[Following, ...]
    best: BestThresholds | None


class ScannerDesk(Protocol):
    """Reads are plain calls on what the last scan has found; what computes is awaited."""

    def timeframes(self, symbol: str) -> tuple[Timeframe, ...]:
        """Return the timeframes that are watched where a person names none."""
        ...

    def source(self, timeframe: Timeframe) -> Timeframe | None:
        """Return of which candles of the exchange those of a length are made, mostly themselves.

        None where it has none that can be scored.
        """
        ...

    def monitored(self) -> Sequence[MonitoredView]:
        """Return everything that is scanned, by symbol."""
        ...

    def score(self, interest: Interest) -> RankScore | None:
        """Return the newest score over those of an interest's own timeframes that are read.

        None before the first of them is.
        """
        ...

    def missing(self, interest: Interest) -> Sequence[Missing]:
        """Return which of the timeframes that are watched are not read yet, and why."""
        ...

    def history(self, interest: Interest) -> Sequence[str]:
        """Return of which exchanges its pasts are, the own one first; none where of that alone."""
        ...

    def is_settled(self, symbol: str) -> bool:
        """Whether the scores of a symbol may be told by themselves.

        Not in its first minute while pasts are on their way: over few timeframes a score is higher
        than it is. One whose past cannot be read keeps no other waiting.
        """
        ...

    def thresholds(self, interest: Interest) -> Thresholds:
        """Return from which scores on an interest is told, `auto` resolved.

        The usual threshold stands in while the past of an `auto` one is not judged yet, or says
        nothing.
        """
        ...

    def unjudged(self, interest: Interest) -> str:
        """Return why `auto` stands for the usual threshold, in words.

        Empty where the past has told the one that paid best.
        """
        ...

    async def scan(self, interests: Iterable[Interest]) -> Sequence[RankScore]:
        """Score now, also what nobody watches; raises Unreachable where candles do not come."""
        ...

    async def line(self, interest: Interest, since_ms: int) -> ScoreLine:
        """Read the scores that were recorded since a moment, over an interest's timeframes."""
        ...

    async def report(self, interest: Interest) -> ScoreReport:
        """Replay a symbol's past; seconds of work off the loop, kept for a day.

        Raises Refused where the archive holds too little of it.
        """
        ...
