"""SQLite's log beside a database, read before SQLite sees it: it throws away what it cannot read.

After a kill SQLite takes in the log up to the first frame whose checksum is wrong, and overwrites
the rest. That is right for the last transaction, which a power cut may tear; a wrong frame with
whole transactions behind it is damage, and what follows it may be all that is left of a journal.
The format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

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
    frames = _Frames(content, frame_bytes, struct.pack(">2I", salt, salt_2), order)
    running, transactions = (checksum[0], checksum[1]), 0
    for number, start in enumerate(starts):
        running = frames.summed(running, start)
        if not frames.is_ours(start) or running != frames.checksum(start):
            behind = starts[number:]
            while behind and not frames.is_ours(behind[-1]):
                behind = behind[:-1]
            # The last transaction of a run may be a torn write.
            is_damage = any(ended > 1 for ended in frames.transactions_of_runs(behind, running))
            return Log(transactions, (number + 1) * is_damage, len(behind) - 1)
        transactions += frames.is_commit(start)
    return Log(transactions, 0, 0)


@dataclass(frozen=True, slots=True)
class _Frames:
    """The frames of a log, each by the byte that it begins at."""

    content: bytes
    frame_bytes: int
    salts: bytes
    order: str

    def is_ours(self, start: int) -> bool:
        """Whether it was written since the log began anew."""
        return self.content[start + 8 : start + 16] == self.salts

    def is_commit(self, start: int) -> bool:
        """Whether a transaction of this log ends with it."""
        return self.is_ours(start) and self.ends(start)

    def ends(self, start: int) -> bool:
        """Whether it says that a transaction ends with it."""
        return self.content[start + 4 : start + 8] != bytes(4)

    def checksum(self, start: int) -> tuple[int, int]:
        """The sum that it was written with."""
        first, second = struct.unpack_from(">2I", self.content, start + 16)
        return first, second

    def summed(self, before: tuple[int, int], start: int) -> tuple[int, int]:
        """The sum that it should have behind a frame of another."""
        head = self.content[start : start + 8]
        page = self.content[start + _FRAME_HEADER_BYTES : start + self.frame_bytes]
        return _summed(_summed(before, head, self.order), page, self.order)

    def transactions_of_runs(self, starts: Sequence[int], should: tuple[int, int]) -> list[int]:
        """How many transactions end in each run of frames that were written one after another.

        What does not go on from the frame before it was there already: a torn write of an earlier
        power cut leaves its last frames behind the first ones of the next write. The first frame
        is the bad one, and `should` have this sum: what goes on from that follows it, too, and one
        that has the sum is whole but for its salts.
        """
        if not starts:
            return []
        is_whole = self.checksum(starts[0]) == should
        ended = [int(self.is_commit(starts[0]) or (is_whole and self.ends(starts[0])))]
        sums = {self.checksum(starts[0]), should}
        for start in starts[1:]:
            if self.checksum(start) not in {self.summed(each, start) for each in sums}:
                ended.append(0)
            ended[-1] += self.is_commit(start)
            sums = {self.checksum(start)}
        return ended


def _summed(before: tuple[int, int], content: bytes, order: str) -> tuple[int, int]:
    # For each two words: first += one + second; second += other + first. So the last word counts
    # 0 and 1 times in the two sums, and each word before it as Fibonacci's numbers go on; all of a
    # page is one product, thirty times as quick as word by word.
    first, second = before
    words = np.empty(len(content) // 4 + 1, np.uint32)
    words[0], words[1:] = second, np.frombuffer(content, f"{order}u4")
    words[1:2] += np.uint32(first)
    sums = words @ _times_counted(len(words))
    return int(sums[0]), int(sums[1])


@cache
def _times_counted(words: int) -> npt.NDArray[np.uint32]:
    """How often each of so many words counts in the first and in the second sum, modulo 2**32."""
    numbers = [0, 1]
    while len(numbers) <= words:
        numbers.append((numbers[-1] + numbers[-2]) & 0xFFFFFFFF)
    return np.array(list(pairwise(numbers))[::-1], np.uint32)
