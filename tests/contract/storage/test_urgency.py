"""What an order waits for is written while nothing else has its turn, and never for long."""

import asyncio
import threading
from pathlib import Path

import pytest

from storage import codec, projections, sqlite
from storage.store import Store, open_store
from tests.contract.storage import samples
from tests.fakes.memory_store import SettableClock
from trading.domain.errors import AlreadyRecorded


async def _open(tmp_path: Path) -> Store:
    url = f"sqlite+aiosqlite:///{tmp_path / 'umbra.sqlite'}"
    return await open_store(url, SettableClock(), data_dir=tmp_path)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    # However busy the machine of this test is.
    monkeypatch.setattr(sqlite, "HELD_S_MAX", 30.0)


@pytest.mark.usefixtures("patience")
async def test_others_have_one_turn_while_the_disk_is_at_work_on_an_urgent_append(
    tmp_path: Path,
) -> None:
    store = await _open(tmp_path)
    appending = store.journal.append(*samples.transaction_a(1), reserve=True, urgent=True)
    appending.send(None)
    with pytest.raises(StopIteration) as ended:
        appending.send(None)
    assert ended.value.value == 4
    assert [one.seq for one in await store.journal.events()] == [1, 2, 3, 4]
    await store.close()


@pytest.mark.usefixtures("patience")
async def test_an_urgent_append_is_refused_as_any_other(tmp_path: Path) -> None:
    store = await _open(tmp_path)
    await store.journal.append(*samples.transaction_a(1), urgent=True)
    with pytest.raises(AlreadyRecorded):
        await store.journal.append(*samples.transaction_a(1), urgent=True)
    assert await store.journal.verify() == 4
    await store.close()


async def test_a_disk_that_hangs_holds_the_loop_for_milliseconds_and_loses_nothing(
    tmp_path: Path,
) -> None:
    store = await _open(tmp_path)
    is_answering = threading.Event()
    store._database._writer_thread.submit(is_answering.wait)  # type: ignore[attr-defined]
    appending = asyncio.create_task(
        store.journal.append(*samples.transaction_a(1), reserve=True, urgent=True)
    )
    await asyncio.sleep(0)
    # It has begun, is not done, and the loop goes on.
    assert not appending.done()
    is_answering.set()
    assert await appending == 4
    await store.close()


async def test_the_first_stop_after_a_start_finds_everything_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = (projections._set_tracker, projections._set_intent, projections._set_attempt)
    codec._adapter.cache_clear()
    for statement in statements:
        monkeypatch.setattr(statement, "_compiled", {})
    store = await _open(tmp_path)
    trigger, opened, prepared, _ = samples.transaction_a(1)
    made = codec._adapter.cache_info().misses
    assert all(statement._compiled for statement in statements)
    await store.journal.append(trigger, opened, prepared, urgent=True)
    assert codec._adapter.cache_info().misses == made
    await store.close()
