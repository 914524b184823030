"""A start waits for a database that it may still have, and ends when it is asked to."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator

import pytest

from bot import held_start
from bot.systemd import ServiceManager
from storage.database import (
    DirectoryUnwritable,
    StorageAway,
    StorageFull,
    StorageHeld,
    StorageMissing,
)
from trading.domain.errors import InstanceConflict, JournalCorrupt, Refused, StorageLost


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_start, "RETRY_S", 0.0)


class _Database:
    """A database whose first tries to open it fail."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.told: list[str] = []
        # What was said to whoever asked, at each turn while it waited.
        self.answered: list[str] = []

    async def open(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "open"

    async def tell(self, text: str) -> None:
        self.told.append(text)

    async def answer(self, why: Callable[[], str]) -> None:
        while True:
            self.answered.append(why())
            await asyncio.sleep(0)

    async def awaited(
        self, stop: asyncio.Event | None = None, service: ServiceManager | None = None
    ) -> str:
        return await held_start.opened(
            self.open,
            stop or asyncio.Event(),
            self.tell,
            service or ServiceManager(None),
            self.answer,
        )


_HELD = StorageHeld("umbra.db cannot be used: database is locked")


_FULL = StorageFull("the disk at / has no room")


def _away(why: str) -> StorageAway:
    return StorageAway(f"postgresql://umbra cannot be used: {why}")


async def test_a_start_goes_on_when_the_database_is_let_go(
    capsys: pytest.CaptureFixture[str],
) -> None:
    database = _Database(_HELD, _HELD, _HELD)
    assert await database.awaited() == "open"
    assert len(database.told) == 3
    assert "database is locked. PRIVATE STOPS ARE NOT WATCHED until that ends" in database.told[0]
    assert capsys.readouterr().err.count("Umbra waits to start") == 1


async def test_a_start_goes_on_when_its_disk_has_room_again() -> None:
    database = _Database(_FULL)
    assert await database.awaited() == "open"
    [told] = database.told
    assert "its disk is full: the disk at / has no room. PRIVATE STOPS ARE NOT WATCHED" in told
    assert "Make room there, and leave the files of Umbra where they are: Umbra goes on" in told


@pytest.mark.parametrize(
    ("tried_s", "rests_s"), [(0.0, 0.5), (0.01, 0.5), (1.5, 15.0), (3.0, 30.0), (600.0, 60.0)]
)
def test_a_try_that_cost_much_on_a_full_disk_is_not_made_again_at_once(
    tried_s: float, rests_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_start, "RETRY_S", 0.5)
    assert held_start.after_full_disk_s(tried_s) == rests_s


async def test_a_start_on_a_full_disk_rests_for_longer_than_it_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried_s: list[float] = []
    monkeypatch.setattr(
        held_start, "after_full_disk_s", lambda seconds: tried_s.append(seconds) or 0.0
    )
    # Of what only waits for others, nothing is worn out.
    database = _Database(_HELD, _FULL, _away("refused"), _FULL)
    assert await database.awaited() == "open"
    assert len(tried_s) == 2
    assert all(0 <= seconds < 5 for seconds in tried_s)


async def test_a_server_that_is_away_is_one_piece_of_news_whatever_it_says_while_it_comes_back(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    database = _Database(_away("refused"), _away("starting up"), _away("starting up"), _HELD)
    with caplog.at_level(logging.WARNING):
        assert await database.awaited() == "open"
    # Whoever is told knows by the text what was told.
    assert len(set(database.told)) == 2
    assert "its database does not answer" in database.told[0]
    assert "refused" in database.told[2]
    assert "UMBRA_DATABASE_URL" in database.told[0]
    assert "another program holds its database" in database.told[3]
    assert [one.message for one in caplog.records] == ["start_waits_for_storage"] * 2
    assert capsys.readouterr().err.count("Umbra waits to start") == 2


async def test_a_start_that_waits_answers_whoever_asks_and_stops_with_it() -> None:
    database = _Database()
    assert await database.awaited() == "open"
    assert database.answered == []
    database.errors = [*[_HELD] * 50, *[_away("refused")] * 50]
    assert await database.awaited() == "open"
    assert "another program holds its database" in database.answered[0]
    assert "its database does not answer" in database.answered[-1]
    answers = len(database.answered)
    await asyncio.sleep(0)
    assert len(database.answered) == answers


@pytest.mark.parametrize("error", [OSError("no sockets here"), Refused("not for others")])
async def test_a_start_that_cannot_answer_waits_all_the_same(error: Exception) -> None:
    database = _Database(_HELD, _HELD, _HELD)

    async def fail(_: object) -> None:
        raise error

    database.answer = fail  # type: ignore[method-assign]
    assert await database.awaited() == "open"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (_HELD, "another program holds its database: umbra.db cannot be used"),
        (_away("refused"), "its database does not answer"),
        (
            _FULL,
            "its disk is full: the disk at / has no room. Make room there, and leave the files",
        ),
        (DirectoryUnwritable("x: read-only"), "nothing can be written in its data directory: x"),
        (StorageMissing("umbra.db is gone", is_gone=True), "NOTHING IS KNOWN OF WHAT IS MANAGED"),
        (StorageMissing("there is none yet", is_gone=False), "Start it: umbra run"),
        (JournalCorrupt("umbra.db is damaged"), "its database cannot be used: umbra.db is damaged"),
    ],
)
def test_where_no_agent_runs_each_reason_says_that_nobody_watches(
    error: Exception, said: str
) -> None:
    told = held_start.alone(error)
    assert said in told
    assert "NO STOP IS WATCHED" in told


