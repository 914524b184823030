"""How an event changes the projections, inside the transaction that appends it."""

from datetime import UTC, datetime, timedelta
from functools import singledispatch
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, bindparam, select, update

from storage import fold, schema
from storage.statements import fixed, insert, upsert
from trading.domain import events
from trading.domain.chat import Severity
from trading.domain.errors import JournalCorrupt
from trading.domain.position import Position

# Names of the single values in the table meta.
INSTALLED = "installed"
TRADING_MODE = "trading_mode"
LAST_ALIVE = "last_alive"
DAY = "day"
ADDRESSED = "addressed_seq"
LAST_UPDATE = "last_update_id"
JOURNAL_END = "journal_end"
RESERVE_DRAINED = "reserve_drained"
PROBES = "probes"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POSITION = TypeAdapter(Position)

_set_meta = upsert(schema.meta)
_raise_meta = upsert(schema.meta, only_greater="number")
_set_tracker = upsert(schema.trackers)
_set_intent = upsert(schema.intents, keeps=("first_seq",))
_set_attempt = upsert(schema.attempts, keeps=("first_seq",))
_set_position = upsert(schema.positions)
_set_person = upsert(schema.people)
_set_condition = upsert(schema.conditions)
_set_job_run = upsert(schema.job_runs)
_add_fill = insert(schema.fills)
_add_round_trip = insert(schema.round_trips)
_add_alert = insert(schema.alerts)
_add_update = insert(schema.inbox)
_add_message = insert(schema.outbox)
_add_confirmation = insert(schema.confirmations)

_find_position = fixed(
    select(schema.positions.c.document).where(schema.positions.c.symbol == bindparam("symbol"))
)
_close_alert = fixed(
    update(schema.alerts).where(schema.alerts.c.alert_id == bindparam("name")).values(is_open=0)
)
_close_update = fixed(
    update(schema.inbox).where(schema.inbox.c.update_id == bindparam("name")).values(is_handled=1)
)
_close_message = fixed(
    update(schema.outbox)
    .where(schema.outbox.c.message_key == bindparam("name"))
    .values(delivered_seq=bindparam("seq_now"), message_id=bindparam("message_id_now"))
)
_close_confirmation = fixed(
    update(schema.confirmations)
    .where(schema.confirmations.c.nonce == bindparam("name"))
    .values(answered_seq=bindparam("seq_now"))
)


# What a stop changes on its way to an order, and with its fill.
_OF_STOPS = (
    *(_set_tracker, _set_intent, _set_attempt),
    *(_add_fill, _find_position, _set_position, _add_round_trip),
)


def make_ready(connection: Connection) -> None:
    """Compile what stops need, so that the first one does not wait for it."""
    for statement in _OF_STOPS:
        statement.make_ready(connection.dialect)


def to_us(at: datetime) -> int:
    """Return the Unix time in microseconds, exactly."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def read_position(document: str) -> Position:
    """Read a position's document; raises JournalCorrupt."""
    try:
        return _POSITION.validate_json(document)
    except ValidationError as error:
        raise JournalCorrupt(f"a stored position cannot be read: {error}") from error


def write_position(position: Position) -> str:
    """Write a position's document."""
    return _POSITION.dump_json(position).decode()


@singledispatch
def project(event: Any, seq: int, connection: Connection) -> None:
    """Change the projections as `event`, recorded at `seq`, demands; many kinds change nothing."""


@project.register
def _(event: events.Installed, seq: int, connection: Connection) -> None:
    _set_meta.change(connection, name=INSTALLED, number=seq)


@project.register
def _(event: events.Heartbeat, seq: int, connection: Connection) -> None:
    _set_meta.change(connection, name=LAST_ALIVE, number=seq)


@project.register
def _(event: events.TradingModeChanged, seq: int, connection: Connection) -> None:
    _set_meta.change(connection, name=TRADING_MODE, number=seq)


@project.register
def _(event: events.DayOpened, seq: int, connection: Connection) -> None:
    _set_meta.change(connection, name=DAY, number=seq)


@project.register
def _(event: events.EventsAddressed, seq: int, connection: Connection) -> None:
    _raise_meta.change(connection, name=ADDRESSED, number=event.up_to_seq)


@project.register
def _(event: events.TrackerChanged, seq: int, connection: Connection) -> None:
    tracker = event.tracker
    is_ended = int(tracker.state.is_terminal)
    _set_tracker.change(connection, tracker_id=tracker.tracker_id, seq=seq, is_ended=is_ended)


