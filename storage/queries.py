"""What the trading core asks of the store, as plain functions on a connection."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, func, select

from storage import schema
from storage.codec import decode
from storage.fold import WATCH
from storage.projections import (
    ADDRESSED,
    DAY,
    INSTALLED,
    LAST_ALIVE,
    LAST_UPDATE,
    TRADING_MODE,
    read_position,
    to_us,
)
from trading.domain import events
from trading.domain.chat import OutboxMessage, Person
from trading.domain.errors import JournalCorrupt
from trading.domain.money import ZERO
from trading.domain.order import Attempt, AttemptState, Fill, Intent
from trading.domain.position import Position, RoundTrip
from trading.domain.tracker import Tracker
from trading.ports import PendingUpdate, Recorded, StoredConfirmation, StoredState

journal, meta = schema.journal, schema.meta
# Single values that follow from the journal.
PROJECTED = (INSTALLED, TRADING_MODE, LAST_ALIVE, DAY, ADDRESSED, LAST_UPDATE)
_HOLDS_INTENT: tuple[type[Any], ...] = (
    events.IntentOpened,
    events.IntentChanged,
    events.IntentClosed,
)
_HOLDS_ATTEMPT: tuple[type[Any], ...] = (events.AttemptPrepared, events.AttemptChanged)


# ---------------------------------------------------------------- the journal


def events_after(
    connection: Connection, after_seq: int, limit: int, kinds: Sequence[str]
) -> list[Recorded]:
    """Return events with a greater seq in order; no kinds means all."""
    query = _journal(kinds).where(journal.c.seq > after_seq).order_by(journal.c.seq).limit(limit)
    return [_recorded(row) for row in connection.execute(query)]


def latest_events(connection: Connection, limit: int, kinds: Sequence[str]) -> list[Recorded]:
    """Return the newest events, newest first."""
    query = _journal(kinds).order_by(journal.c.seq.desc()).limit(limit)
    return [_recorded(row) for row in connection.execute(query)]


def _journal(kinds: Sequence[str]) -> Select[Any]:
    query = select(journal.c.seq, journal.c.kind, journal.c.payload)
    return query.where(journal.c.kind.in_(kinds)) if kinds else query


def _recorded(row: Row[Any]) -> Recorded:
    return Recorded(row.seq, decode(row.kind, row.payload))


# ---------------------------------------------------------------- what matters at start


def state(connection: Connection, now: datetime) -> StoredState:
    """Load what still matters at `now`."""
    intents = _events_of(connection, _live(schema.intents), *_HOLDS_INTENT)
    attempts = schema.attempts
    live = select(schema.intents.c.intent_id).where(schema.intents.c.is_ended == 0)
    open_attempts = (attempts.c.is_ended == 0) | attempts.c.intent_id.in_(live)
    watched = (attempts.c.state == AttemptState.ABSENT.value) & (
        attempts.c.changed_us >= to_us(now - WATCH)
    )
    tracker_id_max = connection.execute(select(func.max(schema.trackers.c.tracker_id))).scalar()
    alive = _single(connection, LAST_ALIVE, events.Heartbeat)
    alerts = schema.alerts
    conditions = schema.conditions
    return StoredState(
        installed=_single(connection, INSTALLED, events.Installed),
        trackers=_trackers(connection, _live(schema.trackers)),
        intents=[event.intent for event in intents],
        attempts=_attempts(connection, open_attempts),
        watched_attempts=_attempts(connection, watched),
        positions={
            name: one for name, one in all_positions(connection).items() if one.quantity != ZERO
        },
        trading_mode=_single(connection, TRADING_MODE, events.TradingModeChanged),
        conditions=sorted(
            _events_of(
                connection,
                select(conditions.c.seq).where(conditions.c.is_active == 1),
                events.ConditionChanged,
            ),
            # Here and not in SQL: every server sorts text in its own way.
            key=lambda one: (one.condition, one.symbol or ""),
        ),
        alerts=_events_of(
            connection,
            select(alerts.c.seq).where(alerts.c.is_open == 1).order_by(alerts.c.seq),
            events.AlertRaised,
        ),
        day=_single(connection, DAY, events.DayOpened),
        last_alive_at=alive.at if alive else None,
        next_tracker_id=(tracker_id_max or 0) + 1,
        last_seq=last_seq(connection),
    )


def last_seq(connection: Connection) -> int:
    """Return the journal's last seq; 0 for an empty one."""
    return connection.execute(select(func.max(journal.c.seq))).scalar() or 0


