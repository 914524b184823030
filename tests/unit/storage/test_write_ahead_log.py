"""The log beside a database, as SQLite itself writes it."""

import sqlite3
from pathlib import Path

import pytest

from storage.write_ahead_log import Log, examined

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_ROWS = 20


def _logged(folder: Path, page_bytes: int) -> bytes:
    """The log of so many transactions, one frame each, behind the one that made the table."""
    path = folder / "made.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA page_size = {page_bytes}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
    for _ in range(_ROWS):
        connection.execute("INSERT INTO numbers DEFAULT VALUES")
    content = path.with_name("made.db-wal").read_bytes()
    connection.close()
    return content


@pytest.mark.parametrize("page_bytes", [512, 1024, 4096, 65536])
def test_a_log_that_sqlite_wrote_is_read_to_its_end(tmp_path: Path, page_bytes: int) -> None:
    assert examined(_logged(tmp_path, page_bytes)) == Log(_ROWS + 1, 0, 0)


# The salts and the sum of a frame, in its header.
@pytest.mark.parametrize("place", [8, 12, 16, 20, _FRAME_HEADER_BYTES + 100])
@pytest.mark.parametrize(("from_end", "is_damage"), [(1, False), (2, True), (3, True)])
def test_one_bit_is_damage_unless_it_is_in_the_last_transaction(
    tmp_path: Path, place: int, from_end: int, is_damage: bool
) -> None:
    content = bytearray(_logged(tmp_path, 1024))
    content[len(content) - from_end * (_FRAME_HEADER_BYTES + 1024) + place] ^= 0x04
    found = examined(bytes(content))
    assert found.transactions == _ROWS + 1 - from_end
    assert bool(found.bad_frame) is is_damage


@pytest.mark.parametrize("place", [0, 511, 1023])
def test_one_bit_in_any_word_of_a_page_is_found(tmp_path: Path, place: int) -> None:
    content = bytearray(_logged(tmp_path, 1024))
    frames = (len(content) - _HEADER_BYTES) // (_FRAME_HEADER_BYTES + 1024)
    bad = 5
    start = _HEADER_BYTES + (bad - 1) * (_FRAME_HEADER_BYTES + 1024)
    content[start + _FRAME_HEADER_BYTES + place] ^= 0x80
    found = examined(bytes(content))
    assert (found.bad_frame, found.behind) == (bad, frames - bad)
