"""The stream of candles: connected again when it ends, stalls or when other series are wanted."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from random import Random

from trading.domain.errors import Retryable
from trading.domain.market import Candle
from trading.domain.time import Timeframe
from trading.market.settings import CandleSettings

logger = logging.getLogger(__name__)

TakeCandle = Callable[[str, Timeframe, Candle, int], None]
Wanted = Mapping[str, frozenset[Timeframe]]
# `CandleFeed.stream_candles`.
Stream = Callable[[Wanted, TakeCandle], Awaitable[None]]


class CandleLine:
    """One stream at a time; what it misses between two is for requests to find."""

    def __init__(
        self,
        stream: Stream,
        monotonic: Callable[[], float],
        settings: CandleSettings,
        on_candle: TakeCandle,
        sleep: Callable[[float], Awaitable[None]],
        jitter: Random,
    ) -> None:
        self._stream = stream
        self._monotonic = monotonic
        self._settings = settings
        self._on_candle = on_candle
        self._sleep = sleep
        self._jitter = jitter
        self._wanted: Wanted = {}
        self._changed = asyncio.Event()
        self._restart = asyncio.Event()
        self._is_live = False
        self._down_since_s = monotonic()
        self._restarted_s = float("-inf")

    def want(self, wanted: Wanted) -> None:
        """Stream exactly these from now on."""
        self._wanted = wanted
        self._changed.set()

    def is_down(self, now_s: float) -> bool:
        """Whether nothing comes, for longer than a connection takes."""
        return not self._is_live and now_s - self._down_since_s >= self._settings.down_after_s

    def missed(self, symbol: str, streamed_s: float, now_s: float) -> None:
        """Note that a request told news of a symbol that the stream spoke of at `streamed_s`."""
        since_s = now_s - streamed_s
        is_silent = self._is_live and since_s >= self._settings.silent_s_max
        if is_silent and now_s - self._restarted_s >= self._settings.restart_s_min:
            logger.warning("candle_stream_silent", extra={"symbol": symbol, "silent_s": since_s})
            self._restarted_s = now_s
            self._restart.set()

    async def run(self) -> None:
        """Stream until cancelled."""
        failures = 0
        while True:
            self._changed.clear()
            self._restart.clear()
            if not self._wanted:
                self._lost()
                await self._changed.wait()
                continue
            began_s = self._monotonic()
            reason = await self._follow(self._wanted)
            if reason is None:
                continue
            self._lost()
            now_s = self._monotonic()
            failures = 1 if now_s - began_s >= self._settings.stable_s else failures + 1
            delay_s = self._back_off_s(failures)
            logger.warning("candle_stream_lost", extra={"reason": reason, "retry_in_s": delay_s})
            await self._sleep(delay_s)

    async def _follow(self, wanted: Wanted) -> str | None:
        stream = asyncio.ensure_future(self._stream(wanted, self._take))
        stops = [asyncio.ensure_future(event.wait()) for event in (self._changed, self._restart)]
        try:
            await asyncio.wait({stream, *stops}, return_when=asyncio.FIRST_COMPLETED)
            if not stream.done():
                return "it stood still" if self._restart.is_set() else None
            try:
                stream.result()
            except Retryable as error:
                return str(error)
            except Exception as error:
                logger.exception("candle_stream_failed")
                return repr(error)
            return "it ended"
        finally:
            for task in (stream, *stops):
                task.cancel()
            await asyncio.gather(stream, *stops, return_exceptions=True)

    def _take(self, symbol: str, timeframe: Timeframe, candle: Candle, event_ms: int) -> None:
        self._is_live = True
        self._on_candle(symbol, timeframe, candle, event_ms)

    def _lost(self) -> None:
        if self._is_live:
            self._is_live = False
            self._down_since_s = self._monotonic()

    def _back_off_s(self, failures: int) -> float:
        first_s, most_s = self._settings.reconnect_s_first, self._settings.reconnect_s_max
        base_s = min(first_s * 2.0 ** (min(failures, 16) - 1), most_s)
        return base_s * (1 + self._jitter.random() * 0.5)
