"""Who keeps a file locked is named by the kernel's word, and nobody else is."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from storage.holders import holders
from tests.catalogue import fired

_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.fault("S04")
@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_the_process_that_writes_is_named_and_one_that_reads_is_not(
    tmp_path: Path, mode: str
) -> None:
    path = tmp_path / "umbra.db"
    made = sqlite3.connect(path)
    made.execute(f"PRAGMA journal_mode = {mode}")
    made.execute("CREATE TABLE one (a)")
    made.commit()
    made.close()
    files = (path, tmp_path / "umbra.db-shm")
    writers: list[str] = []
    for statement, is_held in (("BEGIN IMMEDIATE", True), ("SELECT * FROM one", False)):
        with subprocess.Popen(
            [sys.executable, "-c", _HOLD, str(path), statement],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"held\n"
            named = holders(files)
            other.kill()
        assert [one.startswith(f"process {other.pid} (") for one in named] == [True] * is_held
        writers += named
    assert holders(files) == ()
    fired(writers)


def test_only_a_process_that_has_the_file_open_and_is_not_this_one_is_named(
    tmp_path: Path,
) -> None:
    path, kernel = tmp_path / "umbra.db", tmp_path / "proc"
    path.touch()
    inode = path.stat().st_ino
    for pid, leads_to in ((7, path), (8, tmp_path / "another"), (os.getpid(), path), (9, path)):
        (kernel / str(pid) / "fd").mkdir(parents=True)
        (kernel / str(pid) / "fd" / "3").symlink_to(leads_to)
    (kernel / "7" / "comm").write_text("backup\n")
    line = "{}: {}POSIX  ADVISORY  {} {} 08:01:{} 120 120\n"
    told = [(7, "", "WRITE"), (8, "", "WRITE"), (os.getpid(), "", "WRITE"), (10, "", "WRITE")]
    told += [(9, "-> ", "WRITE"), (9, "", "READ ")]
    lines = (line.format(n, arrow, kind, pid, inode) for n, (pid, arrow, kind) in enumerate(told))
    (kernel / "locks").write_text("".join(lines))
    assert holders((path, tmp_path / "gone"), kernel) == ("process 7 (backup)",)
    (kernel / "7" / "comm").unlink()
    assert holders((path,), kernel) == ("process 7 (?)",)
    assert holders((path,), tmp_path / "no kernel that tells") == ()
