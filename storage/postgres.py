"""PostgreSQL as the database: one append at a time, and an answer even when a commit's was lost."""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, NullPool, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from storage import schema
from storage.database import Failpoint, Job, StorageAway, StorageHeld, UnwritableError
from trading.domain.errors import InstanceConflict, StorageLost
from trading.domain.redaction import masking_foreign, passwords_of

T = TypeVar("T")
WRITE_DEADLINE_S = 5.0
# What a server that answered nothing has for the way to a commit until it is found well; the
# commit itself may take its time, or a slow server would never be found well.
TRY_DEADLINE_S = 1.0
# So long a server may take to answer one query, or it hangs. A query loses nothing by being given
# up; a commit is given up by the deadline of its write, and looked for afterwards.
ANSWER_DEADLINE_S = WRITE_DEADLINE_S
# Of a start, which may have tables to change, and of what reads the whole journal.
_LONG_ANSWER_DEADLINE_S = 60.0
_CONNECT_DEADLINE_S = 3.0
_RETRY_PAUSE_S = 0.05
# A session whose process died is ended by the server within milliseconds.
_LEASE_PATIENCE_S = 0.5
# So long a start waits for a table that somebody else has locked, before it says so.
LOCK_PATIENCE_S = 5.0
_APPLICATION = "umbra"
# A machine that lost its power says no farewell, and its session keeps the lease: for two hours as
# most servers are set, for half a minute like this. A start after that would be refused so long.
_FAREWELL = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
}
# Any number, the same for every Umbra; advisory locks are per database.
_LEASE_KEY = 0x756D627261
# SQLSTATE classes after which the same transaction may be tried again: connection, transaction
# rollback, operator intervention. A full disk (53) or a refused right (42) will not pass by itself.
_TRY_AGAIN = ("08", "40", "57")
# A start has nothing to lose by waiting for room as well, for data or for one more session.
_AWAITED = (*_TRY_AGAIN, "53")
_LOCK_NOT_AVAILABLE = "55P03"
_VIEW: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
_LOST = (DBAPIError, OSError, TimeoutError, StorageHeld)
# An advisory lock of one number is shown in two halves.
_FIND_HOLDER = text(
    "SELECT held.pid, session.application_name AS program FROM pg_locks AS held "
    "JOIN pg_stat_activity AS session ON session.pid = held.pid "
    "WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1 "
    "AND session.datname = current_database() "
    "AND held.classid = CAST(:high AS bigint) AND held.objid = CAST(:low AS bigint)"
).bindparams(high=_LEASE_KEY >> 32, low=_LEASE_KEY & 0xFFFFFFFF)


