"""Marks of what is being sent: they outlive a full disk, and what they cannot do is said."""

import errno
import os
from pathlib import Path

import pytest

from bot.on_the_way import MESSAGES, SALES, MarkedOnTheWay
from tests.catalogue import fired

_OF_AN_EARLIER_VERSION = 64 * 256


def full(*_: object) -> None:
    """A disk without room."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.fault("S03", "ONE")
def test_a_file_that_cannot_grow_on_a_full_disk_is_used_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MarkedOnTheWay(tmp_path, SALES).leave("sent before the upgrade")
    os.truncate(tmp_path / SALES, _OF_AN_EARLIER_VERSION)
    monkeypatch.setattr(os, "posix_fallocate", full)
    way = MarkedOnTheWay(tmp_path, SALES)
    assert way.keys == {"sent before the upgrade"}
    assert way.trouble == ""
    way.leave("sent now")
    # As the next process finds it.
    left = MarkedOnTheWay(tmp_path, SALES)
    assert left.keys == {"sent before the upgrade", "sent now"}
    left.arrive("sent before the upgrade")
    assert MarkedOnTheWay(tmp_path, SALES).keys == {"sent now"}
    assert (tmp_path / SALES).stat().st_size == _OF_AN_EARLIER_VERSION
    fired(len(left.keys))


def test_without_a_file_of_before_a_full_disk_is_told_and_marks_count_while_the_process_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", full)
    way = MarkedOnTheWay(tmp_path, SALES)
    assert way.trouble == "No space left on device"
    way.leave("a")
    assert way.keys == {"a"}


@pytest.mark.parametrize("name", [MESSAGES, SALES])
def test_marks_of_before_count_where_the_file_may_only_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    MarkedOnTheWay(tmp_path, name).leave("a")
    opened = os.open

    def read_only(path: Path, flags: int, *more: int, **named: int) -> int:
        if flags & os.O_RDWR:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return opened(path, flags, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        way = MarkedOnTheWay(tmp_path, name)
    assert way.keys == {"a"}
    assert way.trouble == "Read-only file system"


def test_a_mark_for_which_there_is_no_place_is_logged_and_one_that_is_taken_away_makes_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    way = MarkedOnTheWay(tmp_path, MESSAGES)
    for number in range(65):
        way.leave(f"message {number}")
    assert [record.message for record in caplog.records] == ["not_marked"]
    assert len(way.keys) == 64
    way.arrive("message 7")
    way.leave("message 65")
    assert MarkedOnTheWay(tmp_path, MESSAGES).keys == way.keys
    assert "message 65" in way.keys
