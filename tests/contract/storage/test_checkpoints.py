"""The write-ahead log of SQLite stays small, and no order waits for it to be moved."""

import resource
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from storage import sqlite
from storage.store import Store, open_store
from tests.catalogue import fired
from tests.contract.storage import samples
from tests.fakes.memory_store import SettableClock
from trading.domain.errors import StorageLost

FEW = 5


async def _open(tmp_path: Path) -> Store:
    url = f"sqlite+aiosqlite:///{tmp_path / 'umbra.sqlite'}"
    return await open_store(url, SettableClock(), data_dir=tmp_path)


async def _append(store: Store, count: int, begin: int = 0) -> None:
    for number in range(begin, begin + count):
        await store.journal.append(samples.update(number))


@pytest.mark.fault("S13")
async def test_the_log_begins_anew_however_much_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "CHECKPOINT_COMMITS", FEW)
    store = await _open(tmp_path)
    log = tmp_path / "umbra.sqlite-wal"
    await _append(store, 100)
    early = log.stat().st_size
    await _append(store, 900, begin=100)
    # Ten times as much was written, and the file is no longer than a few turns make it.
    assert log.stat().st_size <= 2 * early
    fired(log.stat().st_size)
    assert await store.journal.verify() >= 1000
    await store.close()


async def test_a_commit_never_moves_the_log_itself(tmp_path: Path) -> None:
    store = await _open(tmp_path)
    before = (tmp_path / "umbra.sqlite").read_bytes()
    await _append(store, sqlite.CHECKPOINT_COMMITS - 1)
    assert (tmp_path / "umbra.sqlite").read_bytes() == before
    await store.close()


async def test_after_a_failed_checkpoint_nothing_is_written_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "CHECKPOINT_COMMITS", FEW)
    store = await _open(tmp_path)
    failed = sqlite3.OperationalError("disk I/O error")
    failed.sqlite_errorcode = sqlite3.SQLITE_IOERR

    def fail(*_: Any) -> None:
        raise failed

    database = store._database
    monkeypatch.setattr(database._reader_engine, "raw_connection", fail)  # type: ignore[union-attr]
    # The log may hold what a sync of the database lost: from here on only the reserve is trusted.
    with pytest.raises(StorageLost, match="disk I/O error"):
        await _append(store, 100 * FEW)
    assert store.journal is not None
    await store.close()


@pytest.mark.fault("P10", "SAID")
async def test_a_checkpoint_without_a_free_descriptor_is_no_broken_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sqlite, "CHECKPOINT_COMMITS", FEW)
    store = await _open(tmp_path)
    await _append(store, 1)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        await _append(store, 3 * FEW, begin=1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    failed = [record for record in caplog.records if record.msg == "checkpoint_failed"]
    assert failed
    fired(failed, words=failed[0].__dict__["reason"])

    await _append(store, 3 * FEW, begin=1 + 3 * FEW)
    assert await store.journal.verify() == 1 + 6 * FEW
    await store.close()
