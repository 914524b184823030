"""The archive as the running agent uses it: the newest candles of a series, and closed ones added.

The lock is held while a batch is written and no longer, so that a download can begin at any time;
meanwhile batches are refused, and wait where they come from.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from storage.archive import combinations
from storage.archive.archive import Archive, DamagedMonth
from storage.archive.lock import ArchiveLock
from storage.archive.partition import PartitionDamaged
from storage.archive.writer import ArchiveWriter, Stored
from trading.candles.combining import Gathered
from trading.candles.lengthening import shorter_needed, source_of, whole_only
from trading.candles.rows import columns_of
from trading.candles.series import Candles, SeriesName, join, no_candles
from trading.candles.spans import Span
from trading.domain.errors import Refused
from trading.domain.market import Candle
from trading.domain.time import Timeframe, shifted_ms

logger = logging.getLogger(__name__)

_SOURCE = "live"
# So many candles of one series at once are its past.
_PAST = 100
# Of minutes alone half a year would be read for each longer length.
_SHORTER_MAX = 200_000
_Batch = Sequence[tuple[str, Timeframe, Candle]]


def _nobody(_damaged: Sequence[DamagedMonth]) -> None:
    return None


class LiveArchive:
    """The candles of one exchange, read and written in threads of their own.

    `exchange` is the name that its series have in the archive. Candles of an exchange that is
    simulated need a name of their own: they are no market's history. `on_damage` hears, on the
    loop, of every month that could not be believed, as often as it is found.
    """

    def __init__(
        self,
        root: Path,
        exchange: str,
        on_damage: Callable[[Sequence[DamagedMonth]], None] = _nobody,
    ) -> None:
        self._root = root
        self._exchange = exchange
        self._archive = Archive(root)
        self._lock = ArchiveLock(root)
        # Two threads of its own: what many threads free is not given back to the machine. One
        # writes, so a batch that nobody waits for any more and the next one do not meet.
        self._reads = ThreadPoolExecutor(1, "archive-read")
        self._writes = ThreadPoolExecutor(1, "archive-write")
        self._writer: ArchiveWriter | None = None
        self._left: tuple[int, int] | None = None
        self._on_damage = on_damage
        # Found by either thread, told by the loop.
        self._damaged: list[DamagedMonth] = []

    async def load(self, symbol: str, timeframe: Timeframe, newest: int) -> Candles:
        """Return the newest so many candles, oldest first; a month that is damaged is a hole.

        Before the first that is held come those that shorter ones make, where these reach further.
        """
        loop = asyncio.get_running_loop()
        name = self._name(symbol, timeframe)
        try:
            return await loop.run_in_executor(self._reads, self._load, name, newest)
        finally:
            self._tell_damage()

    async def gathered(self, symbol: str, timeframe: Timeframe, newest: int) -> Gathered | None:
        """Return the newest so many candles of the combination that a series leads.

        None where it leads none, or where that cannot be made, which is logged.
        """
        loop = asyncio.get_running_loop()
        name = self._name(symbol, timeframe)
        return await loop.run_in_executor(self._reads, self._gathered, name, newest)

    async def append(self, closed: _Batch) -> None:
        """Keep closed candles, durable when this returns; raises InstanceConflict or OSError."""
        if not closed:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._writes, self._append, closed)
        finally:
            self._tell_damage()

    def _tell_damage(self) -> None:
        if self._damaged:
            found, self._damaged = self._damaged, []
            self._on_damage(found)

    def _name(self, symbol: str, timeframe: Timeframe) -> SeriesName:
        return SeriesName(self._exchange, symbol, timeframe.name)

    def _load(self, name: SeriesName, newest: int) -> Candles:
        held = self._newest(name, newest)
        if len(held) >= newest:
            return held
        made = self._made(name, newest)
        older = made.take(made.open_time_ms < held.open_time_ms[0]) if len(held) else made
        return join(older, held).take(slice(-newest, None))

    def _gathered(self, name: SeriesName, newest: int) -> Gathered | None:
        parts = combinations.led_by(self._root, name)
        own = self._newest(name, 1) if parts else no_candles()
        if not len(own):
            return None
        last_ms = int(own.open_time_ms[0])
        first_ms = max(shifted_ms(last_ms, 1 - newest, name.length_ms), 0)
        try:
            whole = self._archive.combined(parts, Span(first_ms, last_ms))
        except Refused as error:
            logger.warning("not_combined", extra={"series": str(name), "error": str(error)})
            return None
        kept = slice(-newest, None)
        exchanges = tuple(part.exchange for part in parts)
        return Gathered(whole.candles.take(kept), whole.source[kept], exchanges)

    def _made(self, name: SeriesName, newest: int) -> Candles:
        """Make candles of the longest shorter ones that are held; an exchange may lack its own."""
        names = {
            one.timeframe
            for one in self._archive.series()
            if (one.exchange, one.symbol) == (name.exchange, name.symbol)
        }
        source = source_of(Timeframe(name.timeframe), names - {name.timeframe})
        if source is None:
            return no_candles()
        needed = shorter_needed(newest + 1, source.length_ms, name.length_ms)
        shorter = SeriesName(name.exchange, name.symbol, source.name)
        held = self._newest(shorter, min(needed, _SHORTER_MAX))
        return whole_only(held, source.length_ms, name.length_ms)

    def _newest(self, name: SeriesName, newest: int) -> Candles:
        parts: list[Candles] = []
        count = 0
        for month in reversed(self._archive.months(name)):
            try:
                held = self._archive.read(name, month).candles
            except PartitionDamaged as damage:
                extra = {"series": str(name), "month": str(month), "error": str(damage)}
                logger.warning("archive_month_damaged", extra=extra)
                self._damaged.append(DamagedMonth(name, month, str(damage)))
                continue
            parts.append(held)
            count += len(held)
            if count >= newest:
                break
        if not parts:
            return no_candles()
        return join(*reversed(parts)).take(slice(-newest, None))

    def _append(self, closed: _Batch) -> None:
        batch = self._by_series(closed)
        # The exchange says that they have closed, whatever the clock of this machine does.
        now_ms = max(int(candles.open_time_ms[-1]) + name.length_ms for name, candles in batch)
        for report in self._write(batch, now_ms):
            self._damaged += report.damaged
            _tell(report)

    def _by_series(self, closed: _Batch) -> list[tuple[SeriesName, Candles]]:
        series: dict[SeriesName, list[Candle]] = {}
        for symbol, timeframe, candle in closed:
            series.setdefault(self._name(symbol, timeframe), []).append(candle)
        return [
            (name, columns_of(sorted(candles, key=lambda one: one.open_time_ms)))
            for name, candles in series.items()
        ]

    def _write(self, batch: list[tuple[SeriesName, Candles]], now_ms: int) -> list[Stored]:
        seen = self._held_last()
        self._lock.take()
        try:
            if self._writer is None or seen != self._left:
                # Somebody else has written since: what we know of the newest candles is old.
                self._writer = ArchiveWriter(self._archive)
            try:
                return _put(self._writer, batch, now_ms)
            finally:
                # What a fold has met, whether it was asked for or came with the lock.
                self._damaged += self._writer.damaged
                self._writer.damaged = []
        except BaseException:
            self._writer = None
            raise
        finally:
            self._left = self._held_last()
            self._lock.release()

    def _held_last(self) -> tuple[int, int] | None:
        """Return a mark that changes whenever anybody takes the lock."""
        try:
            found = self._lock.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns


def _put(
    writer: ArchiveWriter, batch: list[tuple[SeriesName, Candles]], now_ms: int
) -> list[Stored]:
    """Write a past straight into its months: the tail is for what closes minute by minute."""
    reports: list[Stored] = []
    for name, candles in batch:
        if len(candles) >= _PAST:
            reports += writer.store(name, candles, now_ms, _SOURCE)
    newest = [(name, candles) for name, candles in batch if len(candles) < _PAST]
    return [*reports, *writer.append(newest, now_ms, _SOURCE)] if newest else reports


def _tell(report: Stored) -> None:
    if report.rejected or report.damaged:
        extra = {
            "series": str(report.name),
            "rejected": {fault.name.lower(): count for fault, count in report.rejected.items()},
            "damaged_months": [str(one.month) for one in report.damaged],
        }
        logger.warning("candles_quarantined", extra=extra)
