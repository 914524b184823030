"""A start waits for whoever holds the database, and ends when it is asked to."""

import asyncio

import pytest

from bot import held_start
from storage.database import StorageHeld
from trading.domain.errors import InstanceConflict


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_start, "RETRY_S", 0.0)


class _Database:
    """A database that is held for some tries."""

    def __init__(self, held: int, error: Exception) -> None:
        self.held = held
        self.error = error
        self.told: list[str] = []

    async def open(self) -> str:
        if self.held:
            self.held -= 1
            raise self.error
        return "open"

    async def tell(self, text: str) -> None:
        self.told.append(text)


_HELD = StorageHeld("umbra.db cannot be used: database is locked")


async def test_a_start_goes_on_when_the_database_is_let_go(
    capsys: pytest.CaptureFixture[str],
) -> None:
    database = _Database(3, _HELD)
    assert await held_start.opened(database.open, asyncio.Event(), database.tell) == "open"
    assert len(database.told) == 3
    assert "database is locked. PRIVATE STOPS ARE NOT WATCHED until that ends" in database.told[0]
    assert capsys.readouterr().err.count("Umbra waits to start") == 1


async def test_a_start_that_waits_ends_when_it_is_asked_to() -> None:
    database, stop = _Database(3, _HELD), asyncio.Event()
    stop.set()
    with pytest.raises(StorageHeld):
        await held_start.opened(database.open, stop, database.tell)
    assert database.told == []


async def test_nobody_waits_for_another_agent() -> None:
    database = _Database(1, InstanceConflict("umbra.db is in use by pid 7"))
    with pytest.raises(InstanceConflict, match="pid 7"):
        await held_start.opened(database.open, asyncio.Event(), database.tell)
    assert database.told == []
