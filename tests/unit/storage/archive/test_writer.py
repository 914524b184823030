"""What the archive holds does not depend on how it came there, and is never overwritten."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from storage.archive import writer as writing_module
from storage.archive.archive import Archive
from storage.archive.layout import Month, partition_path
from storage.archive.writer import Stored, writing
from tests.unit.trading.candles.make import BITCOIN, LATER_MS, MINUTE_MS, START_MS, bend, walk
from trading.candles.checking import Fault
from trading.candles.series import COLUMNS, PRICES, Candles, SeriesName, join
from trading.candles.spans import Span
from trading.domain.errors import InstanceConflict, Refused

pytestmark = pytest.mark.uncounted

_HOUR_MS = 60 * MINUTE_MS
_IN_QUOTE = (*PRICES, "quote_volume")
_HOURS = SeriesName("binance", "BTC/USDT", "1h")
_MAY = Month(2021, 5)


def _store(root: Path, name: SeriesName, told: Candles, claimed: Span | None = None) -> Stored:
    with writing(root) as writer:
        (report,) = writer.store(name, told, LATER_MS, "a test", claimed)
    return report


def _files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != "archive.lock"
    }


def test_candles_are_held_by_months_and_read_back(tmp_path: Path) -> None:
    candles = walk(2000, length_ms=_HOUR_MS)
    report = _store(tmp_path, _HOURS, candles)
    assert (report.told, report.added, report.known) == (2000, 2000, 0)
    archive = Archive(tmp_path)
    assert archive.series() == [_HOURS]
    assert archive.months(_HOURS) == [Month(2021, number) for number in (5, 6, 7)]
    holding = archive.load(_HOURS)
    assert holding.candles.equals(candles)
    assert (holding.gaps, holding.missing, holding.damaged) == ((), 0, ())
    june = Month(2021, 6).opens(_HOUR_MS)
    assert len(archive.load(_HOURS, june).candles) == 720


@settings(max_examples=15)
@given(
    pieces=st.lists(st.tuples(st.integers(0, 1499), st.integers(1, 900)), min_size=1, max_size=4),
    chance=st.randoms(use_true_random=False),
)
def test_the_bytes_do_not_depend_on_the_order_or_the_number_of_pieces(
    pieces: list[tuple[int, int]], chance: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = walk(1500, length_ms=_HOUR_MS)
    roots = [tmp_path_factory.mktemp("archive") for _ in range(2)]
    for root in roots:
        for start, count in [*pieces, *pieces]:
            _store(root, _HOURS, whole.take(slice(start, start + count)))
        chance.shuffle(pieces)
    assert _files(roots[0]) == _files(roots[1]) != {}


def test_telling_the_same_again_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candles = walk(100)
    _store(tmp_path, BITCOIN, candles)

    def write(path: Path, _content: bytes) -> None:
        raise AssertionError(f"{path} was written again")

    monkeypatch.setattr(writing_module.durable, "write_whole", write)
    report = _store(tmp_path, BITCOIN, candles)
    assert (report.added, report.known) == (0, 100)


def test_gaps_are_recorded_over_months_and_filled_when_told(tmp_path: Path) -> None:
    whole = walk(1000, length_ms=_HOUR_MS)
    is_told = np.ones(1000, np.bool_)
    is_told[[5, 6]] = False
    is_told[700:760] = False  # over the turn of the month at 744
    _store(tmp_path, _HOURS, whole.take(is_told))
    gaps = Archive(tmp_path).load(_HOURS).gaps
    hours = [((gap.first_ms - START_MS) // _HOUR_MS, gap.count(_HOUR_MS)) for gap in gaps]
    assert hours == [(5, 2), (700, 60)]
    _store(tmp_path, _HOURS, whole.take(slice(600, 800)))
    assert [gap.count(_HOUR_MS) for gap in Archive(tmp_path).load(_HOURS).gaps] == [2]


def test_whole_months_that_were_asked_for_and_are_empty_are_a_gap(tmp_path: Path) -> None:
    claimed = Span(START_MS, START_MS + 2999 * _HOUR_MS)
    candles = walk(3000, length_ms=_HOUR_MS).take(np.r_[0:10, 2990:3000])
    _store(tmp_path, _HOURS, candles, claimed)
    (gap,) = Archive(tmp_path).load(_HOURS).gaps
    assert gap.count(_HOUR_MS) == 2980
    assert len(Archive(tmp_path).months(_HOURS)) == 5


def test_what_was_never_asked_for_is_no_gap(tmp_path: Path) -> None:
    whole = walk(100)
    _store(tmp_path, BITCOIN, whole.take(slice(0, 10)))
    _store(tmp_path, BITCOIN, whole.take(slice(50, 100)))
    holding = Archive(tmp_path).load(BITCOIN)
    assert holding.gaps == ()
    assert [span.count(MINUTE_MS) for span in holding.spans] == [10, 50]


def test_an_overlap_that_disagrees_is_told_and_kept_apart(tmp_path: Path) -> None:
    held = walk(100)
    _store(tmp_path, BITCOIN, held)
    before = _files(tmp_path)
    told = bend(held, 40, close=held.close[40] + 1, high=held.high[40] + 1)
    report = _store(tmp_path, BITCOIN, told)
    assert report.rejected == {Fault.DISAGREES: 1}
    assert (report.added, report.known) == (0, 99)
    (path,) = report.quarantined
    table = parquet.read_table(path)
    assert table.column("close").to_pylist() == [told.close[40]]
    assert b"a test" in table.schema.metadata[b"umbra"]
    assert Archive(tmp_path).load(BITCOIN).candles.equals(held)
    # The same answer once more is the same file.
    _store(tmp_path, BITCOIN, told)
    assert _files(tmp_path).keys() - before.keys() == {str(path.relative_to(tmp_path))}


def test_refused_candles_are_kept_apart_and_leave_a_gap(tmp_path: Path) -> None:
    told = bend(walk(100), 40, low=-1.0)
    report = _store(tmp_path, BITCOIN, told)
    assert report.rejected == {Fault.PRICE: 1}
    assert len(report.quarantined) == 1
    holding = Archive(tmp_path).load(BITCOIN)
    assert [gap.first_ms for gap in holding.gaps] == [START_MS + 40 * MINUTE_MS]


def test_prices_that_do_not_continue_what_is_held_are_refused(tmp_path: Path) -> None:
    whole = walk(100)
    _store(tmp_path, BITCOIN, whole.take(slice(0, 50)))
    in_cents = whole.replace(**{name: whole.column(name) * 100 for name in _IN_QUOTE})
    report = _store(tmp_path, BITCOIN, in_cents.take(slice(50, 100)))
    assert report.rejected == {Fault.UNIT: 50}
    assert len(Archive(tmp_path).load(BITCOIN).candles) == 50


@pytest.mark.parametrize("told", [slice(0, 100), slice(30, 35), slice(0, 20), slice(60, 100)])
def test_no_stretch_in_another_unit_is_kept_beside_what_is_held(
    told: slice, tmp_path: Path
) -> None:
    whole = walk(100)
    _store(tmp_path, BITCOIN, whole.take(slice(20, 60)))
    in_cents = whole.replace(**{name: whole.column(name) * 100 for name in _IN_QUOTE})
    report = _store(tmp_path, BITCOIN, in_cents.take(told))
    assert report.rejected == {Fault.UNIT: report.told}
    assert Archive(tmp_path).load(BITCOIN).candles.equals(whole.take(slice(20, 60)))
    assert _store(tmp_path, BITCOIN, whole.take(told)).rejected == {}


def _scaled_hours(factor: float, length_ms: int = _HOUR_MS) -> Candles:
    hours = walk(200, length_ms=length_ms)
    return hours.replace(**{name: hours.column(name) * factor for name in _IN_QUOTE})


@pytest.mark.parametrize("factor", [1e-9, 0.5, 2.0, 1000.0])
def test_prices_far_from_those_of_another_length_are_refused(factor: float, tmp_path: Path) -> None:
    _store(tmp_path, _HOURS, walk(200, length_ms=_HOUR_MS))
    quarters = SeriesName("binance", "BTC/USDT", "15m")
    report = _store(tmp_path, quarters, _scaled_hours(factor, 15 * MINUTE_MS))
    assert report.rejected == {Fault.OTHER_LENGTH: 200}
    assert len(Archive(tmp_path).load(quarters).candles) == 0
    # Neither other exchanges and symbols nor other times say anything.
    for other in (replace(quarters, exchange="kraken"), replace(quarters, symbol="PEPE/USDT")):
        assert _store(tmp_path, other, _scaled_hours(factor, 15 * MINUTE_MS)).rejected == {}
    late = _scaled_hours(factor, 15 * MINUTE_MS)
    late = replace(late, open_time_ms=late.open_time_ms + 2_000 * _HOUR_MS)
    is_beyond = factor < 1e-8
    for length in (quarters, _HOURS) if is_beyond else (quarters,):
        told = late.take(slice(None, None, 4 if length is _HOURS else 1))
        report = _store(tmp_path, length, told)
        assert report.rejected == ({Fault.OTHER_LENGTH: len(told)} if is_beyond else {})


def test_a_damaged_month_of_another_length_says_nothing(tmp_path: Path) -> None:
    _store(tmp_path, _HOURS, walk(200, length_ms=_HOUR_MS))
    partition_path(tmp_path, _HOURS, _MAY).write_bytes(b"torn")
    quarters = SeriesName("binance", "BTC/USDT", "15m")
    assert _store(tmp_path, quarters, _scaled_hours(2.0, 15 * MINUTE_MS)).rejected == {}


def _bent(content: bytes) -> bytes:
    return content[:200] + bytes([content[200] ^ 0xFF]) + content[201:]


@pytest.mark.parametrize("spoil", [_bent, lambda content: content[:-100], lambda _: b""])
def test_a_damaged_month_is_seen_moved_away_and_told_again(
    spoil: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    candles = walk(2000, length_ms=_HOUR_MS)
    _store(tmp_path, _HOURS, candles)
    before = _files(tmp_path)
    path = partition_path(tmp_path, _HOURS, Month(2021, 6))
    path.write_bytes(spoil(path.read_bytes()))
    seen = Archive(tmp_path).load(_HOURS)
    assert [str(one.month) for one in seen.damaged] == ["2021-06"]
    assert len(seen.candles) == 2000 - 720
    # May and July are still claimed, so what lies between them shows as never asked for.
    assert [span.count(_HOUR_MS) for span in seen.spans] == [744, 536]
    report = _store(tmp_path, _HOURS, candles)
    assert [str(one.month) for one in report.damaged] == ["2021-06"]
    after = _files(tmp_path)
    assert {name: after[name] for name in before} == before
    (moved,) = after.keys() - before.keys()
    assert moved.startswith("quarantine/binance/BTC-USDT/1h/damaged-2021-06-")


def test_repair_moves_all_damage_away_and_a_second_one_finds_none(tmp_path: Path) -> None:
    _store(tmp_path, _HOURS, walk(2000, length_ms=_HOUR_MS))
    _store(tmp_path, BITCOIN, walk(10))
    for name, month in ((_HOURS, Month(2021, 6)), (BITCOIN, _MAY)):
        partition_path(tmp_path, name, month).write_bytes(b"PAR1 torn")
    with writing(tmp_path) as writer:
        assert [str(one.name) for one in writer.quarantine_damaged()] == [
            "binance BTC/USDT 1h",
            "binance BTC/USDT 1m",
        ]
        assert writer.quarantine_damaged() == []


def test_what_a_killed_writer_left_half_written_is_removed(tmp_path: Path) -> None:
    _store(tmp_path, BITCOIN, walk(10))
    path = partition_path(tmp_path, BITCOIN, _MAY)
    torn = path.with_name(f"{path.name}.unfinished")
    torn.write_bytes(path.read_bytes()[:100])
    assert Archive(tmp_path).load(BITCOIN).candles.equals(walk(10))
    with writing(tmp_path) as writer:
        assert writer.discarded == [torn]
    assert not torn.exists()


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    with (
        writing(tmp_path),
        pytest.raises(InstanceConflict, match="being written by pid"),
        writing(tmp_path),
    ):
        pass
    with writing(tmp_path):
        pass


def test_a_reused_ticker_is_held_as_two_coins(tmp_path: Path) -> None:
    since_ms = 1_653_696_000_000
    day_ms = 24 * _HOUR_MS
    luna = SeriesName("binance", "LUNA/USDT", "1d")
    told = join(
        walk(5, length_ms=day_ms, start_ms=since_ms - 20 * day_ms),
        bend(walk(6, length_ms=day_ms, start_ms=since_ms), 3, close=np.nan),
    )
    with writing(tmp_path) as writer:
        old, new = writer.store(luna, told, LATER_MS, "a test")
    assert (str(old.name), old.told, old.added) == ("binance LUNC/USDT 1d", 5, 5)
    assert (new.name, new.told, new.added) == (luna, 6, 5)
    assert new.rejected == {Fault.NOT_A_NUMBER: 1}
    assert len(Archive(tmp_path).load(luna).candles) == 5
    with writing(tmp_path) as writer:
        (only,) = writer.store(luna, told.take(slice(0, 5)), LATER_MS, "a test")
    assert (only.name.symbol, only.known) == ("LUNC/USDT", 5)


def test_several_exchanges_are_read_as_one_history(tmp_path: Path) -> None:
    whole = walk(100)
    kraken = SeriesName("kraken", "BTC/USDT", "1m")
    _store(tmp_path, BITCOIN, whole.take(slice(50, 100)))
    _store(tmp_path, kraken, whole.take(slice(0, 60)))
    archive = Archive(tmp_path)
    found = archive.combined([BITCOIN, kraken])
    assert found.candles.equals(whole)
    assert found.source.tolist() == [1] * 50 + [0] * 50
    with pytest.raises(Refused, match="of one timeframe"):
        archive.combined([BITCOIN, SeriesName("kraken", "BTC/USDT", "1h")])
    partition_path(tmp_path, kraken, _MAY).write_bytes(b"torn")
    with pytest.raises(Refused, match="kraken BTC/USDT 1m has damaged months"):
        archive.combined([BITCOIN, kraken])


def test_months_are_kept_beside_minutes_and_a_missing_one_is_a_gap(tmp_path: Path) -> None:
    months = SeriesName("binance", "BTC/USDT", "1M")
    opens_ms = [Month(2020 + number // 12, number % 12 + 1).start_ms for number in range(30)]
    told = walk(30)
    told = Candles(np.array(opens_ms), *(told.column(name) for name in COLUMNS[1:]))
    running_ms = opens_ms[-1] + 20 * 24 * _HOUR_MS
    with writing(tmp_path) as writer:
        (report,) = writer.store(months, told.take(np.r_[0:7, 8:30]), running_ms, "a test")
        writer.store(BITCOIN, walk(5), LATER_MS, "a test")
        (newest,) = writer.append([(months, told.take(slice(29, 30)))], running_ms, "a test")
        assert (report.added, newest.running, newest.added) == (28, 1, 0)
        writer.append([(months, told.take(slice(29, 30)))], LATER_MS, "a test")
    archive = Archive(tmp_path)
    assert archive.series() == [months, BITCOIN]
    holding = archive.load(months)
    assert holding.candles.equals(told.take(np.r_[0:7, 8:30]))
    assert holding.gaps == (Span(opens_ms[7], opens_ms[7]),)
    assert len(archive.months(months)) == 30
    assert len({path.name.lower() for path in (tmp_path / "binance" / "BTC-USDT").iterdir()}) == 2
