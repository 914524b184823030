"""Reads Binance's stream names: `btcusdt@trade`, `btcusdt@kline_1m`, `btcusdt@depth5@100ms`, …"""

import re
from dataclasses import dataclass
from enum import Enum

from trading.domain.time import Timeframe
from trading.sim.history import TIMEFRAMES

_DEPTH = re.compile(r"depth(5|10|20)?(@100ms|@1000ms)?", re.ASCII)
_INTERVALS = {timeframe.name: timeframe for timeframe in TIMEFRAMES}


class Kind(Enum):
    """What a stream carries."""

    TRADE = "trade"
    AGGREGATE_TRADE = "aggTrade"
    BOOK_TICKER = "bookTicker"
    TICKER = "ticker"
    MINI_TICKER = "miniTicker"
    KLINE = "kline"
    DEPTH = "depth"
    PARTIAL_DEPTH = "partial_depth"


_ARRAYS = {
    "!ticker@arr": Kind.TICKER,
    "!miniTicker@arr": Kind.MINI_TICKER,
    "!miniTicker@arr@1000ms": Kind.MINI_TICKER,
}
_BY_SUFFIX = {
    kind.value: kind
    for kind in (Kind.TRADE, Kind.AGGREGATE_TRADE, Kind.BOOK_TICKER, Kind.TICKER, Kind.MINI_TICKER)
}
# In tenths of a second; trades go out when they happen.
_EACH_SECOND = 10
_PERIODS = {Kind.TRADE: 0, Kind.AGGREGATE_TRADE: 0}


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream with what its name says; `period` counts tenths of a second, 0 is never."""

    kind: Kind
    symbol: str
    period: int = _EACH_SECOND
    timeframe: Timeframe | None = None
    levels: int = 0

    @property
    def is_array(self) -> bool:
        """Whether it covers all symbols at once."""
        return not self.symbol

    def is_due(self, count: int) -> bool:
        """Whether it is sent at this tenth of a second."""
        return self.period > 0 and count % self.period == 0


def parse_stream(name: str) -> Stream | None:
    """Return the stream of a name, None for one that does not exist."""
    if name in _ARRAYS:
        return Stream(_ARRAYS[name], "")
    lower, found, suffix = name.partition("@")
    if not found or lower != lower.lower():
        return None
    symbol = lower.upper()
    kind = _BY_SUFFIX.get(suffix)
    if kind is not None:
        return Stream(kind, symbol, _PERIODS.get(kind, _EACH_SECOND))
    return _kline(symbol, suffix) or _depth(symbol, suffix)


def _kline(symbol: str, suffix: str) -> Stream | None:
    timeframe = _INTERVALS.get(suffix.removeprefix("kline_"))
    if timeframe is None or not suffix.startswith("kline_"):
        return None
    return Stream(Kind.KLINE, symbol, timeframe=timeframe)


def _depth(symbol: str, suffix: str) -> Stream | None:
    found = _DEPTH.fullmatch(suffix)
    if found is None:
        return None
    period = 1 if found[2] == "@100ms" else _EACH_SECOND
    if found[1]:
        return Stream(Kind.PARTIAL_DEPTH, symbol, period, levels=int(found[1]))
    return Stream(Kind.DEPTH, symbol, period)
