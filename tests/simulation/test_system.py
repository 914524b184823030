"""What is replaced below a simulated process is what a real one would find."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from storage import migration
from tests.simulation.stage import Stage
from tests.simulation.world import World, play

pytestmark = pytest.mark.slow


def _tables(database: Path) -> list[tuple[str, ...]]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        made = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
        return sorted(
            made + connection.execute("SELECT '', version_num, '' FROM alembic_version").fetchall(),
            key=str,
        )
    finally:
        connection.close()


def test_each_world_has_the_tables_that_the_migrations_make(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    with engine.connect() as connection:
        assert migration.upgrade(connection, lambda _connection, _revision: None)
    engine.dispose()
    found = []

    async def script(world: World) -> None:
        await Stage(world).open()
        found.append(_tables(world.machine.disk.database))

    for _ in range(2):
        play(1, script)
    assert found == [_tables(tmp_path / "migrated.db")] * 2
    assert len(found[0]) > 30
