"""The reserve keeps what the journal could not take, through crashes and torn writes."""

import errno
import os
from pathlib import Path

import pytest

from storage.reserve import RESERVE_BYTES, Reserve, ReserveFull
from tests.catalogue import fired
from tests.contract.storage import samples


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "umbra.reserve"


def test_room_is_taken_before_it_is_needed(path: Path) -> None:
    reserve = Reserve(path, 0)
    reserve.close()
    assert path.stat().st_size == RESERVE_BYTES
    assert path.stat().st_blocks * 512 >= RESERVE_BYTES
    assert path.stat().st_mode & 0o077 == 0


def test_records_are_found_again_in_order(path: Path) -> None:
    reserve = Reserve(path, 0)
    reserve.write(samples.transaction_a(1), (7, b"h" * 32))
    reserve.write([samples.heartbeat()], None)
    reserve.close()
    again = Reserve(path, 0)
    assert again.has_pending
    assert [one.events for one in again.pending] == [
        samples.transaction_a(1),
        (samples.heartbeat(),),
    ]
    assert [one.in_doubt for one in again.pending] == [(7, b"h" * 32), None]
    again.write([samples.heartbeat(2)], None)
    again.close()
    assert len(Reserve(path, 0).pending) == 3


@pytest.mark.fault("S15", "KEEP SAID")
def test_a_torn_last_record_is_dropped_at_every_byte(path: Path) -> None:
    reserve = Reserve(path, 0)
    reserve.write([samples.heartbeat(1)], None)
    first = reserve._end
    reserve.write([samples.update(1)], None)
    last = reserve._end
    reserve.close()
    whole = path.read_bytes()
    for cut in range(first, last):
        path.write_bytes(whole[:cut] + bytes(RESERVE_BYTES - cut))
        torn = Reserve(path, 0)
        assert [one.events for one in torn.pending] == [(samples.heartbeat(1),)]
        torn.close()
    fired(last - first)


def test_drained_records_do_not_come_back(path: Path) -> None:
    reserve = Reserve(path, 0)
    for minute in range(3):
        reserve.write([samples.heartbeat(minute)], None)
    reserve.drained(reserve.generation)
    assert not reserve.has_pending
    # The same length as before: the old second record now follows the new first one exactly.
    reserve.write([samples.heartbeat(7)], None)
    reserve.close()
    again = Reserve(path, 1)
    assert [one.events for one in again.pending] == [(samples.heartbeat(7),)]
    again.close()
    assert not Reserve(path, 2).has_pending


def test_a_crash_between_drain_and_the_next_record_drains_nothing_twice(path: Path) -> None:
    reserve = Reserve(path, 4)
    reserve.write([samples.heartbeat()], None)
    reserve.close()
    # The journal has generation 5; this process died before it could note that anywhere.
    assert not Reserve(path, 5).has_pending


def test_a_full_reserve_says_so_and_keeps_what_it_has(path: Path) -> None:
    reserve = Reserve(path, 0)
    with pytest.raises(ReserveFull, match="no room left"):
        _fill(reserve)
    kept = len(reserve.pending)
    assert kept > 100
    reserve.close()
    assert len(Reserve(path, 0).pending) == kept


def _fill(reserve: Reserve) -> None:
    for number in range(10_000):
        reserve.write(samples.transaction_a(number), None)


def test_a_reserve_that_cannot_be_written_says_so(path: Path) -> None:
    reserve = Reserve(path, 0)
    reserve.close()
    reserve._descriptor = 10_000
    with pytest.raises(ReserveFull, match="cannot be written"):
        reserve.write([samples.heartbeat()], None)
    reserve._descriptor = -1


def test_a_waiting_key_is_known(path: Path) -> None:
    reserve = Reserve(path, 0)
    reserve.write([samples.heartbeat(), samples.update(5)], None)
    assert reserve.first_known([samples.heartbeat(), samples.update(4)]) is None
    assert reserve.first_known([samples.update(4), samples.update(5)]) == ("UpdateReceived", "5")
    reserve.close()


def test_a_record_of_which_only_a_part_was_written_is_not_called_durable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve, write = Reserve(path, 0), os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda to, content, at: write(to, content[:40], at))
        with pytest.raises(ReserveFull, match="only a part"):
            reserve.write([samples.heartbeat(1)], None)
    assert not reserve.has_pending
    reserve.write([samples.heartbeat(2)], None)
    reserve.close()
    assert [one.events for one in Reserve(path, 0).pending] == [(samples.heartbeat(2),)]


@pytest.mark.parametrize("room", [0, 4096])
def test_a_disk_without_room_for_a_reserve_stops_no_start_and_is_found(
    path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    write = os.pwrite

    def full(to: int, content: bytes, at: int) -> int:
        if at >= room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(to, content[: room - at], at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        reserve = Reserve(path, 0)
    assert reserve.shortage == "No space left on device"
    reserve.write([samples.heartbeat()], None)
    reserve.close()
    again = Reserve(path, 0)
    assert (again.shortage, len(again.pending)) == ("", 1)
    assert path.stat().st_size == RESERVE_BYTES
    again.close()
