"""Which pasts are not there, why, and how long that keeps what is told waiting."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from trading.domain.time import Timeframe
from trading.scanner.desk import Missing

_ON_ITS_WAY = "its past is being read"
_LACKING = "the exchange has none"

IsKnown = Callable[[str, Timeframe], bool]
Failure = Callable[[str, Timeframe], tuple[str, float] | None]
"""`LiveCandles.failure`: why a past could not be read, and in how many seconds it is asked for."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Over which timeframes a symbol is watched, shortest first, and since when it is at all.

    `since_s` is of the steady clock.
    """

    timeframes: tuple[Timeframe, ...] = ()
    since_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Awaited:
    """Answers from what is known now; `source` says of which candles those of a length are made."""

    is_known: IsKnown
    failure: Failure
    source: Callable[[Timeframe], Timeframe | None]
    patience_s: float

    def missing(self, symbol: str, timeframes: Collection[Timeframe]) -> tuple[Missing, ...]:
        """Return which of these timeframes no score is made of, and why."""
        return tuple(
            self._missing(symbol, one) for one in timeframes if not self.is_known(symbol, one)
        )

    def comes(self, symbol: str, timeframes: Collection[Timeframe]) -> bool:
        """Whether a past of these is on its way that has not failed."""
        return any(
            not self.is_known(symbol, one) and self.failure(symbol, one) is None
            for one in timeframes
            if self.source(one) is not None
        )

    def is_settled(self, symbol: str, watch: Watch, now_s: float) -> bool:
        """Whether nothing is waited for any more."""
        is_over = now_s - watch.since_s > self.patience_s
        return is_over or not self.comes(symbol, watch.timeframes)

    def _missing(self, symbol: str, timeframe: Timeframe) -> Missing:
        if self.source(timeframe) is None:
            return Missing(timeframe, _LACKING)
        why, retry_s = self.failure(symbol, timeframe) or (_ON_ITS_WAY, None)
        return Missing(timeframe, why, retry_s)
