"""Locks: one holder, named to the second, and free the moment the holder is gone."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage.lease import AccountLock, DatabaseLock, DirectoryLock
from tests.catalogue import fired
from trading.domain.errors import DirectoryInUse, InstanceConflict

HOLD = """
import sys, time
from pathlib import Path
from storage.lease import DatabaseLock
lock = DatabaseLock(Path(sys.argv[1]))
lock.take()
print("held", flush=True)
time.sleep(60)
"""


def _hold(database: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, database], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    process.stdout.close()
    return process


@pytest.mark.fault("S14")
def test_the_second_is_told_who_holds_the_database(tmp_path: Path) -> None:
    process = _hold(tmp_path / "umbra.sqlite")
    try:
        with pytest.raises(InstanceConflict, match=f"in use by pid {process.pid} on") as refused:
            DatabaseLock(tmp_path / "umbra.sqlite").take()
    finally:
        process.kill()
        process.wait()
    fired(refused)


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    process = _hold(tmp_path / "umbra.sqlite")
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    lock = DatabaseLock(tmp_path / "umbra.sqlite")
    lock.take()
    lock.release()


def test_two_locks_in_one_process_exclude_each_other(tmp_path: Path) -> None:
    first, second = (DatabaseLock(tmp_path / "umbra.sqlite") for _ in range(2))
    first.take()
    with pytest.raises(InstanceConflict):
        second.take()
    first.release()
    first.release()
    second.take()
    second.release()


def test_a_lock_that_has_no_room_for_the_name_of_its_holder_is_held_and_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    first, second = (DirectoryLock(tmp_path) for _ in range(2))
    first.take()
    with pytest.raises(DirectoryInUse, match="is in use by another process"):
        second.take()
    first.release()
    second.take()
    second.release()


def test_a_forked_worker_does_not_keep_the_lock(tmp_path: Path) -> None:
    first = DatabaseLock(tmp_path / "umbra.sqlite")
    first.take()
    to_child, from_child = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(to_child[1])
        os.write(from_child[1], b"!")
        os.read(to_child[0], 1)
        os._exit(0)
    try:
        assert os.read(from_child[0], 1) == b"!"
        with pytest.raises(InstanceConflict):
            DatabaseLock(tmp_path / "umbra.sqlite").take()
        first.release()
        second = DatabaseLock(tmp_path / "umbra.sqlite")
        second.take()  # although the child lives on
        second.release()
    finally:
        os.write(to_child[1], b"!")
        os.waitpid(child, 0)
        for end in (*to_child, *from_child):
            os.close(end)


def test_who_holds_a_lock_is_named_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = DirectoryLock(tmp_path)
    held.take()
    opened = os.open

    def read_only(path: Path, flags: int, mode: int = 0o777) -> int:
        # Root, who runs tests, may write everywhere.
        if flags & (os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(DirectoryInUse, match=f"in use by pid {os.getpid()} on"):
        DirectoryLock(tmp_path).take()
    held.release()
    with pytest.raises(OSError, match="Read-only"):
        DirectoryLock(tmp_path).take()


def test_one_account_is_traded_once_per_host() -> None:
    first = AccountLock("binance", "key-1")
    same = AccountLock("binance", "key-1")
    other = AccountLock("binance", "key-2")
    first.take()
    with pytest.raises(InstanceConflict, match=f"traded by pid {os.getpid()}"):
        same.take()
    other.take()
    first.release()
    same.take()
    for lock in (same, other):
        lock.release()


def test_who_trades_an_account_is_named_however_often_it_is_asked(tmp_path: Path) -> None:
    held, directory = AccountLock("binance", "key-1"), DirectoryLock(tmp_path)
    directory.take()
    held.take()
    try:
        for _ in range(20):
            with pytest.raises(InstanceConflict) as refused:
                AccountLock("binance", "key-1").take()
            named = f"traded by pid {os.getpid()} in {tmp_path}"
            assert refused.value.fact == f"the account of this key on binance is {named}"
    finally:
        held.release()
        directory.release()


def test_two_keys_of_one_account_are_traded_once_per_host() -> None:
    first = AccountLock("binance", "key-1")
    second = AccountLock("binance", "key-2")
    elsewhere = AccountLock("localhost:7090", "key-2")
    for lock in (first, second, elsewhere):
        lock.take()
    first.claim("7")
    first.claim("7")  # a start that is tried again
    with pytest.raises(InstanceConflict, match=f"traded by pid {os.getpid()}; stop that one first"):
        second.claim("7")
    elsewhere.claim("7")
    second.claim("8")
    first.release()
    second.claim("7")
    for lock in (second, elsewhere):
        lock.release()
