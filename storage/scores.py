"""Recorded scores on disk: one file per symbol and month, records of one size, only appended to.

A record is whole or it does not count: a last one that was half written is cut off before the next
is appended, and one whose checksum is wrong is left out when it is read. Nothing is synced: scores
of the last seconds before a power cut are worth less than the disk's time.
"""

import asyncio
import errno
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.archive.layout import Month, month_of, symbol_folder
from trading.domain.time import Timeframe
from trading.ports.history import RecordedScore, ScoreColumns

logger = logging.getLogger(__name__)

_SUFFIX = ".points"
# What older versions wrote: the same without the points of each timeframe.
_UNITED_SUFFIX = ".scores"
# The place of each timeframe in a record: a new one can only come behind these.
LENGTHS = (
    *("1m", "3m", "5m", "15m", "30m", "1h", "2h", "3h"),
    *("4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"),
)
_SHARES = [
    ("at_ms", "<i8"),
    ("price", "<f8"),
    ("bull", "<f4"),
    ("bear", "<f4"),
    ("change", "<f4"),
]
_RECORD = np.dtype([*_SHARES, ("points", "<u2", len(LENGTHS)), ("checksum", "<u4")])
_UNITED = np.dtype([*_SHARES, ("checksum", "<u4")])
_SIZE = _RECORD.itemsize
# Three bits for each kind of points, and one that says that there are any.
_BITS, _SCORED = 3, 1 << 9
# Odd numbers, so that each changed word changes the sum; the start keeps zeros from being valid.
_WEIGHTS = np.array(
    (
        *(0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1, 0xD3A2646D, 0xFD7046C5),
        *(0xB55A4F09, 0x8DA6B343, 0xD8163841, 0xCB1AB31F, 0x94D049BB, 0xBF58476D, 0x7FEB352D),
        0x846CA68B,
    ),
    np.uint32,
)
_START = np.uint32(0x5CA1AB1E)

_PLACES = {name: place for place, name in enumerate(LENGTHS)}
Records = NDArray[np.void]


class ScoreFiles:
    """Implements `ScoreStore` in a folder that nobody else writes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # A batch that nobody waits for any more may still be written.
        self._turn = threading.Lock()

    async def append(self, scores: Sequence[RecordedScore]) -> None:
        """Keep scores, off the loop; raises OSError at the first that the disk does not take."""
        await asyncio.to_thread(self._append, scores)

    async def since(
        self, symbol: str, since_ms: int, timeframes: Sequence[Timeframe] = ()
    ) -> ScoreColumns:
        """Read the months from a moment on, off the loop."""
        names = [one.name for one in timeframes]
        return await asyncio.to_thread(self._since, symbol, since_ms, names)

    async def forget(self, before_ms: int) -> int:
        """Delete the files of months that ended before a moment."""
        return await asyncio.to_thread(self._forget, before_ms)

    def _append(self, scores: Sequence[RecordedScore]) -> None:
        content = _encoded(scores)
        with self._turn:
            for place, score in enumerate(scores):
                record = content[place * _SIZE : (place + 1) * _SIZE]
                path = self._path(score.symbol, month_of(score.at_ms))
                try:
                    _append_to(path, record)
                except FileNotFoundError:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    _append_to(path, record)

    def _since(self, symbol: str, since_ms: int, timeframes: Sequence[str]) -> ScoreColumns:
        first = month_of(since_ms)
        paths = [path for month, path in self._months(self._folder(symbol)) if month >= first]
        parts = [_read(path) for path in paths]
        found = np.concatenate([np.empty(0, _RECORD), *parts])
        is_split = np.repeat(
            [path.suffix == _SUFFIX for path in paths], [len(part) for part in parts]
        ).astype(bool)
        # A clock that was set back has written later what came before.
        order = np.argsort(found["at_ms"], kind="stable")
        order = order[found["at_ms"][order] >= since_ms]
        found = found[order]
        return ScoreColumns(
            found["at_ms"].astype(np.int64),
            found["price"].astype(np.float64),
            found["bull"].astype(np.float64),
            found["bear"].astype(np.float64),
            found["change"].astype(np.float64),
            _points(found["points"], timeframes),
            is_split[order],
        )

    def _forget(self, before_ms: int) -> int:
        gone = [
            path
            for folder in self._root.glob("*")
            for month, path in self._months(folder)
            if month.following().start_ms <= before_ms
        ]
        with self._turn:
            for path in gone:
                path.unlink(missing_ok=True)
        return len(gone)

    def _months(self, folder: Path) -> Iterator[tuple[Month, Path]]:
        suffixes = (_UNITED_SUFFIX, _SUFFIX)
        paths = [path for path in folder.glob("*") if path.suffix in suffixes]
        for path in sorted(paths):
            year, _, number = path.stem.partition("-")
            if year.isdecimal() and number.isdecimal() and 1 <= int(number) <= 12:
                yield Month(int(year), int(number)), path

    def _path(self, symbol: str, month: Month) -> Path:
        return self._folder(symbol) / f"{month}{_SUFFIX}"

    def _folder(self, symbol: str) -> Path:
        return self._root / symbol_folder(symbol)


def _encoded(scores: Sequence[RecordedScore]) -> bytes:
    rows = [
        (one.at_ms, one.price, one.bull, one.bear, one.change, _slots(one), 0) for one in scores
    ]
    records = np.array(rows, _RECORD)
    records["checksum"] = _checksums(records)
    return records.tobytes()


def _slots(score: RecordedScore) -> tuple[int, ...]:
    """The points of each timeframe in its place, 0 where it was not scored."""
    slots = [0] * len(LENGTHS)
    for one in score.points:
        packed = (one.bull << 2 * _BITS) | (one.bear << _BITS) | one.change
        slots[_PLACES[one.timeframe.name]] = _SCORED | packed
    return tuple(slots)


def _points(slots: NDArray[np.uint16], timeframes: Sequence[str]) -> NDArray[np.int8]:
    chosen = slots[:, [_PLACES[name] for name in timeframes]].astype(np.int16)
    kinds = [(chosen >> shift) & 7 for shift in (2 * _BITS, _BITS, 0)]
    found = np.stack(kinds, axis=-1).astype(np.int8)
    found[chosen & _SCORED == 0] = -1
    return found


def _append_to(path: Path, record: bytes) -> None:
    # As few calls as will do: the loop waits while this thread has its turn.
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = os.lseek(file, 0, os.SEEK_END)
        # Over what is torn: a record is behind whole ones, or it is not found again.
        if os.pwrite(file, record, end - end % _SIZE) != len(record):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(file)


def _read(path: Path) -> Records:
    content = path.read_bytes()
    kind = _RECORD if path.suffix == _SUFFIX else _UNITED
    records = np.frombuffer(content[: len(content) // kind.itemsize * kind.itemsize], kind)
    whole: Records = records[_checksums(records) == records["checksum"]]
    if len(whole) < len(records):
        extra = {"path": path.name, "count": len(records) - len(whole)}
        logger.warning("score_records_damaged", extra=extra)
    if kind is _RECORD:
        return whole
    filled = np.zeros(len(whole), _RECORD)
    for name, _ in _SHARES:
        filled[name] = whole[name]
    return filled


def _checksums(records: Records) -> NDArray[np.uint32]:
    count = records.dtype.itemsize // 4 - 1
    words = np.ascontiguousarray(records).view("<u4").reshape(len(records), count + 1)
    # Wraps around, as sums of this size are meant to.
    summed: NDArray[np.uint32] = _START + (words[:, :count] * _WEIGHTS[:count]).sum(
        axis=1, dtype=np.uint32
    )
    return summed
