"""What the projections were at some moment: so that a start can check them without all history.

A snapshot is bound to the journal by the hash of its last row. A start takes the newest one,
applies the events since, and compares with the projections as they are stored. Where they differ,
the journal is right, and the projections are made anew from it.

Ten thousand trackers are megabytes: they are written out a few at a time, so that the interpreter
is free in between, and packed before a writer, whom stops wait for, has anything to do with it.
"""

import asyncio
import base64
import hashlib
import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from pydantic import TypeAdapter
from sqlalchemy import Connection, delete, insert, select

from storage import queries, schema
from storage.codec import GENESIS, decode
from storage.database import Database, UnwritableError
from storage.fold import Fold
from storage.projections import project
from trading.domain import events
from trading.domain.chat import OutboxMessage, Person, Severity
from trading.domain.errors import JournalCorrupt, UmbraError
from trading.domain.events import Event
from trading.domain.order import Attempt
from trading.domain.position import Position
from trading.domain.tracker import Tracker
from trading.ports.clock import Clock
from trading.ports.storage import PendingUpdate, StoredState

logger = logging.getLogger(__name__)

SNAPSHOT_EVENTS = 20_000
_KEPT = 2
_PAGE = 2000
_ALL = 2**31 - 1
# Half a millisecond in which nothing else has the interpreter.
_TRACKERS_PER_LINE = 50
# Little work: it leaves a twelfth, and more of it would hardly leave less.
_PACKING = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Live:
    """Everything that a start depends on, at `at`."""

    at: datetime = _EPOCH
    state: StoredState = field(default_factory=StoredState)
    positions: Mapping[str, Position] = field(default_factory=dict)
    people: Sequence[Person] = ()
    updates: Sequence[PendingUpdate] = ()
    last_update_id: int | None = None
    messages: Sequence[OutboxMessage] = ()
    addressed_seq: int = 0
    last_runs: Mapping[str, datetime] = field(default_factory=dict)
    open_questions: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is stored of it; `document` is packed text, `digest` binds that text to the journal."""

    seq: int
    document: str
    digest: bytes


_LIVE = TypeAdapter(Live)
_TRACKERS = TypeAdapter(list[Tracker])


def read_live(connection: Connection, at: datetime) -> Live:
    """Read the projections as they would be at `at`."""
    return Live(
        at=at,
        state=queries.state(connection, at),
        positions=queries.all_positions(connection),
        people=queries.people(connection),
        updates=queries.pending_updates(connection),
        last_update_id=queries.last_update_id(connection),
        messages=queries.pending_messages(connection, _ALL),
        addressed_seq=queries.addressed_seq(connection),
        last_runs=queries.last_runs(connection),
        open_questions=queries.open_questions(connection),
    )


def newest_seq(connection: Connection) -> int:
    """Return the seq of the newest snapshot; 0 for none."""
    query = select(schema.snapshots.c.seq).order_by(schema.snapshots.c.seq.desc()).limit(1)
    return connection.execute(query).scalar() or 0


def take(connection: Connection, at: datetime) -> Snapshot:
    """Read and pack everything as it would be at `at`: seconds of work for a reader's thread."""
    live = read_live(connection, at)
    text = _written(live)
    packed = base64.b64encode(zlib.compress(text, _PACKING)).decode()
    seq = live.state.last_seq
    return Snapshot(seq, packed, _digest(connection, seq, text))


def save(connection: Connection, snapshot: Snapshot) -> None:
    """Store a snapshot, and drop the oldest ones."""
    table, seq = schema.snapshots, snapshot.seq
    connection.execute(delete(table).where(table.c.seq == seq))
    connection.execute(
        insert(table).values(seq=seq, document=snapshot.document, digest=snapshot.digest)
    )
    query = select(table.c.seq).order_by(table.c.seq.desc()).offset(_KEPT)
    old = [row[0] for row in connection.execute(query)]
    connection.execute(delete(table).where(table.c.seq.in_(old)))


def check(connection: Connection) -> bool:
    """Whether the projections are what the journal says; raises JournalCorrupt."""
    live = _newest(connection)
    expected = _Replay(live)
    for seq, event in _events(connection, live.state.last_seq):
        expected.add(seq, event)
    try:
        found = read_live(connection, live.at)
    except JournalCorrupt:
        return False
    return expected.live() == _comparable(found)


def rebuild(connection: Connection) -> None:
    """Make all projections anew from the journal."""
    for table in (*schema.PROJECTIONS, schema.snapshots):
        connection.execute(delete(table))
    connection.execute(delete(schema.meta).where(schema.meta.c.name.in_(queries.PROJECTED)))
    for seq, event in _events(connection, 0):
        project(event, seq, connection)


def _newest(connection: Connection) -> Live:
    table = schema.snapshots
    for row in connection.execute(select(table).order_by(table.c.seq.desc())).all():
        # One that does not fit its digest is as good as none: there is an older one, or the start.
        text = _unpacked(row.document)
        if _digest(connection, row.seq, text) == bytes(row.digest):
            return _read(text)
    return Live()


def _written(live: Live) -> bytes:
    """Return a line with everything but the trackers, and lines of some trackers each."""
    trackers = live.state.trackers
    rest = replace(live, state=replace(live.state, trackers=[]))
    parts = (
        list(trackers[begin : begin + _TRACKERS_PER_LINE])
        for begin in range(0, len(trackers), _TRACKERS_PER_LINE)
    )
    return b"\n".join([_LIVE.dump_json(rest), *map(_TRACKERS.dump_json, parts)])


