"""SQLite as the database: one writer thread, one reader thread, a commit is an fsync.

SQLite by itself moves the write-ahead log into the database at every thousandth page, in the middle
of somebody's commit: tens of milliseconds that an order would wait. Here a third thread does it.
"""

import asyncio
import contextlib
import logging
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError

from storage import room
from storage.database import Failpoint, Job, StorageHeld, UnwritableError
from storage.holders import holders
from storage.statements import driver
from trading.domain.errors import JournalCorrupt, StorageLost

logger = logging.getLogger(__name__)
T = TypeVar("T")
# So long a write waits for somebody else's to end; once that was in vain, no other one waits until
# the database was found free: they stand in one line, and each would wait as long.
BUSY_TIMEOUT_S = 5
WAL_BYTES_MAX = 64 * 1024 * 1024
# So long at most nothing but an urgent write has its turn: a slow disk must not stop the loop.
HELD_S_MAX = 0.005
# About five hundred pages; SQLite's own measure is one thousand.
CHECKPOINT_COMMITS = 64
_BEGIN_WRITING = "BEGIN IMMEDIATE"
# The driver reads damaged text as bad UTF-8, in values and in SQLite's own messages alike.
_ERRORS = (DBAPIError, sqlite3.Error, UnicodeDecodeError)
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# Room may come back and a lock may be given up; everything else means that the file is not what
# this process believes, or that the disk lies.
_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_PASSING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, *_HELD}


