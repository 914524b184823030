"""The mark beside the database: what it keeps, and which journals lack what it names."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine

from storage import schema
from storage.high_water import HighWater, Tip, lost
from storage.lease import next_lease
from storage.ledger import Ledger
from storage.reserve import Reserve
from tests.contract.storage import samples
from trading.domain.time import from_ms, to_ms
from trading.ports.storage import LostRecords

TIP = Tip(7, bytes(range(32)))


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[HighWater]:
    made = HighWater(tmp_path / "umbra.mark")
    yield made
    made.close()


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as opened:
        schema.metadata.create_all(opened)
        yield opened
    engine.dispose()


def _journal(connection: Connection, folder: Path, *numbers: int) -> list[Tip]:
    """Append a record each; return the mark after each of them."""
    mark = HighWater(folder / "made.mark")
    ledger = Ledger(next_lease(connection), Reserve(folder / "made.reserve", 0), "", mark)
    tips = []
    for number in numbers:
        job = ledger.append([samples.heartbeat(number)], reserve=False)
        job.write(connection)
        job.committed()
        tips.append(mark.read())
    ledger.close()
    ledger.close()
    assert None not in tips
    return [tip for tip in tips if tip is not None]


def _stored(number: int) -> datetime:
    """The time of a sample as its row has it."""
    return from_ms(to_ms(samples.heartbeat(number).at))


def test_what_was_reached_is_read_back_and_the_file_is_nobody_elses(
    mark: HighWater, tmp_path: Path
) -> None:
    assert mark.read() is None
    mark.reached(TIP)
    assert HighWater(tmp_path / "umbra.mark").read() == TIP
    assert (tmp_path / "umbra.mark").stat().st_mode & 0o777 == 0o600


def test_a_mark_that_is_held_stays_until_it_is_let_go(mark: HighWater) -> None:
    mark.reached(TIP)
    mark.is_held = True
    mark.reached(Tip(8, bytes(32)))
    assert mark.read() == TIP
    mark.is_held = False
    mark.reached(Tip(8, bytes(32)))
    assert mark.read() == Tip(8, bytes(32))


@pytest.mark.parametrize("place", range(48))
def test_a_damaged_mark_says_nothing(mark: HighWater, tmp_path: Path, place: int) -> None:
    mark.reached(TIP)
    path = tmp_path / "umbra.mark"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert mark.read() is None
    path.write_bytes(bytes(content)[:place])
    assert mark.read() is None


def test_a_disk_that_takes_no_mark_holds_no_commit_up(caplog: pytest.LogCaptureFixture) -> None:
    full = HighWater(Path("/dev/full"))
    full.reached(TIP)
    full.close()
    assert "high_water_not_written" in caplog.text


def test_a_journal_that_holds_the_row_lacks_nothing(connection: Connection, tmp_path: Path) -> None:
    first, second, third = _journal(connection, tmp_path, 0, 1, 2)
    for tip in (None, first, second, third):
        assert lost(connection, tip) is None


def test_a_journal_that_ends_before_the_mark_lacks_the_rest(
    connection: Connection, tmp_path: Path
) -> None:
    _journal(connection, tmp_path, 0, 1)
    found = lost(connection, Tip(9, bytes(32)))
    assert found == LostRecords(7, _stored(1), 9)


def test_a_journal_with_another_row_in_that_place_lacks_it(
    connection: Connection, tmp_path: Path
) -> None:
    _journal(connection, tmp_path, 0, 1)
    assert lost(connection, Tip(2, bytes(32))) == LostRecords(0, _stored(1), 2)


def test_a_new_database_lacks_everything(connection: Connection) -> None:
    assert lost(connection, TIP) == LostRecords(7, None, 7)
