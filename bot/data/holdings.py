"""What the archive holds, series by series, for whoever asks the running agent."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bot.telegram.holdings import HeldSeries
from storage.archive.archive import Archive
from storage.archive.layout import partition_path
from trading.candles.series import SeriesName


class ArchiveHoldings:
    """Reads one series after the other in a thread: the months of one may be many."""

    def __init__(self, root: Path) -> None:
        self._archive = Archive(root)

    async def series_count(self) -> int:
        """Return how many series there are."""
        return len(await asyncio.to_thread(self._archive.series))

    async def held(self, first: int, most: int) -> Sequence[HeldSeries]:
        """Read some of them, in the order of their names."""
        names = (await asyncio.to_thread(self._archive.series))[first : first + most]
        return [await asyncio.to_thread(self._read, name) for name in names]

    def _read(self, name: SeriesName) -> HeldSeries:
        holding = self._archive.load(name)
        at_ms = holding.candles.open_time_ms
        paths = (
            partition_path(self._archive.root, name, month) for month in self._archive.months(name)
        )
        return HeldSeries(
            exchange=name.exchange,
            symbol=name.symbol,
            timeframe=name.timeframe,
            candles=len(at_ms),
            first_ms=int(at_ms[0]) if len(at_ms) else None,
            last_ms=int(at_ms[-1]) if len(at_ms) else None,
            gaps=len(holding.gaps),
            missing=holding.missing,
            damaged=len(holding.damaged),
            size_bytes=sum(path.stat().st_size for path in paths if path.exists()),
        )
