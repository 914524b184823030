"""What the trading core asks of the store, as plain functions on a connection."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, func, or_, select

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
from storage.statements import Statement, fixed
from trading.domain import events
from trading.domain.chat import OutboxMessage, Person
from trading.domain.errors import JournalCorrupt
from trading.domain.money import ZERO
from trading.domain.order import Attempt, AttemptState, Fill, Intent
from trading.domain.position import Position, RoundTrip
from trading.domain.tracker import Tracker
from trading.ports.storage import PendingUpdate, Recorded, StoredConfirmation, StoredState

journal, meta = schema.journal, schema.meta
# Single values that follow from the journal.
PROJECTED = (INSTALLED, TRADING_MODE, LAST_ALIVE, DAY, ADDRESSED, LAST_UPDATE)
_HOLDS_INTENT: tuple[type[Any], ...] = (
    events.IntentOpened,
    events.IntentChanged,
    events.IntentClosed,
)
_HOLDS_ATTEMPT: tuple[type[Any], ...] = (events.AttemptPrepared, events.AttemptChanged)


class _Pointed:
    """The events that a projection's rows point at, in the order of the rows."""

    def __init__(self, seqs: Select[Any], *kinds: type[Any]) -> None:
        wanted = seqs.subquery()
        self._kinds = kinds
        self._order = fixed(seqs)
        self._events = fixed(
            select(journal.c.seq, journal.c.kind, journal.c.payload).join(
                wanted, journal.c.seq == next(iter(wanted.c))
            )
        )

    def read(self, connection: Connection, **values: Any) -> list[Any]:
        # The order of a subquery is not promised to survive a join, so rows are sorted here.
        order = [row[0] for row in self._order.rows(connection, **values)]
        if not order:
            return []
        found: dict[int, Any] = {}
        for seq, kind, payload in self._events.rows(connection, **values):
            event: Any = decode(kind, payload)
            if not isinstance(event, self._kinds):
                raise JournalCorrupt(f"a projection points at event {seq}, which is a {kind}")
            found[seq] = event
        missing = [seq for seq in order if seq not in found]
        if missing:
            raise JournalCorrupt(f"projections point at events {missing[:5]} that do not exist")
        return [found[seq] for seq in order]


# ---------------------------------------------------------------- the journal


def events_after(
    connection: Connection, after_seq: int, limit: int, kinds: Sequence[str]
) -> list[Recorded]:
    """Return events with a greater seq in order; no kinds means all."""
    rows = _after(tuple(kinds)).rows(connection, after_seq=after_seq, most=limit)
    return [_recorded(*row) for row in rows]


def latest_events(connection: Connection, limit: int, kinds: Sequence[str]) -> list[Recorded]:
    """Return the newest events, newest first."""
    return [_recorded(*row) for row in _latest(tuple(kinds)).rows(connection, most=limit)]


# Callers ask for the same few sets of kinds again and again.
@cache
def _after(kinds: tuple[str, ...]) -> Statement:
    query = _journal(kinds).where(journal.c.seq > bindparam("after_seq")).order_by(journal.c.seq)
    return fixed(query.limit(bindparam("most")))


@cache
def _latest(kinds: tuple[str, ...]) -> Statement:
    return fixed(_journal(kinds).order_by(journal.c.seq.desc()).limit(bindparam("most")))


def _journal(kinds: tuple[str, ...]) -> Select[Any]:
    query = select(journal.c.seq, journal.c.kind, journal.c.payload)
    return query.where(or_(*(journal.c.kind == kind for kind in kinds))) if kinds else query


def _recorded(seq: int, kind: str, payload: str) -> Recorded:
    return Recorded(seq, decode(kind, payload))


# ---------------------------------------------------------------- what matters at start


def _live(table: Table) -> Select[Any]:
    order = table.c.first_seq if "first_seq" in table.c else next(iter(table.primary_key))
    return select(table.c.seq).where(table.c.is_ended == 0).order_by(order)


