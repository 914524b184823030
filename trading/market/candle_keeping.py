"""Closed candles on their way into the archive: in batches, again after a failure, told once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from trading.candles.rows import rows_of
from trading.candles.series import Candles
from trading.domain.time import Timeframe
from trading.market.settings import CandleSettings
from trading.market.unwritten import Closed, Unwritten

logger = logging.getLogger(__name__)

# `CandleStore.append`.
Append = Callable[[Sequence[Closed]], Awaitable[None]]
_BATCHES_MAX = 4


class CandleKeeping:
    """What waits for the archive; without one nothing does. Nobody who reads waits for the disk."""

    def __init__(self, append: Append | None, settings: CandleSettings) -> None:
        self._append = append
        self._settings = settings
        self._unwritten = Unwritten(settings.unwritten_max)
        self._pasts: asyncio.Queue[tuple[str, Timeframe, Candles]] = asyncio.Queue(
            settings.pasts_waiting_max
        )
        self._writing = asyncio.Lock()
        self._is_failing = False
        self._lost_told = 0

    @property
    def waiting(self) -> int:
        """How many closed candles wait."""
        return len(self._unwritten)

    def add(self, closed: Closed) -> None:
        """Let a closed candle wait for the next batch."""
        if self._append is not None:
            self._unwritten.add(closed)

    async def write(self) -> None:
        """Write what waits; whatever fails waits on."""
        if self._append is None or self._writing.locked():
            return
        async with self._writing:
            for _ in range(_BATCHES_MAX):
                batch = self._unwritten.take(self._settings.write_batch_max)
                if not batch:
                    break
                if not await self._write(self._append, batch):
                    self._unwritten.put_back(batch)
                    break
        lost = self._unwritten.lost
        if lost > self._lost_told:
            logger.warning("candles_not_kept", extra={"count": lost - self._lost_told})
            self._lost_told = lost

    def add_past(self, symbol: str, timeframe: Timeframe, past: Candles) -> None:
        """Let what an exchange told of a past wait, if there is room.

        What has none, or cannot be written, is asked for at the next start.
        """
        if self._append is None or self._is_failing or not len(past):
            return
        try:
            self._pasts.put_nowait((symbol, timeframe, past))
        except asyncio.QueueFull:
            logger.info("past_not_kept", extra={"symbol": symbol, "timeframe": timeframe.name})

    async def run(self) -> None:
        """Write pasts, one after the other, until cancelled."""
        while True:
            symbol, timeframe, past = await self._pasts.get()
            if self._append is not None:
                rows = [(symbol, timeframe, candle) for candle in rows_of(past)]
                await self._write(self._append, rows)

    async def _write(self, append: Append, batch: Sequence[Closed]) -> bool:
        try:
            async with asyncio.timeout(self._settings.write_timeout_s):
                await append(batch)
        except Exception as error:
            if not self._is_failing:
                extra = {"waiting": len(self._unwritten) + len(batch), "error": repr(error)[:300]}
                logger.warning("candles_not_written", extra=extra)
            self._is_failing = True
            return False
        if self._is_failing:
            logger.info("candles_written_again", extra={"waiting": len(self._unwritten)})
        self._is_failing = False
        return True
