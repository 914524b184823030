"""What was missed of a symbol, read from candles as fine as the span allows."""

import asyncio
import logging
from datetime import datetime

from trading.domain.errors import Unreachable
from trading.domain.market import Candle
from trading.domain.time import Timeframe, from_ms, to_ms
from trading.market.gap import Gap, covers, is_whole, within
from trading.ports.clock import Clock
from trading.ports.exchange import MarketFeed

logger = logging.getLogger(__name__)


class Gaps:
    """Reads gaps within a deadline."""

    def __init__(self, feed: MarketFeed, clock: Clock, timeout_s: float) -> None:
        self._feed = feed
        self._clock = clock
        self._timeout_s = timeout_s

    async def read(self, symbol: str, since: datetime | None) -> Gap:
        """Read what was missed of a symbol since a time; raises Unreachable."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._read_candles(symbol, since)
        except TimeoutError as error:
            raise Unreachable(f"no answer about the missed time of {symbol}") from error

    async def _read_candles(self, symbol: str, since: datetime | None) -> Gap:
        now = self._clock.now()
        candles: tuple[Candle, ...] = ()
        if since is not None:
            candles = await self._candles_since(symbol, since, to_ms(now))
        trade = await self._feed.last_trade(symbol)
        return Gap(symbol, candles, trade.price, trade.event_time_ms)

    async def _candles_since(self, symbol: str, since: datetime, now_ms: int) -> tuple[Candle, ...]:
        since_ms = to_ms(since)
        *finer, (last, limit) = covers(now_ms - since_ms)
        for timeframe, most in finer:
            try:
                read = await self._read_since(symbol, timeframe, most, since_ms)
            except Unreachable as error:
                logger.info("candles_not_read", extra={"symbol": symbol, "error": str(error)})
                continue
            if is_whole(read, since_ms):
                return read
        return await self._read_since(symbol, last, limit, since_ms)

    async def _read_since(
        self, symbol: str, timeframe: Timeframe, limit: int, since_ms: int
    ) -> tuple[Candle, ...]:
        # The candle that the gap began in counts whole: what it shows is told, never acted on.
        begin = from_ms(since_ms - timeframe.length_ms)
        read = await self._feed.candles(symbol, timeframe, limit, begin)
        return within(read, since_ms, timeframe)