def _attempts_where(condition: Any) -> _Pointed:
    table = schema.attempts
    query = select(table.c.seq).where(condition).order_by(table.c.first_seq)
    return _Pointed(query, *_HOLDS_ATTEMPT)


_live_trackers = _Pointed(_live(schema.trackers), events.TrackerChanged)
_live_intents = _Pointed(_live(schema.intents), *_HOLDS_INTENT)
_open_attempts = _attempts_where(
    (schema.attempts.c.is_ended == 0)
    | schema.attempts.c.intent_id.in_(
        select(schema.intents.c.intent_id).where(schema.intents.c.is_ended == 0)
    )
)
_watched_attempts = _attempts_where(
    (schema.attempts.c.state == AttemptState.ABSENT.value)
    & (schema.attempts.c.changed_us >= bindparam("since_us"))
)
_active_conditions = _Pointed(
    select(schema.conditions.c.seq).where(schema.conditions.c.is_active == 1),
    events.ConditionChanged,
)
_open_alerts = _Pointed(
    select(schema.alerts.c.seq).where(schema.alerts.c.is_open == 1).order_by(schema.alerts.c.seq),
    events.AlertRaised,
)
_newest_tracker = fixed(select(func.max(schema.trackers.c.tracker_id)))
_last_seq = fixed(select(func.max(journal.c.seq)))
_positions = fixed(
    select(schema.positions.c.symbol, schema.positions.c.document).order_by(
        schema.positions.c.symbol
    )
)
_single_seq = select(meta.c.number).where(meta.c.name == bindparam("name"))
_number_of = fixed(_single_seq)
_installed = _Pointed(_single_seq, events.Installed)
_trading_mode = _Pointed(_single_seq, events.TradingModeChanged)
_last_alive = _Pointed(_single_seq, events.Heartbeat)
_day = _Pointed(_single_seq, events.DayOpened)
# Of the present day alone, which is a handful: the index of kinds finds them.
_moved = _Pointed(
    select(journal.c.seq)
    .where(journal.c.kind == events.FundsMoved.__name__)
    .where(journal.c.seq > func.coalesce(_single_seq.scalar_subquery(), 0))
    .order_by(journal.c.seq),
    events.FundsMoved,
)


def state(connection: Connection, now: datetime) -> StoredState:
    """Load what still matters at `now`."""
    alive = _first(_last_alive.read(connection, name=LAST_ALIVE))
    return StoredState(
        installed=_first(_installed.read(connection, name=INSTALLED)),
        trackers=[event.tracker for event in _live_trackers.read(connection)],
        intents=[event.intent for event in _live_intents.read(connection)],
        attempts=[event.attempt for event in _open_attempts.read(connection)],
        watched_attempts=[
            event.attempt
            for event in _watched_attempts.read(connection, since_us=to_us(now - WATCH))
        ],
        positions={
            name: one for name, one in all_positions(connection).items() if one.quantity != ZERO
        },
        trading_mode=_first(_trading_mode.read(connection, name=TRADING_MODE)),
        conditions=sorted(
            _active_conditions.read(connection),
            # Here and not in SQL: every server sorts text in its own way.
            key=lambda one: (one.condition, one.symbol or ""),
        ),
        alerts=_open_alerts.read(connection),
        day=_first(_day.read(connection, name=DAY)),
        moved=_moved.read(connection, name=DAY),
        last_alive_at=alive.at if alive else None,
        next_tracker_id=(_newest_tracker.value(connection) or 0) + 1,
        last_seq=last_seq(connection),
    )


def last_seq(connection: Connection) -> int:
    """Return the journal's last seq; 0 for an empty one."""
    return _last_seq.value(connection) or 0


def all_positions(connection: Connection) -> dict[str, Position]:
    """Return every position there ever was, by symbol."""
    return {symbol: read_position(document) for symbol, document in _positions.rows(connection)}


def _first(found: Sequence[Any]) -> Any:
    return found[0] if found else None


# ---------------------------------------------------------------- trackers and orders


