"""A look at what nobody watches: its candles over REST, once, and the score that they make."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import numpy as np

from trading.deadlines import within
from trading.domain.errors import RateLimited, Refused, Silent, Unreachable
from trading.domain.market import Candle
from trading.domain.time import Timeframe, following_ms
from trading.domain.watching import Interest
from trading.scanner.history import RankHistory
from trading.scanner.metrics import Percents, metrics
from trading.scanner.rating import Monitored, rate
from trading.scanner.scores import RankScore

PAST_CANDLES = 1_000
"""What one answer of most exchanges holds."""
SYMBOLS_MAX = 20
"""More at once would keep everybody else from asking the exchange for minutes."""
_ANSWER_S = 10.0
_PAUSE_S = 0.1


class CandleReader(Protocol):
    """The part of a market feed that a look needs."""

    async def candles(self, symbol: str, timeframe: Timeframe, limit: int) -> Sequence[Candle]:
        """Read candles over REST, oldest first, the running one last; raises Unreachable."""
        ...


class Glance:
    """Scores symbols from one answer of the exchange per timeframe, and keeps nothing."""

    def __init__(
        self,
        feed: CandleReader,
        now_ms: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._feed = feed
        self._now_ms = now_ms
        self._sleep = sleep

    async def score(self, interests: Sequence[Interest]) -> list[RankScore]:
        """Read and score, one request after the other; raises Unreachable.

        More symbols than can be asked for in good time are Refused.
        """
        if len(interests) > SYMBOLS_MAX:
            raise Refused(
                f"at most {SYMBOLS_MAX} symbols that nobody watches can be scored at once, "
                f"were {len(interests)}",
                example="/scan BTC/USDT",
            )
        try:
            return [await self._score_one(interest) for interest in interests]
        except RateLimited as error:
            raise Unreachable(f"no candles now: {error.words}") from error

    async def _score_one(self, interest: Interest) -> RankScore:
        told = await self._read_all(interest)
        histories: dict[Timeframe, RankHistory] = {}
        running: dict[Timeframe, Candle] = {}
        for timeframe, candles in told.items():
            # Sorting a thousand candles is a part of a millisecond; a thread would cost more.
            closed = [one for one in candles if one.is_closed and one.is_sound]
            histories[timeframe] = RankHistory(metrics_of(closed))
            if candles and not candles[-1].is_closed:
                running[timeframe] = candles[-1]
        if not running:
            raise Unreachable(f"the exchange has no running candle of {interest.symbol}")
        # The shortest one was asked for last, so that it has the newest price and knows the moment.
        newest = next(reversed(running.values()))
        length_ms = next(reversed(running)).length_ms
        last_ms = following_ms(newest.open_time_ms, length_ms) - 1
        at_ms = min(max(self._now_ms(), newest.open_time_ms), last_ms)
        [score] = rate([Monitored(interest.symbol, at_ms, newest.close, histories, running)])
        return score.over(interest.timeframes)

    async def _read_all(self, interest: Interest) -> dict[Timeframe, Sequence[Candle]]:
        """Read every timeframe, longest first.

        One whose answer cannot be had is left out, while another one can; two in a row that nothing
        came of are the silence of the exchange.
        """
        told: dict[Timeframe, Sequence[Candle]] = {}
        failure: Unreachable | None = None
        for timeframe in sorted(interest.timeframes, key=lambda one: -one.length_ms):
            try:
                answer = self._feed.candles(interest.symbol, timeframe, PAST_CANDLES)
                told[timeframe] = await within(_ANSWER_S, answer, self._sleep)
                failure = None
            except Unreachable as error:
                if isinstance(error, Silent) and isinstance(failure, Silent):
                    raise
                failure = error
            await self._sleep(_PAUSE_S)
        if failure is not None and not told:
            raise failure
        return told


def metrics_of(closed: Sequence[Candle]) -> Percents:
    """Return the metrics of candles, shape (4, n)."""
    prices = np.array([(one.open, one.high, one.low, one.close) for one in closed])
    return metrics(*prices.reshape(-1, 4).T)
