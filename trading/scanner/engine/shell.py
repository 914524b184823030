"""The running scanner: what is watched, the newest score of each, and answers about them."""

from collections.abc import Iterable, Sequence

import numpy as np

from trading.domain.errors import Refused
from trading.domain.time import Timeframe
from trading.domain.watching import THRESHOLD, Interest
from trading.scanner.desk import MonitoredView, Readiness, ScoreLine, ScoreReport
from trading.scanner.engine.glance import Glance
from trading.scanner.engine.settings import ScannerSettings
from trading.scanner.scores import RankScore, Thresholds


class ScannerEngine:
    """Implements `ScannerDesk`; `watch` says what people want, and may be called at any time."""

    def __init__(self, glance: Glance, settings: ScannerSettings) -> None:
        self._glance = glance
        self._settings = settings
        self._watched: dict[str, tuple[Timeframe, ...]] = {}
        self._newest: dict[str, RankScore] = {}

    def watch(self, interests: Iterable[Interest]) -> None:
        """Scan these symbols from now on, each over all timeframes that anybody watches."""
        wanted: dict[str, set[Timeframe]] = {}
        for interest in interests:
            wanted.setdefault(interest.symbol, set()).update(interest.timeframes)
        self._watched = {
            symbol: tuple(sorted(timeframes, key=lambda one: one.length_ms))
            for symbol, timeframes in sorted(wanted.items())
        }

    # ------------------------------------------------------------ the desk

    def timeframes(self, symbol: str) -> tuple[Timeframe, ...]:
        """Return the timeframes that are watched where a person names none."""
        return self._settings.timeframes

    def monitored(self) -> Sequence[MonitoredView]:
        """Return everything that is scanned, by symbol."""
        return [
            MonitoredView(symbol, timeframes, Readiness.WARMING, self._newest.get(symbol))
            for symbol, timeframes in self._watched.items()
        ]

    def score(self, interest: Interest) -> RankScore | None:
        """Return the newest score over an interest's own timeframes; None before the first."""
        newest = self._newest.get(interest.symbol)
        return None if newest is None else newest.over(interest.timeframes)

    def thresholds(self, interest: Interest) -> Thresholds:
        """Return from which scores on an interest is told, `auto` resolved."""
        share = (interest.threshold or THRESHOLD) / 100
        return Thresholds(share, share)

    async def scan(self, interests: Iterable[Interest]) -> Sequence[RankScore]:
        """Score now, also what nobody watches; raises Unreachable where candles do not come."""
        return await self._glance.score(list(interests))

    async def line(self, symbol: str, since_ms: int) -> ScoreLine:
        """Read recorded scores since a moment."""
        return ScoreLine(symbol, np.empty(0, np.int64), *(np.empty(0) for _ in range(4)))

    async def report(self, interest: Interest) -> ScoreReport:
        """Replay a symbol's past; Refused where too little of it is known."""
        raise Refused(f"the past of {interest.symbol} is not known yet")