class PostgresDatabase:
    """A server that keeps its promise at COMMIT; `synchronous_commit` is on whatever it says."""

    def __init__(self, url: URL, failpoint: Failpoint) -> None:
        # Without its query, which may hold a password as well.
        self._name = url.set(query={}).render_as_string(hide_password=True)
        self._masked = masking_foreign(passwords_of(url.render_as_string(hide_password=False)))
        self._failpoint = failpoint
        self._engine = create_async_engine(
            url, pool_size=4, connect_args=_connect_args(ANSWER_DEADLINE_S)
        )
        # Each time a connection of its own: it is needed seldom, and then for long.
        self._patient = create_async_engine(
            url, poolclass=NullPool, connect_args=_connect_args(_LONG_ANSWER_DEADLINE_S)
        )
        self._views = self._engine.execution_options(**_VIEW)
        self._long_views = self._patient.execution_options(**_VIEW)
        self._lease = PostgresLease(self._engine, self._name)
        self._turn = asyncio.Lock()
        self._writes: set[asyncio.Task[int]] = set()
        # Why the last wait was in vain, and when it ended.
        self._away: str | None = None
        self._away_s = 0.0
        self._is_closed = False

    async def open(self, prepare: Callable[[Connection], None]) -> None:
        """Take the lease, connect and run `prepare`; it begins its own transactions.

        Raises StorageAwaited where that may pass.
        """
        try:
            await self._lease.hold()
            async with self._patient.connect() as connection:
                # For no lock; what comes later has its own deadlines, and another connection.
                await _be_impatient(connection)
                await connection.commit()
                await connection.run_sync(prepare)
        except _LOST as error:
            kind = _kind_at_start(error)
            raise kind(f"{self._name} cannot be used: {self._reason(error)}") from error

    async def write(self, job: Job, *, urgent: bool = False) -> int:
        """Run a job; it goes on to its end although the caller is cancelled."""
        # What talks to a server needs the loop, and cannot hold it.
        del urgent
        self._require_open()
        task = asyncio.create_task(self._write_in_turn(job))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a query in a snapshot of the database."""
        return await self._read(self._views, work)

    async def read_long(self, work: Callable[[Connection], T]) -> T:
        """Run a query of seconds, on a connection of its own, which is given more time."""
        return await self._read(self._long_views, work)

    async def _read(self, views: AsyncEngine, work: Callable[[Connection], T]) -> T:
        self._require_open()
        try:
            async with views.connect() as connection, connection.begin():
                return await connection.run_sync(work)
        except _LOST as error:
            raise StorageLost(f"{self._name} cannot be read: {self._reason(error)}") from error

    async def close(self) -> None:
        """Let writes end, then disconnect."""
        self._is_closed = True
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._lease.release()
        await self._engine.dispose()
        await self._patient.dispose()

    def _reason(self, error: BaseException) -> str:
        if _code(error) == _LOCK_NOT_AVAILABLE:
            return "another session keeps a table of it locked"
        said = str(error.orig if isinstance(error, DBAPIError) else error)
        return self._masked(said) or type(error).__name__

    def _require_open(self) -> None:
        # The pool would connect anew, and the lease be taken again.
        if self._is_closed:
            raise StorageLost(f"{self._name} is closed")

    async def _write_in_turn(self, job: Job) -> int:
        asked_s = asyncio.get_running_loop().time()
        async with self._turn:
            try:
                self._refuse_waiting(job, asked_s)
                result = await self._write(job)
            except UnwritableError as error:
                # It syncs a file; the loop must not wait for that.
                return await asyncio.to_thread(job.failed, error, None)
            self._away = None
            self._failpoint(f"after_commit:{job.label}")
            job.committed()
            return result

    def _refuse_waiting(self, job: Job, asked_s: float) -> None:
        """Once a wait was in vain, nobody waits who can be saved elsewhere or asked before that."""
        if self._away is not None and (job.has_reserve or asked_s <= self._away_s):
            raise UnwritableError(self._away, is_final=False)

    async def _write(self, job: Job) -> int:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + WRITE_DEADLINE_S
        until_s = deadline_s if self._away is None else loop.time() + TRY_DEADLINE_S
        while True:
            try:
                async with asyncio.timeout_at(until_s) as limit:
                    return await self._write_once(job, partial(_extend, limit, deadline_s))
            except _LOST as error:
                may_try_again = _may_try_again(error)
                if not may_try_again or loop.time() + _RETRY_PAUSE_S >= until_s:
                    reason = f"{self._name}: {self._reason(error)}"
                    self._away, self._away_s = reason if may_try_again else None, loop.time()
                    raise UnwritableError(reason, is_final=False) from error
            await asyncio.sleep(_RETRY_PAUSE_S)

    async def _write_once(self, job: Job, on_written: Callable[[], None]) -> int:
        await self._lease.hold()
        async with self._engine.connect() as connection:
            try:
                async with connection.begin():
                    result = await connection.run_sync(job.write)
                    on_written()
                    self._failpoint(f"before_commit:{job.label}")
            except IntegrityError:
                async with connection.begin():
                    raise await connection.run_sync(job.conflict) from None
        return result


class PostgresLease:
    """One process per database: an advisory lock that lives as long as one session."""

    def __init__(self, engine: AsyncEngine, name: str) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._name = name
        self._connection: AsyncConnection | None = None

    async def hold(self) -> None:
        """Take the lock, or take it again after the session was lost; raises InstanceConflict."""
        if self._connection is not None and not await _is_closed(self._connection):
            return
        await self.release()
        connection = await self._engine.connect()
        try:
            await self._take(connection)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection

    async def release(self) -> None:
        """End the session, and the lock with it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*_LOST):
                # Not back into the pool: the session itself is the lock.
                await connection.invalidate()
                await connection.close()

    async def _take(self, connection: AsyncConnection) -> None:
        # For as long as the session lives: whoever holds a table must not keep its name from us.
        await _be_impatient(connection)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LEASE_PATIENCE_S
        query = text("SELECT pg_try_advisory_lock(:key)").bindparams(key=_LEASE_KEY)
        while not (await connection.execute(query)).scalar():
            if loop.time() >= deadline:
                if program := await _other_program(connection):
                    raise StorageHeld(f"the lock that Umbra takes is held by {program}")
                holder = await _holder(connection)
                raise InstanceConflict(
                    f"{self._name} is in use by {holder}",
                    "stop that one first, two agents must not share a database",
                )
            await asyncio.sleep(_RETRY_PAUSE_S)


def _connect_args(answer_deadline_s: float) -> dict[str, Any]:
    return {
        "timeout": _CONNECT_DEADLINE_S,
        "command_timeout": answer_deadline_s,
        "server_settings": {
            "synchronous_commit": "on",
            "application_name": _APPLICATION,
            **_FAREWELL,
        },
    }


def _extend(limit: asyncio.Timeout, until_s: float) -> None:
    if not limit.expired():
        limit.reschedule(until_s)


async def _is_closed(connection: AsyncConnection) -> bool:
    if connection.invalidated:
        return True
    raw: Any = (await connection.get_raw_connection()).driver_connection
    return bool(raw.is_closed())


async def _be_impatient(connection: AsyncConnection) -> None:
    await connection.execute(text(f"SET lock_timeout = {LOCK_PATIENCE_S * 1000:.0f}"))


def _kind_at_start(error: BaseException) -> type[StorageLost]:
    code = _code(error)
    if isinstance(error, StorageHeld) or code == _LOCK_NOT_AVAILABLE:
        return StorageHeld
    return StorageAway if _may_try_again(error, _AWAITED) else StorageLost


async def _other_program(connection: AsyncConnection) -> str:
    """Name who holds the lock where that is no Umbra; empty where it is one, or was."""
    found = (await connection.execute(_FIND_HOLDER)).one_or_none()
    if found is None or found.program == _APPLICATION:
        return ""
    return f"pid {found.pid} of the server ({found.program or 'a program without a name'})"


async def _holder(connection: AsyncConnection) -> str:
    try:
        found = (await connection.execute(schema.lease.select())).one_or_none()
    except DBAPIError:
        return "another process"  # which has not made the tables yet
    return found.holder if found else "another process"


def _may_try_again(error: BaseException, passing: tuple[str, ...] = _TRY_AGAIN) -> bool:
    if not isinstance(error, DBAPIError):
        return True
    code = _code(error)
    return error.connection_invalidated or code is None or code.startswith(passing)


def _code(error: BaseException) -> str | None:
    return getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
