"""The stores under contract: in memory, SQLite in a file, PostgreSQL in a database of its own."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from storage.store import open_store
from tests.fakes.memory_store import MemoryStore, SettableClock

OpenStore = Callable[[], Awaitable[Any]]


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'umbra.sqlite'}"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, to be copied by tests that need many."""
    import asyncio

    folder = tmp_path_factory.mktemp("template")

    async def make() -> None:
        url = f"sqlite+aiosqlite:///{folder / 'umbra.sqlite'}"
        store = await open_store(url, SettableClock(), data_dir=folder)
        await store.close()

    asyncio.run(make())
    return folder / "umbra.sqlite"


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """Set by the tests that run on both kinds of database."""
    return str(request.getfixturevalue(request.param))


both_databases = pytest.mark.parametrize(
    "database_url",
    ["sqlite_url", pytest.param("postgres_url", marks=pytest.mark.postgres)],
    indirect=True,
)


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def opener(
    request: pytest.FixtureRequest, tmp_path: Path, clock: SettableClock
) -> Callable[[], Awaitable[Any]]:
    """A function that opens the same store, again and again."""
    if request.param == "memory":
        memory = MemoryStore(clock)

        async def open_memory() -> MemoryStore:
            return memory

        return open_memory
    url = str(request.getfixturevalue(f"{request.param}_url"))
    return lambda: open_store(url, clock, data_dir=tmp_path)


@pytest.fixture
async def store(opener: OpenStore) -> AsyncIterator[Any]:
    """An open, empty store."""
    opened = await opener()
    yield opened
    await opened.close()


def copy_database(template: Path, folder: Path) -> str:
    """Return the URL of a fresh copy."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(template, folder / "umbra.sqlite")
    return f"sqlite+aiosqlite:///{folder / 'umbra.sqlite'}"
