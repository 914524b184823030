"""Candles of one symbol and timeframe as columns of equal length, and the name of such a series."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trading.domain.errors import Refused
from trading.domain.time import Timeframe

Times = NDArray[np.int64]
Column = NDArray[np.float64]
Points = NDArray[np.int8]
Mask = NDArray[np.bool_]
Each = Callable[..., Iterable[Any]]

PRICES = ("open", "high", "low", "close")
REQUIRED = (*PRICES, "volume")
OPTIONAL = ("quote_volume", "trades", "taker_buy_volume")
"""What only some exchanges give; NaN where one gave none."""
TIME = "open_time_ms"
UNKNOWN_TIME_MS = 0
"""Stands for a time that could not be read; no candle opens then."""

_EXCHANGE = re.compile(r"[a-z0-9]{2,30}", re.ASCII)
_SYMBOL = re.compile(r"[^\s/:]{1,30}/[^\s/:]{1,30}(:[^\s/:]{1,40})?")
_PERPETUAL = "FUT"


@dataclass(frozen=True, slots=True, order=True)
class SeriesName:
    """What identifies candles: a ccxt exchange id, a ccxt symbol and a timeframe's name."""

    exchange: str
    symbol: str
    timeframe: str

    def __str__(self) -> str:
        return f"{self.exchange} {self.symbol} {self.timeframe}"

    @property
    def length_ms(self) -> int:
        """How long one candle lasts; MONTH_MS stands for calendar months."""
        return Timeframe(self.timeframe).length_ms


def series_name(exchange: str, symbol: str, timeframe: str) -> SeriesName:
    """Check the three parts of a name; each that is wrong is Refused with an example."""
    if not _EXCHANGE.fullmatch(exchange):
        raise Refused(f"exchange should be its id, was {exchange[:40]!r}", example="binance")
    if not _SYMBOL.fullmatch(symbol) or not symbol.isprintable():
        raise Refused(
            f"symbol should be BASE/QUOTE or BASE/QUOTE:SETTLE, was {symbol[:80]!r}",
            example="BTC/USDT",
        )
    return SeriesName(exchange, symbol, Timeframe.parse(timeframe).name)


def name_from_file(stem: str) -> SeriesName:
    """Read `EXCHANGE_BASE-QUOTE_TIMEFRAME[__label]`; a trailing FUT names linear perpetuals.

    `BINANCEFUT_BTC-USDT_5m` is BTC/USDT:USDT on binance. Anything else is Refused.
    """
    parts = stem.partition("__")[0].split("_")
    if len(parts) != 3:
        raise Refused(
            f"file should be named EXCHANGE_BASE-QUOTE_TIMEFRAME, or its series be told, was "
            f"{stem[:80]!r}",
            example="BINANCE_BTC-USDT_1m.parquet",
        )
    exchange, pair, timeframe = parts
    is_perpetual = exchange.endswith(_PERPETUAL) and exchange != _PERPETUAL
    return series_name(
        exchange.removesuffix(_PERPETUAL).lower() if is_perpetual else exchange.lower(),
        symbol_from_pair(pair, is_perpetual=is_perpetual),
        timeframe,
    )


def symbol_from_pair(pair: str, *, is_perpetual: bool) -> str:
    """Turn `BTC-USDT` or `BTC/USDT` into a symbol, settled in its quote for a perpetual."""
    base, _, quote = pair.replace("-", "/", 1).partition("/")
    return f"{base}/{quote}:{quote}" if is_perpetual else f"{base}/{quote}"


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """Columns of shape (n,): open times as Unix milliseconds, the rest float64, live ones float32.

    Volumes are in base units; a perpetual that is counted in contracts keeps its contracts.
    """

    open_time_ms: Times
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column
    quote_volume: Column
    trades: Column
    taker_buy_volume: Column

    def __len__(self) -> int:
        return len(self.open_time_ms)

    @property
    def taker_sell_volume(self) -> Column:
        """What impatient sellers sold: the volume that takers did not buy; NaN where unknown."""
        return np.maximum(self.volume - self.taker_buy_volume, 0.0)

    def column(self, name: str) -> Column:
        """Return one of the float columns by its name."""
        found: Column = getattr(self, name)
        return found

    def take(self, which: Any) -> "Candles":
        """Return the candles that an index, a slice or a mask names."""
        return Candles(*(getattr(self, name)[which] for name in COLUMNS))

    def replace(self, **columns: Column) -> "Candles":
        """Return the same candles with other columns."""
        return Candles(*(columns.get(name, getattr(self, name)) for name in COLUMNS))

    def equals(self, other: "Candles") -> bool:
        """Whether both hold the same numbers; NaN equals NaN."""
        return len(self) == len(other) and all(
            np.array_equal(getattr(self, name), getattr(other, name), equal_nan=name != TIME)
            for name in COLUMNS
        )


COLUMNS = tuple(field.name for field in fields(Candles))


def candles_of(columns: Mapping[str, ArrayLike]) -> Candles:
    """Make candles of columns by name; optional ones may be missing, None counts as NaN.

    Unequal lengths and columns that are no numbers are Refused.
    """
    missing = [name for name in (TIME, *REQUIRED) if name not in columns]
    if missing:
        raise Refused(f"candles should have the columns {' '.join(REQUIRED)}, lack {missing}")
    try:
        times = _times(columns[TIME])
        numbers = {
            name: np.asarray(columns[name], np.float64) for name in COLUMNS[1:] if name in columns
        }
    except (TypeError, ValueError, OverflowError) as error:
        raise Refused("columns of candles should hold numbers alone") from error
    for name in OPTIONAL:
        numbers.setdefault(name, unknown(len(times)))
    lengths = {name: column.shape for name, column in numbers.items()}
    if times.ndim != 1 or set(lengths.values()) != {times.shape}:
        raise Refused(f"columns of candles should be of one length, were {lengths}")
    return Candles(times, **numbers)


def no_candles() -> Candles:
    """Return candles of length 0."""
    return candles_of(dict.fromkeys(COLUMNS, ()))


def join(*parts: Candles, each: Each = map) -> Candles:
    """Put candles behind one another; `each` may be a pool's `map`, which fills many at a time."""
    columns = ([getattr(part, name) for part in parts] for name in COLUMNS)
    return Candles(*each(_joined, columns))


def unknown(count: int) -> Column:
    """Return a column of which nothing is known: NaN throughout, in no memory, read-only."""
    return np.broadcast_to(np.float64(np.nan), (count,))


def _joined(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    # Most exchanges tell no optional column, and a year of minutes is long.
    if all(
        column.dtype.kind == "f" and np.isnan(column[:1]).all() and np.isnan(column).all()
        for column in columns
    ):
        return unknown(sum(len(column) for column in columns))
    return np.concatenate(columns)


def _times(values: ArrayLike) -> Times:
    times = np.asarray(values)
    if times.dtype == np.int64:
        return times
    if times.dtype.kind in "iu":
        return times.astype(np.int64)
    numbers = times.astype(np.float64)
    # What is no whole number is no time of an exchange either.
    readable = np.isfinite(numbers) & (np.abs(numbers) < 2.0**62) & (numbers == np.floor(numbers))
    return np.where(readable, numbers, UNKNOWN_TIME_MS).astype(np.int64)
