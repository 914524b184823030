"""A file that is paid for in advance: room for a protective exit when the disk is full.

Records lie one after another from the start: magic, length, CRC-32, then JSON with the generation
and the place of the record in it. Draining into the journal stores the generation there, in the
same transaction; the next record starts again at the front with the next generation. So nothing
has to be erased, and a crash at any moment neither loses a record nor drains one twice.
"""

import errno
import json
import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.codec import decode, encode, identity
from trading.domain.events import Event

RESERVE_BYTES = 1024 * 1024
_MAGIC = b"UMR1"
_HEADER = struct.Struct(">4sII")


class ReserveFull(Exception):
    """The reserve cannot take a record: no room, or its file cannot be written either."""


@dataclass(frozen=True, slots=True)
class ReserveRecord:
    """One append; `in_doubt` is the journal's end if the database has taken it after all."""

    events: tuple[Event, ...]
    in_doubt: tuple[int, bytes] | None


class Reserve:
    """Appends that the database could not take, durable until it can."""

    def __init__(self, path: Path, drained_generation: int) -> None:
        self.path = path
        self.generation = drained_generation + 1
        self.pending: list[ReserveRecord] = []
        self._end = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Why there is less room than should be paid for; empty when there is not.
        self.shortage = ""
        try:
            self._allocate()
        except OSError as error:
            # A full disk stops no start: what watches stops can tell of it.
            self.shortage = error.strerror or type(error).__name__
        self._load()

    @property
    def has_pending(self) -> bool:
        """Whether the journal still misses something."""
        return bool(self.pending)

    def write(self, events: Sequence[Event], in_doubt: tuple[int, bytes] | None) -> None:
        """Make one append durable here; raises ReserveFull."""
        record = {
            "generation": self.generation,
            "index": len(self.pending),
            "seq": in_doubt[0] if in_doubt else 0,
            "hash": in_doubt[1].hex() if in_doubt else "",
            "events": [[event.kind, encode(event)] for event in events],
        }
        body = json.dumps(record).encode()
        framed = _HEADER.pack(_MAGIC, len(body), zlib.crc32(body)) + body
        if self._end + len(framed) > RESERVE_BYTES:
            raise ReserveFull(f"the reserve {self.path} has no room left")
        try:
            written = os.pwrite(self._descriptor, framed, self._end)
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise ReserveFull(f"the reserve {self.path} cannot be written: {error}") from error
        if written < len(framed):
            # What is torn is no record; the next one is written over it.
            raise ReserveFull(f"only a part of a record could be written to {self.path}")
        self._end += len(framed)
        self.pending.append(ReserveRecord(tuple(events), in_doubt))

    def drained(self, generation: int) -> None:
        """Start again at the front: the journal has this generation now; 0 changes nothing."""
        if generation:
            self.generation = generation + 1
            self.pending.clear()
            self._end = 0

    def first_known(self, events: Iterable[Event]) -> tuple[str, str] | None:
        """Return the first identity among `events` that waits here already."""
        known = {identity(event) for record in self.pending for event in record.events}
        names = (identity(event) for event in events)
        return next((name for name in names if name is not None and name in known), None)

    def close(self) -> None:
        """Let the file go; harmless when done before."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _allocate(self) -> None:
        size = os.fstat(self._descriptor).st_size
        if size < RESERVE_BYTES:
            # Written and not only allocated: some file systems allocate on the first write.
            wanted = RESERVE_BYTES - size
            if os.pwrite(self._descriptor, bytes(wanted), size) < wanted:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._descriptor)
            directory = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _load(self) -> None:
        content = os.pread(self._descriptor, RESERVE_BYTES, 0)
        while (body := _body_at(content, self._end)) is not None:
            record = json.loads(body)
            if (record["generation"], record["index"]) != (self.generation, len(self.pending)):
                break
            events = tuple(decode(kind, payload) for kind, payload in record["events"])
            in_doubt = (record["seq"], bytes.fromhex(record["hash"])) if record["hash"] else None
            self.pending.append(ReserveRecord(events, in_doubt))
            self._end += _HEADER.size + len(body)


def _body_at(content: bytes, offset: int) -> bytes | None:
    """Return a whole record's body; None for nothing, or for the torn tail of a crash."""
    if offset + _HEADER.size > len(content):
        return None
    magic, length, checksum = _HEADER.unpack_from(content, offset)
    start = offset + _HEADER.size
    body = content[start : start + length]
    # Nothing has the checksum 0, as a header torn after its magic has.
    whole = magic == _MAGIC and 0 < length == len(body) and zlib.crc32(body) == checksum
    return body if whole else None
