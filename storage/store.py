"""The store as the trading core sees it: a journal, its records, and the right to write them."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from storage import codec, integrity, migration, projections, queries, schema, snapshots
from storage.database import Database, Failpoint, StorageAway, no_failpoint
from storage.high_water import HighWater, has_reached, lost
from storage.lease import DatabaseLock, Lease, current_lease, next_lease
from storage.ledger import Ledger, drained_generation
from storage.reserve import Reserve
from storage.sqlite import SqliteDatabase
from storage.statements import driver
from storage.unbroken import unbroken
from trading.domain.chat import OutboxMessage, Person
from trading.domain.errors import SettingsInvalid, StorageLost, UmbraError
from trading.domain.events import Event
from trading.domain.order import Attempt, Fill, Intent
from trading.domain.position import RoundTrip
from trading.domain.tracker import Tracker
from trading.ports.clock import Clock
from trading.ports.storage import (
    LostRecords,
    PendingUpdate,
    Recorded,
    StoredConfirmation,
    StoredState,
)

if TYPE_CHECKING:
    from storage.postgres import PostgresDatabase

logger = logging.getLogger(__name__)


class SqlJournal:
    """The Journal port on a database."""

    def __init__(self, database: Database, ledger: Ledger, snapshots: "Snapshots") -> None:
        self._database = database
        self._ledger = ledger
        self._snapshots = snapshots
        self._written_seq = self._under_way = 0
        self._is_sure = False

    @property
    def written_seq(self) -> int:
        """The seq of the newest append of this process; 0 where that is not known for certain."""
        return self._written_seq if self._is_sure and not self._under_way else 0

    async def append(self, *events: Event, reserve: bool = False, urgent: bool = False) -> int:
        """Make all events durable in one transaction and return the last seq (0: in reserve).

        Without events it takes in what the reserve holds, and probes the database. A cancellation
        while it is written takes effect at the caller's next wait: what is durable is known.
        """
        job = self._ledger.append(events, reserve=reserve)
        self._under_way += 1
        self._is_sure = False
        try:
            writing = self._database.write(job, urgent=urgent)
            # What is urgent is awaited by a task of its own, and every turn of the loop counts.
            seq = await (writing if urgent else unbroken(writing))
        finally:
            self._under_way -= 1
        self._written_seq, self._is_sure = max(self._written_seq, seq), True
        self._snapshots.note(seq)
        return seq

    async def events(
        self, after_seq: int = 0, limit: int = 1000, kinds: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Return events with a greater seq in order."""
        return await self._database.read(
            partial(queries.events_after, after_seq=after_seq, limit=limit, kinds=kinds)
        )

    async def latest(self, limit: int, kinds: Sequence[str] = ()) -> Sequence[Recorded]:
        """Return the newest events, newest first."""
        return await self._database.read(partial(queries.latest_events, limit=limit, kinds=kinds))

    async def verify(self) -> int:
        """Check the whole hash chain and return the last seq; raises JournalCorrupt."""
        return await self._database.read_long(integrity.verify_chain)