_newest_trackers = _Pointed(
    select(schema.trackers.c.seq)
    .order_by(schema.trackers.c.tracker_id.desc())
    .limit(bindparam("most")),
    events.TrackerChanged,
)
_tracker = _Pointed(
    select(schema.trackers.c.seq).where(schema.trackers.c.tracker_id == bindparam("number")),
    events.TrackerChanged,
)
_intent = _Pointed(
    select(schema.intents.c.seq).where(schema.intents.c.intent_id == bindparam("name")),
    *_HOLDS_INTENT,
)
_attempts_of = _attempts_where(schema.attempts.c.intent_id == bindparam("name"))
_newest_fills = (
    select(schema.fills.c.seq)
    .where(schema.fills.c.at_us >= bindparam("since_us"))
    .order_by(schema.fills.c.at_us.desc(), schema.fills.c.seq.desc())
    .limit(bindparam("most"))
)
_all_fills = _Pointed(_newest_fills, events.FillBooked)
_fills_of = _Pointed(
    _newest_fills.where(schema.fills.c.symbol == bindparam("symbol_wanted")), events.FillBooked
)
_intent_fills = _Pointed(
    select(schema.fills.c.seq)
    .where(schema.fills.c.intent_id == bindparam("name"))
    .order_by(schema.fills.c.seq),
    events.FillBooked,
)
_round_trips = _Pointed(
    select(schema.round_trips.c.seq)
    .where(schema.round_trips.c.closed_us >= bindparam("since_us"))
    .order_by(schema.round_trips.c.closed_us.desc(), schema.round_trips.c.seq.desc())
    .limit(bindparam("most")),
    events.RoundTripClosed,
)


def trackers(connection: Connection, limit: int) -> list[Tracker]:
    """Return all trackers, newest first."""
    return [event.tracker for event in _newest_trackers.read(connection, most=limit)]


def tracker(connection: Connection, tracker_id: int) -> Tracker | None:
    """Return one tracker, live or ended."""
    found = _tracker.read(connection, number=tracker_id)
    return found[0].tracker if found else None


def intent(connection: Connection, intent_id: str) -> Intent | None:
    """Return one decision."""
    found = _intent.read(connection, name=intent_id)
    if found and found[0].intent.intent_id != intent_id:
        raise JournalCorrupt(f"the projection of {intent_id} points at another intent")
    return found[0].intent if found else None


def attempts(connection: Connection, intent_id: str) -> list[Attempt]:
    """Return all attempts of an intent in order."""
    found = [event.attempt for event in _attempts_of.read(connection, name=intent_id)]
    return sorted(found, key=lambda attempt: attempt.number)


def fills(
    connection: Connection, symbol: str | None, since: datetime | None, limit: int
) -> list[Fill]:
    """Return booked fills, newest first."""
    wanted = {"since_us": _since_us(since), "most": limit}
    if symbol is None:
        found = _all_fills.read(connection, **wanted)
    else:
        found = _fills_of.read(connection, symbol_wanted=symbol, **wanted)
    return [event.fill for event in found]


def intent_fills(connection: Connection, intent_id: str) -> list[Fill]:
    """Return the fills of one decision in order."""
    return [event.fill for event in _intent_fills.read(connection, name=intent_id)]


def round_trips(connection: Connection, since: datetime | None, limit: int) -> list[RoundTrip]:
    """Return finished exits, newest first."""
    found = _round_trips.read(connection, since_us=_since_us(since), most=limit)
    return [event.round_trip for event in found]


def _since_us(since: datetime | None) -> int:
    return 0 if since is None else to_us(since)


# ---------------------------------------------------------------- people and the chat


