"""How far a journal had come, kept beside the database: so that an older copy is told from it.

One record, written anew after each commit and never synced: it survives the end of a process, and
after a power cut an older one still names a row that the journal has.
"""

import logging
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select

from storage import schema
from trading.domain.time import from_ms
from trading.ports.storage import LostRecords

logger = logging.getLogger(__name__)
_MAGIC = b"UMH1"
_RECORD = struct.Struct(">4sQ32sI")


@dataclass(frozen=True, slots=True)
class Tip:
    """The end of a journal: the seq of its last row, and that row's hash."""

    seq: int
    hash: bytes


class HighWater:
    """The file of one database; while `is_held` it keeps what it names."""

    def __init__(self, path: Path) -> None:
        self.is_held = False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def read(self) -> Tip | None:
        """Return the tip that was reached; None where none was, or it cannot be read any more."""
        record = os.pread(self._descriptor, _RECORD.size, 0)
        if len(record) < _RECORD.size:
            return None
        magic, seq, last_hash, checksum = _RECORD.unpack(record)
        if magic != _MAGIC or checksum != zlib.crc32(record[:-4]):
            logger.warning("high_water_unreadable", extra={"path": str(self._path)})
            return None
        return Tip(seq, last_hash)

    def reached(self, tip: Tip) -> None:
        """Note a commit; a disk that takes nothing leaves an older mark, which is true as well."""
        if self.is_held:
            return
        body = _RECORD.pack(_MAGIC, tip.seq, tip.hash, 0)[:-4]
        try:
            os.pwrite(self._descriptor, body + struct.pack(">I", zlib.crc32(body)), 0)
        except OSError as error:
            logger.warning("high_water_not_written", extra={"error": str(error)})

    def close(self) -> None:
        """Let the file go; harmless when done before."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def has_reached(path: Path) -> bool:
    """Whether a journal was written beside this file of a mark."""
    return path.is_file() and path.stat().st_size >= _RECORD.size


def mark_beside(reserve_path: Path) -> Path:
    """Where the mark of a database lies, by the path of its reserve."""
    return reserve_path.with_suffix(".mark")


def lost(connection: Connection, reached: Tip | None) -> LostRecords | None:
    """Return what a journal lacks of the one whose mark was found; None when it holds that row."""
    if reached is None:
        return None
    table = schema.journal
    query = select(table.c.seq, table.c.at_ms).order_by(table.c.seq.desc()).limit(1)
    end = connection.execute(query).one_or_none()
    if end is None:
        return LostRecords(reached.seq, None, reached.seq)
    found = select(table.c.hash).where(table.c.seq == reached.seq)
    known = connection.execute(found).scalar()
    if known is not None and bytes(known) == reached.hash:
        return None
    return LostRecords(max(reached.seq - end.seq, 0), from_ms(end.at_ms), reached.seq)
