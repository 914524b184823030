"""Whatever happens to the bytes of a database, a start notices, or it did not matter."""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.engine import make_url

from storage import schema, snapshots
from storage.store import Store, open_store
from tests.catalogue import fired
from tests.contract.storage import samples
from tests.contract.storage.conftest import both_databases, copy_database
from tests.contract.storage.test_records import everything
from tests.fakes.memory_store import SettableClock
from trading.domain.errors import JournalCorrupt, StorageLost

NOW = samples.START + timedelta(days=30)
APPENDS = 60


async def _filled(url: str, folder: Path, appends: int = APPENDS, seed: int = 5) -> Store:
    store = await open_store(url, SettableClock(NOW), data_dir=folder)
    for appended in samples.History(seed).appends(appends):
        await store.journal.append(*appended)
    return store


async def _reopen(url: str, folder: Path) -> Store:
    return await open_store(url, SettableClock(NOW), data_dir=folder)


class Filled:
    """A closed SQLite database with a history, and all that its records answer."""

    def __init__(self, path: Path, answers: list[Any], live: snapshots.Live) -> None:
        self.path = path
        self.answers = answers
        self.live = live


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    folder = tmp_path_factory.mktemp("filled")

    async def make() -> tuple[list[Any], snapshots.Live]:
        store = await _filled(f"sqlite+aiosqlite:///{folder / 'umbra.sqlite'}", folder)
        answers = await everything(store), await store._database.read(_live)
        await store.close()
        return answers

    return Filled(folder / "umbra.sqlite", *asyncio.run(make()))


async def test_both_databases_chain_the_same_hashes(
    sqlite_url: str, postgres_url: str, tmp_path: Path
) -> None:
    chains = []
    for url in (sqlite_url, postgres_url):
        store = await _filled(url, tmp_path / make_url(url).drivername)
        chains.append(await store._database.read(_rows))
        await store.close()
    assert chains[0] == chains[1]
    assert len(chains[0]) > APPENDS


def _rows(connection: Any) -> list[tuple[Any, ...]]:
    return [
        tuple(bytes(one) if isinstance(one, memoryview) else one for one in row)
        for row in connection.execute(schema.journal.select().order_by(schema.journal.c.seq))
    ]


def _flip_text(value: str, place: random.Random) -> str:
    at = place.randrange(len(value))
    return value[:at] + chr(ord(value[at]) ^ (1 << place.randrange(5))) + value[at + 1 :]


def _flip(value: Any, place: random.Random) -> Any:
    """Return a value that differs in one bit, or in whether it is there at all."""
    if value is None:
        return "x"
    if isinstance(value, int):
        return value ^ (1 << place.randrange(20))
    if isinstance(value, bytes):
        at = place.randrange(len(value))
        return value[:at] + bytes([value[at] ^ (1 << place.randrange(8))]) + value[at + 1 :]
    return _flip_text(value, place) if value else "x"


