"""The archive of closed candles: anybody may read, one process at a time may write.

A month changes by one rename, so a writer that is killed leaves every month as it was or as it
should be; doing the same again ends with the same bytes.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from storage.archive.layout import Month, months_in, months_of, partition_path, series_in
from storage.archive.partition import Partition, PartitionDamaged, decode
from trading.candles.series import Candles, SeriesName, join, no_candles
from trading.candles.spans import Span, gaps, unite

_READERS = 2


@dataclass(frozen=True, slots=True)
class DamagedMonth:
    """A file that cannot be believed, and why."""

    name: SeriesName
    month: Month
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Holding:
    """All that the archive holds of a series; damaged months are left out of it and listed."""

    name: SeriesName
    candles: Candles
    spans: tuple[Span, ...]
    damaged: tuple[DamagedMonth, ...]

    @property
    def gaps(self) -> tuple[Span, ...]:
        """The candles missing inside what was asked for, as the stretches they would fill."""
        return gaps(self.candles.open_time_ms, self.spans, self.name.length_ms)

    @property
    def missing(self) -> int:
        """How many candles the gaps would hold."""
        return sum(gap.count(self.name.length_ms) for gap in self.gaps)


class Archive:
    """Read access; a month is seen as it was before or after a write, never in between."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def series(self) -> list[SeriesName]:
        """Return the names of all series, in order."""
        return series_in(self.root)

    def months(self, name: SeriesName) -> list[Month]:
        """Return the months of which the archive holds something."""
        return months_of(self.root, name)

    def read(self, name: SeriesName, month: Month) -> Partition:
        """Read one month, empty when there is none; raises PartitionDamaged."""
        path = partition_path(self.root, name, month)
        if not path.exists():
            return Partition(no_candles(), ())
        return decode(path, name, month)

    def load(self, name: SeriesName, within: Span | None = None) -> Holding:
        """Read a series, or the months that a span touches, proving every checksum."""
        wanted = self.months(name)
        if within is not None:
            touched = set(months_in(within))
            wanted = [month for month in wanted if month in touched]
        partitions: list[Partition] = []
        damaged: list[DamagedMonth] = []
        for month, found in self._read_all(name, wanted):
            if isinstance(found, Partition):
                partitions.append(found)
            else:
                damaged.append(DamagedMonth(name, month, str(found)))
        return Holding(
            name,
            join(*(one.candles for one in partitions)) if partitions else no_candles(),
            unite((span for one in partitions for span in one.spans), name.length_ms),
            tuple(damaged),
        )

    def _read_all(
        self, name: SeriesName, months: list[Month]
    ) -> Iterator[tuple[Month, Partition | PartitionDamaged]]:
        # Decoding and hashing let other threads run.
        with ThreadPoolExecutor(_READERS) as readers:
            yield from zip(
                months, readers.map(lambda month: self._try_read(name, month), months), strict=True
            )

    def _try_read(self, name: SeriesName, month: Month) -> Partition | PartitionDamaged:
        try:
            return self.read(name, month)
        except PartitionDamaged as damage:
            return damage
