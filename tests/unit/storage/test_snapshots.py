"""What a snapshot is stored as: a few trackers at a time, packed, and readable in the old way."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Connection, create_engine, insert

from storage import schema, snapshots
from storage.codec import GENESIS
from storage.snapshots import Live
from tests.contract.storage import samples
from trading.domain.events import TrackerChanged
from trading.ports.storage import StoredState


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as opened:
        schema.metadata.create_all(opened)
        yield opened
    engine.dispose()


def live(count: int) -> Live:
    event = samples.transaction_a(1)[0]
    assert isinstance(event, TrackerChanged)
    trackers = [replace(event.tracker, tracker_id=number) for number in range(1, count + 1)]
    return Live(at=samples.START, state=StoredState(trackers=trackers, next_tracker_id=count + 1))


def shown(found: Live) -> bytes:
    """All of it: lists and tuples of the same values are the same."""
    return snapshots._LIVE.dump_json(found)


def store(connection: Connection, document: str, text: bytes) -> None:
    digest = hashlib.sha256(GENESIS + text).digest()
    connection.execute(insert(schema.snapshots).values(seq=0, document=document, digest=digest))


@pytest.mark.parametrize("count", [0, 1, 50, 51, 120])
def test_trackers_are_written_fifty_at_a_time_and_read_as_they_were(count: int) -> None:
    text = snapshots._written(live(count))
    assert text.count(b"\n") == -(-count // 50)
    assert max(line.count(b'"arm_seq"') for line in text.split(b"\n")) <= 50
    assert shown(snapshots._read(text)) == shown(live(count))


def test_what_a_former_version_stored_is_believed(connection: Connection) -> None:
    text = snapshots._LIVE.dump_json(live(120))
    store(connection, text.decode(), text)
    assert shown(snapshots._newest(connection)) == shown(live(120))


@pytest.mark.parametrize("document", ["", "?", "é", "AAAA", "e30=", "{}"])
def test_what_cannot_be_unpacked_is_as_good_as_none(document: str, connection: Connection) -> None:
    store(connection, document, snapshots._written(live(1)))
    assert snapshots._newest(connection) == Live()


def test_ten_thousand_trackers_are_packed_into_less_than_a_megabyte(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "read_live", lambda _connection, _at: live(10_000))
    taken = snapshots.take(connection, samples.START)
    assert len(taken.document) < 1_000_000
    snapshots.save(connection, taken)
    assert shown(snapshots._newest(connection)) == shown(live(10_000))
