"""A full disk around the order of a stop, and two processes that want the same thing."""

import asyncio
import contextlib
import os
import resource
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.catalogue import fired
from tests.e2e.test_past_the_chat import umbra
from tests.e2e.world import World
from tests.forking import process as forking

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

_SIZE = "6m"


class Disk:
    """A small file system of the agent alone: its process has its own view of the data folder."""

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def folder(self) -> Path:
        """The data folder as the agent sees it."""
        pid = self._world.processes["run"].pid
        return Path(f"/proc/{pid}/root{self._world.data_dir}")

    def fill(self) -> None:
        """Leave no byte."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            for size in (65_536, 4_096, 512, 1):
                try:
                    while True:
                        filler.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        """Give all of it back."""
        (self.folder / "filler").unlink()

    async def umbra(self, command: str) -> tuple[int, str]:
        """Run one command where the agent is; return its exit code and what it said."""
        pid = str(self._world.processes["run"].pid)
        process = await asyncio.create_subprocess_exec(
            *("nsenter", "--preserve-credentials", "-U", "-m", "-t", pid),
            *(sys.executable, "-m", "bot", command),
            env=self._world.environment | self._world.settings,
            cwd=Path.cwd(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()


async def start_on_small_disk(world: World) -> Disk:
    """Start the agent with its data folder on a tmpfs of its own."""
    world.data_dir.mkdir(parents=True, exist_ok=True)
    script = f'mount -t tmpfs -o size={_SIZE} none "$1" && shift && exec "$@"'
    probe = await asyncio.create_subprocess_exec(
        *("unshare", "-Urm", "sh", "-c", script, "sh", str(world.data_dir), "true"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    if await probe.wait() != 0:
        pytest.skip("this machine lets nobody mount a file system of their own (unshare -Urm)")
    world.runner = ("unshare", "-Urm", "sh", "-c", script, "sh", str(world.data_dir))
    await world.start_agent()
    return Disk(world)


def losses(world: World) -> int:
    """How often the agent has lost its journal, by its log."""
    return world.log().count('"storage_lost"')


@pytest.mark.fault("S03", "ONE")
async def test_a_stop_still_sells_once_when_the_disk_is_full_before_it_fires(
    quiet_world: World,
) -> None:
    world = quiet_world
    disk = await start_on_small_disk(world)
    await world.arm("/track BTC/USDT stop 58000 all")
    disk.fill()
    await world.until_message("cannot write its journal")
    fired(losses(world))
    await world.price("57990")
    await world.until(lambda: _is_sold(world), "not sold")
    disk.free()
    await world.until_message("writes its journal again")
    await world.until_message(r"Sold 0\.5 BTC")
    await _check_once(world)


@pytest.mark.fault("S03", "ONE")
async def test_a_stop_sells_on_a_full_disk_though_money_came_in_and_the_streams_broke(
    quiet_world: World,
) -> None:
    world = quiet_world
    disk = await start_on_small_disk(world)
    await world.arm("/track BTC/USDT stop 58000 all")
    disk.fill()
    await world.until_message("cannot write its journal")
    fired(losses(world))
    # Whoever follows the account anew reads it, and would write down what came.
    await world.deposit("USDT", Decimal(500))
    await world.fault("disconnect", scope="all", abort=True)
    await world.until(lambda: _caught_up_in_vain(world), "the account was not followed anew")
    await world.price("57990")
    await world.until(lambda: _is_sold(world), "not sold")
    disk.free()
    await world.until_message(r"Sold 0\.5 BTC")
    await _check_once(world)


@pytest.mark.fault("S02", "KEEP ONE")
async def test_a_disk_that_fills_between_order_and_answer_forgets_nothing(
    quiet_world: World,
) -> None:
    world = quiet_world
    disk = await start_on_small_disk(world)
    await world.arm("/track BTC/USDT stop 58000 all")
    await world.fault("delay", seconds=2)
    await world.price("57990")
    await world.until(lambda: _is_sold(world), "not sold")
    disk.fill()
    await world.until_message("cannot write its journal")
    fired(losses(world))
    assert await world.unfired() == []
    disk.free()
    await world.until_message(r"Sold 0\.5 BTC")
    await _check_once(world)
    assert "No open position" in (await world.answer("/status", "Equity"))["text"]


@pytest.mark.fault("S01")
async def test_an_entry_is_refused_while_the_disk_is_full(quiet_world: World) -> None:
    world = quiet_world
    disk = await start_on_small_disk(world)
    card = await world.answer("/buy BTC/USDT 100 USDT", "Answer within")
    disk.fill()
    await world.until_message("cannot write its journal")
    fired(losses(world))
    await world.press(card, "Confirm")
    disk.free()
    await world.until_message("writes its journal again")
    # Nothing accepted is lost: the tap was kept by the chat service, and is done or refused now.
    await world.until_edited(card)
    assert len(await world.orders()) <= 1


@pytest.mark.fault("S01", "SAID")
async def test_the_terminal_tells_the_truth_of_a_full_disk_and_halts(quiet_world: World) -> None:
    world = quiet_world
    disk = await start_on_small_disk(world)
    await world.arm("/track BTC/USDT stop 58000 all")
    await world.until(lambda: _is_well(disk), "no sign of life")
    disk.fill()
    await world.until_message("cannot write its journal")
    fired(losses(world))
    code, said = await disk.umbra("status")
    assert code == 0, said
    assert "active, STORAGE LOST" in said
    await world.until(lambda: _is_unwell(disk), "no sign of life says that the journal is lost")
    code, said = await disk.umbra("halt")
    assert code == 0, said
    assert "HALTED: only private stops sell, STORAGE LOST" in (await disk.umbra("status"))[1]
    disk.free()
    await world.until_message("writes its journal again")
    assert "HALTED" in (await world.answer("/status", "Equity"))["text"]
    await world.price("57990")
    await world.until(lambda: _is_sold(world), "not sold")


async def _is_well(disk: Disk) -> bool:
    return (await disk.umbra("health"))[0] == 0


async def _is_unwell(disk: Disk) -> bool:
    _, said = await disk.umbra("health")
    assert "not watched" not in said
    return "running, but not well: the journal cannot be written" in said


@pytest.mark.fault("S08", "SAID")
async def test_a_database_that_is_gone_ends_umbra_and_both_say_that_no_stop_is_watched(
    world: World,
) -> None:
    await world.arm("/track BTC/USDT stop 58000 all")
    begin = await world.last_message_id()
    suffixes = {".db", ".db-wal", ".db-shm"}
    gone = [file for file in world.data_dir.glob("umbra.db*") if file.suffix in suffixes]
    for file in gone:
        file.unlink()
    told = await world.until_message("Umbra ENDS NOW", after=begin)
    fired([file.name for file in gone], words=told["text"])
    assert "PRIVATE STOPS ARE NOT WATCHED" in told["text"]
    assert "no backstop rests on the exchange" in told["text"]
    assert await world.agent_exit() == 2
    assert await world.count("still sell", after=begin) == 0
    await world.spawn_agent()
    back = await world.until_message("KNOWS OF NO STOP", after=begin)
    assert "SAFE MODE" in back["text"]
    assert await world.count("stops are watched", after=begin) == 0


@pytest.mark.fault("S03", "ONE SAID")
@pytest.mark.fault("S06", "SAID")
@pytest.mark.parametrize(
    # An order without a record has no second one to follow; with room for its own it may have.
    ("writable_bytes", "kinds"),
    [(0, {"MARKET"}), (4_096, {"LIMIT", "MARKET"})],
)
async def test_a_stop_sells_in_place_of_its_backstop_when_no_file_can_grow_any_more(
    quiet_world: World, writable_bytes: int, kinds: set[str]
) -> None:
    world = quiet_world
    # What it logs goes where there is room.
    world.runner = ("sh", "-c", 'exec "$@" >/dev/null 2>&1', "sh")
    await world.start_agent()
    await world.arm("/track BTC/USDT stop 58000 all backstop 50000")
    await world.until(lambda: _rests(world), "no backstop")
    begin = await world.last_message_id()
    limit = (writable_bytes, resource.RLIM_INFINITY)
    resource.prlimit(world.processes["run"].pid, resource.RLIMIT_FSIZE, limit)
    await world.price("57990")
    await world.until(lambda: _is_sold(world), "not sold")
    told = await world.until_message("Umbra ENDS NOW", after=begin)
    fired(told["text"].count("cannot be used any more"), words=told["text"])
    assert "no backstop rests on the exchange" in told["text"]
    assert await world.agent_exit() == 2
    await world.spawn_agent()
    # Nothing but the exchange tells the next process of it where not even the trigger was written.
    await world.until_message(r"Sold 0\.5 BTC|had fired already,\s+and sold 0\.5 BTC", after=begin)
    backstop, sale = await world.orders()
    assert (backstop["type"], backstop["status"]) == ("STOP_LOSS", "CANCELED")
    assert sale["status"] == "FILLED"
    assert sale["type"] in kinds


async def _rests(world: World) -> bool:
    return any(order["status"] == "NEW" for order in await world.orders())


# ---------------------------------------------------------------- a held database


@contextlib.contextmanager
def held(world: World) -> Iterator[None]:
    """Another program, as a person's at a prompt, has begun to write and not ended yet."""
    other = sqlite3.connect(world.data_dir / "umbra.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


@pytest.mark.fault("S04")
async def test_stops_sell_at_once_while_another_program_holds_the_database(
    world: World,
) -> None:
    await world.arm("/track BTC/USDT stop 58000 0.2")
    await world.arm("/track BTC/USDT stop 58000 0.3")
    with held(world):
        await world.until_message("cannot write its journal")
        fired(losses(world))
        began_s = time.monotonic()
        await world.price("57990")
        await world.until(lambda: _is_sold(world), "not sold")
        # One wait in vain is five seconds.
        assert time.monotonic() - began_s < 5
        for quantity in ("0.2", "0.3"):
            await world.until_message(rf"Done at the exchange(.|\n)* sold {quantity} BTC at 57")
    await world.until_message("writes its journal again")
    await world.until_message(r"Sold 0\.2 BTC")
    await world.until_message(r"Sold 0\.3 BTC")


@pytest.mark.fault("P02", "TELL SAID")
async def test_an_end_while_another_program_holds_the_database_is_quick_and_told(
    world: World,
) -> None:
    await world.arm("/track BTC/USDT stop 58000 all")
    begin = await world.last_message_id()
    with held(world):
        await world.until_message("cannot write its journal")
        fired(losses(world))
        began_s = time.monotonic()
        world.processes["run"].terminate()
        assert await world.agent_exit() == 0
        assert time.monotonic() - began_s < 5
        said = await world.until_message("Umbra stops, as it was asked to", after=begin)
        assert "Private stops are NOT watched while I am down" in said["text"]
        assert "no backstop rests on the exchange" in said["text"]
    assert "Traceback" not in world.log()
    await world.start_agent()
    await world.price("57990")
    await world.until(lambda: _is_sold(world), "not sold")
    await world.until_message(r"Sold 0\.5 BTC")
    await _check_once(world)


@pytest.mark.fault("S04", "SAID")
async def test_a_start_waits_for_a_database_that_another_program_holds_and_says_so(
    world: World,
) -> None:
    await world.arm("/track BTC/USDT stop 58000 all")
    await world.end("run")
    begin = await world.last_message_id()
    with held(world):
        await world.spawn_agent()
        told = await world.until_message("Umbra waits to start", after=begin)
        fired(world.log().count('"start_waits_for_storage"'), words=told["text"])
        assert "database is locked" in told["text"]
        assert "PRIVATE STOPS ARE NOT WATCHED" in told["text"]
        assert "must not share" in await _second(world)
        assert "umbra: Umbra waits to start" in world.log()
        world.processes["run"].terminate()
        assert await world.agent_exit() == 0
        await world.spawn_agent()
        await world.until(lambda: _waits(world, 2), "does not wait")
    await world.until_message("Back, blind", after=begin)
    # However often it is tried, it is told once.
    assert await world.count("Umbra waits to start", after=begin) == 1
    await world.price("57990")
    await world.until(lambda: _is_sold(world), "not sold")


async def _waits(world: World, starts: int) -> bool:
    return world.log().count("umbra: Umbra waits to start") >= starts


async def _caught_up_in_vain(world: World) -> bool:
    return '"catch_up_failed"' in world.log()


async def _is_sold(world: World) -> bool:
    return await world.balance_of("BTC") == 0


async def _check_once(world: World) -> None:
    sold = sum(Decimal(order["executedQty"]) for order in await world.orders())
    assert (sold, len(await world.orders())) == (Decimal("0.5"), 1)
    assert await world.count(r"Sold 0\.5 BTC") == 1


# ---------------------------------------------------------------- one at a time


@pytest.mark.fault("S14", "ONE SAID")
@pytest.mark.fault("P07", "ONE SAID")
async def test_a_second_agent_is_refused_whatever_it_shares_with_the_first(
    world: World, tmp_path: Path
) -> None:
    first, second = world.environment["UMBRA_DATA_DIR"], str(tmp_path / "second")
    same_directory = await _second(world, UMBRA_EXCHANGE_API_KEY="another")
    assert "must not share a data directory" in same_directory
    same_database = await _second(
        world,
        UMBRA_EXCHANGE_API_KEY="another",
        UMBRA_DATA_DIR=second,
        UMBRA_DATABASE_URL=f"sqlite+aiosqlite:///{first}/umbra.db",
    )
    assert "share a database" in same_database
    same_account = await _second(world, UMBRA_DATA_DIR=second)
    assert "trade one account" in same_account
    by_another_name = await _second(
        world,
        UMBRA_DATA_DIR=second,
        UMBRA_EXCHANGE_REST_URL=f"{world.exchange.replace('127.0.0.1', 'LOCALHOST')}/",
    )
    assert "trade one account" in by_another_name
    assert await world.orders() == []
    answers = same_directory, same_database, same_account, by_another_name
    fired(sum("share" in said or "one account" in said for said in answers), words=same_database)
    await world.kill_agent()
    await world.start_agent()
    assert "Equity" in (await world.answer("/status", "Equity"))["text"]


async def _second(world: World, **settings: str) -> str:
    """Start another agent, which ends with code 2, and return its last words."""
    changed = {name: value for name, value in settings.items() if value}
    code, said = await forking.run(("run",), dict(os.environ) | world.environment | changed)
    assert code == 2, said
    return said


# ---------------------------------------------------------------- a damaged journal


@pytest.mark.fault("S09", "SAID")
async def test_a_start_on_a_changed_journal_is_told_once_everywhere_and_changes_nothing(
    quiet_world: World,
) -> None:
    world, heard = quiet_world, list[str]()

    async def hear(request: web.Request) -> web.Response:
        heard.append((await request.json())["message"])
        return web.Response()

    channel = web.Application()
    channel.router.add_post("/{any:.*}", hear)
    async with TestServer(channel) as second:
        world.settings["UMBRA_SECOND_CHANNEL_URLS"] = f"json://127.0.0.1:{second.port}/"
        await world.start_agent()
        await world.arm("/track BTC/USDT stop 58000 all")
        await world.kill_agent()
        begin = await world.last_message_id()
        changed = "UPDATE journal SET payload = replace(payload, '58000', '38000')"
        with sqlite3.connect(world.data_dir / "umbra.db") as connection:
            rows = connection.execute(f"{changed} WHERE kind = 'TrackerChanged'").rowcount
        connection.close()
        for _ in range(3):
            await world.spawn_agent()
            assert await world.agent_exit() == 2
        told = await world.until_message("Umbra does not start", after=begin)
        words = " ".join(told["text"].split())
        assert "the journal was changed at event" in words
        assert "PRIVATE STOPS ARE NOT WATCHED" in words
        assert "put the newest copy in their place" in words
        assert "umbra panic can sell nothing" in words
        assert await world.count("Umbra does not start", after=begin) == 1
    assert [" ".join(text.split()) for text in heard if "does not start" in text] == [words]
    fired(rows, words=words)
    code, said = await umbra(world, "panic", "--yes")
    assert (code, said.startswith("NOTHING WAS SOLD")) == (1, True), said
    for command, first in (
        ("status", "No agent runs here"),
        ("panic", "A panic could sell nothing"),
    ):
        code, said = await umbra(world, command, typed="no")
        assert (code, said.startswith(first)) == (1, True), said
        assert "NO STOP IS WATCHED, and its database cannot be used: the journal" in said
        assert "put its newest copy back" in said
    assert await world.orders() == []


# ---------------------------------------------------------------- an older copy


@pytest.mark.fault("S10", "HALT SAID")
async def test_an_older_copy_is_named_on_the_terminal_and_in_the_chat_and_sells_nothing_twice(
    world: World,
) -> None:
    database = world.data_dir / "umbra.db"
    await world.arm("/track BTC/USDT stop 58000 all")
    await world.end("run")
    kept = world.folder / "kept"
    shutil.copy(database, kept)
    await world.start_agent()
    await world.price("57990")
    await world.until(lambda: _is_sold(world), "not sold")
    await world.until_message(r"Sold 0\.5 BTC")
    missing = await world.orders()
    # As a machine does that is restored while it runs.
    await world.kill_agent()
    database.with_name("umbra.db-wal").unlink()
    shutil.copy(kept, database)
    await world.deposit("BTC", Decimal("0.5"))
    _, said = await umbra(world, "status")
    assert "This is an older copy of the database" in said
    begin = await world.last_message_id()
    await world.spawn_agent()
    told = await world.until_message("SAFE MODE: an older copy", after=begin)
    fired(len(missing), words=told["text"])
    back = await world.until_message("Back, blind", after=begin)
    assert "had fired already" in " ".join(back["text"].split())
    refused = await world.answer("/buy BTC/USDT 100 USDT", "critical stands|Answer within")
    assert "SAFE MODE" in refused["text"]
    await world.price("57000")
    await world.answer("/resume", "Active again|allowed again")
    await world.answer("/buy BTC/USDT 100 USDT", "Answer within")
    await _check_once(world)
    assert await world.balance_of("BTC") == Decimal("0.5")
