"""What scores were worth: asked of a replay off the loop, kept for a day."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from trading.candles.rows import columns_of
from trading.candles.series import Candles, join, no_candles
from trading.deadlines import within
from trading.domain.errors import RateLimited, Refused, Retryable, Unreachable
from trading.domain.market import Candle
from trading.domain.time import Timeframe, following_ms, from_ms, to_ms
from trading.domain.watching import Interest
from trading.ports.clock import Clock
from trading.ports.exchange import CandleFeed
from trading.scanner.desk import ScoreReport
from trading.scanner.reporting import days_needed
from trading.scanner.scores import Thresholds
from trading.scanner.walk_forward import ROUND_TRIPS_TRUSTED, BestThresholds

logger = logging.getLogger(__name__)

_KEPT_S = 86_400.0
_RETRY_S = 3_600.0
_KEPT_MAX = 500
_LOOK_S = 60.0
_PAGE_CANDLES = 1_000
_PAGES_MAX = 9
_PAUSE_S = 0.25
_ANSWER_S = 10.0
_DAY_MS = 86_400_000

_Key = tuple[str, frozenset[Timeframe]]


class Replayer(Protocol):
    """Replays a past where it holds up nobody."""

    async def replay(
        self, symbol: str, timeframes: tuple[Timeframe, ...], told: "ToldPast | None" = None
    ) -> ScoreReport | None:
        """Report on what the archive holds of a symbol, or on a past that is told.

        None where that is too little. Raises NotInTime when it takes too long.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ToldPast:
    """Closed candles in order, each so many milliseconds long."""

    candles: Candles
    length_ms: int

    @property
    def days(self) -> int:
        """How many whole days it reaches back."""
        times = self.candles.open_time_ms
        return (int(times[-1] - times[0]) + self.length_ms) // _DAY_MS if len(times) else 0


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What was found, or how much past there is of what is needed, and until when that stands.

    `until_s` is of the steady clock; `days` and `needed` are 0 where nobody could look.
    """

    report: ScoreReport | None
    until_s: float
    days: int = 0
    needed: int = 0

    @property
    def lack(self) -> str:
        """What it takes to judge this past, in words."""
        if not self.needed:
            return "its past could not be read yet"
        return f"{self.days} {'day' if self.days == 1 else 'days'} of past, {self.needed} needed"


class Reports:
    """Reports by symbol and timeframes, made one at a time."""

    def __init__(
        self,
        replayer: Replayer,
        feed: CandleFeed,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._replayer = replayer
        self._feed = feed
        self._clock = clock
        self._sleep = sleep
        self._verdicts: OrderedDict[_Key, _Verdict] = OrderedDict()
        self._wanted: tuple[Interest, ...] = ()
        self._turn = asyncio.Lock()

    def judge(self, interests: Sequence[Interest]) -> None:
        """Find the thresholds of those among these that leave them to the past (`auto`)."""
        self._wanted = tuple(one for one in interests if one.threshold is None)

    def best(self, interest: Interest) -> Thresholds | None:
        """Return the thresholds that paid best, None where the past does not tell them reliably."""
        verdict = self._verdicts.get(_key(interest))
        # What was found yesterday holds until today's is there.
        best = verdict.report.best if verdict is not None and verdict.report is not None else None
        return best.thresholds if best is not None and best.is_trusted else None

    def unjudged(self, interest: Interest) -> str:
        """Return why there are no best thresholds, in words; empty where there are."""
        verdict = self._verdicts.get(_key(interest))
        if verdict is None:
            return "its past is not judged yet"
        if verdict.report is None:
            return verdict.lack
        return _doubt(verdict.report.best)

    async def report(self, interest: Interest) -> ScoreReport:
        """Return a report of today.

        Raises Refused where too little of the past is known, Unreachable where it is asked of the
        exchange in vain, NotInTime where the replay takes too long.
        """
        async with self._turn:
            verdict = self._standing(interest)
            if verdict is None:
                verdict = await self._find(interest)
                self._keep(interest, verdict)
        if verdict.report is None:
            raise Refused(
                f"the past of {interest.symbol} says nothing of its scores: {verdict.lack}. "
                "umbra data download fetches more of it"
            )
        return verdict.report

    async def run(self) -> None:
        """Judge what is wanted, one after the other, until cancelled."""
        while True:
            for interest in self._wanted:
                if self._standing(interest) is None:
                    await self._try(interest)
            await self._sleep(_LOOK_S)

    async def _try(self, interest: Interest) -> None:
        try:
            await self.report(interest)
        except Refused as error:
            logger.info("past_not_judged", extra={"symbol": interest.symbol, "error": str(error)})
        except Retryable as error:
            logger.info("past_not_judged", extra={"symbol": interest.symbol, "error": str(error)})
            self._put_off(interest)

    def _put_off(self, interest: Interest) -> None:
        """Try again later, and let stand so long what was found before."""
        known = self._verdicts.get(_key(interest))
        until_s = self._clock.monotonic() + _RETRY_S
        self._keep(interest, _Verdict(known.report if known else None, until_s))

    def _standing(self, interest: Interest) -> _Verdict | None:
        verdict = self._verdicts.get(_key(interest))
        if verdict is None or verdict.until_s <= self._clock.monotonic():
            return None
        return verdict

    def _keep(self, interest: Interest, verdict: _Verdict) -> None:
        self._verdicts[_key(interest)] = verdict
        self._verdicts.move_to_end(_key(interest))
        while len(self._verdicts) > _KEPT_MAX:
            self._verdicts.popitem(last=False)

    async def _find(self, interest: Interest) -> _Verdict:
        symbol, timeframes = interest.symbol, interest.timeframes
        report, days = await self._replayer.replay(symbol, timeframes), 0
        if report is None:
            shortest = min(timeframes, key=lambda one: one.length_ms)
            past = ToldPast(await self._read(symbol, shortest), shortest.length_ms)
            report = await self._replayer.replay(symbol, timeframes, past)
            days = past.days
        until_s = self._clock.monotonic() + _KEPT_S
        return _Verdict(report, until_s, days, days_needed(timeframes))

    async def _read(self, symbol: str, timeframe: Timeframe) -> Candles:
        """Read the newest closed candles that a few answers of the exchange hold."""
        length_ms = timeframe.length_ms
        since_ms = max(to_ms(self._clock.now()) - _PAGES_MAX * _PAGE_CANDLES * length_ms, 0)
        pages: list[Candles] = []
        for _ in range(_PAGES_MAX + 1):
            told = await self._page(symbol, timeframe, from_ms(since_ms))
            closed = [
                one
                for one in told
                if one.is_closed and one.is_sound and one.open_time_ms >= since_ms
            ]
            if not closed:
                break
            pages.append(columns_of(closed))
            since_ms = following_ms(closed[-1].open_time_ms, length_ms)
            await self._sleep(_PAUSE_S)
        return join(*pages) if pages else no_candles()

    async def _page(self, symbol: str, timeframe: Timeframe, since: datetime) -> Sequence[Candle]:
        try:
            answer = self._feed.candles(symbol, timeframe, _PAGE_CANDLES, since)
            return await within(_ANSWER_S, answer, self._sleep)
        except RateLimited as error:
            raise Unreachable(f"no past of {symbol} now: {error.words}") from error


def _doubt(best: BestThresholds | None) -> str:
    """Why what paid best is not gone by, in words; empty where it is."""
    if best is None:
        return "nothing paid often enough in its past"
    if best.is_trusted:
        return ""
    trips = best.out_of_sample.round_trips
    return f"not yet trusted: {trips} round trips, {ROUND_TRIPS_TRUSTED} needed"


def _key(interest: Interest) -> _Key:
    return interest.symbol, frozenset(interest.timeframes)