class SqlRecords:
    """The Records port on a database."""

    def __init__(
        self, database: Database, clock: Clock, lost_records: LostRecords | None = None
    ) -> None:
        self._read = database.read
        self._clock = clock
        self.lost_records = lost_records

    async def state(self) -> StoredState:
        """Load what still matters at start, and what the journal lacks of an earlier one."""
        found = await self._read(partial(queries.state, now=self._clock.now()))
        return replace(found, lost=self.lost_records)

    async def trackers(self, limit: int = 100) -> Sequence[Tracker]:
        """Return all trackers, newest first."""
        return await self._read(partial(queries.trackers, limit=limit))

    async def tracker(self, tracker_id: int) -> Tracker | None:
        """Return one tracker, live or ended."""
        return await self._read(partial(queries.tracker, tracker_id=tracker_id))

    async def intent(self, intent_id: str) -> Intent | None:
        """Return one decision."""
        return await self._read(partial(queries.intent, intent_id=intent_id))

    async def attempts(self, intent_id: str) -> Sequence[Attempt]:
        """Return all attempts of an intent in order."""
        return await self._read(partial(queries.attempts, intent_id=intent_id))

    async def fills(
        self, symbol: str | None = None, since: datetime | None = None, limit: int = 1000
    ) -> Sequence[Fill]:
        """Return booked fills, newest first."""
        return await self._read(partial(queries.fills, symbol=symbol, since=since, limit=limit))

    async def intent_fills(self, intent_id: str) -> Sequence[Fill]:
        """Return the fills of one decision in order."""
        return await self._read(partial(queries.intent_fills, intent_id=intent_id))

    async def round_trips(
        self, since: datetime | None = None, limit: int = 100
    ) -> Sequence[RoundTrip]:
        """Return finished exits, newest first."""
        return await self._read(partial(queries.round_trips, since=since, limit=limit))

    async def people(self) -> Sequence[Person]:
        """Return everybody ever admitted."""
        return await self._read(queries.people)

    async def pending_updates(self) -> Sequence[PendingUpdate]:
        """Return stored, unhandled updates in order."""
        return await self._read(queries.pending_updates)

    async def last_update_id(self) -> int | None:
        """Return the id of the update received last."""
        return await self._read(queries.last_update_id)

    async def pending_messages(self, limit: int = 200) -> Sequence[OutboxMessage]:
        """Return undelivered messages: CRIT first, then by age."""
        return await self._read(partial(queries.pending_messages, limit=limit))

    async def card_message_id(self, chat_id: int, card: str) -> int | None:
        """Return the chat service's id of the newest delivered message of a card."""
        return await self._read(partial(queries.card_message_id, chat_id=chat_id, card=card))

    async def card_chats(self, card: str) -> Sequence[int]:
        """Return the chats that a card was sent to, or is about to be."""
        return await self._read(partial(queries.card_chats, card=card))

    async def addressed_seq(self) -> int:
        """Return the seq up to which events have been turned into messages."""
        return await self._read(queries.addressed_seq)

    async def confirmation(self, nonce: str) -> StoredConfirmation | None:
        """Return one question."""
        return await self._read(partial(queries.confirmation, nonce=nonce))

    async def last_runs(self) -> Mapping[str, datetime]:
        """Return when each recorded job ran last."""
        return await self._read(queries.last_runs)


class Snapshots:
    """Takes a snapshot now and then, beside the appends."""

    def __init__(self, database: Database, clock: Clock, taken_at_seq: int) -> None:
        self._database = database
        self._clock = clock
        self._taken_at_seq = self._seq = taken_at_seq
        self._task: asyncio.Task[None] | None = None

    def note(self, seq: int) -> None:
        """Take one in the background when enough has happened since the last one."""
        self._seq = max(self._seq, seq)
        is_due = self._seq - self._taken_at_seq >= snapshots.SNAPSHOT_EVENTS
        if is_due and (self._task is None or self._task.done()):
            self._taken_at_seq = self._seq
            self._task = asyncio.create_task(self._take())

    async def close(self) -> None:
        """Take a last one, so that the next start has little to check."""
        if self._task is not None:
            await self._task
        if self._seq - self._taken_at_seq >= snapshots.SNAPSHOT_EVENTS // 20:
            await self._take()

    async def _take(self) -> None:
        try:
            taken = await self._database.read_long(partial(snapshots.take, at=self._clock.now()))
            await self._database.write(snapshots.SaveSnapshot(taken))
        except UmbraError as error:
            logger.warning("snapshot_skipped", extra={"reason": str(error)})