def _read(text: bytes) -> Live:
    first, *lines = text.split(b"\n")
    live = _LIVE.validate_json(first)
    trackers = [one for line in lines for one in _TRACKERS.validate_json(line)]
    # Former versions had everything in the first line.
    state = replace(live.state, trackers=[*live.state.trackers, *trackers])
    return replace(live, state=state)


def _unpacked(document: str) -> bytes:
    if document.startswith("{"):
        # As former versions stored it.
        return document.encode()
    try:
        return zlib.decompress(base64.b64decode(document, validate=True))
    except (ValueError, zlib.error):
        return b""


def _digest(connection: Connection, seq: int, text: bytes) -> bytes:
    table = schema.journal
    found = connection.execute(select(table.c.hash).where(table.c.seq == seq)).scalar()
    if found is None and seq:
        raise JournalCorrupt(f"a snapshot was taken at event {seq}, which the journal has lost")
    return hashlib.sha256(bytes(found or GENESIS) + text).digest()


def _events(connection: Connection, after_seq: int) -> Iterator[tuple[int, Event]]:
    table = schema.journal
    query = select(table.c.seq, table.c.kind, table.c.payload).order_by(table.c.seq)
    while True:
        page = connection.execute(query.where(table.c.seq > after_seq).limit(_PAGE)).all()
        if not page:
            return
        for seq, kind, payload in page:
            yield seq, decode(kind, payload)
        after_seq = page[-1][0]


class _Replay:
    """A snapshot and the events after it."""

    def __init__(self, live: Live) -> None:
        self._at = live.at
        self._fold = Fold.of(live.state, live.positions, live.at)
        self._people = {person.user_id: person for person in live.people}
        self._updates = {one.update.update_id: one for one in live.updates}
        self._last_update_id = live.last_update_id
        self._messages = {one.message_key: one for one in live.messages}
        self._addressed_seq = live.addressed_seq
        self._last_runs = dict(live.last_runs)
        self._open_questions = set(live.open_questions)

    def add(self, seq: int, event: Event) -> None:
        self._fold.add(seq, event)
        match event:
            case events.PersonChanged(person=person):
                self._people[person.user_id] = person
            case events.UpdateReceived(update=update):
                self._updates[update.update_id] = PendingUpdate(seq, update)
                self._last_update_id = update.update_id
            case events.UpdateHandled(update_id=update_id):
                self._updates.pop(update_id, None)
            case events.MessageQueued(message=message):
                self._messages[message.message_key] = message
            case events.MessageDelivered(message_key=key):
                self._messages.pop(key, None)
            case events.EventsAddressed(up_to_seq=up_to):
                self._addressed_seq = max(self._addressed_seq, up_to)
            case events.ConfirmationAsked(confirmation=asked):
                self._open_questions.add(asked.nonce)
            case events.ConfirmationAnswered(nonce=nonce):
                self._open_questions.discard(nonce)
            case events.JobRan(job=job, at=at):
                self._last_runs[job] = at

    def live(self) -> Live:
        messages = sorted(
            self._messages.values(), key=lambda one: one.severity is not Severity.CRIT
        )
        return _comparable(
            Live(
                at=self._at,
                state=self._fold.state(self._at),
                positions=self._fold.positions,
                people=[person for _, person in sorted(self._people.items())],
                updates=list(self._updates.values()),
                last_update_id=self._last_update_id,
                messages=messages,
                addressed_seq=self._addressed_seq,
                last_runs=self._last_runs,
                open_questions=sorted(self._open_questions),
            )
        )


def _comparable(live: Live) -> Live:
    """Leave out what a snapshot cannot know: the past of an intent that is opened once more."""
    state = replace(
        live.state,
        intents=sorted(live.state.intents, key=lambda one: one.intent_id),
        attempts=_sorted(one for one in live.state.attempts if not one.state.is_terminal),
        watched_attempts=_sorted(live.state.watched_attempts),
    )
    return replace(live, state=state)


def _sorted(attempts: Iterable[Attempt]) -> list[Attempt]:
    return sorted(attempts, key=lambda one: one.client_order_id)


class SaveSnapshot:
    """A job that stores a snapshot; when it cannot, the next one will."""

    label = "Snapshot"
    has_reserve = False

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def write(self, connection: Connection) -> int:
        """Store it and return its seq."""
        save(connection, self._snapshot)
        return self._snapshot.seq

    def conflict(self, connection: Connection) -> Exception:
        """Never happens: an older snapshot of the same seq is replaced."""
        return JournalCorrupt(f"two snapshots of event {newest_seq(connection)}")

    def committed(self) -> None:
        """Nothing follows."""

    def failed(self, error: UnwritableError, connection: Connection | None) -> int:
        """Do without."""
        logger.warning(
            "snapshot_skipped", extra={"reason": error.reason, "can_read": connection is not None}
        )
        return 0


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
        is_due = self._seq - self._taken_at_seq >= SNAPSHOT_EVENTS
        if is_due and (self._task is None or self._task.done()):
            self._taken_at_seq = self._seq
            self._task = asyncio.create_task(self._take())

    async def close(self) -> None:
        """Take a last one, so that the next start has little to check."""
        if self._task is not None:
            await self._task
        if self._seq - self._taken_at_seq >= SNAPSHOT_EVENTS // 20:
            await self._take()

    async def _take(self) -> None:
        try:
            taken = await self._database.read_long(partial(take, at=self._clock.now()))
            await self._database.write(SaveSnapshot(taken))
        except UmbraError as error:
            logger.warning("snapshot_skipped", extra={"reason": str(error)})
