"""Events as rows: the JSON that is stored and hashed, and the way back."""

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from trading.domain.errors import JournalCorrupt
from trading.domain.events import TRACKER_MOVED, Event, TrackerChanged
from trading.domain.time import to_ms

EVENT_CLASSES: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Event)}
EVENT_CLASSES[TRACKER_MOVED] = TrackerChanged
GENESIS = bytes(32)
# What a stop writes on its way to an order, and with its fill.
_OF_STOPS = (
    *("TrackerChanged", "IntentOpened", "AttemptPrepared"),
    *("AttemptChanged", "FillBooked", "IntentClosed", "RoundTripClosed"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the journal; `payload` is the event as JSON, decimals as text."""

    seq: int
    epoch: int
    at_ms: int
    kind: str
    key: str | None
    payload: str
    prev_hash: bytes
    hash: bytes


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    # Built when first needed: all of them together would cost a noticeable part of the start.
    return TypeAdapter(EVENT_CLASSES[kind])


def make_ready() -> None:
    """Make what stops need, so that the first one does not wait for it (some ms)."""
    for kind in _OF_STOPS:
        _adapter(kind)


def identity(event: Event) -> tuple[str, str] | None:
    """Return kind and key of an event that may happen only once."""
    key = event.key
    return None if key is None else (event.kind, key)


def encode(event: Event) -> str:
    """Return an event as JSON; what could not be read back is a ValueError, before it is stored."""
    adapter = _adapter(event.kind)
    payload: bytes = adapter.serializer.to_json(event)
    if adapter.validator.validate_json(payload) != event:
        raise ValueError(f"event should survive storage, was {event!r}")
    return payload.decode()


def decode(kind: str, payload: str) -> Event:
    """Read an event back; a kind or a payload that this version does not know is JournalCorrupt."""
    if kind not in EVENT_CLASSES:
        raise JournalCorrupt(f"the journal holds an event of unknown kind {kind!r}")
    try:
        event: Event = _adapter(kind).validate_json(payload)
    except ValidationError as error:
        raise JournalCorrupt(f"the journal holds an unreadable {kind}: {error}") from error
    return event


def digest(  # noqa: PLR0913, PLR0917 - the columns of one row, on the hot path of verification
    prev_hash: bytes, seq: int, epoch: int, at_ms: int, kind: str, key: str | None, payload: str
) -> bytes:
    """Return the row's SHA-256; lengths before texts make the bytes unambiguous."""
    size = -1 if key is None else len(key)
    row = f"{seq} {epoch} {at_ms} {len(kind)} {size} {kind}{key or ''}{payload}"
    return hashlib.sha256(prev_hash + row.encode()).digest()


def chain(events: list[Event], epoch: int, last_seq: int, last_hash: bytes) -> list[Row]:
    """Return the rows that continue a journal whose last row is (`last_seq`, `last_hash`)."""
    rows = []
    for seq, event in enumerate(events, start=last_seq + 1):
        columns = (seq, epoch, to_ms(event.at), event.kind, event.key, encode(event))
        row_hash = digest(last_hash, *columns)
        rows.append(Row(*columns, last_hash, row_hash))
        last_hash = row_hash
    return rows