def all_positions(connection: Connection) -> dict[str, Position]:
    """Return every position there ever was, by symbol."""
    query = select(schema.positions).order_by(schema.positions.c.symbol)
    return {row.symbol: read_position(row.document) for row in connection.execute(query)}


def _live(table: Table) -> Select[Any]:
    order = table.c.first_seq if "first_seq" in table.c else next(iter(table.primary_key))
    return select(table.c.seq).where(table.c.is_ended == 0).order_by(order)


def _single(connection: Connection, name: str, kind: type[Any]) -> Any:
    found = _events_of(connection, select(meta.c.number).where(meta.c.name == name), kind)
    return found[0] if found else None


def _events_of(connection: Connection, seqs: Select[Any], *kinds: type[Any]) -> list[Any]:
    """Return the events that a projection's rows point at, in the order of the rows."""
    wanted = seqs.subquery()
    # The order of a subquery is not promised to survive a join, so rows are sorted here.
    order = [row[0] for row in connection.execute(seqs)]
    if not order:
        return []
    query = select(journal.c.seq, journal.c.kind, journal.c.payload).join(
        wanted, journal.c.seq == next(iter(wanted.c))
    )
    found: dict[int, Any] = {}
    for row in connection.execute(query):
        event: Any = decode(row[1], row[2])
        if not isinstance(event, kinds):
            raise JournalCorrupt(f"a projection points at event {row[0]}, which is a {row[1]}")
        found[row[0]] = event
    missing = [seq for seq in order if seq not in found]
    if missing:
        raise JournalCorrupt(f"projections point at events {missing[:5]} that do not exist")
    return [found[seq] for seq in order]


# ---------------------------------------------------------------- trackers and orders


def trackers(connection: Connection, limit: int) -> list[Tracker]:
    """Return all trackers, newest first."""
    table = schema.trackers
    query = select(table.c.seq).order_by(table.c.tracker_id.desc()).limit(limit)
    return _trackers(connection, query)


def tracker(connection: Connection, tracker_id: int) -> Tracker | None:
    """Return one tracker, live or ended."""
    table = schema.trackers
    query = select(table.c.seq).where(table.c.tracker_id == tracker_id)
    return next(iter(_trackers(connection, query)), None)


def intent(connection: Connection, intent_id: str) -> Intent | None:
    """Return one decision."""
    table = schema.intents
    query = select(table.c.seq).where(table.c.intent_id == intent_id)
    found = _events_of(connection, query, *_HOLDS_INTENT)
    if found and found[0].intent.intent_id != intent_id:
        raise JournalCorrupt(f"the projection of {intent_id} points at another intent")
    return found[0].intent if found else None


def attempts(connection: Connection, intent_id: str) -> list[Attempt]:
    """Return all attempts of an intent in order."""
    found = _attempts(connection, schema.attempts.c.intent_id == intent_id)
    return sorted(found, key=lambda attempt: attempt.number)


def fills(
    connection: Connection, symbol: str | None, since: datetime | None, limit: int
) -> list[Fill]:
    """Return booked fills, newest first."""
    table = schema.fills
    query = select(table.c.seq).order_by(table.c.at_us.desc(), table.c.seq.desc()).limit(limit)
    if symbol is not None:
        query = query.where(table.c.symbol == symbol)
    if since is not None:
        query = query.where(table.c.at_us >= to_us(since))
    return [event.fill for event in _events_of(connection, query, events.FillBooked)]


def intent_fills(connection: Connection, intent_id: str) -> list[Fill]:
    """Return the fills of one decision in order."""
    table = schema.fills
    query = select(table.c.seq).where(table.c.intent_id == intent_id).order_by(table.c.seq)
    return [event.fill for event in _events_of(connection, query, events.FillBooked)]


