"""An open database: the journal, the records, and the right to write them while it lives."""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from storage import room, schema, write_ahead_log
from storage.database import Database, Failpoint, StorageAway, StorageMissing, no_failpoint
from storage.high_water import has_reached, mark_beside
from storage.journal import SqlJournal
from storage.lease import DatabaseLock, Lease
from storage.migration import BackUp
from storage.opening import Opening, prepare
from storage.records import SqlRecords
from storage.snapshots import Snapshots
from storage.sqlite import SqliteDatabase
from storage.statements import driver
from trading.domain.errors import SettingsInvalid, StorageLost
from trading.ports.clock import Clock

if TYPE_CHECKING:
    from storage.postgres import PostgresDatabase


class Store:
    """An open database: the only writer while it lives.

    `findings` are sentences on what the start had to repair; each deserves a CRIT alert.
    """

    def __init__(
        self, database: Database, opening: Opening, clock: Clock, release: Callable[[], None]
    ) -> None:
        self._snapshots = Snapshots(database, clock, opening.snapshot_seq)
        self.journal = SqlJournal(database, opening.ledger, self._snapshots)
        self.records = SqlRecords(database, clock, opening.lost_records)
        self.findings = opening.findings
        self._database = database
        self._ledger = opening.ledger
        self._release = release

    @property
    def is_degraded(self) -> bool:
        """Whether the last append failed, or the reserve holds what the journal lacks."""
        return self._ledger.is_degraded

    @property
    def lost_reason(self) -> str:
        """Why the last append failed; empty when it did not."""
        return self._ledger.lost_reason

    @property
    def is_broken(self) -> bool:
        """Whether only a new process should touch the database again: a sync failed, it is gone."""
        return self._ledger.is_broken

    @property
    def lease(self) -> Lease:
        """The right to write, as long as nobody has taken over."""
        return self._ledger.lease

    def forget_lost(self) -> None:
        """Count from here on: what the journal lacks of an earlier one was told, durably."""
        self.records.lost_records = None
        if self._ledger.high_water is not None:
            self._ledger.high_water.is_held = False

    def note_start(self, last_seq: int) -> None:
        """Take a snapshot now if the start had much to replay."""
        self._snapshots.note(last_seq)

    async def close(self) -> None:
        """Finish, checkpoint and let another process in."""
        await self._snapshots.close()
        await self._database.close()
        self._ledger.close()
        self._release()


async def open_store(
    url: str,
    clock: Clock,
    *,
    data_dir: Path,
    failpoint: Failpoint = no_failpoint,
    may_begin: bool = True,
) -> Store:
    """Open or create the database at a SQLAlchemy async URL and recover what a crash left.

    Where it `may_begin` none, a SQLite file that is not there is StorageMissing.
    `failpoint` is called with `before_commit:<kinds>` and `after_commit:<kinds>`. Raises
    SettingsInvalid, InstanceConflict, JournalCorrupt or StorageLost; StorageAwaited where that may
    pass. A server that does not answer is awaited where it once did: at a first start it is
    likelier a wrong address.
    """
    parsed = _parse(url)
    try:
        if parsed.drivername == "sqlite+aiosqlite":
            path = Path(parsed.database or "")
            if not may_begin:
                _require(path)
            return await _open_sqlite(path, clock, failpoint)
        return await _open_postgres(parsed, clock, data_dir, failpoint)
    except OSError as error:
        if room.is_lacking(error):
            folder = Path(error.filename).parent if error.filename else data_dir
            raise room.refused(folder) from error
        raise StorageLost(f"the database or its reserve cannot be opened: {error}") from error


_EXAMPLE = (
    "for example sqlite+aiosqlite:////home/me/umbra.sqlite "
    "or postgresql+asyncpg://umbra@127.0.0.1/umbra"
)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingsInvalid(f"UMBRA_DATABASE_URL should be a URL; {_EXAMPLE}") from error
    is_file = parsed.database not in (None, "", ":memory:")
    if parsed.drivername not in ("sqlite+aiosqlite", "postgresql+asyncpg") or not is_file:
        shown = parsed.set(query={}).render_as_string(hide_password=True)
        raise SettingsInvalid(
            f"UMBRA_DATABASE_URL should name a SQLite file or a PostgreSQL database, was {shown}; "
            f"{_EXAMPLE}"
        )
    return parsed


def _require(path: Path) -> None:
    if path.exists():
        return
    is_gone = has_reached(mark_beside(_reserve_beside(path)))
    text = f"the database {path} is gone" if is_gone else f"there is no database {path} yet"
    raise StorageMissing(text, is_gone=is_gone)


def _reserve_beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.reserve")


async def _open_sqlite(path: Path, clock: Clock, failpoint: Failpoint) -> Store:
    lock = DatabaseLock(path)
    lock.take()
    reserve_path = _reserve_beside(path)
    try:
        was_written = has_reached(mark_beside(reserve_path))
        # A tenth of a millisecond for each of the few hundred frames that a kill leaves.
        await asyncio.to_thread(write_ahead_log.require_whole, path, was_written=was_written)
        database = SqliteDatabase(path, failpoint)
    except BaseException:
        lock.release()
        raise
    return await _open(
        database, reserve_path, clock, back_up=partial(_back_up, path), release=lock.release
    )


async def _open_postgres(url: URL, clock: Clock, data_dir: Path, failpoint: Failpoint) -> Store:
    try:
        from storage.postgres import PostgresDatabase

        database = PostgresDatabase(url, failpoint)
    except ImportError as error:
        raise SettingsInvalid(
            "UMBRA_DATABASE_URL names PostgreSQL, which needs the package asyncpg: "
            "install umbra-agent[postgres]"
        ) from error
    reserve_path = data_dir / "journal.reserve"
    try:
        return await _open(database, reserve_path, clock)
    except StorageAway as error:
        if has_reached(mark_beside(reserve_path)):
            raise
        raise StorageLost(str(error)) from error


async def _open(
    database: "SqliteDatabase | PostgresDatabase",
    reserve_path: Path,
    clock: Clock,
    back_up: BackUp = lambda _connection, _revision: lambda: None,
    release: Callable[[], None] = lambda: None,
) -> Store:
    opened: list[Opening] = []
    try:
        await database.open(
            lambda connection: opened.append(prepare(connection, reserve_path, back_up))
        )
        store = Store(database, opened[0], clock, release)
        if store.is_degraded:
            # An append of nothing takes in what the reserve holds; on a full disk it stays there.
            with contextlib.suppress(StorageLost):
                await store.journal.append()
    except BaseException:
        await database.close()
        for opening in opened:
            opening.ledger.close()
        release()
        raise
    store.note_start(opened[0].last_seq)
    return store


def _back_up(path: Path, connection: Connection, revision: str) -> Callable[[], None]:
    copy = path.with_name(f"{path.name}.before-{schema.REVISION}-was-{revision}")
    copy.unlink(missing_ok=True)
    # Past SQLAlchemy, which would begin a transaction: VACUUM runs outside of one.
    own = driver(connection)
    pages, page_bytes = (
        own.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
    )
    room.require(path, pages * page_bytes)
    try:
        own.execute("VACUUM INTO ?", (str(copy),))
    except BaseException:
        # A part of a copy is none, and takes the room that is left.
        copy.unlink(missing_ok=True)
        raise
    return partial(copy.unlink, missing_ok=True)