@project.register(events.IntentOpened | events.IntentChanged | events.IntentClosed)
def _(
    event: events.IntentOpened | events.IntentChanged | events.IntentClosed,
    seq: int,
    connection: Connection,
) -> None:
    _set_intent.change(
        connection,
        intent_id=event.intent.intent_id,
        first_seq=seq,
        seq=seq,
        is_ended=int(event.intent.state.is_terminal),
    )
    if isinstance(event, events.IntentClosed) and event.intent.let_go:
        position = _position(event.intent.symbol, connection)
        _save_position(fold.closed(position, event), seq, connection)


@project.register(events.AttemptPrepared | events.AttemptChanged)
def _(
    event: events.AttemptPrepared | events.AttemptChanged, seq: int, connection: Connection
) -> None:
    attempt = event.attempt
    _set_attempt.change(
        connection,
        client_order_id=attempt.client_order_id,
        first_seq=seq,
        seq=seq,
        intent_id=attempt.intent_id,
        number=attempt.number,
        state=attempt.state.value,
        is_ended=int(attempt.state.is_terminal),
        changed_us=to_us(event.at),
    )


@project.register
def _(event: events.FillBooked, seq: int, connection: Connection) -> None:
    fill = event.fill
    _add_fill.change(
        connection,
        seq=seq,
        symbol=fill.symbol,
        intent_id=event.intent_id,
        at_us=to_us(fill.at),
    )
    _save_position(fold.filled(_position(fill.symbol, connection), event), seq, connection)


@project.register
def _(event: events.PositionAdjusted, seq: int, connection: Connection) -> None:
    _save_position(fold.adjusted(_position(event.symbol, connection), event), seq, connection)


@project.register
def _(event: events.RoundTripClosed, seq: int, connection: Connection) -> None:
    _add_round_trip.change(connection, seq=seq, closed_us=to_us(event.round_trip.closed_at))


@project.register
def _(event: events.ConditionChanged, seq: int, connection: Connection) -> None:
    _set_condition.change(
        connection,
        condition=event.condition,
        symbol=event.symbol or "",
        seq=seq,
        is_active=int(event.is_active),
    )


@project.register
def _(event: events.AlertRaised, seq: int, connection: Connection) -> None:
    is_open = int(event.severity is Severity.CRIT)
    _add_alert.change(connection, alert_id=event.alert_id, seq=seq, is_open=is_open)


@project.register
def _(event: events.AlertEnded, seq: int, connection: Connection) -> None:
    _close_alert.change(connection, name=event.alert_id)


@project.register
def _(event: events.AlertAcknowledged, seq: int, connection: Connection) -> None:
    _close_alert.change(connection, name=event.alert_id)


@project.register
def _(event: events.PersonChanged, seq: int, connection: Connection) -> None:
    _set_person.change(connection, user_id=event.person.user_id, seq=seq)


@project.register
def _(event: events.UpdateReceived, seq: int, connection: Connection) -> None:
    update_id = event.update.update_id
    _add_update.change(connection, update_id=update_id, seq=seq, is_handled=0)
    _set_meta.change(connection, name=LAST_UPDATE, number=update_id)


@project.register
def _(event: events.UpdateHandled, seq: int, connection: Connection) -> None:
    _close_update.change(connection, name=event.update_id)


@project.register
def _(event: events.MessageQueued, seq: int, connection: Connection) -> None:
    message = event.message
    _add_message.change(
        connection,
        message_key=message.message_key,
        seq=seq,
        chat_id=message.chat_id,
        card=message.card,
        is_urgent=int(message.severity is Severity.CRIT),
        delivered_seq=None,
        message_id=None,
    )


@project.register
def _(event: events.MessageDelivered, seq: int, connection: Connection) -> None:
    _close_message.change(
        connection, name=event.message_key, seq_now=seq, message_id_now=event.message_id
    )


@project.register
def _(event: events.ConfirmationAsked, seq: int, connection: Connection) -> None:
    nonce = event.confirmation.nonce
    _add_confirmation.change(connection, nonce=nonce, seq=seq, answered_seq=None)


@project.register
def _(event: events.ConfirmationAnswered, seq: int, connection: Connection) -> None:
    _close_confirmation.change(connection, name=event.nonce, seq_now=seq)


@project.register
def _(event: events.JobRan, seq: int, connection: Connection) -> None:
    _set_job_run.change(connection, job=event.job, seq=seq)


def _position(symbol: str, connection: Connection) -> Position:
    row = _find_position.row(connection, symbol=symbol)
    return Position(symbol) if row is None else read_position(row[0])


def _save_position(position: Position, seq: int, connection: Connection) -> None:
    _set_position.change(
        connection,
        symbol=position.symbol,
        seq=seq,
        document=write_position(position),
    )
