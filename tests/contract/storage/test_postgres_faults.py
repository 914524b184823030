"""PostgreSQL's own faults (S11): sessions that end, servers that vanish, answers that get lost."""

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL, make_url

from bot.clock import SystemClock
from storage import postgres
from storage.database import StorageAwaited, StorageAway, StorageHeld
from storage.store import Store, open_store
from tests.catalogue import fired
from tests.contract.storage import samples
from tests.fakes.memory_store import SettableClock
from tests.fakes.virtual_time import VirtualTime
from tests.postgres import OwnServer
from tests.unit.trading.execution.desk import Desk
from trading.domain import events
from trading.domain.errors import InstanceConflict, StorageLost
from trading.domain.order import Intent
from trading.risk.gate import Approved

pytestmark = pytest.mark.postgres
_PATIENCE_S = 20.0


class Proxy:
    """A server in front of the server, which can lose an answer or be down."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.swallow_answers_to = b""
        self.swallowed = 0
        # Whether connections are taken and requests accepted, and nothing is answered.
        self.is_hanging = False
        self.unanswered = 0

    async def listen(self, folder: Path) -> str:
        """Start, and return the URL that leads here."""
        self.path = folder / ".s.PGSQL.5432"
        await self.up()
        query = {**self._url.query, "host": str(folder)}
        return self._url.set(host=None, port=None, query=query).render_as_string(False)

    async def up(self) -> None:
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def down(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in tuple(self._links):
            link.close()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        host = self._url.query.get("host")
        if isinstance(host, str):
            upstream = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.5432")
        else:
            upstream = await asyncio.open_connection(self._url.host, self._url.port or 5432)
        self._links |= {writer, upstream[1]}
        link = Link(self, writer, upstream[1])
        try:
            await asyncio.gather(link.ask(reader), link.answer(upstream[0]))
        finally:
            self._links -= {writer, upstream[1]}


class Link:
    """One client's session through the proxy."""

    def __init__(
        self, proxy: Proxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._is_cut = False

    async def ask(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while asked := await reader.read(65536):
                wanted = self._proxy.swallow_answers_to
                if wanted and wanted in asked:
                    self._is_cut = True
                    self._proxy.swallow_answers_to = b""
                self._server.write(asked)
        self._server.close()

    async def answer(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while answered := await reader.read(65536):
                if self._proxy.is_hanging:
                    # For this session it hangs for good.
                    self._proxy.unanswered += 1
                    continue
                if self._is_cut:
                    # The server has done it, and nobody hears.
                    self._proxy.swallowed += 1
                    break
                self._client.write(answered)
        self._client.close()
        self._server.close()


@pytest.fixture
async def proxy(postgres_url: str) -> AsyncIterator[Proxy]:
    made = Proxy(make_url(postgres_url))
    yield made
    await made.down()


@pytest.fixture
async def store(proxy: Proxy, tmp_path: Path) -> AsyncIterator[Store]:
    # Short, because a socket's path has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="umbra-px-") as folder:
        url = await proxy.listen(Path(folder))
        opened = await open_store(url, SettableClock(), data_dir=tmp_path)
        yield opened
        await opened.close()


@pytest.mark.fault("S11", "SAID")
async def test_a_commit_whose_answer_is_lost_is_found_and_not_repeated(
    store: Store, proxy: Proxy
) -> None:
    await store.journal.append(samples.heartbeat())
    proxy.swallow_answers_to = b"COMMIT"
    # No event with a key: only the hash can tell that it is there.
    assert await store.journal.append(samples.heartbeat(1), samples.heartbeat(2)) == 3
    assert proxy.swallowed == 1
    assert await store.journal.append(*samples.transaction_a(1)) == 7
    assert await store.journal.verify() == 7
    assert not store.is_degraded
    fired(proxy.swallowed)


async def test_a_session_that_ends_before_the_commit_is_replaced(
    store: Store, proxy: Proxy
) -> None:
    await store.journal.append(samples.heartbeat())
    proxy.swallow_answers_to = b"INSERT INTO journal"
    assert await store.journal.append(*samples.transaction_a(1)) == 5
    assert proxy.swallowed == 1
    assert await store.journal.verify() == 5


@pytest.mark.fault("S11", "SAID")
async def test_sessions_ended_by_the_server_are_replaced_the_lease_too(
    store: Store, postgres_url: str
) -> None:
    await store.journal.append(samples.heartbeat())
    ended = await _end_sessions(postgres_url)
    assert ended >= 2
    assert await store.journal.append(samples.heartbeat(1)) == 2
    assert (await store.records.state()).last_seq == 2
    fired(ended)


@pytest.mark.fault("S11")
async def test_a_server_that_is_away_means_reserve_and_comes_back(
    store: Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "WRITE_DEADLINE_S", 0.3)
    await store.journal.append(samples.heartbeat())
    await proxy.down()
    with pytest.raises(StorageLost, match="cannot be written") as lost:
        await store.journal.append(samples.heartbeat(1))
    assert await store.journal.append(*samples.transaction_a(1), reserve=True) == 0
    with pytest.raises(StorageLost, match="cannot be read"):
        await store.records.state()
    await proxy.up()
    monkeypatch.setattr(postgres, "WRITE_DEADLINE_S", 5)
    assert await store.journal.append(samples.heartbeat(2)) == 6
    assert not store.is_degraded
    assert await store.journal.verify() == 6
    fired(lost, words=str(lost.value))


@pytest.mark.fault("S04")
async def test_only_the_first_write_waits_for_a_database_that_another_session_holds(
    store: Store, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "WRITE_DEADLINE_S", 1.0)
    monkeypatch.setattr(postgres, "TRY_DEADLINE_S", 0.5)
    async with _held(postgres_url):
        began_s = SystemClock().monotonic()
        # Stops that fire at once, with a probe and a sign of life among them.
        probe = asyncio.create_task(store.journal.append())
        sales = [
            asyncio.create_task(store.journal.append(*samples.transaction_a(number), reserve=True))
            for number in range(20)
        ]
        beat = asyncio.create_task(store.journal.append(samples.heartbeat()))
        assert await asyncio.gather(*sales) == [0] * 20
        refused = await asyncio.gather(probe, beat, return_exceptions=True)
        lost = [one for one in refused if isinstance(one, StorageLost)]
        assert ["cannot be written" in str(one) for one in lost] == [True, True]
        took_s = SystemClock().monotonic() - began_s
        assert 1 <= took_s < 3
        # The next probe tries, and what fires meanwhile stands behind it for a moment at most.
        probe = asyncio.create_task(store.journal.append())
        assert await store.journal.append(*samples.transaction_a(20), reserve=True) == 0
        with pytest.raises(StorageLost):
            await probe
    assert await store.journal.append() == 84
    assert not store.is_degraded
    assert await store.journal.append(*samples.transaction_a(21), reserve=True) == 88
    assert await store.journal.verify() == 88
    fired(lost, words=f"twenty within {took_s:.1f} s")


async def test_a_server_whose_commits_are_slow_is_found_well_again(
    store: Store, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "WRITE_DEADLINE_S", 0.3)
    async with _held(postgres_url):
        with pytest.raises(StorageLost):
            await store.journal.append(samples.heartbeat())
    monkeypatch.setattr(postgres, "WRITE_DEADLINE_S", 20.0)
    monkeypatch.setattr(postgres, "TRY_DEADLINE_S", 0.5)
    await _slow_commits(postgres_url, 1.0)
    assert await store.journal.append(samples.heartbeat()) == 1
    assert not store.is_degraded


@contextlib.asynccontextmanager
async def _held(url: str) -> AsyncIterator[None]:
    """Another session, as a person's at a console, has taken the table and not ended yet."""
    async with _connected(url) as connection, connection.transaction():
        await connection.execute("LOCK TABLE lease")
        yield


async def _slow_commits(url: str, seconds: float) -> None:
    async with _connected(url) as connection:
        await connection.execute(
            "CREATE FUNCTION lag() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$"
        )
        await connection.execute(
            "CREATE CONSTRAINT TRIGGER lagging AFTER INSERT ON journal "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION lag()"
        )


@pytest.mark.fault("S11", "SAID")
async def test_a_commit_in_doubt_when_the_server_vanishes_is_not_drained_twice(
    store: Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit went through, its answer did not, and the reserve took the events as well."""
    await store.journal.append(samples.heartbeat())
    proxy.swallow_answers_to = b"COMMIT"
    appending = asyncio.create_task(
        store.journal.append(samples.heartbeat(1), samples.heartbeat(2), reserve=True)
    )
    monkeypatch.setattr(postgres, "WRITE_DEADLINE_S", 1)
    while not proxy.swallowed:
        await asyncio.sleep(0)
    await proxy.down()
    assert await appending == 0
    assert store.is_degraded
    await proxy.up()
    monkeypatch.setattr(postgres, "WRITE_DEADLINE_S", 5)
    assert await store.journal.append(samples.heartbeat(3)) == 4
    minutes = [one.event.at.minute for one in await store.journal.events()]  # type: ignore[union-attr]
    assert minutes == [0, 1, 2, 3]
    fired(proxy.swallowed)


@pytest.mark.fault("S11", "SAID")
@pytest.mark.parametrize("is_reading", [True, False])
async def test_a_server_that_hangs_after_connecting_is_known_within_seconds(
    proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_reading: bool
) -> None:
    monkeypatch.setattr(postgres, "ANSWER_DEADLINE_S", 0.3, raising=False)
    monkeypatch.setattr(postgres, "WRITE_DEADLINE_S", 0.3)
    with tempfile.TemporaryDirectory(prefix="umbra-px-") as folder:
        url = await proxy.listen(Path(folder))
        store = await open_store(url, SettableClock(), data_dir=tmp_path)
        await store.journal.append(samples.heartbeat())
        proxy.is_hanging = True
        # The library gives a session two seconds more to say farewell.
        async with asyncio.timeout(10):
            with pytest.raises(StorageLost, match="TimeoutError") as lost:
                await (store.records.state() if is_reading else store.journal.append())
        proxy.is_hanging = False
        assert await store.journal.append(samples.heartbeat(1)) == 2
        assert await store.journal.verify() == 2
        assert (await store.records.state()).last_seq == 2
        await store.close()
    fired(proxy.unanswered, words=str(lost.value))


async def test_who_lost_the_lease_to_another_stops_writing(
    store: Store, postgres_url: str, tmp_path: Path
) -> None:
    await store.journal.append(samples.heartbeat())
    await _end_sessions(postgres_url)
    other = await open_store(postgres_url, SettableClock(), data_dir=tmp_path / "other")
    with pytest.raises(InstanceConflict, match="in use by"):
        await store.journal.append(samples.heartbeat(1))
    await other.close()
    with pytest.raises(InstanceConflict, match="taken this database over"):
        await store.journal.append(samples.heartbeat(1))


async def test_a_wrong_address_is_told_and_hides_the_password(tmp_path: Path) -> None:
    url = f"postgresql+asyncpg://umbra:secret@/umbra?host={tmp_path}"
    with pytest.raises(StorageLost, match="cannot be used") as lost:
        await open_store(url, SettableClock(), data_dir=tmp_path)
    assert "secret" not in str(lost.value)


async def test_commits_are_synchronous_whatever_the_server_says(store: Store) -> None:
    def shown(connection: Any) -> str:
        return str(connection.exec_driver_sql("SHOW synchronous_commit").scalar())

    assert await store._database.read(shown) == "on"


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Any]:
    import asyncpg

    plain = make_url(url).set(drivername="postgresql").render_as_string(False)
    connection = await asyncpg.connect(plain)
    try:
        yield connection
    finally:
        await connection.close()


async def _end_sessions(url: str, but: int = 0) -> int:
    async with _connected(url) as connection:
        ended = await connection.fetch(
            "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), $1)",
            but,
        )
    return len(ended)


# ---------------------------------------------------------------- an order through a lost commit


class RealTime(VirtualTime):
    """Time that passes by itself: a server's answers wait for nobody."""

    def now(self) -> datetime:
        return SystemClock().now()

    def monotonic(self) -> float:
        return SystemClock().monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _desk(store: Store, before: Desk | None = None) -> Desk:
    """An order desk on this database; with the account of the one before it, as a restart has."""
    journal: Any = store.journal
    if before is None:
        return Desk(store=journal, time=RealTime())
    after = Desk(store=journal, time=before.time, exchange=before.exchange)
    after.book.load(dict(before.book.snapshot().positions))
    return after


async def _ended(desk: Desk) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while desk.engine.intents:
            await asyncio.sleep(0.01)
    await desk.engine.stop()


async def _check_once(desk: Desk, store: Store) -> None:
    """One order, and in the journal one decision, one attempt and all that it filled."""
    assert len(desk.exchange.ids) == 1
    assert desk.exchange.coins["BTC"] == 0
    kinds = Counter(type(one.event) for one in await store.journal.events())
    assert (kinds[events.IntentOpened], kinds[events.AttemptPrepared]) == (1, 1)
    fills = await store.records.fills()
    assert sum(fill.quantity for fill in fills) == Decimal("0.5")
    assert await store.journal.verify() == kinds.total()


@pytest.mark.fault("S11", "ONE SAID")
@pytest.mark.parametrize("answer", [b"COMMIT", b"INSERT INTO journal"])
async def test_a_sale_whose_commit_got_no_answer_is_sent_once(
    store: Store, proxy: Proxy, answer: bytes
) -> None:
    desk = _desk(store)
    await store.journal.append(samples.heartbeat())
    proxy.swallow_answers_to = answer
    await desk.engine.open(Approved(desk.exit()))
    await _ended(desk)
    assert proxy.swallowed == 1
    await _check_once(desk, store)
    fired(proxy.swallowed, words=f"{answer.decode()} of {desk.exchange.ids[0]}")


async def _vanished_at_commit(
    desk: Desk, intent: Intent, store: Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> asyncio.Task[Intent]:
    """Open a decision; the server takes its commit, answers nothing, and is gone."""
    await store.journal.append(samples.heartbeat())
    proxy.swallow_answers_to = b"COMMIT"
    monkeypatch.setattr(postgres, "WRITE_DEADLINE_S", 1)
    opening = asyncio.create_task(desk.engine.open(Approved(intent)))
    while not proxy.swallowed:
        await asyncio.sleep(0)
    await proxy.down()
    return opening


@pytest.mark.fault("S11", "ONE SAID")
async def test_a_sale_whose_commit_was_taken_by_a_server_that_vanished_is_sent_once(
    store: Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the database and in the reserve, and goes out; nobody sends it a second time."""
    desk = _desk(store)
    await (await _vanished_at_commit(desk, desk.exit(), store, proxy, monkeypatch))
    assert len(desk.exchange.ids) == 1
    assert store.is_degraded
    # The process ends here: what the sale came to was never written.
    for task in list(desk.engine._tasks):
        task.cancel()
    await desk.engine.stop()
    await proxy.up()
    monkeypatch.setattr(postgres, "WRITE_DEADLINE_S", 5)
    await store.journal.append(samples.heartbeat(1))
    again = _desk(store, desk)
    await again.engine.recover(await store.records.state())
    again.engine.go_on()
    await _ended(again)
    await _check_once(again, store)
    fired(proxy.swallowed)


@pytest.mark.fault("S11", "ONE")
async def test_an_entry_whose_commit_was_taken_by_a_server_that_vanished_is_never_sent(
    store: Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = _desk(store)
    opening = await _vanished_at_commit(desk, desk.entry(), store, proxy, monkeypatch)
    with pytest.raises(StorageLost):
        await opening
    await proxy.up()
    monkeypatch.setattr(postgres, "WRITE_DEADLINE_S", 5)
    await store.journal.append(samples.heartbeat(1))
    [intent] = (await store.records.state()).intents
    assert intent.intent_id == desk.entry().intent_id
    assert desk.exchange.ids == []
    fired(proxy.swallowed)


# ---------------------------------------------------------------- a start


@pytest.mark.fault("S11", "SAID")
async def test_a_start_awaits_a_server_that_once_answered_and_no_wrong_address(
    own_postgres: OwnServer, tmp_path: Path
) -> None:
    async def opened() -> Store:
        return await open_store(own_postgres.url, SettableClock(), data_dir=tmp_path)

    own_postgres.stop()
    with pytest.raises(StorageLost) as first:
        await opened()
    assert not isinstance(first.value, StorageAwaited)
    own_postgres.start()
    store = await opened()
    await store.journal.append(samples.heartbeat())
    await store.close()
    own_postgres.stop()
    with pytest.raises(StorageAway, match="cannot be used") as away:
        await opened()
    fired(away, words=str(away.value))
    own_postgres.start()
    store = await opened()
    assert (await store.records.state()).last_seq == 1
    await store.close()


@pytest.mark.fault("S04")
async def test_a_start_awaits_a_table_that_another_session_has_locked(
    store: Store, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.close()
    monkeypatch.setattr(postgres, "LOCK_PATIENCE_S", 0.2)
    async with _held(postgres_url):
        with pytest.raises(StorageHeld, match="keeps a table of it locked") as held:
            await open_store(postgres_url, SettableClock(), data_dir=tmp_path)
    fired(held, words=str(held.value))
    again = await open_store(postgres_url, SettableClock(), data_dir=tmp_path)
    # What is read later has deadlines of its own.
    assert await again._database.read(_lock_timeout) == "0"
    await again.close()


async def test_the_server_is_asked_to_notice_within_half_a_minute_that_a_machine_is_gone(
    tmp_path: Path,
) -> None:
    asked: list[bytes] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(4096))
        writer.close()

    with tempfile.TemporaryDirectory(prefix="umbra-px-") as folder:
        server = await asyncio.start_unix_server(hang_up, Path(folder) / ".s.PGSQL.5432")
        async with server:
            with pytest.raises(StorageLost):
                await open_store(
                    f"postgresql+asyncpg://umbra@/umbra?host={folder}",
                    SettableClock(),
                    data_dir=tmp_path,
                )
    words = asked[0].split(b"\0")
    told = {word: int(words[words.index(word) + 1]) for word in words if b"keepalives" in word}
    idle_s, between_s, tries = (
        told[b"tcp_keepalives_" + name] for name in (b"idle", b"interval", b"count")
    )
    assert idle_s + between_s * tries <= 30


async def test_a_server_of_a_test_is_on_no_port_that_somebody_else_could_have(
    own_postgres: OwnServer,
) -> None:
    async with _connected(own_postgres.url) as connection:
        assert await connection.fetchval("SHOW listen_addresses") == ""


def _lock_timeout(connection: Any) -> str:
    return str(connection.exec_driver_sql("SHOW lock_timeout").scalar())


async def test_a_start_awaits_whoever_has_the_lease_unless_that_is_another_agent(
    postgres_url: str, tmp_path: Path
) -> None:
    taken = f"SELECT pg_advisory_lock({postgres._LEASE_KEY})"
    async with _connected(postgres_url) as other:
        await other.execute("SET application_name = 'psql'")
        await other.execute(taken)
        with pytest.raises(StorageHeld, match=r"is held by pid \d+ of the server \(psql\)"):
            await open_store(postgres_url, SettableClock(), data_dir=tmp_path)
        await other.execute("SET application_name = 'umbra'")
        with pytest.raises(InstanceConflict, match="two agents must not share a database"):
            await open_store(postgres_url, SettableClock(), data_dir=tmp_path)


async def test_a_lease_that_another_program_takes_while_umbra_runs_means_reserve(
    store: Store, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "WRITE_DEADLINE_S", 1.0)
    await store.journal.append(samples.heartbeat())
    async with _connected(postgres_url) as other:
        await _end_sessions(postgres_url, but=await other.fetchval("SELECT pg_backend_pid()"))
        await other.execute(f"SELECT pg_advisory_lock({postgres._LEASE_KEY})")
        assert await store.journal.append(*samples.transaction_a(1), reserve=True) == 0
    assert await store.journal.append(samples.heartbeat(1)) == 6
