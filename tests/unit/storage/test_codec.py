"""Events as rows: what is stored reads back, damage is told, and the hash covers all."""

import hashlib
from datetime import timedelta, timezone
from decimal import Decimal

import pytest

from storage import codec
from storage.codec import GENESIS, chain, decode, digest, encode, identity
from tests.contract.storage import samples
from trading.domain import events
from trading.domain.errors import JournalCorrupt
from trading.domain.time import to_ms


def test_only_an_event_that_may_happen_once_has_an_identity() -> None:
    assert identity(samples.heartbeat()) is None
    prepared = samples.transaction_a(1)[0]
    assert identity(prepared) == ("TrackerChanged", "triggered:1:1")


def test_an_event_that_could_not_be_read_back_is_refused_before_it_is_stored() -> None:
    bad = events.DayOpened(samples.START.date(), Decimal("NaN"), samples.START)
    with pytest.raises(ValueError, match=r"finite|survive"):
        encode(bad)


def test_an_event_that_would_come_back_different_is_refused_too() -> None:
    # JSON has no room for the seconds of an offset: the time would come back another one.
    at = samples.START.astimezone(timezone(timedelta(seconds=1)))
    with pytest.raises(ValueError, match="event should survive storage, was Heartbeat"):
        encode(events.Heartbeat(at))


def test_no_stop_waits_until_one_of_its_events_can_be_written_for_the_first_time() -> None:
    codec._adapter.cache_clear()
    codec.make_ready()
    made = codec._adapter.cache_info().misses
    kinds = events.AttemptChanged, events.IntentClosed, events.RoundTripClosed
    ends = [samples.minimal(kind) for kind in kinds]
    for event in (*samples.transaction_a(1)[:3], samples.fill(1), *ends):
        encode(event)
    assert codec._adapter.cache_info().misses == made


def test_a_kind_of_a_later_version_is_not_guessed() -> None:
    with pytest.raises(JournalCorrupt, match="an event of unknown kind 'Telepathy'"):
        decode("Telepathy", "{}")


@pytest.mark.parametrize("payload", ["", "{}", '{"at": "noon"}', "not json"])
def test_a_payload_that_is_no_event_of_its_kind_is_told(payload: str) -> None:
    with pytest.raises(JournalCorrupt, match="holds an unreadable Heartbeat"):
        decode("Heartbeat", payload)


def test_the_hash_is_that_of_the_row_before_and_of_every_column_with_its_lengths() -> None:
    # Written down once: a journal of years must verify with every later version.
    expected = hashlib.sha256(b"p" * 32 + b"7 2 99 4 3 KindkeyPAYLOAD").digest()
    assert digest(b"p" * 32, 7, 2, 99, "Kind", "key", "PAYLOAD") == expected
    without = hashlib.sha256(b"p" * 32 + b"7 2 99 4 -1 KindPAYLOAD").digest()
    assert digest(b"p" * 32, 7, 2, 99, "Kind", None, "PAYLOAD") == without
    assert digest(b"p" * 32, 7, 2, 99, "Kind", "", "PAYLOAD") != without


def test_a_chain_goes_on_after_the_last_row() -> None:
    first, second = samples.heartbeat(0), samples.transaction_a(1)[0]
    rows = chain([first, second], 3, 41, b"l" * 32)
    assert [(row.seq, row.epoch, row.kind, row.key) for row in rows] == [
        (42, 3, "Heartbeat", None),
        (43, 3, "TrackerChanged", "triggered:1:1"),
    ]
    assert [row.prev_hash for row in rows] == [b"l" * 32, rows[0].hash]
    assert rows[0].at_ms == to_ms(samples.START)
    for row in rows:
        assert row.hash == digest(
            row.prev_hash, row.seq, row.epoch, row.at_ms, row.kind, row.key, row.payload
        )
    assert [decode(row.kind, row.payload) for row in rows] == [first, second]


def test_a_journal_begins_at_one_after_a_hash_of_nothing() -> None:
    (row,) = chain([samples.heartbeat()], 1, 0, GENESIS)
    assert (row.seq, row.prev_hash) == (1, bytes(32))
    assert chain([], 1, 0, GENESIS) == []
    moved = chain([samples.heartbeat(1)], 1, 0, GENESIS)[0]
    assert moved.at_ms - row.at_ms == timedelta(minutes=1) / timedelta(milliseconds=1)