class Store:
    """An open database: the only writer while it lives.

    `findings` are sentences on what the start had to repair; each deserves a CRIT alert.
    """

    def __init__(
        self, database: Database, opening: "_Opening", clock: Clock, release: Callable[[], None]
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
    url: str, clock: Clock, *, data_dir: Path, failpoint: Failpoint = no_failpoint
) -> Store:
    """Open or create the database at a SQLAlchemy async URL and recover what a crash left.

    `failpoint` is called with `before_commit:<kinds>` and `after_commit:<kinds>`. Raises
    SettingsInvalid, InstanceConflict, JournalCorrupt or StorageLost; StorageAwaited where that may
    pass. A server that does not answer is awaited where it once did: at a first start it is
    likelier a wrong address.
    """
    parsed = _parse(url)
    try:
        if parsed.drivername == "sqlite+aiosqlite":
            return await _open_sqlite(Path(parsed.database or ""), clock, failpoint)
        return await _open_postgres(parsed, clock, data_dir, failpoint)
    except OSError as error:
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
        shown = parsed.render_as_string(hide_password=True)
        raise SettingsInvalid(
            f"UMBRA_DATABASE_URL should name a SQLite file or a PostgreSQL database, was {shown}; "
            f"{_EXAMPLE}"
        )
    return parsed


async def _open_sqlite(path: Path, clock: Clock, failpoint: Failpoint) -> Store:
    lock = DatabaseLock(path)
    lock.take()
    database = SqliteDatabase(path, failpoint)
    reserve_path = path.with_name(f"{path.name}.reserve")
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
        if has_reached(_mark_beside(reserve_path)):
            raise
        raise StorageLost(str(error)) from error


async def _open(
    database: "SqliteDatabase | PostgresDatabase",
    reserve_path: Path,
    clock: Clock,
    back_up: Callable[[Connection, str], None] = lambda _connection, _revision: None,
    release: Callable[[], None] = lambda: None,
) -> Store:
    opened: list[_Opening] = []
    try:
        await database.open(
            lambda connection: opened.append(_prepare(connection, reserve_path, clock, back_up))
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


@dataclass(frozen=True, slots=True)
class _Opening:
    """What a start found and made."""

    ledger: Ledger
    last_seq: int
    snapshot_seq: int
    findings: tuple[str, ...]
    lost_records: LostRecords | None


def _prepare(
    connection: Connection,
    reserve_path: Path,
    clock: Clock,
    back_up: Callable[[Connection, str], None],
) -> _Opening:
    findings = []
    is_new = migration.upgrade(connection, back_up)
    with connection.begin():
        last_seq = integrity.verify_chain(connection)
        if not snapshots.check(connection):
            snapshots.rebuild(connection)
            findings.append("the stored state differed from the journal and was made anew from it")
        snapshot_seq = snapshots.newest_seq(connection)
        generation = drained_generation(connection)
        high_water = HighWater(_mark_beside(reserve_path))
        lost_records = lost(connection, high_water.read())
        # Kept until somebody was told of it, durably.
        high_water.is_held = lost_records is not None
    lease, lost_reason = _take_over(connection)
    if is_new and reserve_path.exists():
        # It belongs to a database that is no longer here; kept for whoever looks for it.
        reserve_path.replace(reserve_path.with_name(f"{reserve_path.name}.orphaned"))
    reserve = Reserve(reserve_path, generation)
    if reserve.has_pending:
        findings.append(f"{len(reserve.pending)} records were taken in from {reserve_path.name}")
    if lost_reason:
        findings.append(f"the database takes no writes: {lost_reason}")
    ledger = Ledger(lease, reserve, lost_reason, high_water)
    codec.make_ready()
    projections.make_ready(connection)
    return _Opening(ledger, last_seq, snapshot_seq, tuple(findings), lost_records)


def _mark_beside(reserve_path: Path) -> Path:
    return reserve_path.with_suffix(".mark")


def _take_over(connection: Connection) -> tuple[Lease, str]:
    """Become the writer; on a full disk at least the one who may use the reserve."""
    try:
        with connection.begin():
            return next_lease(connection), ""
    except OperationalError as error:
        with connection.begin():
            lease = current_lease(connection)
        if lease is None:
            raise
        return lease, str(error.orig)


def _back_up(path: Path, connection: Connection, revision: str) -> None:
    copy = path.with_name(f"{path.name}.before-{schema.REVISION}-was-{revision}")
    copy.unlink(missing_ok=True)
    # Past SQLAlchemy, which would begin a transaction: VACUUM runs outside of one.
    driver(connection).execute("VACUUM INTO ?", (str(copy),))
