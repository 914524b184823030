"""The one writer of the archive: what sources tell is checked, merged and made durable."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from storage.archive import durable
from storage.archive.archive import Archive, DamagedMonth
from storage.archive.layout import (
    QUARANTINE,
    Month,
    folder_of,
    month_of,
    months_in,
    partition_path,
)
from storage.archive.partition import Partition, PartitionDamaged, encode, parquet_bytes
from storage.lease import FileLock
from trading.candles.checking import Fault, Rejected, Repair, check, in_another_unit
from trading.candles.merging import Merged, merge
from trading.candles.renames import split_by_coin
from trading.candles.series import COLUMNS, Candles, SeriesName
from trading.candles.spans import Span, clip, unite


@dataclass(slots=True)
class Stored:
    """What became of candles that a source told of one series."""

    name: SeriesName
    told: int = 0
    added: int = 0
    completed: int = 0
    running: int = 0
    passed_by: int = 0
    rejected: Counter[Fault] = field(default_factory=Counter)
    repaired: Counter[Repair] = field(default_factory=Counter)
    quarantined: list[Path] = field(default_factory=list)
    damaged: list[DamagedMonth] = field(default_factory=list)

    @property
    def known(self) -> int:
        """How many were held before, alike."""
        refused = self.rejected.total() + self.repaired[Repair.DOUBLE]
        return self.told - self.running - self.passed_by - refused - self.added


class ArchiveWriter:
    """Write access, made by `writing` alone."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._root = archive.root
        self.discarded = self._discard_unfinished()
        """What a killed writer left half-written; nothing of it was ever named."""

    def store(
        self,
        name: SeriesName,
        told: Candles,
        now_ms: int,
        source: str,
        claimed: Span | None = None,
    ) -> list[Stored]:
        """Keep what is fit to be kept, month by month, and report per coin that it belongs to.

        `claimed` is what the source was asked for, by its first and last open time; without it the
        candles' own first and last count. Every claimed candle that is not kept is a gap, and what
        is told beyond the claim is passed by.
        """
        checked = check(told, name.length_ms, now_ms)
        kept = checked.candles if claimed is None else _within(checked.candles, claimed)
        parts = split_by_coin(name, kept, claimed)
        reports = [self._store(coin, candles, span, source) for coin, candles, span in parts]
        own = reports[-1]
        own.told += len(told) - len(kept)
        own.passed_by = len(checked.candles) - len(kept)
        own.running = checked.running
        own.repaired.update(checked.repaired)
        self._quarantine(name, checked.rejected, source, own)
        return reports if own.told else reports[:-1] or reports

    def quarantine_damaged(self) -> list[DamagedMonth]:
        """Move every month that cannot be believed out of the way, to be told again."""
        found = []
        for name in self.archive.series():
            for month in self.archive.months(name):
                _, damage = self._read(name, month)
                found += damage
        return found

    def _discard_unfinished(self) -> list[Path]:
        left = sorted(self._root.rglob(f"*{durable.UNFINISHED}"))
        for path in left:
            path.unlink()
        return left

    def _store(
        self, name: SeriesName, candles: Candles, claimed: Span | None, source: str
    ) -> Stored:
        report = Stored(name, told=len(candles))
        candles = self._in_our_unit(name, candles, source, report)
        span = claimed or _span_of(candles)
        if span is not None:
            for month in months_in(span):
                self._store_month(name, month, (candles, span), source, report)
        return report

    def _in_our_unit(
        self, name: SeriesName, candles: Candles, source: str, report: Stored
    ) -> Candles:
        """Refuse candles whose prices do not continue the one held before them."""
        if not len(candles):
            return candles
        before_ms = int(candles.open_time_ms[0]) - name.length_ms
        held, damage = self._read(name, month_of(before_ms))
        report.damaged += damage
        place = np.flatnonzero(held.candles.open_time_ms == before_ms)
        if not len(place):
            return candles
        is_foreign = in_another_unit(candles, name.length_ms, float(held.candles.close[place[0]]))
        if is_foreign.any():
            rejected = Rejected(Fault.UNIT, candles.take(is_foreign))
            self._quarantine(name, (rejected,), source, report)
        return candles.take(~is_foreign)

    def _store_month(
        self,
        name: SeriesName,
        month: Month,
        told: tuple[Candles, Span],
        source: str,
        report: Stored,
    ) -> None:
        candles, span = told
        within = month.opens(name.length_ms)
        spans = clip((span,), within)
        if not spans:
            return
        held, damage = self._read(name, month)
        report.damaged += damage
        bounds = (within.first_ms, within.last_ms + 1)
        first, past = np.searchsorted(candles.open_time_ms, bounds)
        merged: Merged = merge(held.candles, candles.take(slice(first, past)))
        if len(merged.disagreeing):
            # Before the month, or a death in between would lose them.
            rejected = Rejected(Fault.DISAGREES, merged.disagreeing)
            self._quarantine(name, (rejected,), source, report)
        partition = Partition(merged.candles, unite((*held.spans, *spans), name.length_ms))
        if not partition.equals(held):
            content = encode(name, month, partition)
            durable.write_whole(partition_path(self._root, name, month), content)
        report.added += merged.added
        report.completed += merged.completed

    def _read(self, name: SeriesName, month: Month) -> tuple[Partition, list[DamagedMonth]]:
        """Read a month; one that cannot be believed is moved away and counts as none."""
        try:
            return self.archive.read(name, month), []
        except PartitionDamaged as damage:
            path = partition_path(self._root, name, month)
            mark = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            durable.move(path, self._quarantine_folder(name) / f"damaged-{month}-{mark}.parquet")
            return self.archive.read(name, month), [DamagedMonth(name, month, str(damage))]

    def _quarantine(
        self, name: SeriesName, rejected: tuple[Rejected, ...], source: str, report: Stored
    ) -> None:
        for one in rejected:
            report.rejected[one.fault] += len(one.candles)
            columns = {column: getattr(one.candles, column) for column in COLUMNS}
            facts = {"fault": one.fault.value, "source": source, "series": str(name)}
            content = parquet_bytes(columns, facts)
            mark = hashlib.sha256(content).hexdigest()[:16]
            # Named by its content: the same candles refused again are the same file.
            path = self._quarantine_folder(name) / f"candles-{mark}.parquet"
            if not path.exists():
                durable.write_whole(path, content)
            report.quarantined.append(path)

    def _quarantine_folder(self, name: SeriesName) -> Path:
        return folder_of(self._root / QUARANTINE, name)


@contextmanager
def writing(root: Path) -> Iterator[ArchiveWriter]:
    """Hold the archive's lock while writing; raises InstanceConflict when another writes.

    What a killed writer left half-written is removed first.
    """
    lock = FileLock(root / "archive.lock")
    lock.acquire(
        lambda holder: f"the archive {root} is being written by {holder}; wait until that has ended"
    )
    try:
        yield ArchiveWriter(Archive(root))
    finally:
        lock.release()


def _within(candles: Candles, span: Span) -> Candles:
    times = candles.open_time_ms
    return candles.take((times >= span.first_ms) & (times <= span.last_ms))


def _span_of(candles: Candles) -> Span | None:
    if not len(candles):
        return None
    return Span(int(candles.open_time_ms[0]), int(candles.open_time_ms[-1]))
