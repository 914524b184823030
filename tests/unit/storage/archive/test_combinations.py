"""Combinations are remembered by name, one for each history that leads."""

from dataclasses import replace
from pathlib import Path

import pytest

from storage.archive.archive import Archive
from storage.archive.combinations import keep, kept, led_by
from storage.archive.writer import writing
from tests.unit.trading.candles.make import BITCOIN
from trading.candles.series import SeriesName
from trading.domain.errors import InstanceConflict

KRAKEN = SeriesName("kraken", "BTC/USD", "1m")
BITSTAMP = SeriesName("bitstamp", "BTC/USD", "1m")
MINUTE, MONTH = BITCOIN, replace(BITCOIN, timeframe="1M")


def test_the_newest_of_each_leader_is_kept(tmp_path: Path) -> None:
    assert list(kept(tmp_path)) == []
    keep(tmp_path, [MINUTE, KRAKEN])
    keep(tmp_path, [MINUTE, BITSTAMP, KRAKEN])
    keep(tmp_path, [MONTH, replace(KRAKEN, timeframe="1M")])
    keep(tmp_path, [KRAKEN, MINUTE])
    assert sorted(kept(tmp_path)) == [
        (MONTH, replace(KRAKEN, timeframe="1M")),
        (MINUTE, BITSTAMP, KRAKEN),
        (KRAKEN, MINUTE),
    ]
    assert Archive(tmp_path).series() == [], "it is no series of its own"


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"[[1]]", b'[["binance","BTC/USDT","1m"]]', b"\xff", b'["a","b"]'],
)
def test_a_file_that_is_none_of_ours_is_passed_by(content: bytes, tmp_path: Path) -> None:
    keep(tmp_path, [MINUTE, KRAKEN])
    [path] = tmp_path.rglob("*.json")
    (path.parent / "5m.json").write_bytes(path.read_bytes())
    assert list(kept(tmp_path)) == [(MINUTE, KRAKEN)], "it says that it lies elsewhere"
    path.write_bytes(content)
    assert list(kept(tmp_path)) == []


def test_nothing_is_kept_while_somebody_writes(tmp_path: Path) -> None:
    with writing(tmp_path), pytest.raises(InstanceConflict):
        keep(tmp_path, [MINUTE, KRAKEN])
    assert list(kept(tmp_path)) == []


def test_a_combination_is_found_by_who_leads_it(tmp_path: Path) -> None:
    keep(tmp_path, [MINUTE, KRAKEN])
    assert led_by(tmp_path, MINUTE) == (MINUTE, KRAKEN)
    assert led_by(tmp_path, KRAKEN) == ()
    assert led_by(tmp_path, MONTH) == ()
