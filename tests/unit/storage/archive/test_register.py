"""What was held once is known until it is held again, whoever took it away."""

import shutil
from pathlib import Path

import pytest

from storage.archive import writer as writing_module
from storage.archive.archive import Archive
from storage.archive.layout import Month, folder_of, partition_path
from storage.archive.register import REGISTER, Register
from storage.archive.writer import writing
from tests.unit.trading.candles.make import BITCOIN, LATER_MS, MINUTE_MS, START_MS, walk
from trading.candles.series import Candles, SeriesName
from trading.candles.spans import Span

_HOUR_MS = 60 * MINUTE_MS
_HOURS = SeriesName("binance", "BTC/USDT", "1h")
_MAY, _JUNE, _JULY = (Month(2021, number) for number in (5, 6, 7))
_WHOLE = walk(2000, length_ms=_HOUR_MS)


def _store(root: Path, candles: Candles = _WHOLE) -> None:
    with writing(root) as writer:
        writer.store(_HOURS, candles, LATER_MS, "a test")


def _lost(root: Path) -> list[Month]:
    return Archive(root).load(_HOURS).lost_months


@pytest.mark.parametrize("month", [_MAY, _JUNE, _JULY])
def test_a_month_whose_file_vanished_is_lost_until_it_is_told_again(
    month: Month, tmp_path: Path
) -> None:
    _store(tmp_path)
    assert _lost(tmp_path) == []
    path = partition_path(tmp_path, _HOURS, month)
    whole = path.read_bytes()
    path.unlink()
    assert _lost(tmp_path) == [month]
    with writing(tmp_path) as writer:
        assert writer.quarantine_damaged() == []
    assert _lost(tmp_path) == [month]
    other = _JULY if month == _JUNE else _JUNE
    held = Archive(tmp_path).load(_HOURS, other.opens(_HOUR_MS))
    assert held.lost == (), "nothing is lost of the month that was asked for"
    _store(tmp_path)
    assert _lost(tmp_path) == []
    assert path.read_bytes() == whole


def test_a_damaged_month_is_lost_once_it_was_moved_away(tmp_path: Path) -> None:
    _store(tmp_path)
    partition_path(tmp_path, _HOURS, _JUNE).write_bytes(b"PAR1 torn")
    holding = Archive(tmp_path).load(_HOURS)
    assert ([one.month for one in holding.damaged], holding.lost) == ([_JUNE], ())
    with writing(tmp_path) as writer:
        writer.quarantine_damaged()
    assert _lost(tmp_path) == [_JUNE]


def test_a_month_of_which_a_part_came_back_is_still_missed(tmp_path: Path) -> None:
    _store(tmp_path)
    partition_path(tmp_path, _HOURS, _JULY).unlink()
    with writing(tmp_path) as writer:
        writer.append([(_HOURS, _WHOLE.take(slice(1990, 2000)))], LATER_MS, "a test")
    with writing(tmp_path):
        pass
    first_ms = _JULY.start_ms
    assert Archive(tmp_path).load(_HOURS).lost == (Span(first_ms, START_MS + 1989 * _HOUR_MS),)
    _store(tmp_path)
    assert _lost(tmp_path) == []


def test_a_series_without_a_file_or_a_folder_is_still_known(tmp_path: Path) -> None:
    _store(tmp_path)
    shutil.rmtree(folder_of(tmp_path, _HOURS))
    archive = Archive(tmp_path)
    assert (archive.series(), archive.series_known()) == ([], [_HOURS])
    assert _lost(tmp_path) == [_MAY, _JUNE, _JULY]
    with writing(tmp_path) as writer:
        (holding,) = writer.forget_lost()
        assert holding.lost_months == [_MAY, _JUNE, _JULY]
        assert writer.forget_lost() == []
    assert Archive(tmp_path).series_known() == []


def test_what_is_appended_is_remembered_once_it_is_in_its_month(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.append([(_HOURS, _WHOLE.take(slice(0, 50)))], LATER_MS, "a test")
        assert Archive(tmp_path).register is None
    with writing(tmp_path):
        pass
    partition_path(tmp_path, _HOURS, _MAY).unlink()
    assert Archive(tmp_path).load(_HOURS).lost == (Span(START_MS, START_MS + 49 * _HOUR_MS),)


def test_forgetting_keeps_what_is_there_in_mind(tmp_path: Path) -> None:
    _store(tmp_path)
    partition_path(tmp_path, _HOURS, _MAY).unlink()
    with writing(tmp_path) as writer:
        writer.forget_lost()
    assert _lost(tmp_path) == []
    partition_path(tmp_path, _HOURS, _JUNE).unlink()
    assert _lost(tmp_path) == [_JUNE]


@pytest.mark.parametrize("content", [None, b"", b"torn"])
def test_an_archive_without_a_register_to_be_believed_begins_one_with_what_is_there(
    content: bytes | None, tmp_path: Path
) -> None:
    _store(tmp_path)
    path = tmp_path / REGISTER
    whole = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert _lost(tmp_path) == []
    with writing(tmp_path):
        pass
    assert path.read_bytes() == whole
    # A damaged month says nothing that could be believed.
    path.unlink()
    partition_path(tmp_path, _HOURS, _MAY).write_bytes(b"torn")
    with writing(tmp_path):
        pass
    register = Archive(tmp_path).register
    assert register is not None
    assert register.of(_HOURS) == (Span(_JUNE.start_ms, START_MS + 1999 * _HOUR_MS),)


def test_a_writer_killed_before_the_register_is_made_up_for_by_the_next_telling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = writing_module.durable.write_whole

    def dies(path: Path, content: bytes) -> None:
        if path.name == REGISTER:
            raise KeyboardInterrupt
        honest(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(writing_module.durable, "write_whole", dies)
        with pytest.raises(KeyboardInterrupt):
            _store(tmp_path)
    assert _lost(tmp_path) == []
    _store(tmp_path)
    register = Archive(tmp_path).register
    assert register is not None
    assert register.of(_HOURS) == (Span(START_MS, START_MS + 1999 * _HOUR_MS),)


def test_no_bent_byte_of_a_register_is_believed(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.store(BITCOIN, walk(5), LATER_MS, "a test")
    content = (tmp_path / REGISTER).read_bytes()
    assert Register(content).names() == [BITCOIN]
    for place in range(len(content)):
        bent = bytearray(content)
        bent[place] ^= 0x11
        register = Register(bytes(bent))
        assert (register.is_believed, register.names()) == (False, [])