def round_trips(connection: Connection, since: datetime | None, limit: int) -> list[RoundTrip]:
    """Return finished exits, newest first."""
    table = schema.round_trips
    query = select(table.c.seq).order_by(table.c.closed_us.desc(), table.c.seq.desc()).limit(limit)
    if since is not None:
        query = query.where(table.c.closed_us >= to_us(since))
    return [event.round_trip for event in _events_of(connection, query, events.RoundTripClosed)]


def _trackers(connection: Connection, seqs: Select[Any]) -> list[Tracker]:
    return [event.tracker for event in _events_of(connection, seqs, events.TrackerChanged)]


def _attempts(connection: Connection, condition: Any) -> list[Attempt]:
    table = schema.attempts
    query = select(table.c.seq).where(condition).order_by(table.c.first_seq)
    return [event.attempt for event in _events_of(connection, query, *_HOLDS_ATTEMPT)]


# ---------------------------------------------------------------- people and the chat


def people(connection: Connection) -> list[Person]:
    """Return everybody ever admitted, by user id."""
    query = select(schema.people.c.seq).order_by(schema.people.c.user_id)
    return [event.person for event in _events_of(connection, query, events.PersonChanged)]


def pending_updates(connection: Connection) -> list[PendingUpdate]:
    """Return stored, unhandled updates in the order they came."""
    table = schema.inbox
    query = select(table.c.seq).where(table.c.is_handled == 0).order_by(table.c.seq)
    seqs = [row[0] for row in connection.execute(query)]
    found = _events_of(connection, query, events.UpdateReceived)
    return [PendingUpdate(seq, event.update) for seq, event in zip(seqs, found, strict=True)]


def last_update_id(connection: Connection) -> int | None:
    """Return the id of the update received last."""
    return _number(connection, LAST_UPDATE)


def pending_messages(connection: Connection, limit: int) -> list[OutboxMessage]:
    """Return undelivered messages: CRIT first, then by age."""
    table = schema.outbox
    query = (
        select(table.c.seq)
        .where(table.c.delivered_seq.is_(None))
        .order_by(table.c.is_urgent.desc(), table.c.seq)
        .limit(limit)
    )
    return [event.message for event in _events_of(connection, query, events.MessageQueued)]


def card_message_id(connection: Connection, chat_id: int, card: str) -> int | None:
    """Return the chat service's id of the newest delivered message of a card."""
    table = schema.outbox
    query = (
        select(table.c.message_id)
        .where(table.c.chat_id == chat_id, table.c.card == card, table.c.message_id.is_not(None))
        .order_by(table.c.delivered_seq.desc())
        .limit(1)
    )
    return connection.execute(query).scalar()


def card_chats(connection: Connection, card: str) -> list[int]:
    """Return the chats that a card was sent to, or is about to be."""
    table = schema.outbox
    query = select(table.c.chat_id).where(table.c.card == card).distinct()
    return sorted(row[0] for row in connection.execute(query))


def addressed_seq(connection: Connection) -> int:
    """Return the seq up to which events have been turned into messages."""
    return _number(connection, ADDRESSED) or 0


def confirmation(connection: Connection, nonce: str) -> StoredConfirmation | None:
    """Return one question and its answer."""
    table = schema.confirmations
    query = select(table.c.seq).where(table.c.nonce == nonce)
    asked = _events_of(connection, query, events.ConfirmationAsked)
    if not asked:
        return None
    answered = _events_of(
        connection,
        select(table.c.answered_seq).where(
            table.c.nonce == nonce, table.c.answered_seq.is_not(None)
        ),
        events.ConfirmationAnswered,
    )
    return StoredConfirmation(asked[0].confirmation, answered[0].answer if answered else None)


def open_questions(connection: Connection) -> list[str]:
    """Return the nonces of all questions without an answer."""
    table = schema.confirmations
    query = select(table.c.nonce).where(table.c.answered_seq.is_(None))
    return sorted(row[0] for row in connection.execute(query))


def last_runs(connection: Connection) -> Mapping[str, datetime]:
    """Return when each recorded job ran last."""
    query = select(schema.job_runs.c.seq).order_by(schema.job_runs.c.job)
    return {event.job: event.at for event in _events_of(connection, query, events.JobRan)}


def _number(connection: Connection, name: str) -> int | None:
    return connection.execute(select(meta.c.number).where(meta.c.name == name)).scalar()