_people = _Pointed(
    select(schema.people.c.seq).order_by(schema.people.c.user_id), events.PersonChanged
)
_pending_seqs = (
    select(schema.inbox.c.seq).where(schema.inbox.c.is_handled == 0).order_by(schema.inbox.c.seq)
)
_find_pending = fixed(_pending_seqs)
_pending_updates = _Pointed(_pending_seqs, events.UpdateReceived)
_pending_messages = _Pointed(
    select(schema.outbox.c.seq)
    .where(schema.outbox.c.delivered_seq.is_(None))
    .order_by(schema.outbox.c.is_urgent.desc(), schema.outbox.c.seq)
    .limit(bindparam("most")),
    events.MessageQueued,
)
_messages_waiting = fixed(
    select(func.count()).select_from(schema.outbox).where(schema.outbox.c.delivered_seq.is_(None))
)
# The chat service counts up: what was edited last may be an older message.
_card_messages = fixed(
    select(schema.outbox.c.message_id)
    .where(
        schema.outbox.c.chat_id == bindparam("chat"),
        schema.outbox.c.card == bindparam("name"),
        schema.outbox.c.message_id.is_not(None),
    )
    .distinct()
    .order_by(schema.outbox.c.message_id.desc())
    .limit(bindparam("most"))
)
_card_chats = fixed(
    select(schema.outbox.c.chat_id).where(schema.outbox.c.card == bindparam("name")).distinct()
)
_asked = _Pointed(
    select(schema.confirmations.c.seq).where(schema.confirmations.c.nonce == bindparam("name")),
    events.ConfirmationAsked,
)
_answered = _Pointed(
    select(schema.confirmations.c.answered_seq).where(
        schema.confirmations.c.nonce == bindparam("name"),
        schema.confirmations.c.answered_seq.is_not(None),
    ),
    events.ConfirmationAnswered,
)
_open_questions = fixed(
    select(schema.confirmations.c.nonce).where(schema.confirmations.c.answered_seq.is_(None))
)
_last_runs = _Pointed(select(schema.job_runs.c.seq).order_by(schema.job_runs.c.job), events.JobRan)


def people(connection: Connection) -> list[Person]:
    """Return everybody ever admitted, by user id."""
    return [event.person for event in _people.read(connection)]


def pending_updates(connection: Connection) -> list[PendingUpdate]:
    """Return stored, unhandled updates in the order they came."""
    seqs = [row[0] for row in _find_pending.rows(connection)]
    found = _pending_updates.read(connection)
    return [PendingUpdate(seq, event.update) for seq, event in zip(seqs, found, strict=True)]


def last_update_id(connection: Connection) -> int | None:
    """Return the id of the update received last."""
    return _number(connection, LAST_UPDATE)


def pending_messages(connection: Connection, limit: int) -> list[OutboxMessage]:
    """Return undelivered messages: CRIT first, then by age."""
    return [event.message for event in _pending_messages.read(connection, most=limit)]


def messages_waiting(connection: Connection) -> int:
    """Return how many messages are undelivered."""
    return int(_messages_waiting.value(connection))


def card_message_ids(connection: Connection, chat_id: int, card: str, limit: int) -> list[int]:
    """Return the chat service's ids of the delivered messages of a card, newest first."""
    rows = _card_messages.rows(connection, chat=chat_id, name=card, most=limit)
    return [row[0] for row in rows]


def card_chats(connection: Connection, card: str) -> list[int]:
    """Return the chats that a card was sent to, or is about to be."""
    return sorted(row[0] for row in _card_chats.rows(connection, name=card))


def addressed_seq(connection: Connection) -> int:
    """Return the seq up to which events have been turned into messages."""
    return _number(connection, ADDRESSED) or 0


def confirmation(connection: Connection, nonce: str) -> StoredConfirmation | None:
    """Return one question and its answer."""
    asked = _asked.read(connection, name=nonce)
    if not asked:
        return None
    answered = _answered.read(connection, name=nonce)
    return StoredConfirmation(asked[0].confirmation, answered[0].answer if answered else None)


def open_questions(connection: Connection) -> list[str]:
    """Return the nonces of all questions without an answer."""
    return sorted(row[0] for row in _open_questions.rows(connection))


def last_runs(connection: Connection) -> Mapping[str, datetime]:
    """Return when each recorded job ran last."""
    return {event.job: event.at for event in _last_runs.read(connection)}


def _number(connection: Connection, name: str) -> int | None:
    found: int | None = _number_of.value(connection, name=name)
    return found
