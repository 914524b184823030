"""A series that is taken out is gone whole, and one whose removal was broken off is gone later."""

from collections.abc import Callable
from pathlib import Path

import pytest

from storage.archive import combinations, durable
from storage.archive.archive import Archive
from storage.archive.layout import folder_of
from storage.archive.removing import NOTE
from storage.archive.writer import writing
from tests.unit.trading.candles.make import BITCOIN, LATER_MS, MINUTE_MS, walk
from trading.candles.series import SeriesName

_HOUR_MS = 60 * MINUTE_MS
_HOURS = SeriesName("binance", "BTC/USDT", "1h")
_KRAKEN = SeriesName("kraken", "BTC/USDT", "1h")
_WHOLE = walk(2000, length_ms=_HOUR_MS)


class _Killed(Exception):
    """The process is gone."""


def _filled(root: Path) -> None:
    with writing(root) as writer:
        for name in (_HOURS, _KRAKEN):
            writer.store(name, _WHOLE, LATER_MS, "a test")
        writer.append([(BITCOIN, walk(10))], LATER_MS, "a test")
    combinations.keep(root, (_HOURS, _KRAKEN))


def _assert_gone(root: Path) -> None:
    archive = Archive(root)
    assert archive.series_known() == [BITCOIN, _KRAKEN], "nothing of it is known, nothing is lost"
    assert list(combinations.kept(root)) == []
    assert not folder_of(root, _HOURS).exists()
    assert not (root / NOTE).exists()
    assert archive.load(_KRAKEN).candles.equals(_WHOLE)


def test_a_series_is_taken_out_with_the_combination_that_it_leads(tmp_path: Path) -> None:
    _filled(tmp_path)
    with writing(tmp_path) as writer:
        writer.remove([_HOURS])
        _assert_gone(tmp_path)
        assert len(Archive(tmp_path).load(BITCOIN).candles) == 10
        writer.store(_HOURS, _WHOLE, LATER_MS, "a test")
    assert Archive(tmp_path).load(_HOURS).candles.equals(_WHOLE), "and can be told again"


def test_what_was_appended_to_a_series_goes_with_it(tmp_path: Path) -> None:
    _filled(tmp_path)
    newest = walk(2001, length_ms=_HOUR_MS).take(slice(2000, 2001))
    with writing(tmp_path) as writer:
        writer.append([(_HOURS, newest)], LATER_MS + _HOUR_MS, "a test")
        writer.remove([_HOURS])
        assert len(Archive(tmp_path).load(_HOURS).candles) == 0
        writer.append([(_HOURS, newest)], LATER_MS + _HOUR_MS, "a test")
    assert Archive(tmp_path).load(_HOURS).candles.equals(newest)


@pytest.mark.parametrize("step", range(7))
def test_a_removal_that_is_killed_is_finished_by_the_next_writer_or_has_not_begun(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _filled(tmp_path)
    steps = iter(range(100))

    def dying(do: Callable[..., object]) -> Callable[..., object]:
        def done(*arguments: object) -> object:
            if next(steps) == step:
                raise _Killed
            return do(*arguments)

        return done

    with writing(tmp_path) as writer:
        writer.fold()
        for name in ("write_whole", "remove"):
            monkeypatch.setattr(durable, name, dying(getattr(durable, name)))
        with pytest.raises(_Killed):
            writer.remove([_HOURS])
    monkeypatch.undo()

    has_begun = (tmp_path / NOTE).exists()
    assert has_begun or step == 0
    with writing(tmp_path) as writer:
        assert writer.removed == ([_HOURS] if has_begun else [])
    if has_begun:
        _assert_gone(tmp_path)
    else:
        assert Archive(tmp_path).load(_HOURS).candles.equals(_WHOLE)


def test_a_note_that_the_disk_has_bent_takes_nothing_out(tmp_path: Path) -> None:
    _filled(tmp_path)
    (tmp_path / NOTE).write_bytes(b'[["binance", "BTC')
    with writing(tmp_path) as writer:
        assert writer.removed == []
    assert not (tmp_path / NOTE).exists()
    assert Archive(tmp_path).load(_HOURS).candles.equals(_WHOLE)


def test_a_month_that_is_taken_out_while_it_is_read_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _filled(tmp_path)
    archive = Archive(tmp_path)
    months = archive.months(_HOURS)
    with writing(tmp_path) as writer:
        writer.remove([_HOURS])
    monkeypatch.setattr("storage.archive.archive.months_of", lambda _root, _name: months)
    holding = archive.load(_HOURS)
    assert (len(holding.candles), holding.damaged, holding.lost) == (0, (), ())
