"""A look at what nobody watches: its candles over REST, once, and the score that they make."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import numpy as np

from trading.deadlines import within
from trading.domain.errors import RateLimited, Refused, Unreachable
from trading.domain.market import Candle
from trading.domain.time import Timeframe, candle_open_ms
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
        return [await self._score_one(interest) for interest in interests]

    async def _score_one(self, interest: Interest) -> RankScore:
        histories: dict[Timeframe, RankHistory] = {}
        running: dict[Timeframe, Candle] = {}
        for timeframe in interest.timeframes:
            candles = await self._read(interest.symbol, timeframe)
            now_ms, length_ms = self._now_ms(), timeframe.length_ms
            opened_ms = candle_open_ms(now_ms, length_ms)
            closed = [one for one in candles if one.open_time_ms < opened_ms and one.is_sound]
            # Sorting a thousand candles is a part of a millisecond; a thread would cost more.
            histories[timeframe] = RankHistory(metrics_of(closed))
            if candles and candles[-1].open_time_ms == opened_ms:
                running[timeframe] = candles[-1]
            await self._sleep(_PAUSE_S)
        price = _price(interest, running)
        [score] = rate([Monitored(interest.symbol, self._now_ms(), price, histories, running)])
        return score

    async def _read(self, symbol: str, timeframe: Timeframe) -> Sequence[Candle]:
        try:
            answer = self._feed.candles(symbol, timeframe, PAST_CANDLES)
            return await within(_ANSWER_S, answer, self._sleep)
        except RateLimited as error:
            raise Unreachable(f"no candles of {symbol} now: {error.words}") from error


def metrics_of(closed: Sequence[Candle]) -> Percents:
    """Return the metrics of candles, shape (4, n)."""
    prices = np.array([(one.open, one.high, one.low, one.close) for one in closed])
    return metrics(*prices.reshape(-1, 4).T)


def _price(interest: Interest, running: dict[Timeframe, Candle]) -> float:
    if not running:
        raise Unreachable(f"the exchange has no running candle of {interest.symbol}")
    return running[min(running, key=lambda timeframe: timeframe.length_ms)].close
