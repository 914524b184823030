"""Appending: fencing, the chain, the keys, the reserve and the projections of one transaction."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, literal, select, true

from storage import schema
from storage.codec import GENESIS, Row, chain, identity
from storage.database import UnwritableError
from storage.high_water import HighWater, Tip
from storage.lease import Lease
from storage.projections import JOURNAL_END, PROBES, RESERVE_DRAINED, project
from storage.reserve import Reserve, ReserveFull
from storage.statements import fixed, insert, upsert
from trading.domain.errors import AlreadyRecorded, InstanceConflict, JournalCorrupt, StorageLost
from trading.domain.events import Event

_tip = (
    select(schema.journal.c.seq, schema.journal.c.hash)
    .order_by(schema.journal.c.seq.desc())
    .limit(1)
    .subquery()
)
_fence = fixed(
    select(schema.lease.c.epoch, schema.lease.c.holder, _tip.c.seq, _tip.c.hash)
    .select_from(schema.lease.outerjoin(_tip, true()))
    .with_for_update(of=schema.lease)
)
_wait = fixed(select(schema.lease.c.epoch).with_for_update())
_insert_row = insert(schema.journal)
_set_meta = upsert(schema.meta)
_find_key = fixed(
    select(literal(1)).where(
        schema.journal.c.kind == bindparam("kind"), schema.journal.c.key == bindparam("key")
    )
)
_find_hash = fixed(select(schema.journal.c.hash).where(schema.journal.c.seq == bindparam("seq")))


class Ledger:
    """This process's right to append, and how its appends have fared."""

    def __init__(
        self,
        lease: Lease,
        reserve: Reserve,
        lost_reason: str = "",
        high_water: HighWater | None = None,
    ) -> None:
        self.lease = lease
        self.reserve = reserve
        self.high_water = high_water
        self.lost_reason = lost_reason
        self.is_broken = False
        self._probes = 0

    def close(self) -> None:
        """Let the files beside the database go."""
        self.reserve.close()
        if self.high_water is not None:
            self.high_water.close()

    @property
    def is_degraded(self) -> bool:
        """Whether the database took not the last append, or still misses what the reserve has."""
        return bool(self.lost_reason) or self.reserve.has_pending

    def next_probe(self) -> int:
        """Return a number that the last probe has not written."""
        self._probes += 1
        return self._probes

    def append(self, events: Sequence[Event], *, reserve: bool) -> "Append":
        """Prepare one append; raises AlreadyRecorded when it contradicts itself."""
        seen: set[tuple[str, str]] = set()
        for event in events:
            name = identity(event)
            if name in seen:
                raise AlreadyRecorded(*name)
            if name is not None:
                seen.add(name)
        return Append(self, tuple(events), may_reserve=reserve)


class Append:
    """One append on its way: a Job of the database."""

    def __init__(self, ledger: Ledger, events: tuple[Event, ...], *, may_reserve: bool) -> None:
        self._ledger = ledger
        self._events = events
        self._may_reserve = may_reserve
        # The end of the journal as it will be; known before the commit, so that a commit whose
        # answer was lost can be recognised.
        self._tip: tuple[int, bytes] | None = None
        self._drained = 0

    @property
    def label(self) -> str:
        """The kinds of the events."""
        return "+".join(event.kind for event in self._events)

    @property
    def has_reserve(self) -> bool:
        """Whether the reserve takes what the database does not."""
        return self._may_reserve

    def write(self, connection: Connection) -> int:
        """Append what the reserve holds, then these events; raises InstanceConflict."""
        if self._tip is not None:
            # The transaction before this one may still be on its way to its commit: wait for it,
            # with a statement of its own, so that the next one sees what it left.
            _wait.run(connection)
            if _holds(connection, self._tip):
                return self._tip[0]
        seq, last_hash = self._check_lease(connection)
        events = [*self._undrained(connection), *self._events]
        rows = chain(events, self._ledger.lease.epoch, seq, last_hash)
        if not rows:
            # A probe that writes nothing would call a full disk well.
            _set_meta.change(connection, name=PROBES, number=self._ledger.next_probe())
            return seq
        self._tip = (rows[-1].seq, rows[-1].hash)
        add(connection, rows, events)
        return rows[-1].seq

    def conflict(self, connection: Connection) -> Exception:
        """Name the key that exists already."""
        found = _first_known(connection, self._events)
        found = found or self._ledger.reserve.first_known(self._events)
        if found is not None:
            return AlreadyRecorded(*found)
        return JournalCorrupt(f"the projections contradict the journal while storing {self.label}")

    def committed(self) -> None:
        """The database is well, and the reserve is part of it."""
        self._ledger.lost_reason = ""
        self._ledger.reserve.drained(self._drained)
        if self._tip is not None and self._ledger.high_water is not None:
            self._ledger.high_water.reached(Tip(*self._tip))

    def failed(self, error: UnwritableError, connection: Connection | None) -> int:
        """Put the events into the reserve, or raise StorageLost."""
        ledger = self._ledger
        ledger.lost_reason = error.reason
        ledger.is_broken = ledger.is_broken or error.is_final
        if not self._may_reserve:
            raise StorageLost(f"the journal cannot be written: {error.reason}") from error
        known = ledger.reserve.first_known(self._events)
        if known is None and connection is not None:
            known = _first_known(connection, self._events)
        if known is not None:
            raise AlreadyRecorded(*known) from error
        try:
            ledger.reserve.write(self._events, self._tip)
        except ReserveFull as full:
            raise StorageLost(f"the journal cannot be written: {error.reason}; {full}") from full
        return 0

    def _check_lease(self, connection: Connection) -> tuple[int, bytes]:
        found = _fence.row(connection)
        if found is None:
            raise JournalCorrupt("the database should name who may write, names nobody")
        epoch, holder, seq, last_hash = found
        if epoch != self._ledger.lease.epoch:
            raise InstanceConflict(
                f"another agent ({holder}) has taken this database over; this one stops writing"
            )
        return (seq, bytes(last_hash)) if seq is not None else (0, GENESIS)

    def _undrained(self, connection: Connection) -> Iterable[Event]:
        reserve = self._ledger.reserve
        self._drained = 0
        if not reserve.has_pending:
            return []
        self._drained = reserve.generation
        _set_meta.change(connection, name=RESERVE_DRAINED, number=reserve.generation)
        return [
            event
            for record in reserve.pending
            if record.in_doubt is None or not _holds(connection, record.in_doubt)
            for event in record.events
            if _first_known(connection, [event]) is None
        ]


def add(connection: Connection, rows: Sequence[Row], events: Sequence[Event]) -> None:
    """Add rows, at least one, to the journal and project their events."""
    _insert_row.change_all(
        connection, [{name: getattr(row, name) for name in row.__slots__} for row in rows]
    )
    _set_meta.change(connection, name=JOURNAL_END, number=rows[-1].seq)
    for row, event in zip(rows, events, strict=True):
        project(event, row.seq, connection)


def _holds(connection: Connection, tip: tuple[int, bytes]) -> bool:
    found = _find_hash.row(connection, seq=tip[0])
    return found is not None and bytes(found[0]) == tip[1]


def _first_known(connection: Connection, events: Iterable[Event]) -> tuple[str, str] | None:
    for event in events:
        name = identity(event)
        if name and _find_key.row(connection, kind=name[0], key=name[1]):
            return name
    return None


def drained_generation(connection: Connection) -> int:
    """Return the generation of the reserve that the journal took last; 0 for none."""
    query = select(schema.meta.c.number).where(schema.meta.c.name == RESERVE_DRAINED)
    return connection.execute(query).scalar() or 0
