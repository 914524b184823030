"""A start without its database waits, says so once to everybody, and goes on by itself."""

import asyncio
import os
import socket
import sqlite3
from collections.abc import Iterator

import pytest
from sqlalchemy.engine import make_url

from tests.catalogue import fired
from tests.e2e.test_past_the_chat import umbra
from tests.e2e.world import World
from tests.postgres import OwnServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

_WAITS = "Umbra waits to start, its database does not answer"


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    """The service manager of a unit with Type=notify."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")
        listening.setblocking(False)
        yield listening


@pytest.mark.postgres
@pytest.mark.fault("S11", "SAID")
async def test_a_start_waits_for_a_server_that_is_away_and_then_watches(
    quiet_world: World, own_postgres: OwnServer, manager: socket.socket
) -> None:
    world = quiet_world
    # Whoever owns the bot by a code is in the database, and has to be known without it.
    del world.environment["UMBRA_OWNER_ID"]
    await world.spawn_agent(UMBRA_DATABASE_URL=own_postgres.url)
    await _pair(world)
    await world.arm("/track BTC/USDT stop 58000 all")
    await world.end("run")
    await asyncio.to_thread(own_postgres.stop)
    begin = await world.last_message_id()
    world.settings |= {
        "NOTIFY_SOCKET": "@" + manager.getsockname()[1:].decode(),
        "WATCHDOG_USEC": "500000",
    }
    await world.spawn_agent()
    told = await world.until_message(_WAITS, after=begin)
    fired(world.log().count('"start_waits_for_storage"'), words=told["text"])
    assert "PRIVATE STOPS ARE NOT WATCHED" in told["text"]
    await _lives(world, manager)
    code, said = await umbra(world, "health")
    assert (code, "stops are not watched" in said) == (1, True), said
    code, said = await umbra(world, "status")
    assert (code, said.startswith(_WAITS)) == (1, True), said
    # Asked to end, it does; the next one does not tell it again.
    world.processes["run"].terminate()
    assert await world.agent_exit() == 0
    # Who asks sits in front of it, and is not kept waiting.
    code, said = await umbra(world, "status")
    assert (code, "NO STOP IS WATCHED, and its database does not answer" in said) == (1, True), said
    assert "look at UMBRA_DATABASE_URL" in said
    await world.spawn_agent()
    await world.until(lambda: _waits(world, 2), "does not wait")
    await world.price("57990")
    await asyncio.to_thread(own_postgres.start)
    await world.until_message("Back, blind", after=begin)
    await world.until(lambda: _is_sold(world), "not sold")
    assert len(await world.orders()) == 1
    assert await world.count(_WAITS, after=begin) == 1
    assert world.log().count('"start_waits_for_storage"') == 2
    assert "Traceback" not in world.log()
    code, said = await umbra(world, "health")
    assert code == 0, said


@pytest.mark.fault("S04", "SAID")
async def test_while_another_program_holds_the_database_the_machine_says_so_and_halts(
    quiet_world: World,
) -> None:
    world = quiet_world
    await world.start_agent()
    await world.arm("/track BTC/USDT stop 58000 all")
    await world.kill_agent()
    begin = await world.last_message_id()
    file, holder = world.data_dir / "HALT", f"by process {os.getpid()} ("
    other = sqlite3.connect(world.data_dir / "umbra.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    # Nobody runs: a panic sells nothing and says so, and a halt counts for the start.
    code, said = await umbra(world, "panic", "--yes")
    assert (code, said.startswith("NOTHING WAS SOLD")) == (1, True), said
    assert "No agent runs here, so NO STOP IS WATCHED, and another program holds" in said
    assert holder in said
    file.unlink()
    code, said = await umbra(world, "halt")
    assert (code, said.startswith(f"Halted by the file {file}")) == (0, True), said
    file.unlink()
    # A start waits: it answers at once, and the same.
    await world.spawn_agent()
    await world.until_message("another program holds its database", after=begin)
    code, said = await umbra(world, "status")
    assert (code, said.startswith("Umbra waits to start")) == (1, True), said
    assert holder in said
    fired(said.count(holder), words=said)
    code, said = await umbra(world, "health")
    assert (code, "stops are not watched" in said) == (1, True), said
    code, said = await umbra(world, "resume", "--yes")
    assert (code, "Nothing was changed" in said) == (1, True), said
    code, said = await umbra(world, "panic", "--yes")
    assert (code, said.startswith("NOTHING WAS SOLD")) == (1, True), said
    assert holder in said
    file.unlink()
    code, said = await umbra(world, "halt")
    assert (code, said.startswith("Halted by the file")) == (0, True), said
    assert await world.orders() == []
    other.close()
    await world.until_message("Umbra started|Back", after=begin)
    code, said = await umbra(world, "status")
    assert (code, "HALTED" in said) == (0, True), said
    code, said = await umbra(world, "panic", "--yes")
    assert (code, "Everything managed is sold" in said) == (0, True), said
    assert await _is_sold(world)


async def test_a_start_waits_for_a_directory_that_takes_no_writes_and_then_watches(
    quiet_world: World,
) -> None:
    world = quiet_world
    await world.start_agent()
    await world.arm("/track BTC/USDT stop 58000 all")
    await world.end("run")
    begin = await world.last_message_id()
    # As on a disk that is mounted read-only, of which root has none: neither the lock can be
    # opened, nor can be written down what was told.
    lock, told = world.data_dir / "agent.lock", world.data_dir / "refused_start.json"
    lock.unlink()
    for path in (lock, told):
        path.mkdir()
    await world.spawn_agent()
    waits = await world.until_message("nothing can be written in its data directory", after=begin)
    assert f"{lock}: Is a directory. PRIVATE STOPS ARE NOT WATCHED" in waits["text"]
    code, said = await umbra(world, "status")
    assert (code, said.startswith("Umbra waits to start, nothing can be written")) == (1, True), (
        said
    )
    world.processes["run"].terminate()
    assert await world.agent_exit() == 0
    code, said = await umbra(world, "panic", "--yes")
    assert (code, said.startswith("NOTHING WAS SOLD")) == (1, True), said
    assert "NO STOP IS WATCHED, and nothing can be written" in said
    begin = await world.last_message_id()
    (world.data_dir / "HALT").unlink()
    await world.spawn_agent()
    await world.until_message("nothing can be written in its data directory", after=begin)
    await world.price("57990")
    for path in (lock, told):
        path.rmdir()
    await world.until_message("Back, blind", after=begin)
    await world.until(lambda: _is_sold(world), "not sold")
    assert await world.count("nothing can be written in its data directory", after=begin) == 1
    assert "Traceback" not in world.log()


@pytest.mark.fault("S10", "SAID")
async def test_with_the_database_gone_a_look_begins_none_and_a_panic_knows_what_it_does_not(
    quiet_world: World,
) -> None:
    world = quiet_world
    await world.start_agent()
    await world.arm("/track BTC/USDT stop 58000 all")
    await world.kill_agent()
    database = [world.data_dir / f"umbra.db{end}" for end in ("", "-wal", "-shm")]
    gone = [path for path in database if path.exists()]
    for path in gone:
        path.unlink()
    for command, text in (("status", "NO STOP IS WATCHED"), ("panic", "could sell nothing now")):
        code, said = await umbra(world, command, typed="no")
        assert (code, text in said) == (1, True), said
        assert "NOTHING IS KNOWN OF WHAT IS MANAGED: the database" in said
        assert not (world.data_dir / "umbra.db").exists()
    for _ in range(2):
        code, said = await umbra(world, "panic", "--yes")
        first = said.partition("recovering without the chat to act.\n")[2]
        assert (code, first.startswith("IT IS NOT KNOWN WHAT IS MANAGED")) == (1, True), said
        assert "Everything managed is sold" not in said
        assert "the exchange itself" in said
    # It stands until somebody has seen it.
    code, told = await umbra(world, "status")
    assert (code, "! SAFE MODE: the database of this place is gone" in told) == (1, True), told
    fired([path.name for path in gone], words=told)
    assert await world.orders() == []


@pytest.mark.postgres
@pytest.mark.fault("S04", "SAID")
async def test_a_start_waits_for_a_server_whose_table_or_lease_another_session_has(
    quiet_world: World, postgres_url: str
) -> None:
    import asyncpg

    world = quiet_world
    await world.start_agent(UMBRA_DATABASE_URL=postgres_url)
    await world.arm("/track BTC/USDT stop 58000 all")
    await world.end("run")
    begin = await world.last_message_id()
    plain = make_url(postgres_url).set(drivername="postgresql").render_as_string(False)
    other = await asyncpg.connect(plain)
    try:
        await other.execute("BEGIN; LOCK TABLE lease")
        await world.spawn_agent()
        told = await world.until_message("another program holds its database", after=begin)
        fired(world.log().count('"start_waits_for_storage"'), words=told["text"])
        assert "keeps a table of it locked" in told["text"]
    finally:
        await other.close()
    await world.until_message("stops are watched|Back", after=begin)
    await world.price("57990")
    await world.until(lambda: _is_sold(world), "not sold")
    assert await world.count("Umbra waits to start", after=begin) == 1


async def _pair(world: World) -> None:
    await world.until(lambda: _has(world, "/pair"), "no code")
    code = world.log().partition("own it: ")[2].partition("\n")[0]
    await world.answer(code, "yours|own")


async def _lives(world: World, manager: socket.socket) -> None:
    heard: list[bytes] = []

    async def is_alive() -> bool:
        while True:
            try:
                heard.append(manager.recv(300))
            except BlockingIOError:
                break
        return heard.count(b"WATCHDOG=1") >= 2

    await world.until(is_alive, f"no sign of life for the service manager: {heard}")
    [ready] = [one for one in heard if one.startswith(b"READY=1")]
    assert b"waits for its database" in ready


async def _waits(world: World, starts: int) -> bool:
    return world.log().count("umbra: Umbra waits to start") >= starts


async def _has(world: World, text: str) -> bool:
    return text in world.log()


async def _is_sold(world: World) -> bool:
    return await world.balance_of("BTC") == 0
