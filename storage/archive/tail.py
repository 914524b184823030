"""Candles appended since their months were last written: one file for all series, one sync a batch.

Behind a first line that names the format lie frames, each a batch with a SHA-256 of its own. The
first frame that is not whole, as a kill leaves it, ends what is believed.
"""

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from storage.archive import durable
from storage.archive.partition import Partition
from trading.candles.series import COLUMNS, TIME, Candles, SeriesName, join, no_candles
from trading.candles.spans import Span, unite

TAIL = "appended.tail"
_HEAD = b"umbra candles appended 1\n"
# How many bytes the names take, and how many candles follow them; then the digest of all but it.
_SIZES = struct.Struct("<II")
_DIGEST_BYTES = hashlib.sha256().digest_size
_NUMBER_BYTES = 8
_KINDS = {column: np.dtype("<i8" if column == TIME else "<f8") for column in COLUMNS}

Batch = Sequence[tuple[SeriesName, Candles, Span]]
"""Candles of many series, each with the span that they claim."""


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """Where the candles of one series lie within a frame."""

    frame: Candles
    first: int
    past: int
    span: Span


class Appended:
    """What a tail holds, by series."""

    def __init__(self, content: bytes) -> None:
        self.rows = 0
        self.bytes = len(content)
        self.believed_bytes = 0
        """Where the first frame that is not whole begins, or the end."""
        self._pieces: dict[SeriesName, list[_Piece]] = {}
        if not content.startswith(_HEAD):
            return
        self.believed_bytes = len(_HEAD)
        for end, names, candles in _frames(content):
            self._take(names, candles)
            self.believed_bytes = end

    def names(self) -> list[SeriesName]:
        """Return every series that something was appended to."""
        return sorted(self._pieces)

    def of(self, name: SeriesName) -> Partition:
        """Return what was appended to a series, ascending, and what it claims."""
        pieces = self._pieces.get(name)
        if pieces is None:
            return Partition(no_candles(), ())
        parts = [piece.frame.take(slice(piece.first, piece.past)) for piece in pieces]
        return Partition(join(*parts), unite((piece.span for piece in pieces), name.length_ms))

    def _take(self, names: list[Any], candles: Candles) -> None:
        self.rows += len(candles)
        first = 0
        for exchange, symbol, timeframe, first_ms, last_ms, count in names:
            name, span = SeriesName(exchange, symbol, timeframe), Span(first_ms, last_ms)
            piece = _Piece(candles, first, first + count, span)
            self._pieces.setdefault(name, []).append(piece)
            first += count


class TailReader:
    """Reads a tail again whenever it has changed."""

    def __init__(self, root: Path) -> None:
        self._path = root / TAIL
        self._read: tuple[tuple[int, int, int] | None, Appended] = (None, Appended(b""))

    def now(self) -> Appended:
        """Return what the tail holds now; nothing when there is none."""
        try:
            seen = self._path.stat()
            mark = (seen.st_ino, seen.st_size, seen.st_mtime_ns)
            if self._read[0] != mark:
                self._read = (mark, Appended(self._path.read_bytes()))
        except FileNotFoundError:
            return Appended(b"")
        return self._read[1]


class TailFile:
    """The writer's end of a tail."""

    def __init__(self, root: Path) -> None:
        self._path = root / TAIL
        content = self._path.read_bytes() if self._path.exists() else b""
        appended = Appended(content)
        self.rows = appended.rows
        self._end = appended.believed_bytes
        self.unbelieved = content[self._end :]
        """What a kill, or a fault of the disk, has left behind what is whole."""

    def cut(self) -> None:
        """Take off what is not believed."""
        if self._end:
            self._write(b"")
        else:
            self.clear()
        self.unbelieved = b""

    def append(self, batch: Batch) -> None:
        """Write a batch behind all others; it is durable when this returns."""
        if not self._end:
            self.clear()
        frame = _frame(batch)
        self._write(frame)
        self._end += len(frame)
        self.rows += sum(len(candles) for _, candles, _ in batch)

    def clear(self) -> None:
        """Begin anew with nothing."""
        durable.write_whole(self._path, _HEAD)
        self._end = len(_HEAD)
        self.rows = 0

    def _write(self, frame: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            # A write that failed may have left something there.
            os.ftruncate(descriptor, self._end)
            written = 0
            while written < len(frame):
                written += os.pwrite(descriptor, frame[written:], self._end + written)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)


def _frame(batch: Batch) -> bytes:
    candles = join(*(candles for _, candles, _ in batch))
    names = json.dumps(
        [
            (name.exchange, name.symbol, name.timeframe, span.first_ms, span.last_ms, len(told))
            for name, told, span in batch
        ],
        separators=(",", ":"),
    ).encode()
    sizes = _SIZES.pack(len(names), len(candles))
    numbers = b"".join(
        getattr(candles, column).astype(kind).tobytes() for column, kind in _KINDS.items()
    )
    digest = hashlib.sha256(sizes + names + numbers).digest()
    return sizes + digest + names + numbers


def _frames(content: bytes) -> Iterator[tuple[int, list[Any], Candles]]:
    """Yield frames that are whole: where each ends, whose candles it holds, and these."""
    at = len(_HEAD)
    while at + _SIZES.size + _DIGEST_BYTES <= len(content):
        sizes = content[at : at + _SIZES.size]
        names_bytes, count = _SIZES.unpack(sizes)
        names_at = at + _SIZES.size + _DIGEST_BYTES
        numbers_at = names_at + names_bytes
        end = numbers_at + count * _NUMBER_BYTES * len(COLUMNS)
        digest = content[at + _SIZES.size : names_at]
        if end > len(content) or hashlib.sha256(sizes + content[names_at:end]).digest() != digest:
            return
        columns = (
            np.frombuffer(content, kind, count, numbers_at + number * count * _NUMBER_BYTES)
            for number, kind in enumerate(_KINDS.values())
        )
        yield end, json.loads(content[names_at:numbers_at]), Candles(*columns)
        at = end
