"""Candle files of other programs, and files for them: CSV and Parquet."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from storage.archive import durable
from storage.archive.partition import PartitionDamaged, parquet_bytes, read_parquet
from trading.candles.checking import times_too_long
from trading.candles.series import (
    COLUMNS,
    OPTIONAL,
    PRICES,
    REQUIRED,
    TIME,
    Candles,
    SeriesName,
    candles_of,
    name_from_file,
    series_name,
    symbol_from_pair,
)
from trading.domain.errors import Refused

Columns = Mapping[str, "np.ndarray[Any, Any]"]

SUFFIXES = (".csv", ".parquet")
_TIMES = (TIME, "timestamp_ms", "timestamp", "open_time", "datetime", "date", "time")
_ALIASES = {
    "quote_asset_volume": "quote_volume",
    "number_of_trades": "trades",
    "count": "trades",
    "taker_buy_base": "taker_buy_volume",
    "taker_buy_base_asset_volume": "taker_buy_volume",
}
_PAIR = "pair"
_CANDLE_STEM = re.compile(r"[A-Za-z0-9]+_[^_]+_[0-9]+[A-Za-z](__.*)?$", re.ASCII)
# As many programs write that there is nothing.
_NOTHING = frozenset({"", "null", "na", "n/a", "#n/a"})


class NoCandles(Refused):
    """A table of something else, such as the list of files that came with them."""


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """The candles that a file tells of one series.

    `left_out` of them are not in it, as the newest of a file may have been running when it was
    written.
    """

    name: SeriesName
    candles: Candles
    left_out: int = 0


def is_named_like_candles(path: Path) -> bool:
    """Whether a file's name tells a series, and its ending is one that is read."""
    try:
        name_from_file(path.stem)
    except Refused:
        return False
    return path.suffix in SUFFIXES and path.is_file()


def read_file(
    path: Path, name: SeriesName | None = None, *, drop_last: bool | None = None
) -> Iterator[Told]:
    """Read a file of candles, one `Told` per series; Refused says what is wrong with it.

    NoCandles says that it is no such file: neither its name nor any column is of candles.

    The series is named by `name`, by the file itself when we wrote it, or by the file's name
    (`BINANCE_BTC-USDT_1m.parquet`). A column `pair` makes several series of a table. Unless
    `drop_last` says otherwise, the newest candle of each is left out where a table holds several:
    such tables are looks at a running market.
    """
    facts, columns = _read(path)
    kept = _recognised(path, columns)
    if name is None and "series" in facts:
        name = series_name(*facts["series"].split(" "))
    if name is None:
        name = name_from_file(path.stem)
    pairs = columns.get(_PAIR)
    if pairs is None:
        yield _told(name, kept, drop_last=bool(drop_last))
        return
    names, numbers = np.unique(pairs.astype(str), return_inverse=True)
    for number, pair in enumerate(names.tolist()):
        symbol = symbol_from_pair(pair, is_perpetual=":" in name.symbol)
        own = {column: values[numbers == number] for column, values in kept.items()}
        series = series_name(name.exchange, symbol, name.timeframe)
        yield _told(series, own, drop_last=drop_last is not False)


def write_file(
    path: Path, name: SeriesName, candles: Candles, source: Sequence[str] | None = None
) -> None:
    """Write candles for other programs, whole or not at all; the file's ending says the kind.

    Besides what is held there is the volume that takers sold, and for each candle whose it is where
    `source` says so; columns of which nothing is known are left out. Numbers in CSV are the
    shortest that read back the same.
    """
    every = {name: getattr(candles, name) for name in (*COLUMNS, "taker_sell_volume")}
    columns = {
        column: values
        for column, values in every.items()
        if column in (TIME, *REQUIRED) or not np.isnan(values).all()
    }
    if source is not None:
        columns["source"] = np.asarray(source, np.str_)
    if path.suffix == ".csv":
        durable.write_whole(path, _csv(columns))
    elif path.suffix == ".parquet":
        facts = {"series": str(name)}
        durable.write_whole(path, parquet_bytes(columns, facts))
    else:
        raise _unknown_kind(path)


def _told(name: SeriesName, columns: Columns, *, drop_last: bool) -> Told:
    candles = candles_of(columns)
    if step := times_too_long(candles, name.length_ms):
        raise Refused(
            f"candles of {name} open {step} times as far apart as they should: name the timeframe "
            "that they are of"
        )
    if not drop_last or not len(candles):
        return Told(name, candles)
    newest = candles.open_time_ms == candles.open_time_ms.max()
    return Told(name, candles.take(~newest), int(newest.sum()))


