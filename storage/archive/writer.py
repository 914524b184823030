"""The one writer of the archive: what sources tell is checked, merged and made durable.

A source that tells a stretch of one series goes into its months at once. The newest candles of many
series go into the tail, which is folded into the months when it is long, and at the next start.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from storage.archive import durable, other_lengths, removing
from storage.archive.archive import Archive, DamagedMonth, Holding
from storage.archive.layout import (
    QUARANTINE,
    Month,
    damaged_path,
    folder_of,
    months_in,
    partition_path,
)
from storage.archive.lock import ArchiveLock
from storage.archive.partition import Partition, PartitionDamaged, encode, parquet_bytes
from storage.archive.register import RegisterFile
from storage.archive.tail import TAIL, TailFile
from trading.candles.checking import Fault, Rejected, Repair, check, in_another_unit
from trading.candles.merging import Merged, merge
from trading.candles.renames import split_by_coin
from trading.candles.series import COLUMNS, Candles, SeriesName, join, no_candles
from trading.candles.spans import Span, clip, unite
from trading.domain.time import following_ms, preceding_ms

FOLD_ROWS = 200_000
_Batch = list[tuple[SeriesName, Candles, Span]]


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


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """What a source told of a series, and when."""

    candles: Candles
    now_ms: int
    source: str
    claimed: Span | None


_Keep = Callable[[SeriesName, Candles, Span | None, str], Stored]


class ArchiveWriter:
    """Write access for as long as the archive's lock is held: see `writing`."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._root = archive.root
        self.discarded = self._discard_unfinished()
        """What a killed writer left half-written; nothing of it was ever named."""
        self._tail = TailFile(archive.root)
        self.cut_off = self._cut_tail()
        """Where the end of the tail is kept that could not be believed, as a kill leaves it."""
        self._register = RegisterFile(archive.root)
        if self._register.is_new:
            self._note_months()
        self.removed = removing.finish(self._root, self._register)
        """The series that a killed writer had begun to take out: they are gone now."""
        self._newest: dict[SeriesName, Candles] = {}
        self.damaged = self.fold()
        """The months that were moved into quarantine to write down what was appended to them."""

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
        return self._judge(name, _Told(told, now_ms, source, claimed), self._store)

    def append(
        self, told: Iterable[tuple[SeriesName, Candles]], now_ms: int, source: str
    ) -> list[Stored]:
        """Keep the newest candles of many series, durable by one sync, and report as `store` does.

        What does not follow all that is held of its series goes the way of `store`. After an error
        nothing of the batch that was not durable before is held, and all of it may be told again.
        """
        batch: _Batch = []

        def keep(name: SeriesName, candles: Candles, _claimed: Span | None, source: str) -> Stored:
            return self._queue(name, candles, source, batch)

        reports: list[Stored] = []
        try:
            for name, candles in told:
                reports += self._judge(name, _Told(candles, now_ms, source, None), keep)
            self._flush(batch)
        except BaseException:
            self._newest.clear()
            raise
        if self._tail.rows >= FOLD_ROWS:
            self.damaged += self.fold()
        return reports

    def fold(self) -> list[DamagedMonth]:
        """Write what was appended into its months, and begin a new tail.

        Killed in between, both hold some of it alike, and the next fold ends with the same bytes.
        """
        appended = self.archive.appended
        damaged: list[DamagedMonth] = []
        for name in appended.names():
            report = Stored(name)
            told = appended.of(name)
            for month in sorted({month for span in told.spans for month in months_in(span)}):
                held, damage = self._trusted(name, month, self.archive.read_file)
                damaged += damage
                self._merge_month(name, month, held, told, report)
        self._register.write()
        if appended.rows:
            self._tail.clear()
        return damaged

    def remove(self, names: Sequence[SeriesName]) -> None:
        """Take series out of the archive for good, with the combinations that they lead.

        Broken off at any moment all of them are there, or none once the next writer has begun.
        """
        self.damaged += self.fold()
        removing.begin(self._root, names)
        for name in names:
            self._newest.pop(name, None)
        removing.finish(self._root, self._register)

    def quarantine_damaged(self) -> list[DamagedMonth]:
        """Move every month that cannot be believed out of the way, to be told again."""
        found = []
        for name in self.archive.series():
            for month in self.archive.months(name):
                _, damage = self._read(name, month)
                found += damage
        return found

    def forget_lost(self) -> list[Holding]:
        """Miss no longer what is lost, and return the series that it was of."""
        found = [self.archive.load(name) for name in self.archive.series_known()]
        lost = [holding for holding in found if holding.lost]
        for holding in lost:
            self._register.forget(holding.name, holding.spans)
        self._register.write()
        return lost

    def _note_months(self) -> None:
        """Begin the register of an archive that has none, or none to be believed."""
        for name in self.archive.series():
            for month in self.archive.months(name):
                with suppress(PartitionDamaged):
                    self._register.note(name, self.archive.read_file(name, month).spans)
        self._register.write()

    def _discard_unfinished(self) -> list[Path]:
        left = sorted(self._root.rglob(f"*{durable.UNFINISHED}"))
        for path in left:
            path.unlink()
        return left

    def _cut_tail(self) -> Path | None:
        content = self._tail.unbelieved
        if not content:
            return None
        path = self._root / QUARANTINE / f"appended-{_mark(content)}.tail"
        durable.write_whole(path, content)
        self._tail.cut()
        return path

    def _judge(self, name: SeriesName, told: _Told, keep: _Keep) -> list[Stored]:
        checked = check(told.candles, name.length_ms, told.now_ms)
        kept, claimed = checked.candles, told.claimed
        if claimed is not None:
            kept = _within(kept, claimed)
        parts = split_by_coin(name, kept, claimed)
        reports = [keep(coin, candles, span, told.source) for coin, candles, span in parts]
        own = reports[-1]
        own.told += len(told.candles) - len(kept)
        own.passed_by = len(checked.candles) - len(kept)
        own.running = checked.running
        own.repaired.update(checked.repaired)
        self._quarantine(name, checked.rejected, told.source, own)
        return reports if own.told else reports[:-1] or reports

    def _queue(self, name: SeriesName, candles: Candles, source: str, batch: _Batch) -> Stored:
        report = Stored(name, told=len(candles))
        if not len(candles):
            return report
        newest = self._newest_of(name, report)
        if (candles.open_time_ms[:1] <= newest.open_time_ms).any():
            # It is compared with what is held, so that must be held by then.
            self._flush(batch)
            return self._store(name, candles, None, source)
        candles = self._in_unit_of(newest, name, candles, source, report)
        span = _span_of(candles)
        if span is not None:
            batch.append((name, candles, span))
            self._newest[name] = candles.take(slice(-1, None))
            report.added = len(candles)
        return report

    def _flush(self, batch: _Batch) -> None:
        if batch:
            self._tail.append(batch)
            batch.clear()

    def _newest_of(self, name: SeriesName, report: Stored) -> Candles:
        """Return the newest candle held, none when there is none."""
        known = self._newest.get(name)
        if known is not None:
            return known
        for month in reversed(self.archive.months(name)):
            held, damage = self._read(name, month)
            report.damaged += damage
            if len(held.candles):
                self._newest[name] = held.candles.take(slice(-1, None))
                break
        return self._newest.setdefault(name, no_candles())

    def _store(
        self, name: SeriesName, candles: Candles, claimed: Span | None, source: str
    ) -> Stored:
        report = Stored(name, told=len(candles))
        self._newest.pop(name, None)
        if other_lengths.contradicting(self.archive, name, candles):
            rejected = Rejected(Fault.OTHER_LENGTH, candles)
            self._quarantine(name, (rejected,), source, report)
            candles = no_candles()
        candles = self._in_our_unit(name, candles, source, report)
        span = claimed or _span_of(candles)
        if span is not None:
            told = Partition(candles, (span,))
            for month in months_in(span):
                if clip((span,), month.opens(name.length_ms)):
                    held, damage = self._read(name, month)
                    report.damaged += damage
                    self._merge_month(name, month, held, told, report, source)
            self._register.write()
        return report

    def _in_our_unit(
        self, name: SeriesName, candles: Candles, source: str, report: Stored
    ) -> Candles:
        """Refuse candles whose prices are in another unit than those held beside them."""
        span = _span_of(candles)
        if span is None:
            return candles
        beside = Span(
            preceding_ms(span.first_ms, name.length_ms), following_ms(span.last_ms, name.length_ms)
        )
        held = [no_candles()]
        touched = set(months_in(beside))
        for month in self.archive.months(name):
            if month in touched:
                found, damage = self._read(name, month)
                report.damaged += damage
                held.append(found.candles)
        return self._in_unit_of(join(*held), name, candles, source, report)

    def _in_unit_of(
        self, held: Candles, name: SeriesName, candles: Candles, source: str, report: Stored
    ) -> Candles:
        is_foreign = in_another_unit(candles, name.length_ms, held)
        if not is_foreign.any():
            return candles
        rejected = Rejected(Fault.UNIT, candles.take(is_foreign))
        self._quarantine(name, (rejected,), source, report)
        return candles.take(~is_foreign)

    def _merge_month(
        self,
        name: SeriesName,
        month: Month,
        held: Partition,
        told: Partition,
        report: Stored,
        source: str = TAIL,
    ) -> None:
        within = month.opens(name.length_ms)
        own = told.within(within)
        merged: Merged = merge(held.candles, own.candles)
        if len(merged.disagreeing):
            # Before the month, or a death in between would lose them.
            rejected = Rejected(Fault.DISAGREES, merged.disagreeing)
            self._quarantine(name, (rejected,), source, report)
        partition = Partition(merged.candles, unite((*held.spans, *own.spans), name.length_ms))
        if not partition.equals(held):
            content = encode(name, month, partition)
            durable.write_whole(partition_path(self._root, name, month), content)
        self._register.note(name, partition.spans)
        report.added += merged.added
        report.completed += merged.completed

    def _read(self, name: SeriesName, month: Month) -> tuple[Partition, list[DamagedMonth]]:
        return self._trusted(name, month, self.archive.read)

    def _trusted(
        self, name: SeriesName, month: Month, read: Callable[[SeriesName, Month], Partition]
    ) -> tuple[Partition, list[DamagedMonth]]:
        """Read a month; one that cannot be believed is moved away and counts as none."""
        try:
            return read(name, month), []
        except PartitionDamaged as damage:
            path = partition_path(self._root, name, month)
            mark = _mark(path.read_bytes())
            durable.move(path, damaged_path(self._root, name, month, mark))
            return read(name, month), [DamagedMonth(name, month, str(damage))]

    def _quarantine(
        self, name: SeriesName, rejected: tuple[Rejected, ...], source: str, report: Stored
    ) -> None:
        for one in rejected:
            report.rejected[one.fault] += len(one.candles)
            columns = {column: getattr(one.candles, column) for column in COLUMNS}
            facts = {"fault": one.fault.value, "source": source, "series": str(name)}
            content = parquet_bytes(columns, facts)
            # Named by its content: the same candles refused again are the same file.
            path = self._quarantine_folder(name) / f"candles-{_mark(content)}.parquet"
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
    lock = ArchiveLock(root)
    lock.take()
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


def _mark(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
