"""Replays recorded candles: each becomes four prints, re-stamped to the time of the replay."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, repeat
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from trading.candles.series import name_from_file
from trading.domain.errors import Refused

_COLUMNS = ("timestamp_ms", "open", "high", "low", "close", "volume")
TICKS_PER_CANDLE = 4

Market = tuple[str, str]
"""Base and quote coin."""


@dataclass(frozen=True, slots=True)
class TapeTick:
    """One print: `after_ms` since the tape's beginning, at the tape's own pace."""

    after_ms: int
    market: Market
    price: float
    volume: float


@dataclass(frozen=True, slots=True)
class TapeCandle:
    """One row of the file."""

    open_ms: int
    market: Market
    prices: tuple[float, float, float, float]
    volume: float


@dataclass(frozen=True, slots=True)
class Tape:
    """The candles of a file in order of time, and the first price of each market on it."""

    candles: Iterable[TapeCandle]
    length_ms: int
    first_prices: Mapping[Market, float]

    def ticks(self, seed: int) -> Iterator[TapeTick]:
        """Print each candle's open, nearer extreme, other extreme and close; gaps stay gaps.

        The volume is split at random by `seed`.
        """
        chance = Random(f"tape {seed}")
        begin_ms: int | None = None
        for open_ms, group in groupby(self.candles, key=lambda candle: candle.open_ms):
            begin_ms = open_ms if begin_ms is None else begin_ms
            candles = [(candle, _shares(chance)) for candle in group]
            for number in range(TICKS_PER_CANDLE):
                after_ms = open_ms - begin_ms + number * self.length_ms // TICKS_PER_CANDLE
                for candle, shares in candles:
                    price, part = candle.prices[number], candle.volume * shares[number]
                    yield TapeTick(after_ms, candle.market, price, part)


class _Columns:
    """A file's columns; candles are made while somebody reads them, for tapes hold many."""

    def __init__(self, columns: Mapping[str, "np.ndarray[Any, Any]"], market: Market) -> None:
        order = np.argsort(columns["timestamp_ms"], kind="stable")
        self._numbers = [columns[name][order] for name in _COLUMNS]
        pairs = columns.get("pair")
        self._pairs = None if pairs is None else pairs[order]
        self._market = market

    def __iter__(self) -> Iterator[TapeCandle]:
        markets = repeat(self._market) if self._pairs is None else map(_split, self._pairs)
        rows = zip(markets, *(column.tolist() for column in self._numbers), strict=False)
        for market, open_ms, open_, high, low, close, volume in rows:
            yield TapeCandle(open_ms, market, _path(open_, high, low, close), volume)

    def first_prices(self) -> dict[Market, float]:
        opens = self._numbers[1]
        if self._pairs is None:
            return {self._market: float(opens[0])}
        names, firsts = np.unique(self._pairs, return_index=True)
        by_time = sorted(zip(firsts.tolist(), names.tolist(), strict=True))
        return {_split(name): float(opens[first]) for first, name in by_time}


def load_tape(path: Path) -> Tape:
    """Read a Parquet file named `EXCHANGE_BASE-QUOTE_TF….parquet`; Refused says what is wrong.

    Columns: timestamp_ms, open, high, low, close, volume, and `pair` where several markets share
    a file.
    """
    market, length_ms = _read_name(path)
    columns = _Columns(_read_columns(path), market)
    return Tape(columns, length_ms, columns.first_prices())


def _read_columns(path: Path) -> dict[str, "np.ndarray[Any, Any]"]:
    # Heavy, and only tapes need it.
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(path)
    except (OSError, ArrowException) as error:
        raise Refused(f"tape should be a readable Parquet file, was {path}: {error}") from error
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise Refused(f"tape should have the columns {' '.join(_COLUMNS)}, lacks {missing}")
    if not table.num_rows:
        raise Refused(f"tape should hold at least one candle, {path.name} is empty")
    return {name: table.column(name).to_numpy() for name in table.column_names}


def _shares(chance: Random) -> tuple[float, ...]:
    parts = [chance.uniform(0.2, 1.0) for _ in range(TICKS_PER_CANDLE)]
    return tuple(part / sum(parts) for part in parts)


def _path(open_: float, high: float, low: float, close: float) -> tuple[float, float, float, float]:
    if high - open_ <= open_ - low:
        return open_, high, low, close
    return open_, low, high, close


def _read_name(path: Path) -> tuple[Market, int]:
    try:
        name = name_from_file(path.name.removesuffix(".parquet"))
    except Refused as error:
        raise Refused(
            f"tape should be named EXCHANGE_BASE-QUOTE_TIMEFRAME.parquet, was {path.name!r}",
            example="BINANCE_BTC-USDT_1m.parquet",
        ) from error
    return _split(name.symbol.partition(":")[0]), name.length_ms


def _split(pair: str) -> Market:
    for separator in ("-", "/"):
        base, found, quote = pair.partition(separator)
        if found:
            return base, quote
    raise Refused(f"pair should be BASE-QUOTE, was {pair!r}", example="BTC-USDT")
