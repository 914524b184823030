"""What the archive holds, series by series, for whoever asks the running agent."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bot.telegram.holdings import Held, HeldCombination, HeldSeries
from storage.archive import combinations
from storage.archive.archive import Archive
from storage.archive.combinations import Parts
from storage.archive.layout import months_named, partition_path
from trading.candles.series import SeriesName
from trading.domain.errors import Refused


class ArchiveHoldings:
    """Reads one series after the other in a thread: the months of one may be many."""

    def __init__(self, root: Path) -> None:
        self._archive = Archive(root)

    async def counts(self) -> tuple[int, int]:
        """Return how many series are known, and how many combined histories."""
        series, combined = await asyncio.to_thread(self._names)
        return len(series), len(combined)

    async def held(self, first: int, most: int) -> Sequence[Held]:
        """Read some of them, in the order of their names; combined histories come last."""
        series, combined = await asyncio.to_thread(self._names)
        names: list[SeriesName | Parts] = [*series, *combined]
        return [await asyncio.to_thread(self._read, name) for name in names[first : first + most]]

    def _names(self) -> tuple[list[SeriesName], list[Parts]]:
        return self._archive.series_known(), list(combinations.kept(self._archive.root))

    def _read(self, name: SeriesName | Parts) -> Held:
        return self._series(name) if isinstance(name, SeriesName) else self._combined(name)

    def _series(self, name: SeriesName) -> HeldSeries:
        holding = self._archive.load(name)
        at_ms = holding.candles.open_time_ms
        paths = (
            partition_path(self._archive.root, name, month) for month in self._archive.months(name)
        )
        aside = self._archive.set_aside(name)
        lacking = {*holding.lost_months, *(one.month for one in holding.damaged)}
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
            lost=months_named(holding.lost_months),
            set_aside=months_named(month for month in aside if month in lacking),
            replaced=months_named(month for month in aside if month not in lacking),
        )

    def _combined(self, names: Parts) -> HeldCombination:
        leader = names[0]
        try:
            whole = self._archive.combined(names)
        except Refused as error:
            return HeldCombination(leader.symbol, leader.timeframe, (), problem=str(error))
        at_ms = whole.candles.open_time_ms
        shares = [int((whole.source == place).sum()) for place in range(len(names))]
        labels = [
            name.exchange if name.symbol == leader.symbol else f"{name.exchange} {name.symbol}"
            for name in names
        ]
        parts = tuple(zip(labels, shares, strict=True))
        return HeldCombination(
            leader.symbol, leader.timeframe, parts, int(at_ms[0]), int(at_ms[-1])
        )
