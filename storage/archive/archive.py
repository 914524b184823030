"""The archive of closed candles: anybody may read, one process at a time may write.

A month changes by one rename, so a writer that is killed leaves every month as it was or as it
should be; doing the same again ends with the same bytes. What was appended since waits in a tail,
and is read as if it were in its month already.
"""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from storage.archive.layout import (
    Month,
    damaged_of,
    months_in,
    months_of,
    partition_path,
    series_in,
)
from storage.archive.partition import Partition, PartitionDamaged, decode
from storage.archive.register import Register, RegisterReader
from storage.archive.tail import Appended, TailReader
from trading.candles.combining import Combined, combine
from trading.candles.merging import merge
from trading.candles.paging import unclaimed
from trading.candles.series import Candles, SeriesName, join, no_candles
from trading.candles.spans import Span, clip, gaps, unite
from trading.domain.errors import Refused

_READERS = min(os.cpu_count() or 1, 4)


@dataclass(frozen=True, slots=True)
class DamagedMonth:
    """A file that cannot be believed, and why."""

    name: SeriesName
    month: Month
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Holding:
    """All that the archive holds of a series; damaged months are left out of it and listed.

    `lost` is what it has held and neither holds nor has damaged files of: it was in months that are
    in quarantine, or that somebody deleted.
    """

    name: SeriesName
    candles: Candles
    spans: tuple[Span, ...]
    damaged: tuple[DamagedMonth, ...]
    lost: tuple[Span, ...] = ()
    files: int = 0

    @property
    def gaps(self) -> tuple[Span, ...]:
        """The candles missing inside what was asked for, as the stretches they would fill."""
        return gaps(self.candles.open_time_ms, self.spans, self.name.length_ms)

    @property
    def missing(self) -> int:
        """How many candles the gaps would hold."""
        return sum(gap.count(self.name.length_ms) for gap in self.gaps)

    @property
    def lost_months(self) -> list[Month]:
        """The months of which something is lost, in order."""
        return sorted({month for span in self.lost for month in months_in(span)})


class Archive:
    """Read access; a month is seen as it was before or after a write, never in between."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._tail = TailReader(root)
        self._register = RegisterReader(root)

    @property
    def appended(self) -> Appended:
        """What was appended and is not in its months yet."""
        return self._tail.now()

    @property
    def register(self) -> Register | None:
        """What each series has held, None where nothing was written down yet."""
        return self._register.now()

    def series(self) -> list[SeriesName]:
        """Return the names of all series, in order."""
        return sorted({*self.appended.names(), *series_in(self.root)})

    def series_known(self) -> list[SeriesName]:
        """Return the names of all series, also of those that nothing is left of, in order."""
        register = self.register
        return sorted({*self.series(), *(register.names() if register else ())})

    def months(self, name: SeriesName) -> list[Month]:
        """Return the months of which the archive holds something."""
        spans = self.appended.of(name).spans
        return sorted({*months_of(self.root, name), *(m for one in spans for m in months_in(one))})

    def read(self, name: SeriesName, month: Month) -> Partition:
        """Read one month, empty when there is none; raises PartitionDamaged."""
        appended = self.appended.of(name)
        within = month.opens(name.length_ms)
        return _together(name, self.read_file(name, month), appended.within(within))

    def read_file(self, name: SeriesName, month: Month) -> Partition:
        """Read what the file of a month holds, nothing without one; not what waits in the tail."""
        return decode(partition_path(self.root, name, month), name, month)

    def set_aside(self, name: SeriesName) -> list[Month]:
        """Return the months of which a damaged file is in quarantine, in order."""
        return damaged_of(self.root, name)

    def load(self, name: SeriesName, within: Span | None = None) -> Holding:
        """Read a series, or the months that a span touches, proving every checksum."""
        # Before the months: what moves from the tail into them meanwhile is seen twice, not never,
        # and what the register tells is in them.
        appended = self.appended.of(name)
        register = self.register
        noted = register.of(name) if register else ()
        wanted = months_of(self.root, name)
        if within is not None:
            touched = list(months_in(within))
            wanted = [month for month in wanted if touched[0] <= month <= touched[-1]]
            first_ms = touched[0].opens(name.length_ms).first_ms
            last_ms = touched[-1].opens(name.length_ms).last_ms
            appended = appended.within(Span(first_ms, last_ms))
            noted = clip(noted, Span(first_ms, last_ms))
        partitions: list[Partition] = []
        damaged: list[DamagedMonth] = []
        # Decoding, hashing and copying let other threads run.
        with ThreadPoolExecutor(_READERS) as readers:
            found = readers.map(lambda month: self._try_read_file(name, month), wanted)
            for month, one in zip(wanted, found, strict=True):
                if isinstance(one, Partition):
                    partitions.append(one)
                else:
                    damaged.append(DamagedMonth(name, month, str(one)))
            if _is_behind(appended, partitions):
                partitions.append(appended)
            parts = (one.candles for one in partitions)
            candles = join(no_candles(), *parts, each=readers.map)
        spans = unite((span for one in partitions for span in one.spans), name.length_ms)
        whole = Partition(candles, spans)
        if appended not in partitions:
            whole = _together(name, whole, appended)
        lost = _lost(name, noted, whole.spans, damaged)
        return Holding(name, whole.candles, whole.spans, tuple(damaged), lost, len(wanted))

    def combined(self, names: Sequence[SeriesName], within: Span | None = None) -> Combined:
        """Read one history from several exchanges, the one that leads first (`combine`).

        Refused when a month of any of them is damaged, for another exchange would take its place.
        """
        timeframes = sorted({name.timeframe for name in names})
        if len(timeframes) > 1:
            raise Refused(f"histories should be of one timeframe to be combined, were {timeframes}")
        held = [self.load(name, within) for name in names]
        for one in held:
            if one.damaged:
                raise Refused(
                    f"{one.name} has damaged months: umbra data repair moves them away; then "
                    "import or download them again"
                )
        return combine([one.candles for one in held])

    def _try_read_file(self, name: SeriesName, month: Month) -> Partition | PartitionDamaged:
        try:
            return self.read_file(name, month)
        except PartitionDamaged as damage:
            return damage


def _is_behind(appended: Partition, held: list[Partition]) -> bool:
    """Whether appending is enough, as nearly always, and need not sort."""
    opens_ms = appended.candles.open_time_ms[:1]
    return all((one.candles.open_time_ms[-1:] < opens_ms).all() for one in held)


def _lost(
    name: SeriesName, noted: Iterable[Span], held: Iterable[Span], damaged: list[DamagedMonth]
) -> tuple[Span, ...]:
    """Return what was held and is not; a damaged month is told as such, and is not lost yet."""
    there = (*held, *(one.month.opens(name.length_ms) for one in damaged))
    spans = unite(there, name.length_ms)
    return tuple(part for span in noted for part in unclaimed(span, spans, name.length_ms))


def _together(name: SeriesName, held: Partition, appended: Partition) -> Partition:
    if not appended.spans:
        return held
    candles = merge(held.candles, appended.candles).candles
    return Partition(candles, unite((*held.spans, *appended.spans), name.length_ms))
