"""The store as the trading core sees it: a journal, its records, and the right to write them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from storage import integrity, migration, queries
from storage.database import Database, Failpoint, no_failpoint
from storage.lease import DatabaseLock, next_epoch
from storage.ledger import Ledger, drained_generation
from storage.reserve import Reserve
from storage.sqlite import SqliteDatabase
from trading.domain.chat import OutboxMessage, Person
from trading.domain.errors import SettingsInvalid
from trading.domain.events import Event
from trading.domain.order import Attempt, Fill, Intent
from trading.domain.position import RoundTrip
from trading.domain.tracker import Tracker
from trading.ports import Clock, PendingUpdate, Recorded, StoredConfirmation, StoredState

T = TypeVar("T")


class SqlJournal:
    """The Journal port on a database."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger

    async def append(self, *events: Event, reserve: bool = False) -> int:
        """Make all events durable in one transaction and return the last seq (0: in reserve)."""
        return await self._database.write(self._ledger.append(events, reserve=reserve))

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

    def __init__(self, database: Database, clock: Clock) -> None:
        self._read = database.read
        self._clock = clock

    async def state(self) -> StoredState:
        """Load what still matters at start."""
        return await self._read(partial(queries.state, now=self._clock.now()))

    async def trackers(self, limit: int = 100) -> Sequence[Tracker]:
        """Return all trackers, newest first."""
        return await self._read(partial(queries.trackers, limit=limit))

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

    async def addressed_seq(self) -> int:
        """Return the seq up to which events have been turned into messages."""
        return await self._read(queries.addressed_seq)

    async def confirmation(self, nonce: str) -> StoredConfirmation | None:
        """Return one question."""
        return await self._read(partial(queries.confirmation, nonce=nonce))

    async def last_runs(self) -> Mapping[str, datetime]:
        """Return when each recorded job ran last."""
        return await self._read(queries.last_runs)


class Store:
    """An open database: the only writer while it lives."""

    def __init__(
        self, database: Database, ledger: Ledger, clock: Clock, release: Callable[[], None]
    ) -> None:
        self.journal = SqlJournal(database, ledger)
        self.records = SqlRecords(database, clock)
        self._database = database
        self._ledger = ledger
        self._release = release

    @property
    def is_degraded(self) -> bool:
        """Whether the last append failed, or the reserve holds what the journal lacks."""
        return self._ledger.is_degraded

    @property
    def lost_reason(self) -> str:
        """Why the last append failed; empty when it did not."""
        return self._ledger.lost_reason

    async def close(self) -> None:
        """Finish, checkpoint and let another process in."""
        await self._database.close()
        self._ledger.reserve.close()
        self._release()


async def open_store(
    url: str, clock: Clock, *, data_dir: Path, failpoint: Failpoint = no_failpoint
) -> Store:
    """Open or create the database at a SQLAlchemy async URL and recover what a crash left.

    `failpoint` is called with `before_commit:<kinds>` and `after_commit:<kinds>`. Raises
    SettingsInvalid, InstanceConflict, JournalCorrupt or StorageLost.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingsInvalid(f"UMBRA_DATABASE_URL is not a URL; {_EXAMPLE}") from error
    if parsed.drivername == "sqlite+aiosqlite" and parsed.database not in (None, "", ":memory:"):
        return await _open_sqlite(Path(parsed.database or ""), clock, failpoint)
    raise SettingsInvalid(
        f"UMBRA_DATABASE_URL should name a database, was {parsed.render_as_string()}; {_EXAMPLE}"
    )


_EXAMPLE = (
    "for example sqlite+aiosqlite:////home/me/umbra.sqlite "
    "or postgresql+asyncpg://umbra@127.0.0.1/umbra"
)


async def _open_sqlite(path: Path, clock: Clock, failpoint: Failpoint) -> Store:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = DatabaseLock(path)
    lock.take()
    database = SqliteDatabase(path, failpoint)
    opened: list[Ledger] = []

    def prepare(connection: Connection) -> None:
        opened.append(_prepare(connection, path.with_name(f"{path.name}.reserve")))

    try:
        await database.open(prepare)
        ledger = opened[0]
        store = Store(database, ledger, clock, lock.release)
        if ledger.reserve.has_pending:
            await store.journal.append()
    except BaseException:
        await database.close()
        lock.release()
        raise
    return store


def _prepare(connection: Connection, reserve_path: Path) -> Ledger:
    migration.upgrade(connection, partial(_back_up, connection))
    with connection.begin():
        integrity.verify_chain(connection)
        epoch = next_epoch(connection)
        generation = drained_generation(connection)
    return Ledger(epoch, Reserve(reserve_path, generation))


def _back_up(connection: Connection, revision: str) -> None:
    """Keep a copy of a SQLite database beside it, named for the revision it is at."""
