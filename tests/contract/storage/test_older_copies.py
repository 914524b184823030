"""An older copy of the database in place of the newer one (S10): known until that was told."""

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from storage.store import Store, open_store
from tests.catalogue import fired
from tests.contract.storage import samples
from tests.fakes.memory_store import SettableClock

Open = Callable[[], Awaitable[Store]]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "umbra.sqlite"


@pytest.fixture
def start(database: Path) -> Open:
    url = f"sqlite+aiosqlite:///{database}"
    return lambda: open_store(url, SettableClock(), data_dir=database.parent)


async def _written(start: Open, *numbers: int) -> int:
    store = await start()
    for number in numbers:
        await store.journal.append(samples.heartbeat(number))
    seq = await store.journal.verify()
    await store.close()
    return seq


@pytest.mark.fault("S10", "SAID")
async def test_an_older_copy_is_known_by_what_it_lacks_at_each_start_until_that_was_told(
    start: Open, database: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    assert await _written(start, 0, 1) == 2
    shutil.copy(database, kept)
    assert await _written(start, 2, 3, 4) == 5
    shutil.copy(kept, database)
    found = []
    for already in (2, 3):
        store = await start()
        state = await store.records.state()
        assert state.last_seq == already
        assert state.lost is not None
        found.append((state.lost.count, state.lost.reached_seq))
        # It may die before anybody was told, also with something new in its journal.
        await store.journal.append(samples.heartbeat(10 + already))
        await store.close()
    store = await start()
    store.forget_lost()
    assert (await store.records.state()).lost is None
    await store.journal.append(samples.heartbeat(20))
    await store.close()
    again = await start()
    assert (await again.records.state()).lost is None
    await again.close()
    assert found == [(3, 5), (2, 5)]
    fired(sum(count for count, _ in found))


@pytest.mark.fault("S10", "SAID")
async def test_a_copy_without_its_log_lacks_what_the_log_held(
    start: Open, database: Path, tmp_path: Path
) -> None:
    await _written(start, 0)
    store = await start()
    for number in range(1, 6):
        await store.journal.append(samples.heartbeat(number))
    # What a copy of the one file takes while the agent runs: its log is not in it yet.
    shutil.copy(database, tmp_path / "copied")
    await store.close()
    shutil.copy(tmp_path / "copied", database)
    store = await start()
    lost = (await store.records.state()).lost
    assert lost is not None
    assert lost.count == 5
    await store.close()
    fired(lost.count)


@pytest.mark.fault("S10", "SAID")
async def test_a_database_that_is_gone_is_no_first_start(start: Open, database: Path) -> None:
    assert await _written(start, 0, 1, 2) == 3
    database.unlink()
    store = await start()
    lost = (await store.records.state()).lost
    assert lost is not None
    assert (lost.count, lost.last_at) == (3, None)
    await store.close()
    fired(lost.count)


async def test_the_newest_copy_lacks_nothing_wherever_it_was_taken(
    start: Open, database: Path, tmp_path: Path
) -> None:
    await _written(start, 0, 1)
    shutil.copy(database, tmp_path / "kept")
    database.unlink()
    shutil.copy(tmp_path / "kept", database)
    store = await start()
    assert (await store.records.state()).lost is None
    await store.close()


async def test_a_journal_of_before_there_were_marks_lacks_nothing(
    start: Open, database: Path
) -> None:
    await _written(start, 0, 1)
    database.with_name("umbra.sqlite.mark").unlink()
    store = await start()
    assert (await store.records.state()).lost is None
    await store.close()
