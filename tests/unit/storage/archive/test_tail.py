"""What is appended is durable at once, is read like the rest, and ends in the months' bytes."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.archive import writer as writing_module
from storage.archive.archive import Archive, DamagedMonth
from storage.archive.layout import Month, partition_path
from storage.archive.tail import TAIL
from storage.archive.writer import ArchiveWriter, Stored, writing
from tests.unit.trading.candles.make import (
    BITCOIN,
    LATER_MS,
    MINUTE_MS,
    START_MS,
    bend,
    walk,
    without_optional,
)
from trading.candles.checking import Fault
from trading.candles.series import PRICES, Candles, SeriesName
from trading.candles.spans import Span

pytestmark = pytest.mark.uncounted

_HOUR_MS = 60 * MINUTE_MS
_IN_QUOTE = (*PRICES, "quote_volume")
_HOURS = SeriesName("binance", "BTC/USDT", "1h")
_ETHER = SeriesName("binance", "ETH/USDT:USDT", "1h")


def _append(writer: ArchiveWriter, name: SeriesName, told: Candles) -> Stored:
    (report,) = writer.append([(name, told)], LATER_MS, "a test")
    return report


def _months(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*.parquet")
        if path.parts[-5] != "quarantine"
    }


def _part(candles: Candles, first: int, past: int) -> Candles:
    return candles.take(slice(first, past))


def test_what_is_appended_is_read_at_once_and_no_month_is_written(tmp_path: Path) -> None:
    hours, ether = walk(800, length_ms=_HOUR_MS), walk(3, 2, length_ms=_HOUR_MS)
    with writing(tmp_path) as writer:
        writer.store(_HOURS, _part(hours, 0, 700), LATER_MS, "a test")
        before = _months(tmp_path)
        told = [(_HOURS, _part(hours, 700, 800)), (_ETHER, ether)]
        reports = writer.append(told, LATER_MS, "a test")
        assert [(one.name, one.told, one.added) for one in reports] == [
            (_HOURS, 100, 100),
            (_ETHER, 3, 3),
        ]
        assert _months(tmp_path) == before
    archive = Archive(tmp_path)
    assert archive.series() == [_HOURS, _ETHER]
    assert archive.months(_HOURS) == [Month(2021, 5), Month(2021, 6)]
    holding = archive.load(_HOURS)
    assert holding.candles.equals(hours)
    assert [span.count(_HOUR_MS) for span in holding.spans] == [800]
    assert archive.load(_ETHER).candles.equals(ether)
    june = Month(2021, 6)
    assert archive.load(_HOURS, june.opens(_HOUR_MS)).candles.equals(_part(hours, 744, 800))
    assert archive.read(_HOURS, june).candles.equals(_part(hours, 744, 800))


def test_the_next_writer_folds_the_tail_into_the_bytes_of_a_single_store(tmp_path: Path) -> None:
    hours = walk(800, length_ms=_HOUR_MS)
    with writing(tmp_path / "once") as writer:
        writer.store(_HOURS, hours, LATER_MS, "a test")
    with writing(tmp_path / "bit by bit") as writer:
        for first in range(0, 800, 100):
            _append(writer, _HOURS, _part(hours, first, first + 100))
    with writing(tmp_path / "bit by bit") as writer:
        assert writer.damaged == []
        assert Archive(tmp_path / "bit by bit").appended.rows == 0
    assert _months(tmp_path / "bit by bit") == _months(tmp_path / "once")


@settings(max_examples=25)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["append", "store", "fold", "leave"]), st.integers(1, 300)),
        min_size=1,
        max_size=8,
    ),
    overlap=st.integers(0, 20),
)
def test_no_order_of_appending_storing_and_folding_changes_the_bytes(
    steps: list[tuple[str, int]], overlap: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root, plain = tmp_path_factory.mktemp("mixed"), tmp_path_factory.mktemp("plain")
    whole = walk(8 * 300, length_ms=_HOUR_MS)
    past = 0
    for what, count in steps:
        with writing(root) as writer:
            if what == "fold":
                writer.fold()
            elif what in {"append", "store"}:
                told = _part(whole, max(past - overlap, 0), past + count)
                past += count
                if what == "append":
                    _append(writer, _HOURS, told)
                else:
                    writer.store(_HOURS, told, LATER_MS, "a test")
        assert Archive(root).load(_HOURS).candles.equals(_part(whole, 0, past))
    with writing(root), writing(plain) as writer:
        writer.store(_HOURS, _part(whole, 0, past), LATER_MS, "a test")
    assert _months(root) == _months(plain)


def test_a_tail_torn_anywhere_keeps_its_whole_batches_and_tells_the_rest(tmp_path: Path) -> None:
    hours = walk(6, length_ms=_HOUR_MS)
    ends = []
    with writing(tmp_path / "whole") as writer:
        for number in range(3):
            _append(writer, _HOURS, _part(hours, 2 * number, 2 * number + 2))
            ends.append((tmp_path / "whole" / TAIL).stat().st_size)
    content = (tmp_path / "whole" / TAIL).read_bytes()
    assert len(content) == ends[-1]
    for size in range(len(content) + 1):
        root = tmp_path / str(size)
        root.mkdir()
        (root / TAIL).write_bytes(content[:size])
        kept = 2 * sum(end <= size for end in ends)
        assert Archive(root).load(_HOURS).candles.equals(_part(hours, 0, kept))
        if size % 50 and size not in ends:
            continue
        with writing(root) as writer:
            is_whole = size in ends or not size
            believed = max((end for end in ends if end <= size), default=25 if size >= 25 else 0)
            assert (writer.cut_off is None) == (is_whole or size == 25)
            if writer.cut_off is not None:
                assert writer.cut_off.read_bytes() == content[believed:size]
            assert _append(writer, _HOURS, _part(hours, kept, 6)).added == 6 - kept
        assert Archive(root).load(_HOURS).candles.equals(hours)


def test_no_bent_byte_of_a_tail_is_believed(tmp_path: Path) -> None:
    hours = walk(2, length_ms=_HOUR_MS)
    with writing(tmp_path) as writer:
        _append(writer, _HOURS, hours)
    content = (tmp_path / TAIL).read_bytes()
    for place in range(len(content)):
        bent = bytearray(content)
        bent[place] ^= 0x11
        (tmp_path / TAIL).write_bytes(bent)
        assert Archive(tmp_path).series() == []


def test_an_append_that_fails_is_not_held_and_may_be_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = walk(4, length_ms=_HOUR_MS)
    honest, torn = os.pwrite, []

    def half(descriptor: int, content: bytes, at: int) -> int:
        torn.append(honest(descriptor, content[: len(content) // 2], at))
        raise OSError(28, "No space left on device")

    with writing(tmp_path) as writer:
        _append(writer, _HOURS, _part(hours, 0, 2))
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", half)
            with pytest.raises(OSError, match="No space left"):
                _append(writer, _HOURS, _part(hours, 2, 4))
        assert len(torn) == 1
        assert Archive(tmp_path).load(_HOURS).candles.equals(_part(hours, 0, 2))
        assert _append(writer, _HOURS, _part(hours, 2, 4)).added == 2
    assert Archive(tmp_path).load(_HOURS).candles.equals(hours)
    with writing(tmp_path) as writer:
        assert writer.cut_off is None


def test_a_batch_is_durable_by_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    honest = os.fdatasync

    def sync(descriptor: int) -> None:
        synced.append(descriptor)
        honest(descriptor)

    def no_month(path: Path, _content: bytes) -> None:
        raise AssertionError(f"{path} was written")

    names = [SeriesName("binance", f"C{number}/USDT", "1h") for number in range(50)]
    with writing(tmp_path) as writer:
        writer.append([(name, walk(1)) for name in names], LATER_MS, "a test")
        monkeypatch.setattr(os, "fdatasync", sync)
        monkeypatch.setattr(writing_module.durable, "write_whole", no_month)
        following = walk(1, start_ms=START_MS + _HOUR_MS)
        writer.append([(name, following) for name in names], LATER_MS, "a test")
    assert len(synced) == 1
    assert len(Archive(tmp_path).series()) == 50


def test_a_candle_told_again_or_late_is_compared_with_what_is_held(tmp_path: Path) -> None:
    hours = walk(10, length_ms=_HOUR_MS)
    with writing(tmp_path) as writer:
        _append(writer, _HOURS, _part(hours, 0, 5))
        again = _append(writer, _HOURS, _part(hours, 3, 5))
        assert (again.added, again.known) == (0, 2)
        other = bend(_part(hours, 4, 5), 0, volume=999.0, quote_volume=np.nan)
        # In one batch, too: the later word is compared with the one that is not durable yet.
        first, second = writer.append(
            [(_HOURS, _part(hours, 5, 6)), (_HOURS, other)], LATER_MS, "a test"
        )
        assert (first.added, second.rejected) == (1, {Fault.DISAGREES: 1})
        unlike = bend(_part(hours, 6, 7), 0, volume=999.0, quote_volume=np.nan)
        _, refused = writer.append(
            [(_HOURS, _part(hours, 6, 7)), (_HOURS, unlike)], LATER_MS, "a test"
        )
        assert refused.rejected == {Fault.DISAGREES: 1}
        completed = _append(writer, _HOURS, _part(hours, 0, 10))
        assert (completed.added, completed.known) == (3, 7)
    assert Archive(tmp_path).load(_HOURS).candles.equals(hours)


def test_an_optional_field_that_is_learned_later_completes_an_appended_candle(
    tmp_path: Path,
) -> None:
    hours = walk(4, length_ms=_HOUR_MS)
    with writing(tmp_path) as writer:
        _append(writer, _HOURS, without_optional(hours))
        assert np.isnan(Archive(tmp_path).load(_HOURS).candles.trades).all()
        assert _append(writer, _HOURS, hours).completed == 4
    with writing(tmp_path):
        pass
    assert Archive(tmp_path).load(_HOURS).candles.equals(hours)


def test_what_cannot_be_kept_is_never_appended(tmp_path: Path) -> None:
    hours = walk(10, length_ms=_HOUR_MS)
    in_cents = hours.replace(**{name: hours.column(name) * 100 for name in _IN_QUOTE})
    with writing(tmp_path) as writer:
        _append(writer, _HOURS, _part(hours, 0, 5))
        size = (tmp_path / TAIL).stat().st_size
        report = _append(writer, _HOURS, _part(in_cents, 5, 6))
        assert report.rejected == {Fault.UNIT: 1}
        report = _append(writer, _HOURS, bend(_part(hours, 5, 6), 0, low=np.nan))
        assert report.rejected == {Fault.NOT_A_NUMBER: 1}
        (running,) = writer.append([(_HOURS, _part(hours, 5, 6))], START_MS + 5 * _HOUR_MS, "x")
        assert (running.running, running.added) == (1, 0)
        assert (tmp_path / TAIL).stat().st_size == size
        # Over a pause anything may happen, and what lies in it was never asked for.
        assert _append(writer, _HOURS, _part(in_cents, 7, 8)).added == 1
    holding = Archive(tmp_path).load(_HOURS)
    assert (len(holding.candles), holding.gaps, len(holding.spans)) == (6, (), 2)


def test_a_long_tail_is_folded_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing_module, "FOLD_ROWS", 10)
    hours = walk(24, length_ms=_HOUR_MS)
    with writing(tmp_path) as writer:
        for place in range(24):
            _append(writer, _HOURS, _part(hours, place, place + 1))
            waiting = Archive(tmp_path).appended.rows
            assert waiting == (place + 1) % 10
    assert Archive(tmp_path).load(_HOURS).candles.equals(hours)


def test_a_fold_killed_between_two_months_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = walk(2000, length_ms=_HOUR_MS)
    with writing(tmp_path / "once") as writer:
        writer.store(_HOURS, hours, LATER_MS, "a test")
    root = tmp_path / "killed"
    with writing(root) as writer:
        _append(writer, _HOURS, hours)
    honest, written = writing_module.durable.write_whole, []

    def dies_at_second(path: Path, content: bytes) -> None:
        written.append(path)
        if len(written) == 2:
            raise KeyboardInterrupt
        honest(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(writing_module.durable, "write_whole", dies_at_second)
        with pytest.raises(KeyboardInterrupt), writing(root):
            pass
    assert [path.stem for path in written] == ["2021-05", "2021-06"]
    assert len(_months(root)) == 1
    assert Archive(root).load(_HOURS).candles.equals(hours)
    with writing(root):
        pass
    assert _months(root) == _months(tmp_path / "once")


def test_a_month_damaged_before_its_fold_is_moved_away_and_told(tmp_path: Path) -> None:
    hours = walk(10, length_ms=_HOUR_MS)
    with writing(tmp_path) as writer:
        writer.store(_HOURS, _part(hours, 0, 5), LATER_MS, "a test")
        _append(writer, _HOURS, _part(hours, 5, 10))
    may = Month(2021, 5)
    partition_path(tmp_path, _HOURS, may).write_bytes(b"PAR1 torn")
    with writing(tmp_path) as writer:
        (damage,) = writer.damaged
        assert isinstance(damage, DamagedMonth)
        assert (damage.name, damage.month) == (_HOURS, may)
    assert Archive(tmp_path).load(_HOURS).candles.equals(_part(hours, 5, 10))
    assert len(list((tmp_path / "quarantine").rglob("damaged-2021-05-*.parquet"))) == 1


def test_a_reader_that_lives_long_sees_each_append(tmp_path: Path) -> None:
    archive, hours = Archive(tmp_path), walk(3, length_ms=_HOUR_MS)
    assert archive.load(_HOURS).candles.equals(_part(hours, 0, 0))
    with writing(tmp_path) as writer:
        for place in range(3):
            _append(writer, _HOURS, _part(hours, place, place + 1))
            assert archive.load(_HOURS).candles.equals(_part(hours, 0, place + 1))


def test_a_reused_ticker_is_appended_to_the_coin_it_means_then(tmp_path: Path) -> None:
    day_ms = 24 * _HOUR_MS
    luna = SeriesName("binance", "LUNA/USDT", "1d")
    since_ms = 1_653_696_000_000
    told: Any = walk(4, length_ms=day_ms, start_ms=since_ms - 2 * day_ms)
    with writing(tmp_path) as writer:
        old, new = writer.append([(luna, told)], LATER_MS, "a test")
    assert (old.name.symbol, old.added, new.name.symbol, new.added) == (
        "LUNC/USDT",
        2,
        "LUNA/USDT",
        2,
    )
    assert Archive(tmp_path).load(luna).spans == (Span(since_ms, since_ms + day_ms),)
    assert BITCOIN not in Archive(tmp_path).series()
