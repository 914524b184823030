"""Files of other programs are read as they are, or refused with what is wrong."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from storage.archive.foreign import read_file, write_file
from tests.unit.trading.candles.make import BITCOIN, MINUTE_MS, START_MS, walk, without_optional
from trading.candles.series import OPTIONAL, Candles, SeriesName
from trading.domain.errors import Refused

_PERPETUAL = SeriesName("okx", "BTC/USDT:USDT", "1m")


def _columns(candles: Candles) -> dict[str, Any]:
    names = ("open", "high", "low", "close", "volume")
    return {"timestamp_ms": candles.open_time_ms, **{name: candles.column(name) for name in names}}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("candles", [walk(50), without_optional(walk(50))])
def test_what_is_exported_is_imported_to_the_bit(
    suffix: str, candles: Candles, tmp_path: Path
) -> None:
    path = tmp_path / f"BINANCE_BTC-USDT_1m__copy{suffix}"
    write_file(path, BITCOIN, candles)
    (told,) = read_file(path)
    assert told.name == BITCOIN
    assert told.candles.equals(candles)
    assert told.left_out == 0


def test_an_exported_parquet_file_says_itself_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "anything.parquet"
    write_file(path, _PERPETUAL, walk(5))
    assert [told.name for told in read_file(path)] == [_PERPETUAL]
    assert [told.name for told in read_file(path, BITCOIN)] == [BITCOIN]


def test_an_export_shows_what_takers_sold_and_no_columns_of_nothing(tmp_path: Path) -> None:
    candles = walk(5)
    path = tmp_path / "all.parquet"
    write_file(path, BITCOIN, candles)
    sold = parquet.read_table(path).column("taker_sell_volume").to_numpy()
    assert np.array_equal(sold, candles.taker_sell_volume)
    little = tmp_path / "little.csv"
    write_file(little, BITCOIN, without_optional(candles))
    lines = little.read_text().splitlines()
    assert lines[0] == "open_time_ms,open,high,low,close,volume"
    assert lines[1].split(",")[0] == str(START_MS)
    with pytest.raises(Refused, match="should end in"):
        write_file(tmp_path / "candles.xls", BITCOIN, candles)


@pytest.mark.parametrize(
    ("column", "format_"),
    [("datetime", "%Y-%m-%d %H:%M:%S"), ("date", "%Y-%m-%dT%H:%M:%SZ"), ("timestamp_ms", None)],
)
def test_csv_files_may_tell_times_of_day(column: str, format_: str | None, tmp_path: Path) -> None:
    times = START_MS + MINUTE_MS * np.arange(2)
    texts = times if format_ is None else [_text(at_ms, format_) for at_ms in times.tolist()]
    path = tmp_path / "KRAKEN_BTC-USD_1m.csv"
    rows = "".join(f"{text},321,321,312.6,313.81,3087.4\n" for text in texts)
    path.write_text(f"{column},open,high,low,close,volume\n{rows}")
    (told,) = read_file(path)
    assert told.candles.open_time_ms.tolist() == times.tolist()
    assert told.candles.low.tolist() == [312.6, 312.6]


def _text(at_ms: int, format_: str) -> str:
    from trading.domain.time import from_ms

    return from_ms(at_ms).strftime(format_)


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (f"{START_MS + MINUTE_MS},1,abc,1,1,5", "column high .* numbers, was 'abc' in line 4"),
        (f"{START_MS + MINUTE_MS},1,1,1,1,1 000", "column volume .* was '1 000' in line 4"),
        ("noon,1,1,1,1,5", "column timestamp_ms .* times such as .* was 'noon' in line 4"),
    ],
)
def test_a_cell_that_is_no_number_is_named_by_column_line_and_value(
    cells: str, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "KRAKEN_BTC-USD_1m.csv"
    # Empty lines count for whoever opens the file, and an empty cell is none that is wrong.
    path.write_text(f"timestamp_ms,open,high,low,close,volume\n{START_MS},1,,1,1,5\n\n{cells}\n")
    with pytest.raises(Refused, match=says):
        list(read_file(path))
    table = pa.table({**_columns(walk(2)), "close": ["1", "abc"]})
    parquet.write_table(table, tmp_path / "KRAKEN_BTC-USD_1m.parquet")
    with pytest.raises(Refused, match=r"column close .* was 'abc' in row 2"):
        list(read_file(tmp_path / "KRAKEN_BTC-USD_1m.parquet"))


@pytest.mark.parametrize("heading", ["timestamp_ms,open,high,low,close,volume", "a,b,c,d,e,f"])
def test_a_name_with_an_impossible_timeframe_is_refused_by_it(heading: str, tmp_path: Path) -> None:
    path = tmp_path / "BINANCE_BTC-USDT_7m.csv"
    path.write_text(f"{heading}\n{START_MS},1,1,1,1,5\n")
    with pytest.raises(Refused, match=r"timeframe should be one of .* was '7m'"):
        list(read_file(path))


def test_other_programs_names_for_optional_columns_are_known(tmp_path: Path) -> None:
    candles = walk(5)
    names = ("quote_asset_volume", "number_of_trades", "taker_buy_base_asset_volume")
    optional = {new: candles.column(name) for new, name in zip(names, OPTIONAL, strict=True)}
    path = tmp_path / "BINANCE_BTC-USDT_1m.parquet"
    parquet.write_table(pa.table({**_columns(candles), **optional}), path)
    (told,) = read_file(path)
    assert told.candles.equals(candles)


def _table_of_two(path: Path) -> None:
    candles = without_optional(walk(5))
    one, two = _columns(candles), _columns(candles.take(slice(0, 4)))
    columns = {name: np.concatenate((one[name], two[name])) for name in one}
    parquet.write_table(pa.table({"pair": ["A-USDT"] * 5 + ["B-USDT"] * 4, **columns}), path)


def test_of_a_table_of_several_symbols_the_newest_candle_of_each_is_left_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "BINANCE_MULTI-USDT_1m.parquet"
    _table_of_two(path)
    told = list(read_file(path))
    assert [(one.name.symbol, len(one.candles), one.left_out) for one in told] == [
        ("A/USDT", 4, 1),
        ("B/USDT", 3, 1),
    ]
    kept = list(read_file(path, drop_last=False))
    assert [len(one.candles) for one in kept] == [5, 4]


def test_the_newest_candle_of_any_file_is_left_out_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "BINANCE_BTC-USDT_1m.csv"
    write_file(path, BITCOIN, walk(5))
    (told,) = read_file(path, drop_last=True)
    assert told.candles.equals(walk(5).take(slice(0, 4)))
    assert told.left_out == 1


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("BINANCE_BTC-USDT_1m.parquet", b"PAR1", "its end is missing.*import it again"),
        ("BINANCE_BTC-USDT_1m.parquet", b"PAR1 cut off", "its end is missing"),
        ("BINANCE_BTC-USDT_1m.parquet", b"", "it is empty"),
        ("BINANCE_BTC-USDT_1m.parquet", b"time,open", "it is no Parquet file"),
        ("BINANCE_BTC-USDT_1m.parquet", b"PAR1" + bytes(40) + b"PAR1", "its content was changed"),
        ("BINANCE_BTC-USDT_1m.csv", b"", "it is empty.*import it again"),
        ("BINANCE_BTC-USDT_1m.csv", b"time,open\n1,2\n3", "line 3 has 1 of 2 columns; its end may"),
        ("BINANCE_BTC-USDT_1m.csv", b"time,open\n1,2\n3\n4,5\n", "line 3 has 1 of 2 columns. Copy"),
        ("BINANCE_BTC-USDT_1m.csv", b"\xff\xfe\x00", "it is no text|it is no table"),
        ("BINANCE_BTC-USDT_1m.csv", b"a,b\n1,2\n", "lacks"),
        ("BINANCE_BTC-USDT_1m.csv", b"time,open,high,low,close,volume\nx,1,1,1,1,1\n", "times"),
        ("BINANCE_BTC-USDT_1m.csv", b"time,open,high,low,close,volume\n1,x,1,1,1,1\n", "numbers"),
        ("BTC.csv", b"time,open,high,low,close,volume\n1,1,1,1,1,1\n", "should be named"),
        ("BINANCE_BTC-USDT_1m.xls", b"", "should end in"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(
    name: str, content: bytes, says: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Refused, match=says):
        list(read_file(path))


def test_a_file_of_longer_candles_is_refused_and_a_quiet_market_is_not(tmp_path: Path) -> None:
    path = tmp_path / "BINANCE_BTC-USDT_1m.parquet"
    hours = walk(60, length_ms=60 * MINUTE_MS)
    write_file(path, BITCOIN, hours)
    with pytest.raises(Refused, match="1m open 60 times as far apart as they should"):
        list(read_file(path))
    (told,) = read_file(path, SeriesName("binance", "BTC/USDT", "1h"))
    assert told.candles.equals(hours)
    in_microseconds = replace(walk(60), open_time_ms=walk(60).open_time_ms * 1000)
    write_file(path, BITCOIN, in_microseconds)
    (told,) = read_file(path)
    assert told.candles.equals(in_microseconds)
    quiet = walk(3_000).take(np.flatnonzero(np.random.default_rng(1).uniform(size=3_000) < 0.05))
    write_file(path, BITCOIN, quiet)
    (told,) = read_file(path)
    assert told.candles.equals(quiet)
