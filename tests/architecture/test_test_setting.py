"""The test setting itself: it keeps to loopback, and its databases are real and separate."""

import socket

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests import loopback


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.org"])
def test_a_connection_beyond_loopback_is_refused(host: str) -> None:
    with pytest.raises(loopback.BeyondLoopbackError, match=host):
        socket.create_connection((host, 443), timeout=0.1)


def test_a_connection_to_loopback_is_made() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert client.getpeername() == server.getsockname()


async def _tables(url: str, statement: str) -> list[str]:
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text(statement))
            names = await connection.execute(
                text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            )
            return [row[0] for row in names]
    finally:
        await engine.dispose()


@pytest.mark.postgres
@pytest.mark.parametrize("table", ["first", "second"])
async def test_each_test_gets_an_empty_postgresql_database(postgres_url: str, table: str) -> None:
    assert await _tables(postgres_url, f"CREATE TABLE {table} (id integer)") == [table]
