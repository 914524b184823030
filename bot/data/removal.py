"""Candles taken out of the archive for good, as the chat asks for it: off the loop."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from bot.data.removing import count_of, named
from bot.telegram.holdings import Removable
from storage.archive.archive import Archive
from storage.archive.writer import writing
from trading.candles.series import SeriesName
from trading.domain.errors import InstanceConflict, NotInTime

_Result = TypeVar("_Result")
# The running agent holds the lock while it writes a batch, and no longer.
_TRIES, _PAUSE_S = 20, 0.25
_DEADLINE_S = 60.0


class ArchiveRemoval:
    """Takes series of one exchange out, in threads, between two batches of the scanner.

    `exchange` is the name that its series have in the archive.
    """

    def __init__(
        self,
        root: Path,
        exchange: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._root = root
        self._exchange = exchange
        self._sleep = sleep

    async def found(self, symbol: str, timeframes: Sequence[str] = ()) -> Sequence[Removable]:
        """Count what is held of a symbol, over some candle lengths or all; Refused where none is.

        Raises NotInTime.
        """
        return await self._in_time(partial(self._found, symbol, timeframes))

    async def remove(self, series: Sequence[Removable]) -> None:
        """Take out what was found; raises NotInTime while another process writes the archive."""
        for left in range(_TRIES - 1, -1, -1):
            try:
                await self._in_time(partial(self._remove, series))
            except InstanceConflict as error:
                if not left:
                    raise NotInTime(str(error)) from error
                await self._sleep(_PAUSE_S)
            else:
                return

    async def _in_time(self, work: Callable[[], _Result]) -> _Result:
        try:
            async with asyncio.timeout(_DEADLINE_S):
                return await asyncio.to_thread(work)
        except TimeoutError as error:
            raise NotInTime("the archive of candles did not answer in time") from error

    def _found(self, symbol: str, timeframes: Sequence[str]) -> list[Removable]:
        archive = Archive(self._root)
        return [
            Removable(name.exchange, name.symbol, name.timeframe, count_of(archive, name))
            for name in named(archive, self._exchange, symbol, timeframes)
        ]

    def _remove(self, series: Sequence[Removable]) -> None:
        with writing(self._root) as writer:
            writer.remove([SeriesName(one.exchange, one.symbol, one.timeframe) for one in series])