@pytest.mark.slow
@pytest.mark.fault("S09")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    column=st.sampled_from([one.name for one in schema.journal.columns]),
)
async def test_one_changed_bit_of_any_journal_field_is_detected(
    seed: int,
    column: str,
    filled: Filled,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    place = random.Random(seed)
    folder = tmp_path_factory.mktemp("flipped")
    url = copy_database(filled.path, folder)
    with sqlite3.connect(folder / "umbra.sqlite") as connection:
        last = connection.execute("SELECT max(seq) FROM journal").fetchone()[0]
        seq = place.randint(1, last)
        where = f"FROM journal WHERE seq = {seq}"
        before = connection.execute(f"SELECT {column} {where}").fetchone()[0]
        after = _flip(before, place)
        assert after != before
        if column in ("seq", "kind", "key"):
            connection.execute("DROP INDEX journal_kind_key")
            after = after + last * 2 if column == "seq" else after
        connection.execute(f"UPDATE journal SET {column} = ? WHERE seq = {seq}", (after,))  # noqa: S608
    connection.close()
    with pytest.raises(JournalCorrupt, match=r"changed at event \d+") as found:
        await _reopen(url, folder)
    fired(found, words=f"{column}: {before!r} became {after!r}")


@both_databases
async def test_a_removed_last_event_is_detected(database_url: str, tmp_path: Path) -> None:
    store = await _filled(database_url, tmp_path)
    await store.journal.append(samples.heartbeat())
    last = (await store.records.state()).last_seq
    await store._database.write(_Tamper(f"DELETE FROM journal WHERE seq = {last}"))  # noqa: S608
    await store.close()
    with pytest.raises(JournalCorrupt, match=f"end at event {last}, it ends at {last - 1}"):
        await _reopen(database_url, tmp_path)


class _Tamper:
    """Changes rows behind the journal's back."""

    label = "tamper"
    has_reserve = False

    def __init__(self, *statements: str) -> None:
        self._statements = statements

    def write(self, connection: Any) -> int:
        return sum(connection.execute(text(one)).rowcount for one in self._statements)

    def committed(self) -> None:
        pass


TAMPERED = {
    "a live tracker declared ended": "UPDATE trackers SET is_ended = 1 WHERE is_ended = 0",
    "an ended intent declared live": "UPDATE intents SET is_ended = 1 - is_ended",
    "an older version of a tracker": "UPDATE trackers SET seq = (SELECT min(j.seq) FROM journal j "
    "WHERE j.kind = 'TrackerChanged') WHERE tracker_id > 1",
    "a forgotten attempt": "DELETE FROM attempts WHERE state = 'unknown' OR is_ended = 0",
    "another position": "UPDATE positions SET document = replace(document, '1', '2')",
    "a forgotten person": "DELETE FROM people",
    "a handled update": "UPDATE inbox SET is_handled = 1",
    "a delivered message": "UPDATE outbox SET delivered_seq = 1",
    "an acknowledged alert": "UPDATE alerts SET is_open = 1 - is_open",
    "a condition that ended": "UPDATE conditions SET is_active = 1 - is_active",
    "an answered question": "UPDATE confirmations SET answered_seq = NULL",
    "another mode": "DELETE FROM meta WHERE name = 'trading_mode'",
    "another day": "UPDATE meta SET number = number - 1 WHERE name = 'addressed_seq'",
    "a pointer to nothing": "UPDATE job_runs SET seq = 0",
    "a pointer to something else": "UPDATE job_runs SET seq = 1",
}


@pytest.mark.parametrize(
    ("database_url", "change"),
    [
        *(("sqlite_url", change) for change in TAMPERED.values()),
        *(
            pytest.param("postgres_url", TAMPERED[name], marks=pytest.mark.postgres)
            for name in ("a live tracker declared ended", "another position")
        ),
    ],
    indirect=["database_url"],
)
async def test_projections_that_differ_from_the_journal_are_made_anew(
    database_url: str, change: str, tmp_path: Path
) -> None:
    store = await _filled(database_url, tmp_path)
    answers = await everything(store)
    assert await store._database.write(_Tamper(change)) > 0
    await store.close()
    again = await _reopen(database_url, tmp_path)
    try:
        assert again.findings == (
            "the stored state differed from the journal and was made anew from it",
        )
        assert await everything(again) == answers
    finally:
        await again.close()


@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), taken=st.lists(st.integers(1, 60), max_size=3))
async def test_a_snapshot_and_its_tail_agree_with_the_projections(
    seed: int,
    taken: list[int],
    sqlite_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("snapshot")
    url = copy_database(sqlite_template, folder)
    clock = SettableClock(samples.START)
    store = await open_store(url, clock, data_dir=folder)
    history = samples.History(seed)
    for number, appended in enumerate(history.appends(60), start=1):
        await store.journal.append(*appended)
        clock.time = history.now
        if number in taken:
            await store._snapshots._take()
        if number % 5 == 0:
            assert await store._database.read(snapshots.check)
    assert await store._database.read(_count_snapshots) == min(len(set(taken)), 2)
    await store.close()


def _count_snapshots(connection: Any) -> int:
    return len(connection.execute(schema.snapshots.select()).all())


@pytest.mark.parametrize(
    "damage",
    [
        "substr(document, 1, 80) || 'AAAA' || substr(document, 85)",
        "substr(document, 5)",
        "'?' || document",
        "'{}'",
    ],
)
async def test_a_damaged_snapshot_is_not_believed(
    damage: str, sqlite_url: str, tmp_path: Path
) -> None:
    store = await _filled(sqlite_url, tmp_path)
    await store._snapshots._take()
    answers = await everything(store)
    tampered = f"UPDATE snapshots SET document = {damage}"  # noqa: S608
    assert await store._database.write(_Tamper(tampered)) == 1
    await store.close()
    again = await _reopen(sqlite_url, tmp_path)
    assert again.findings == ()
    assert await everything(again) == answers
    await again.close()


async def test_snapshots_are_taken_as_the_journal_grows(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SNAPSHOT_EVENTS", 20)
    store = await open_store(sqlite_url, SettableClock(NOW), data_dir=tmp_path)
    for minute in range(50):
        await store.journal.append(samples.heartbeat(minute))
    await store.close()
    again = await _reopen(sqlite_url, tmp_path)
    assert await again._database.read(snapshots.newest_seq) >= 40
    assert await again._database.read(_count_snapshots) == 2
    await again.close()


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), bits=st.integers(1, 64))
async def test_flipped_bytes_of_the_file_are_detected_or_harmless(
    seed: int, bits: int, filled: Filled, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    url = copy_database(filled.path, folder)
    _damage(folder / "umbra.sqlite", random.Random(seed), bits)
    try:
        store = await _reopen(url, folder)
    except (JournalCorrupt, StorageLost):
        return
    try:
        assert await store._database.read(_live) == filled.live
        # History may miss a row that a damaged index hides; it never shows one that never was.
        found = [*await store.records.fills(), *await store.records.round_trips()]
        known = [one for answer in filled.answers[4:9] for one in answer]
        assert all(one in known for one in found)
    except (JournalCorrupt, StorageLost):
        return
    finally:
        await store.close()


def _live(connection: Any) -> snapshots.Live:
    return snapshots.read_live(connection, NOW)


def _damage(path: Path, place: random.Random, bits: int) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(bits):
        content[place.randrange(len(content))] ^= 1 << place.randrange(8)
    path.write_bytes(content)


@pytest.mark.fault("S09", "SAID")
@pytest.mark.parametrize("change", ["truncate", "zero page", "not a database"])
async def test_gross_damage_is_refused(change: str, filled: Filled, tmp_path: Path) -> None:
    url = copy_database(filled.path, tmp_path)
    path = tmp_path / "umbra.sqlite"
    whole = path.read_bytes()
    damaged: dict[str, Callable[[], bytes]] = {
        "truncate": lambda: whole[: len(whole) // 2],
        "zero page": lambda: whole[:8192] + bytes(4096) + whole[12288:],
        "not a database": lambda: b"hello" * 1000,
    }
    path.write_bytes(damaged[change]())
    left = path.read_bytes()
    with pytest.raises(JournalCorrupt):
        await _reopen(url, tmp_path)
    # Bytes that are not what and where they were.
    kept = sum(ours == theirs for ours, theirs in zip(left, whole, strict=False))
    fired(len(whole) - kept, words=f"bytes: {change}")


@pytest.mark.fault("S09", "SAID")
@pytest.mark.parametrize(
    "place", ["salt", "checksum", "page", "log header", "page of a later frame"]
)
async def test_a_bit_of_the_log_of_a_young_database_never_begins_an_empty_one(
    place: str, tmp_path: Path
) -> None:
    """Nothing is checkpointed yet, so that the log alone holds the journal."""
    live = tmp_path / "live"
    store = await _filled(f"sqlite+aiosqlite:///{live / 'umbra.sqlite'}", live, appends=20)
    folder = tmp_path / "killed"
    folder.mkdir()
    for name in ("umbra.sqlite", "umbra.sqlite-wal", "umbra.sqlite.mark", "umbra.sqlite.reserve"):
        (folder / name).write_bytes((live / name).read_bytes())
    await store.close()
    second = 32 + 24 + 4096
    log = folder / "umbra.sqlite-wal"
    whole = bytearray(log.read_bytes())
    places = {
        "salt": second + 9,
        "checksum": second + 17,
        "page": second + 1024,
        "log header": 18,
        "page of a later frame": 32 + 40 * (24 + 4096) + 99,
    }
    whole[places[place]] ^= 1
    log.write_bytes(whole)
    files = ("umbra.sqlite", "umbra.sqlite-wal", "umbra.sqlite.mark", "umbra.sqlite.reserve")
    left = {name: (folder / name).read_bytes() for name in files}
    for _ in range(2):
        with pytest.raises(JournalCorrupt, match="-wal is damaged at frame") as found:
            await _reopen(f"sqlite+aiosqlite:///{folder / 'umbra.sqlite'}", folder)
        assert {name: (folder / name).read_bytes() for name in files} == left
    fired(found, words=f"{place}: {found.value}")
    # With the bit as it was, all of it is there.
    whole[places[place]] ^= 1
    log.write_bytes(whole)
    again = await _reopen(f"sqlite+aiosqlite:///{folder / 'umbra.sqlite'}", folder)
    assert (await again.records.state()).last_seq > 20
    await again.close()


@pytest.mark.fault("S09", "SAID")
@pytest.mark.parametrize("is_gone", [False, True])
async def test_what_is_left_of_a_young_database_is_not_begun_anew(
    is_gone: bool, tmp_path: Path
) -> None:
    live = tmp_path / "live"
    store = await _filled(f"sqlite+aiosqlite:///{live / 'umbra.sqlite'}", live, appends=3)
    folder = tmp_path / "killed"
    folder.mkdir()
    for name in ("umbra.sqlite", "umbra.sqlite-wal", "umbra.sqlite.mark"):
        (folder / name).write_bytes((live / name).read_bytes())
    await store.close()
    path, log = folder / "umbra.sqlite", folder / "umbra.sqlite-wal"
    if is_gone:
        path.unlink()
    else:
        log.write_bytes(log.read_bytes()[:9000])
    left = log.read_bytes()
    with pytest.raises(JournalCorrupt, match=r"is still there|holds no journal") as found:
        await _reopen(f"sqlite+aiosqlite:///{path}", folder)
    assert log.read_bytes() == left
    assert path.exists() is not is_gone
    fired(found, words=str(found.value))


@pytest.mark.slow
@pytest.mark.fault("S15", "KEEP SAID")
async def test_a_write_torn_at_any_byte_loses_only_itself(tmp_path: Path) -> None:
    """Power fails in the middle of the last commit: the log ends anywhere in its frames."""
    live = tmp_path / "live"
    store = await _filled(f"sqlite+aiosqlite:///{live / 'umbra.sqlite'}", live, appends=5)
    last = (await store.records.state()).last_seq
    path, log = live / "umbra.sqlite", live / "umbra.sqlite-wal"
    before = log.stat().st_size
    await store.journal.append(*samples.transaction_a(900))
    whole = log.read_bytes()
    main = path.read_bytes()
    await store.close()
    torn = tmp_path / "torn" / "umbra.sqlite"
    torn.parent.mkdir()
    cuts = list(_cuts(before, len(whole)))
    for cut in cuts:
        assert _last_seq_after_crash(torn, main, whole[:cut]) == last, f"torn at byte {cut}"
    assert _last_seq_after_crash(torn, main, whole) == last + 4
    _crash(torn, main, whole[:-1])
    again = await _reopen(f"sqlite+aiosqlite:///{torn}", torn.parent)
    assert await again.journal.append(samples.heartbeat()) == last + 1
    await again.close()
    fired(cuts, words=f"cuts in the {len(whole) - before} bytes of the last commit")


@pytest.mark.fault("S15", "KEEP SAID")
@pytest.mark.parametrize("is_left_whole", [False, True])
async def test_a_second_power_cut_finds_what_the_first_left_behind_the_log_s_end(
    is_left_whole: bool, tmp_path: Path
) -> None:
    """The start after the first wrote less than what was torn, and was torn itself."""
    live = tmp_path / "live"
    store = await _filled(f"sqlite+aiosqlite:///{live / 'umbra.sqlite'}", live, appends=5)
    last = (await store.records.state()).last_seq
    main = (live / "umbra.sqlite").read_bytes()
    end = (live / "umbra.sqlite-wal").stat().st_size
    await store.journal.append(*samples.transaction_a(900))
    torn = bytearray((live / "umbra.sqlite-wal").read_bytes())
    await store.close()
    first_page = end + 24
    torn[first_page : first_page + 512] = bytes(512)
    path = tmp_path / "torn" / "umbra.sqlite"
    path.parent.mkdir()
    _crash(path, main, bytes(torn if is_left_whole else torn[: -24 - 4096]))
    connection = sqlite3.connect(path)
    connection.execute("UPDATE journal SET key = key WHERE seq = 1")
    connection.commit()
    log = bytearray(path.with_name("umbra.sqlite-wal").read_bytes())
    main = path.read_bytes()
    connection.close()
    assert log[:end] == torn[:end]
    # It took the place of one frame, and the others lie where they lay.
    behind = len(log) - end - 24 - 4096
    assert log[-behind:] == torn[end + 24 + 4096 : len(log)]
    fired(behind, words="bytes of the first torn write")

    log[first_page : first_page + 512] = bytes(512)
    _crash(path, main, bytes(log))
    again = await _reopen(f"sqlite+aiosqlite:///{path}", path.parent)
    assert (await again.records.state()).last_seq == last
    assert await again.journal.append(samples.heartbeat()) == last + 1
    await again.close()


def _cuts(start: int, end: int) -> list[int]:
    """Every byte near the borders of the log's frames, and every 499th between them."""
    frame = 4096 + 24
    return [at for at in range(start, end) if (at - start) % frame < 26 or at % 499 == 0]


def _last_seq_after_crash(path: Path, main: bytes, log: bytes) -> int:
    _crash(path, main, log)
    connection = sqlite3.connect(path)
    try:
        found: int = connection.execute("SELECT max(seq) FROM journal").fetchone()[0]
    finally:
        connection.close()
    return found


def _crash(path: Path, main: bytes, log: bytes) -> None:
    """Leave the files as a power cut would."""
    path.with_name("umbra.sqlite-shm").unlink(missing_ok=True)
    path.write_bytes(main)
    path.with_name("umbra.sqlite-wal").write_bytes(log)