def _read(path: Path) -> tuple[Mapping[str, Any], Columns]:
    if path.suffix == ".csv":
        return {}, _read_csv(path)
    if path.suffix != ".parquet":
        raise _unknown_kind(path)
    try:
        return read_parquet(path)
    except PartitionDamaged as damage:
        raise _unreadable(path, str(damage)) from damage


def _unreadable(path: Path, why: str) -> Refused:
    return Refused(
        f"{path.name[:80]} cannot be read: {why}. Copy it once more from where it came, then "
        "import it again; what the archive holds is as it was"
    )


def _unknown_kind(path: Path) -> Refused:
    return Refused(f"file should end in {' or '.join(SUFFIXES)}, was {path.name[:80]!r}")


def _read_csv(path: Path) -> Columns:
    from pyarrow import ArrowException
    from pyarrow import csv as arrow_csv

    try:
        table = arrow_csv.read_csv(path)
    except (OSError, ValueError, ArrowException) as error:
        raise _unreadable(path, _why_no_table(path)) from error
    return {name: table.column(name).to_numpy() for name in table.column_names}


def _why_no_table(path: Path) -> str:
    """Say what a CSV file lacks; the library names rows that it counts in its own way."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            width = len(next(lines, ()))
            if not width:
                return "it is empty"
            for cells in lines:
                if cells and len(cells) != width:
                    found = f"line {lines.line_num} has {len(cells)} of {width} columns"
                    return found if next(lines, None) else f"{found}; its end may be missing"
    except OSError as error:
        return f"the disk does not give it ({error.strerror or type(error).__name__})"
    except (UnicodeDecodeError, csv.Error):
        return "it is no text"
    return "it is no table"


def _recognised(path: Path, columns: Columns) -> Columns:
    kept = {}
    for name in columns:
        known = _ALIASES.get(name, name)
        if known in (*REQUIRED, *OPTIONAL):
            kept[known] = columns[name]
    time = next((name for name in _TIMES if name in columns), None)
    missing = [name for name in REQUIRED if name not in kept]
    if time is None or missing:
        lacking = missing if time else [*missing, "timestamp_ms"]
        if _CANDLE_STEM.match(path.stem):
            # Where its name has an impossible timeframe, that is what is wrong with it.
            name_from_file(path.stem)
        is_other = not kept.keys() & set(PRICES) and not is_named_like_candles(path)
        kind = NoCandles if is_other else Refused
        raise kind(f"{path.name[:80]} should have the columns of candles, lacks {lacking}")
    for column, values in kept.items():
        _check_cells(path, column, values, _is_number)
    return {TIME: _milliseconds(path, time, columns[time]), **kept}


def _milliseconds(path: Path, column: str, times: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Turn times of day into milliseconds; numbers stay as they are, whatever their unit."""
    if times.dtype.kind in "iuf":
        return times
    try:
        moments = times.astype("datetime64[ms]")
    except (TypeError, ValueError) as error:
        _check_cells(path, column, times, _is_time)
        raise Refused(
            f"times in {path.name[:80]} should be all numbers or all look like 2021-05-19 12:50, "
            f"the first was {str(times[0])[:40]!r}"
        ) from error
    numbers = moments.astype(np.int64)
    return np.where(np.isnat(moments), 0, numbers)


def _check_cells(
    path: Path, column: str, values: "np.ndarray[Any, Any]", is_fit: Callable[[Any], bool]
) -> None:
    """Refuse the first cell that cannot be read, by its place as an editor counts it."""
    if values.dtype.kind in "iuf":
        return
    for row, value in enumerate(values.tolist()):
        if not is_fit(value):
            meant = "times such as 2021-05-19 12:50" if is_fit is _is_time else "numbers"
            raise Refused(
                f"column {column} of {path.name[:80]} should hold {meant}, was "
                f"{str(value)[:40]!r} in {_place(path, row)}"
            )


def _is_number(value: Any) -> bool:
    if value is None or str(value).strip().lower() in _NOTHING:
        return True
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _is_time(value: Any) -> bool:
    try:
        np.datetime64(value, "ms")
    except (TypeError, ValueError):
        return _is_number(value)
    return True


def _place(path: Path, row: int) -> str:
    if path.suffix != ".csv":
        return f"row {row + 1}"
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        filled = (lines.line_num for cells in lines if cells)
        # The first of them holds the names of the columns.
        return f"line {next(islice(filled, row + 1, None), row + 2)}"


def _csv(columns: Columns) -> bytes:
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    cells = ([_cell(value) for value in column.tolist()] for column in columns.values())
    lines.writerows(zip(*cells, strict=True))
    return text.getvalue().encode()


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    # NaN is the only number that is not itself.
    return "" if value != value else repr(value)  # noqa: PLR0124
