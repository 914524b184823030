"""What all tests share: loopback only, a PostgreSQL server, and the recorded market data."""

import contextlib
import gc
import itertools
import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy.engine import URL, make_url

from tests import loopback, postgres

pytest_plugins = (
    "pytester",
    "tests.catalogue.plugin",
    "tests.phases",
    "tests.traps",
)

REPOSITORY = Path(__file__).resolve().parent.parent
_database_numbers = itertools.count(1)

# A loaded machine is no defect, and one commit gives one answer; `explore` looks for new examples.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Keep what was imported and collected out of each search for garbage: it all stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    with loopback.only(), pytest.MonkeyPatch.context() as patch:
        # Processes inherit it, and theirs from them.
        patch.setenv("PYTHONPATH", loopback.for_processes(os.environ)["PYTHONPATH"])
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded market data, which lies beside a checkout and is not part of it."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the recorded market data is not beside this checkout (../shared/data)")
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """A PostgreSQL server that lives as long as the test run."""
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(postgres.server())
        except postgres.ServerUnavailableError as error:
            pytest.skip(str(error))
        yield make_url(url)


@pytest.fixture
def own_postgres() -> Iterator[postgres.OwnServer]:
    """A PostgreSQL server of one test, which may stop it."""
    with contextlib.ExitStack() as stack:
        try:
            yield stack.enter_context(postgres.own_server())
        except postgres.ServerUnavailableError as error:
            pytest.skip(str(error))


@pytest.fixture
async def postgres_url(postgres_server: URL) -> AsyncIterator[str]:
    """An empty database of its own: `postgresql+asyncpg://…`, dropped after the test."""
    name = f"umbra_test_{os.getpid()}_{next(_database_numbers)}"
    maintenance = postgres_server.set(drivername="postgresql").render_as_string(False)
    connection = await asyncpg.connect(maintenance)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        yield postgres_server.set(database=name).render_as_string(False)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()
