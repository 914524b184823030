"""The benchmarks of scanner and archive do their work, and say so when they did not."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import bench_archive, bench_scan
from benchmarks.bench_archive import Scale
from benchmarks.table import NotDone
from storage.archive.archive import Archive, Holding
from trading.candles.series import SeriesName, no_candles
from trading.candles.spans import Span
from trading.scanner.history import RankHistory
from trading.scanner.metrics import Percents
from trading.scanner.rating import Monitored
from trading.scanner.scores import RankScore

pytestmark = pytest.mark.slow

SMALL = Scale(symbols=1, minutes=3_000, appended_symbols=1)


@pytest.fixture
def few_symbols(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_scan, "SYMBOLS", 20)


@pytest.mark.usefixtures("few_symbols")
def test_the_scan_bench_ranks_and_closes_every_candle() -> None:
    rows = bench_scan.speed_rows(500)
    assert [row.identity for row in rows] == ["V9"] * 4


@pytest.mark.usefixtures("few_symbols")
def test_scores_that_are_not_worked_out_are_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    def idle(monitored: list[Monitored]) -> list[RankScore]:
        return [RankScore(one.symbol, one.at_ms, 1.0, 0.0, 0.0, 0.0, ()) for one in monitored]

    monkeypatch.setattr(bench_scan, "rate", idle)
    with pytest.raises(NotDone, match="should reach the full score, did \\[\\]"):
        bench_scan.speed_rows(500)


def test_a_past_that_is_not_kept_sorted_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(RankHistory):
        def add(self, candle: Percents) -> None:
            super().add(candle * 0)

    monkeypatch.setattr(bench_scan, "RankHistory", Forgetful)
    with pytest.raises(NotDone, match="is not what sorting makes of it"):
        bench_scan.close_us(100, rounds=5)


def test_the_memory_of_a_process_that_holds_nothing_is_no_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench_scan.sys, "executable", "/bin/echo")
    with pytest.raises(NotDone, match="should hold every series, told '-m benchmarks"):
        bench_scan.memory_row(2_000)


def test_the_archive_bench_reads_and_appends_what_it_wrote(tmp_path: Path) -> None:
    rows = bench_archive.measure(SMALL, str(tmp_path))
    assert [row.identity for row in rows] == ["V10"] * 4


def test_an_archive_that_reads_nothing_is_no_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_self: Archive, name: SeriesName, within: Span | None = None) -> Holding:
        return Holding(name, no_candles(), (), ())

    monkeypatch.setattr(Archive, "load", nothing)
    with pytest.raises(NotDone, match="what was loaded should be what was written"):
        bench_archive.load_rows(tmp_path, SMALL)
    with pytest.raises(NotDone, match="should end with the candles that were appended"):
        bench_archive.append_rows(tmp_path, SMALL)


def test_an_archive_that_overlooks_damage_is_no_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Archive.load

    def careless(self: Archive, name: SeriesName, within: Span | None = None) -> Holding:
        return replace(honest(self, name, within), damaged=())

    monkeypatch.setattr(Archive, "load", careless)
    with pytest.raises(NotDone, match="a byte that flipped should be noticed"):
        bench_archive.load_rows(tmp_path, SMALL)
