"""One append: fenced, recognised after a lost answer, saved in the reserve when it must be."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, delete, select

from storage import ledger as ledgers
from storage import schema
from storage.codec import GENESIS, chain
from storage.database import UnwritableError
from storage.high_water import HighWater, Tip
from storage.lease import next_lease
from storage.ledger import Append, Ledger
from storage.reserve import Reserve
from tests.contract.storage import samples
from trading.domain.errors import AlreadyRecorded, InstanceConflict, JournalCorrupt, StorageLost
from trading.domain.events import Event

FULL = UnwritableError("disk is full", is_final=False)


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as opened:
        schema.metadata.create_all(opened)
        yield opened
    engine.dispose()


@pytest.fixture
def ledger(connection: Connection, tmp_path: Path) -> Iterator[Ledger]:
    reserve = Reserve(tmp_path / "umbra.reserve", 0)
    yield Ledger(next_lease(connection), reserve)
    reserve.close()


@pytest.mark.parametrize("may_reserve", [False, True])
def test_an_append_says_whether_it_need_not_wait_for_a_database(
    ledger: Ledger, may_reserve: bool
) -> None:
    assert ledger.append((samples.heartbeat(),), reserve=may_reserve).has_reserve is may_reserve


def _appended(ledger: Ledger, connection: Connection, *events: Event) -> int:
    job = ledger.append(events, reserve=False)
    seq = job.write(connection)
    job.committed()
    return seq


def _kinds(connection: Connection) -> list[str]:
    return list(connection.scalars(select(schema.journal.c.kind).order_by(schema.journal.c.seq)))


def _meta(connection: Connection, name: str) -> int | None:
    query = select(schema.meta.c.number).where(schema.meta.c.name == name)
    return connection.execute(query).scalar()


def test_appends_are_numbered_and_chained_from_the_start(
    ledger: Ledger, connection: Connection
) -> None:
    assert _appended(ledger, connection, samples.heartbeat(0)) == 1
    assert _appended(ledger, connection, samples.heartbeat(1), samples.update(1)) == 3
    rows = connection.execute(select(schema.journal).order_by(schema.journal.c.seq)).all()
    expected = chain([samples.heartbeat(0), samples.heartbeat(1), samples.update(1)], 1, 0, GENESIS)
    assert [tuple(row) for row in rows] == [
        tuple(getattr(row, name) for name in row.__slots__) for row in expected
    ]
    assert _meta(connection, "journal_end") == 3


def test_an_append_of_nothing_still_writes_and_never_the_same(
    ledger: Ledger, connection: Connection
) -> None:
    assert _appended(ledger, connection) == 0
    first = _meta(connection, "probes")
    assert _appended(ledger, connection, samples.heartbeat()) == 1
    assert _appended(ledger, connection) == 1
    assert (first, _meta(connection, "probes")) == (1, 2)


def test_a_row_without_its_event_is_never_passed_over(connection: Connection) -> None:
    rows = chain([samples.heartbeat(0), samples.heartbeat(1)], 1, 0, GENESIS)
    with pytest.raises(ValueError, match="shorter"):
        ledgers.add(connection, rows, [samples.heartbeat(0)])


def test_an_append_is_named_for_its_kinds(ledger: Ledger) -> None:
    job = ledger.append([samples.heartbeat(), samples.update(1)], reserve=False)
    assert job.label == "Heartbeat+UpdateReceived"


def test_an_append_that_repeats_a_key_is_refused_and_one_that_repeats_a_beat_is_not(
    ledger: Ledger,
) -> None:
    trigger = samples.transaction_a(1)[0]
    with pytest.raises(AlreadyRecorded) as refused:
        ledger.append([trigger, samples.heartbeat(), trigger], reserve=True)
    assert (refused.value.kind, refused.value.key) == ("TrackerChanged", "triggered:1:1")
    ledger.append([samples.heartbeat(), samples.heartbeat()], reserve=True)


def test_a_writer_that_was_replaced_writes_nothing(ledger: Ledger, connection: Connection) -> None:
    job = ledger.append([samples.heartbeat()], reserve=False)
    assert next_lease(connection).epoch == ledger.lease.epoch + 1
    with pytest.raises(InstanceConflict, match=r"another agent \(pid .*this one stops writing"):
        job.write(connection)
    assert _kinds(connection) == []


def test_a_database_in_which_nobody_may_write_is_damaged(
    ledger: Ledger, connection: Connection
) -> None:
    connection.execute(delete(schema.lease))
    with pytest.raises(JournalCorrupt, match="should name who may write"):
        _appended(ledger, connection, samples.heartbeat())
    assert _kinds(connection) == []


def test_what_lies_beside_the_database_is_let_go_with_or_without_a_mark(
    connection: Connection, tmp_path: Path
) -> None:
    lease, before = next_lease(connection), len(list(Path("/proc/self/fd").iterdir()))
    Ledger(lease, Reserve(tmp_path / "one", 0)).close()
    mark = HighWater(tmp_path / "mark")
    Ledger(lease, Reserve(tmp_path / "other", 0), high_water=mark).close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_mark_beside_the_database_names_each_commit(
    connection: Connection, tmp_path: Path
) -> None:
    mark = HighWater(tmp_path / "mark")
    kept = Ledger(next_lease(connection), Reserve(tmp_path / "other", 0), high_water=mark)
    for number in range(2):
        _appended(kept, connection, samples.heartbeat(number))
        (last,) = connection.execute(
            select(schema.journal.c.seq, schema.journal.c.hash).where(
                schema.journal.c.seq == number + 1
            )
        )
        assert mark.read() == Tip(*last)
    kept.close()


def test_an_append_whose_answer_was_lost_is_recognised_and_not_repeated(
    ledger: Ledger, connection: Connection
) -> None:
    job = ledger.append(samples.transaction_a(1), reserve=False)
    assert job.write(connection) == 4
    assert job.write(connection) == 4
    assert len(_kinds(connection)) == 4


def test_an_append_that_was_rolled_back_is_written_again(
    ledger: Ledger, connection: Connection
) -> None:
    connection.commit()
    job = ledger.append(samples.transaction_a(1), reserve=False)
    job.write(connection)
    connection.rollback()
    assert _appended(ledger, connection, samples.heartbeat()) == 1
    # The same place in the journal, and another row: the place alone proves nothing.
    assert job.write(connection) == 5
    assert _kinds(connection)[0] == "Heartbeat"


# ---------------------------------------------------------------- what a conflict was about


def test_a_conflict_names_the_key_that_the_journal_holds(
    ledger: Ledger, connection: Connection
) -> None:
    _appended(ledger, connection, *samples.transaction_a(1))
    conflict = ledger.append(
        [samples.heartbeat(), *samples.transaction_a(1)], reserve=False
    ).conflict(connection)
    assert isinstance(conflict, AlreadyRecorded)
    assert (conflict.kind, conflict.key) == ("TrackerChanged", "triggered:1:1")


def test_a_conflict_names_the_key_that_waits_in_the_reserve(
    ledger: Ledger, connection: Connection
) -> None:
    ledger.reserve.write(samples.transaction_a(2), None)
    conflict = ledger.append(samples.transaction_a(2), reserve=False).conflict(connection)
    assert isinstance(conflict, AlreadyRecorded)
    assert conflict.key == "triggered:2:1"


def test_a_conflict_without_a_known_key_is_damage(ledger: Ledger, connection: Connection) -> None:
    conflict = ledger.append([samples.heartbeat(), samples.update(1)], reserve=False).conflict(
        connection
    )
    assert isinstance(conflict, JournalCorrupt)
    assert "while storing Heartbeat+UpdateReceived" in str(conflict)


# ---------------------------------------------------------------- a database that takes nothing


def test_what_may_not_use_the_reserve_is_lost_and_said_so(
    ledger: Ledger, connection: Connection
) -> None:
    assert not ledger.is_degraded
    job = ledger.append([samples.heartbeat()], reserve=False)
    with pytest.raises(StorageLost, match="cannot be written: disk is full"):
        job.failed(FULL, connection)
    assert (ledger.is_degraded, ledger.is_broken, ledger.lost_reason) == (
        True,
        False,
        "disk is full",
    )
    assert not ledger.reserve.has_pending
    _appended(ledger, connection, samples.heartbeat())
    assert not ledger.is_degraded


def test_a_final_failure_stays_final(ledger: Ledger, connection: Connection) -> None:
    final = UnwritableError("fsync failed", is_final=True)
    for error in (final, FULL):
        job = ledger.append(samples.transaction_a(1 + ledger.is_broken), reserve=True)
        assert job.failed(error, connection) == 0
        assert ledger.is_broken


@pytest.mark.parametrize("can_read", [True, False])
def test_an_exit_that_the_disk_refuses_waits_in_the_reserve_and_enters_with_the_next_append(
    ledger: Ledger, connection: Connection, can_read: bool
) -> None:
    job = ledger.append(samples.transaction_a(1), reserve=True)
    assert job.failed(FULL, connection if can_read else None) == 0
    assert [one.events for one in ledger.reserve.pending] == [samples.transaction_a(1)]
    assert _appended(ledger, connection, samples.heartbeat()) == 5
    assert _kinds(connection)[-1] == "Heartbeat"
    assert not ledger.is_degraded
    assert ledgers.drained_generation(connection) == 1
    assert _appended(ledger, connection, samples.heartbeat(1)) == 6
    assert (ledgers.drained_generation(connection), ledger.reserve.generation) == (1, 2)


def test_without_a_reserve_to_drain_no_generation_is_noted(
    ledger: Ledger, connection: Connection
) -> None:
    _appended(ledger, connection, samples.heartbeat())
    assert ledgers.drained_generation(connection) == 0
    assert ledger.reserve.generation == 1


def test_what_the_reserve_or_the_journal_knows_is_not_saved_again(
    ledger: Ledger, connection: Connection
) -> None:
    _appended(ledger, connection, *samples.transaction_a(1))
    ledger.append(samples.transaction_a(2), reserve=True).failed(FULL, connection)
    for number in (1, 2):
        again = ledger.append(samples.transaction_a(number), reserve=True)
        with pytest.raises(AlreadyRecorded) as refused:
            again.failed(FULL, connection)
        assert refused.value.key == f"triggered:{number}:1"
    assert len(ledger.reserve.pending) == 1


def test_a_reserve_without_room_says_both_reasons(ledger: Ledger, connection: Connection) -> None:
    ledger.reserve._end = 1024 * 1024
    job = ledger.append(samples.transaction_a(1), reserve=True)
    with pytest.raises(StorageLost, match=r"disk is full; the reserve .* has no room left"):
        job.failed(FULL, connection)


def _in_doubt(ledger: Ledger, connection: Connection) -> Append:
    """An append that the database had before it said that it could not write."""
    job = ledger.append([samples.heartbeat(), samples.update(9)], reserve=True)
    job.write(connection)
    return job


def test_an_append_in_doubt_that_the_journal_took_is_not_drained_again(
    ledger: Ledger, connection: Connection
) -> None:
    _in_doubt(ledger, connection).failed(FULL, None)
    assert ledger.reserve.has_pending
    assert _appended(ledger, connection, samples.heartbeat(2)) == 3
    assert _kinds(connection) == ["Heartbeat", "UpdateReceived", "Heartbeat"]


def test_an_append_in_doubt_that_the_journal_did_not_take_is_drained(
    ledger: Ledger, connection: Connection
) -> None:
    connection.commit()
    job = _in_doubt(ledger, connection)
    connection.rollback()
    job.failed(FULL, None)
    assert _appended(ledger, connection, samples.heartbeat(2)) == 3
    assert _kinds(connection) == ["Heartbeat", "UpdateReceived", "Heartbeat"]


def test_an_event_of_the_reserve_that_the_journal_knows_already_is_left_out(
    ledger: Ledger, connection: Connection
) -> None:
    ledger.reserve.write((samples.update(9), samples.heartbeat()), None)
    ledger.reserve.write((samples.update(10),), None)
    other = Ledger(ledger.lease, Reserve(ledger.reserve.path.with_name("other"), 0))
    _appended(other, connection, samples.update(9))
    other.reserve.close()
    assert _appended(ledger, connection) == 3
    assert _kinds(connection) == ["UpdateReceived", "Heartbeat", "UpdateReceived"]