async def test_a_start_that_waits_ends_when_it_is_asked_to() -> None:
    database, stop = _Database(_HELD), asyncio.Event()
    stop.set()
    with pytest.raises(StorageHeld):
        await database.awaited(stop)
    assert database.told == []


@pytest.mark.parametrize(
    "error",
    [InstanceConflict("umbra.db is in use by pid 7"), StorageLost("no database of that name")],
)
async def test_nobody_waits_for_another_agent_or_for_what_waiting_does_not_mend(
    error: Exception,
) -> None:
    database = _Database(error)
    with pytest.raises(type(error), match=str(error)):
        await database.awaited()
    assert database.told == []


# ------------------------------------------------------------ the service manager


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")
        listening.setblocking(False)
        yield listening


def _service(manager: socket.socket) -> ServiceManager:
    return ServiceManager("@" + manager.getsockname()[1:].decode(), watchdog_s=0.02)


async def test_a_start_that_waits_is_ready_says_for_what_and_lives(
    manager: socket.socket,
) -> None:
    database, stop = _Database(*[_HELD] * 100_000), asyncio.Event()
    starting = asyncio.create_task(database.awaited(stop, _service(manager)))
    heard: list[bytes] = []
    async with asyncio.timeout(5):
        while heard.count(b"WATCHDOG=1") < 3:
            heard.append(await asyncio.get_running_loop().sock_recv(manager, 300))
    stop.set()
    with pytest.raises(StorageHeld):
        await starting
    ready, *lives = heard
    assert ready.startswith(b"READY=1\nSTATUS=waits for its database")
    assert b"stops are NOT watched" in ready
    assert lives == [b"WATCHDOG=1"] * 3


async def test_a_start_that_only_takes_long_asks_for_time_and_is_not_ready(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.systemd._EXTEND_AGAIN_S", 0.01)
    checked = asyncio.Event()

    async def check() -> str:
        await checked.wait()
        return "open"

    database = _Database()
    starting = asyncio.create_task(
        held_start.opened(check, asyncio.Event(), database.tell, _service(manager), database.answer)
    )
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(5):
        heard = [await loop.sock_recv(manager, 300) for _ in range(3)]
    assert heard == [b"EXTEND_TIMEOUT_USEC=60000000"] * 3
    checked.set()
    assert await starting == "open"
