"""A scanner with memory: shows what a test has put there, and keeps what it was asked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from trading.domain.errors import Refused, Unreachable
from trading.domain.time import Timeframe
from trading.domain.watching import THRESHOLD, Interest
from trading.scanner.desk import Missing, MonitoredView, ScoreLine, ScoreReport
from trading.scanner.replay import SCORED_TIMEFRAMES
from trading.scanner.scores import RankScore, Thresholds


@dataclass
class FakeScanner:
    """Implements `ScannerDesk` over scores, views, lines and reports by symbol."""

    usual: tuple[Timeframe, ...] = SCORED_TIMEFRAMES
    views: dict[str, MonitoredView] = field(default_factory=dict)
    scores: dict[str, RankScore] = field(default_factory=dict)
    best: dict[str, Thresholds] = field(default_factory=dict)
    lines: dict[str, ScoreLine] = field(default_factory=dict)
    reports: dict[str, ScoreReport] = field(default_factory=dict)
    lacks: dict[str, str] = field(default_factory=dict)
    sources: dict[Timeframe, Timeframe | None] = field(default_factory=dict)
    unread: dict[str, tuple[Missing, ...]] = field(default_factory=dict)
    settling: set[str] = field(default_factory=set)
    histories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    is_unreachable: bool = False
    scanned: list[Interest] = field(default_factory=list)

    def timeframes(self, symbol: str) -> tuple[Timeframe, ...]:
        return self.usual

    def monitored(self) -> Sequence[MonitoredView]:
        return [view for _, view in sorted(self.views.items())]

    def score(self, interest: Interest) -> RankScore | None:
        found = self.scores.get(interest.symbol)
        return None if found is None else found.over(interest.timeframes)

    def missing(self, interest: Interest) -> Sequence[Missing]:
        unread = self.unread.get(interest.symbol, ())
        return [one for one in unread if one.timeframe in interest.timeframes]

    def history(self, interest: Interest) -> Sequence[str]:
        return self.histories.get(interest.symbol, ())

    def is_settled(self, symbol: str) -> bool:
        return symbol not in self.settling

    def thresholds(self, interest: Interest) -> Thresholds:
        if interest.threshold is None and interest.symbol in self.best:
            return self.best[interest.symbol]
        share = (interest.threshold or THRESHOLD) / 100
        return Thresholds(share, share)

    def unjudged(self, interest: Interest) -> str:
        if interest.symbol in self.best:
            return ""
        return self.lacks.get(interest.symbol, "its past is not judged yet")

    def source(self, timeframe: Timeframe) -> Timeframe | None:
        return self.sources.get(timeframe, timeframe)

    async def scan(self, interests: Iterable[Interest]) -> Sequence[RankScore]:
        if self.is_unreachable:
            raise Unreachable("the exchange does not answer")
        asked = list(interests)
        self.scanned += asked
        return [found for one in asked if (found := self.score(one)) is not None]

    async def line(self, interest: Interest, since_ms: int) -> ScoreLine:
        symbol = interest.symbol
        found = self.lines.get(symbol)
        if found is None:
            return ScoreLine(symbol, np.empty(0, np.int64), *(np.empty(0) for _ in range(4)))
        which = found.at_ms >= since_ms
        return ScoreLine(
            symbol,
            found.at_ms[which],
            found.price[which],
            found.bull[which],
            found.bear[which],
            found.change[which],
            int(which[: found.united].sum()),
        )

    async def report(self, interest: Interest) -> ScoreReport:
        found = self.reports.get(interest.symbol)
        if found is None:
            raise Refused(f"the past of {interest.symbol} is too short", example="BTC/USDT")
        return found