class SqliteDatabase:
    """A file in WAL mode with synchronous=FULL; every write is BEGIN IMMEDIATE … COMMIT."""

    def __init__(self, path: Path, failpoint: Failpoint) -> None:
        self.path = path
        self._failpoint = failpoint
        self._broken: str | None = None
        self._is_held = self._is_closed = False
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix="journal-writer")
        self._reader_thread = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")
        self._checkpoint_thread = ThreadPoolExecutor(1, thread_name_prefix="journal-checkpoint")
        self._writer_engine = _engine(path, begin=_BEGIN_WRITING)
        self._reader_engine = _engine(path, begin="BEGIN")
        self._writer: Connection | None = None
        self._reader: Connection | None = None
        self._log = Path(f"{path}-wal")
        self._identity: tuple[tuple[int, int], ...] = ()
        self._commits = 0
        self._checkpointing: asyncio.Task[None] | None = None

    async def open(self, prepare: Callable[[Connection], None]) -> None:
        """Connect and run `prepare` in the writer's thread; it begins its own transactions."""
        await self._in(self._writer_thread, self._open, prepare)

    async def write(self, job: Job, *, urgent: bool = False) -> int:
        """Run a job in the writer's thread."""
        self._require_open()
        if urgent and HELD_S_MAX:
            result = await self._write_undisturbed(job)
        else:
            result = await self._in(self._writer_thread, self._write, job)
        self._commits += 1
        is_idle = self._checkpointing is None or self._checkpointing.done()
        if is_idle and self._commits >= CHECKPOINT_COMMITS:
            self._commits = 0
            self._checkpointing = asyncio.create_task(self._checkpoint())
        return result

    async def _write_undisturbed(self, job: Job) -> int:
        # The loop's thread would only take the interpreter away from the writer's.
        is_written = threading.Event()
        running = self._writer_thread.submit(self._write, job, is_written.set)
        running.add_done_callback(lambda _: is_written.set())
        is_written.wait(HELD_S_MAX)
        # The disk is at work, and nobody has the interpreter: what the order needs is made.
        await asyncio.sleep(0)
        wait((running,), HELD_S_MAX)
        return running.result() if running.done() else await asyncio.wrap_future(running)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a query in the reader's thread."""
        self._require_open()
        return await self._in(self._reader_thread, self._read, work)

    async def read_long(self, work: Callable[[Connection], T]) -> T:
        """Run a query in a thread and on a connection of its own."""
        return await asyncio.to_thread(self._read_apart, work)

    async def close(self) -> None:
        """Checkpoint, close and end all threads."""
        self._is_closed = True
        if self._checkpointing is not None:
            await self._checkpointing
        await self._in(self._reader_thread, self._close, self._reader, self._reader_engine)
        await self._in(self._writer_thread, self._close, self._writer, self._writer_engine)
        for thread in (self._reader_thread, self._checkpoint_thread, self._writer_thread):
            thread.shutdown()

    def _require_open(self) -> None:
        if self._is_closed:
            raise StorageLost(f"the database {self.path} is closed")

    @staticmethod
    async def _in(thread: ThreadPoolExecutor, call: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, partial(call, *args))

    def _open(self, prepare: Callable[[Connection], None]) -> None:
        # Created first, so that no other user of the machine can read it for even a moment.
        self.path.touch(mode=0o600)
        try:
            self._writer = self._writer_engine.connect()
            self._check_pages(self._writer)
            prepare(self._writer)
        except _ERRORS as error:
            code = _primary_code(error)
            is_io = code == sqlite3.SQLITE_IOERR
            if code == sqlite3.SQLITE_FULL or (is_io and room.is_used_up(self.path)):
                raise room.used_up(self.path) from error
            raise _read_error(error, self.path) from error
        database, log = self._files()
        self._identity = _inode(database), _inode(log)

    def _check_pages(self, connection: Connection) -> None:
        with connection.begin():
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise JournalCorrupt(f"{self.path} is damaged: {found}")

    def _write(self, job: Job, on_written: Callable[[], None] = lambda: None) -> int:
        connection = self._writer
        if connection is None:
            raise StorageLost(f"the database {self.path} is not open")
        try:
            self._probe()
            with _transaction(connection):
                result = job.write(connection)
                self._failpoint(f"before_commit:{job.label}")
                on_written()
            self._held(connection, is_held=False)
        except (IntegrityError, sqlite3.IntegrityError):
            with connection.begin():
                raise job.conflict(connection) from None
        except _ERRORS as error:
            self._held(connection, is_held=_primary_code(error) in _HELD)
            return self._save_elsewhere(job, self._unwritable(error))
        except UnwritableError as error:
            self._broken = error.reason
            return job.failed(error, None)
        self._failpoint(f"after_commit:{job.label}")
        job.committed()
        return result

    def _held(self, connection: Connection, *, is_held: bool) -> None:
        if is_held != self._is_held:
            wait_ms = 0 if is_held else int(BUSY_TIMEOUT_S * 1000)
            driver(connection).execute(f"PRAGMA busy_timeout = {wait_ms}")
            self._is_held = is_held

    async def _checkpoint(self) -> None:
        # Most of it is copied beside the writer. What came meanwhile is little, and is copied in
        # the writer's turn: the log begins anew only when nothing of it is left.
        await self._in(self._checkpoint_thread, self._copy_log)
        await self._in(self._writer_thread, self._copy_log)

    def _copy_log(self) -> None:
        if self._broken:
            return
        try:
            # A connection of the driver's own: a checkpoint takes place outside of transactions.
            with contextlib.closing(self._reader_engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except _ERRORS as error:
            reason = f"{self.path}: {_driver_error(error)}"
            if _primary_code(error) != sqlite3.SQLITE_CANTOPEN:
                # After a failed sync the log may be the only place that holds what was promised.
                reason = self._unwritable(error).reason
            # Without a descriptor for one more connection nothing was begun, and nothing is lost.
            logger.warning("checkpoint_failed", extra={"reason": reason})

    def _save_elsewhere(self, job: Job, error: UnwritableError) -> int:
        try:
            with self._reader_engine.connect() as connection, connection.begin():
                return job.failed(error, connection)
        except _ERRORS:
            return job.failed(error, None)

    def _probe(self) -> None:
        """Tell a file that was removed, replaced or locked away, which SQLite writes into still."""
        if self._broken:
            raise UnwritableError(self._broken, is_final=True)
        try:
            database, log = self._files()
        except OSError as error:
            raise UnwritableError(f"{self.path} is gone: {error}", is_final=True) from error
        if (_inode(database), _inode(log)) != self._identity:
            raise UnwritableError(
                f"{self.path} should stay the file that was opened, was replaced", is_final=True
            )
        if not database.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
            raise UnwritableError(f"{self.path} has become read-only", is_final=True)

    def _files(self) -> tuple[os.stat_result, os.stat_result]:
        return self.path.stat(), self._log.stat()

    def _unwritable(self, error: Exception) -> UnwritableError:
        reason = f"{self.path}: {_driver_error(error)}"
        if _primary_code(error) not in _PASSING:
            self._broken = reason
        return UnwritableError(reason, is_final=self._broken is not None)

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            if self._reader is None:
                self._reader = self._reader_engine.connect()
                self._reader.exec_driver_sql("PRAGMA query_only = 1")
                self._reader.rollback()
            with self._reader.begin():
                return work(self._reader)
        except _ERRORS as error:
            # The next read connects anew.
            if self._reader is not None:
                self._reader.invalidate()
                self._reader.close()
                self._reader = None
            raise _read_error(error, self.path) from error

    def _read_apart(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._reader_engine.connect() as connection, connection.begin():
                return work(connection)
        except _ERRORS as error:
            raise _read_error(error, self.path) from error

    @staticmethod
    def _close(connection: Connection | None, engine: Engine) -> None:
        if connection is not None:
            connection.close()
        engine.dispose()


def _inode(file: os.stat_result) -> tuple[int, int]:
    return file.st_dev, file.st_ino


def _engine(path: Path, begin: str) -> Engine:
    url = URL.create("sqlite+pysqlite", database=str(path))
    # isolation_level None: the driver begins nothing by itself.
    arguments = {"timeout": BUSY_TIMEOUT_S, "isolation_level": None, "cached_statements": 256}
    engine = create_engine(url, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
        level = connection.execute("PRAGMA synchronous").fetchone()[0]
        if mode != "wal" or level != 2:
            raise StorageLost(
                f"{path} should run in WAL mode with synchronous 2 (FULL), was {mode} with {level}"
            )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        own = driver(connection)
        if not own.in_transaction:
            own.execute(begin)

    return engine


@contextlib.contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    """Write all of it or nothing; begun past the library, whose way is a tenth of a ms of a stop.

    Statements that go through the library join it, and make it the library's to end.
    """
    own = driver(connection)
    own.execute(_BEGIN_WRITING)
    try:
        yield
        (connection if connection.in_transaction() else own).commit()
    except BaseException:
        (connection if connection.in_transaction() else own).rollback()
        raise


def _driver_error(error: Exception) -> BaseException:
    return error.orig or error if isinstance(error, DBAPIError) else error


def _primary_code(error: Exception) -> int:
    cause = _driver_error(error)
    if isinstance(cause, UnicodeDecodeError):
        return sqlite3.SQLITE_CORRUPT
    code = getattr(cause, "sqlite_errorcode", None)
    # The low byte is the kind, the rest says where it happened.
    return code & 0xFF if isinstance(code, int) else sqlite3.SQLITE_ERROR


def _read_error(error: Exception, path: Path) -> JournalCorrupt | StorageLost:
    cause = _driver_error(error)
    if _primary_code(error) in _DAMAGED or "UTF-8" in str(cause):
        return JournalCorrupt(f"{path} is damaged: {cause}")
    if _primary_code(error) in _HELD:
        return StorageHeld(f"{path} cannot be used: {cause}{_by_whom(path)}")
    return StorageLost(f"{path} cannot be used: {cause}")


def _by_whom(path: Path) -> str:
    # In WAL mode the locks are those of the index beside the log.
    found = holders((path, path.with_name(f"{path.name}-shm")))
    return f" by {' and '.join(found)}" if found else ""
