"""Every series has a folder of its own inside the archive, and months tile time."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.archive.layout import (
    Month,
    folder_of,
    month_of,
    months_in,
    months_of,
    partition_path,
    series_in,
)
from trading.candles.series import SeriesName
from trading.candles.spans import Span
from trading.domain.time import candle_open_ms, grid_start_ms

_PART = st.text(
    st.characters(exclude_characters="/:", exclude_categories=("Z", "C")), min_size=1, max_size=12
)
_SYMBOLS = st.one_of(
    st.builds("{}/{}".format, _PART, _PART), st.builds("{}/{}:{}".format, _PART, _PART, _PART)
)
_LENGTHS_MS = [60_000, 3_600_000, 86_400_000, 3 * 86_400_000, 7 * 86_400_000]


@given(_SYMBOLS, _SYMBOLS)
def test_no_two_symbols_share_a_folder_and_none_leaves_the_archive(one: str, two: str) -> None:
    root = Path("/archive")
    first, second = (folder_of(root, SeriesName("kraken", name, "1m")) for name in (one, two))
    assert (first == second) == (one == two)
    assert first.parts[:3] == ("/", "archive", "kraken")
    assert len(first.parts) == 5
    assert not {".", ".."} & set(first.parts)


@pytest.mark.parametrize(
    ("symbol", "folder"),
    [
        ("BTC/USDT", "BTC-USDT"),
        ("BTC/USDT:USDT", "BTC-USDT_USDT"),
        ("BTC/USDT:USDT-261225", "BTC-USDT_USDT%2D261225"),
        ("../..", "%2E%2E-%2E%2E"),
    ],
)
def test_series_are_found_again_by_their_folders(symbol: str, folder: str, tmp_path: Path) -> None:
    name = SeriesName("binance", symbol, "1m")
    path = partition_path(tmp_path, name, Month(2021, 5))
    assert path == tmp_path / "binance" / folder / "1m" / "2021-05.parquet"
    path.parent.mkdir(parents=True)
    path.touch()
    path.with_name("2021-13.parquet").touch()
    path.with_name("notes.txt").touch()
    (tmp_path / "quarantine" / "binance" / folder / "1m").mkdir(parents=True)
    (tmp_path / "binance" / "nosymbol" / "1m").mkdir(parents=True)
    (tmp_path / "binance" / "BTC%2dUSDT" / "1m").mkdir(parents=True)
    assert series_in(tmp_path) == [name]
    assert months_of(tmp_path, name) == [Month(2021, 5)]


@pytest.mark.parametrize("length_ms", _LENGTHS_MS)
def test_months_tile_time_for_every_length_of_candles(length_ms: int) -> None:
    months = [Month(year, number) for year in (2020, 2021) for number in range(1, 13)]
    spans = [month.opens(length_ms) for month in months]
    for before, after in pairwise(spans):
        assert after.first_ms == before.last_ms + length_ms
    for month, span in zip(months, spans, strict=True):
        assert (span.first_ms - grid_start_ms(length_ms)) % length_ms == 0
        assert (month_of(span.first_ms), month_of(span.last_ms)) == (month, month)
        assert candle_open_ms(month.start_ms, length_ms) <= span.first_ms
    assert list(months_in(Span(spans[0].first_ms, spans[-1].last_ms))) == months
