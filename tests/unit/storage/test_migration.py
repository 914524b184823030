"""Databases of every age: new, current, older, newer, and half-way."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from storage import migration, room, schema
from storage.database import StorageFull
from storage.store import open_store
from tests.catalogue import fired
from tests.contract.storage import processes, samples
from tests.fakes.memory_store import SettableClock
from trading.domain.errors import SettingsInvalid


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'umbra.sqlite'}"


async def _make(url: str, folder: Path) -> None:
    store = await open_store(url, SettableClock(), data_dir=folder)
    await store.journal.append(samples.heartbeat())
    await store.close()


def _next_version(monkeypatch: pytest.MonkeyPatch, folder: Path, more: str) -> None:
    """Pretend to be the next version, with one more migration."""
    monkeypatch.setattr(migration, "_MIGRATIONS", processes.next_version(folder, more))
    monkeypatch.setattr(schema, "REVISION", "0002")


def test_the_revision_named_in_the_schema_is_the_newest() -> None:
    assert ScriptDirectory(str(migration._MIGRATIONS)).get_heads() == [schema.REVISION]


def test_the_migrations_make_exactly_the_tables_of_the_schema(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'made.sqlite'}")
    with engine.connect() as connection:
        assert migration.upgrade(connection, lambda _connection, _revision: None)
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, schema.metadata) == []
        connection.rollback()
        assert not migration.upgrade(connection, lambda _connection, _revision: None)
    engine.dispose()


@pytest.mark.fault("S12", "SAID")
async def test_a_database_of_a_newer_version_is_refused_and_left_alone(
    url: str, tmp_path: Path
) -> None:
    await _make(url, tmp_path)
    engine = create_engine(f"sqlite:///{tmp_path / 'umbra.sqlite'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(
        SettingsInvalid, match=r"at revision 9999.*a newer version has written it"
    ) as newer:
        await open_store(url, SettableClock(), data_dir=tmp_path)
    fired(newer, words=str(newer.value))


async def test_an_upgrade_keeps_a_copy_of_what_was(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _make(url, tmp_path)
    _next_version(monkeypatch, tmp_path, "")
    store = await open_store(url, SettableClock(), data_dir=tmp_path)
    assert await store.journal.append(samples.heartbeat(1)) == 2
    await store.close()
    copy = tmp_path / "umbra.sqlite.before-0002-was-0001"
    engine = create_engine(f"sqlite:///{copy}")
    with engine.connect() as connection:
        assert migration.revision(connection) == "0001"
        assert connection.exec_driver_sql("SELECT count(*) FROM journal").scalar() == 1
    engine.dispose()


@pytest.mark.fault("S12", "SAID")
async def test_an_upgrade_that_fails_half_way_changes_nothing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _make(url, tmp_path)
    with monkeypatch.context() as patch:
        _next_version(patch, tmp_path, "raise KeyboardInterrupt")
        with pytest.raises(KeyboardInterrupt) as killed:
            await open_store(url, SettableClock(), data_dir=tmp_path)
    engine = create_engine(f"sqlite:///{tmp_path / 'umbra.sqlite'}")
    with engine.connect() as connection:
        assert migration.revision(connection) == "0001"
        tables = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE name = 'added'")
        assert tables.all() == []
    engine.dispose()
    store = await open_store(url, SettableClock(), data_dir=tmp_path)
    assert await store.journal.append(samples.heartbeat(1)) == 2
    await store.close()
    fired(killed)


@pytest.mark.parametrize(
    "url",
    ["sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:", "sqlite:///x", "mysql://u:pw@h/d", "?"],
)
async def test_a_url_that_is_no_database_of_ours_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(
        SettingsInvalid, match=r"UMBRA_DATABASE_URL should .*for example"
    ) as refused:
        await open_store(url, SettableClock(), data_dir=tmp_path)
    assert "pw" not in str(refused.value)


@pytest.mark.fault("S01", "SAID")
async def test_an_upgrade_that_the_disk_has_no_room_for_leaves_everything_as_it_was(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _make(url, tmp_path)
    # SQLite's own word for a full disk, in the middle of the upgrade.
    full = (
        'op.execute("PRAGMA max_page_count = 1"); '
        'op.execute("CREATE TABLE more AS SELECT randomblob(100000) AS one")'
    )
    _next_version(monkeypatch, tmp_path, full)
    with pytest.raises(StorageFull, match="has no room left for the database in") as refused:
        await open_store(url, SettableClock(), data_dir=tmp_path)
    engine = create_engine(url.replace("+aiosqlite", ""))
    with engine.connect() as connection:
        assert migration.revision(connection) == "0001"
        assert connection.exec_driver_sql("SELECT count(*) FROM journal").scalar() == 1
    engine.dispose()
    # What is a copy of that only takes room.
    assert list(tmp_path.glob("*.before-*")) == []
    fired(refused, words=str(refused.value))


async def test_an_upgrade_without_room_says_how_much_it_needs_and_keeps_no_older_part_of_a_copy(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _make(url, tmp_path)
    _next_version(monkeypatch, tmp_path, "")
    copy = tmp_path / "umbra.sqlite.before-0002-was-0001"
    # As a power cut leaves it.
    copy.write_bytes(b"a part")
    monkeypatch.setattr(room, "UPGRADE_BYTES", 2**62)
    with pytest.raises(StorageFull, match=r"needs \d+ MB, and the disk at .* has \d+ MB free"):
        await open_store(url, SettableClock(), data_dir=tmp_path)
    assert not copy.exists()
