"""SQLite's log beside a database, read before SQLite sees it: it throws away what it cannot read.

After a kill SQLite takes in the log up to the first frame whose checksum is wrong, and overwrites
the rest. That is right for the last transaction, which a power cut may tear; a wrong frame with
whole transactions behind it is damage, and what follows it may be all that is left of a journal.
The format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trading.domain.errors import JournalCorrupt

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_MAGIC = 0x377F0682
# Of this many bytes is a database that has no table yet.
_EMPTY_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Log:
    """What a log holds: transactions that can be read, and frames of it behind the first bad one.

    `bad_frame` counts from 1, and is 0 where all of it can be read or only its last write is torn.
    """

    transactions: int
    bad_frame: int
    behind: int


def require_whole(database: Path, *, was_written: bool) -> None:
    """Raise JournalCorrupt, with all files as they are, where opening would lose what is there.

    `was_written`: whether a journal is known to have been here.
    """
    path = database.with_name(f"{database.name}-wal")
    content = path.read_bytes() if path.exists() else b""
    log = examined(content)
    if log.bad_frame:
        raise JournalCorrupt(
            f"{path} is damaged at frame {log.bad_frame}, {log.behind} frames lie behind it"
        )
    size = database.stat().st_size if database.exists() else 0
    if was_written and size <= _EMPTY_BYTES and not log.transactions and size + len(content):
        raise JournalCorrupt(
            f"{database} holds no journal any more, and a journal was written here"
        )
    if was_written and not database.exists() and content:
        raise JournalCorrupt(f"{database} is gone, and its log {path} is still there")


def examined(content: bytes) -> Log:
    """Read a log as SQLite does at its start, and look at what lies behind."""
    if len(content) < _HEADER_BYTES:
        return Log(0, 0, 0)
    magic, _, page_bytes, _, salt, salt_2, *checksum = struct.unpack_from(">8I", content)
    order = ">" if magic & 1 else "<"
    frame_bytes = _FRAME_HEADER_BYTES + page_bytes
    starts = range(_HEADER_BYTES, len(content) - frame_bytes + 1, frame_bytes)
    is_known = magic & ~1 == _MAGIC and 512 <= page_bytes <= 65536
    if not is_known or _summed((0, 0), content[:24], order) != tuple(checksum):
        # Its 32 bytes are one sector, and synced before anything follows: no power cut tears them.
        whole = len(content) >= _HEADER_BYTES + _FRAME_HEADER_BYTES + 512
        return Log(0, int(whole), len(starts) if is_known else int(whole))
    salts = struct.pack(">2I", salt, salt_2)
    running, transactions = (checksum[0], checksum[1]), 0
    for number, start in enumerate(starts):
        page = content[start + _FRAME_HEADER_BYTES : start + frame_bytes]
        running = _summed(_summed(running, content[start : start + 8], order), page, order)
        is_ours = content[start + 8 : start + 16] == salts
        if not is_ours or struct.pack(">2I", *running) != content[start + 16 : start + 24]:
            behind = _commits(content, starts[number:], salts)
            # The last commit of all may be a torn write.
            is_damage = sum(behind[:-1]) > 0
            return Log(transactions, (number + 1) * is_damage, len(behind) - 1)
        transactions += content[start + 4 : start + 8] != bytes(4)
    return Log(transactions, 0, 0)


def _commits(content: bytes, starts: Sequence[int], salts: bytes) -> list[bool]:
    """Whether each frame ends a transaction, up to the last frame of this run of the log."""
    found = [
        (content[start + 8 : start + 16] == salts, content[start + 4 : start + 8] != bytes(4))
        for start in starts
    ]
    while found and not found[-1][0]:
        found.pop()
    return [is_ours and is_commit for is_ours, is_commit in found]


def _summed(before: tuple[int, int], content: bytes, order: str) -> tuple[int, int]:
    first, second = before
    words = iter(struct.unpack(f"{order}{len(content) // 4}I", content))
    for one, other in zip(words, words, strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second
