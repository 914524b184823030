"""Running and closed candles of one market, continued from its history by what trades."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trading.domain.time import (
    Timeframe,
    candle_open_ms,
    candles_between,
    divides,
    following_ms,
    shifted_ms,
)
from trading.sim.history import MINUTE_MS, SECOND, TIMEFRAMES, Rows

HistoryOf = Callable[[Timeframe, int, float], Rows]
"""Candles before a moment, ending at a price."""

_CLOSED_KEPT = 1_500
# As many as one request may ask for.
_SECONDS_KEPT = 1_000
_DAY_MS = 86_400_000
_QUOTE_PER_TRADE = 500
_MINUTE = Timeframe("1m")


@dataclass(slots=True)
class Kline:
    """One candle as the exchange counts it; volumes in base and quote, taker's share apart.

    It opens at its first trade; until there is one it repeats the close before it. Its days begin
    `ahead_ms` before those of UTC.
    """

    open_ms: int
    length_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    quote_volume: float = 0.0
    trades: int = 0
    taker_volume: float = 0.0
    taker_quote_volume: float = 0.0
    first_trade_id: int = -1
    last_trade_id: int = -1
    ahead_ms: int = 0

    @property
    def close_ms(self) -> int:
        """The last millisecond that belongs to it."""
        return following_ms(self.open_ms + self.ahead_ms, self.length_ms) - self.ahead_ms - 1

    def take(self, print_: "TapePrint") -> None:
        """Count one trade in."""
        price, quantity = print_.price, print_.quantity
        if not self.trades:
            self.open = self.high = self.low = price
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.close = price
        self.volume += quantity
        self.quote_volume += price * quantity
        self.trades += 1
        if print_.is_taker_buy:
            self.taker_volume += quantity
            self.taker_quote_volume += price * quantity
        if self.first_trade_id < 0:
            self.first_trade_id = print_.trade_id
        self.last_trade_id = print_.trade_id

    def merge(self, later: "Kline") -> None:
        """Add a shorter candle that follows within this one."""
        if not later.trades:
            return
        if not self.trades:
            self.open, self.high, self.low = later.open, later.high, later.low
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.quote_volume += later.quote_volume
        self.trades += later.trades
        self.taker_volume += later.taker_volume
        self.taker_quote_volume += later.taker_quote_volume
        if self.first_trade_id < 0:
            self.first_trade_id = later.first_trade_id
        self.last_trade_id = max(self.last_trade_id, later.last_trade_id)


@dataclass(frozen=True, slots=True)
class TapePrint:
    """A trade as statistics need it: floats, and who was in a hurry."""

    trade_id: int
    price: float
    quantity: float
    at_ms: int
    is_taker_buy: bool


class _Series:
    """Candles of one length: closed ones, oldest first, and the running one."""

    __slots__ = ("_kept", "closed", "length_ms", "running")

    def __init__(
        self, length_ms: int, closed: list[Kline], running: Kline, kept: int = _CLOSED_KEPT
    ) -> None:
        self._kept = kept
        self.length_ms = length_ms
        self.closed = closed
        self.running = running

    def roll(self, now_ms: int) -> None:
        """Close what is over; minutes without trades become flat candles."""
        if now_ms <= self.running.close_ms:
            return
        opens_ms = candle_open_ms(now_ms, self.length_ms)
        missing = candles_between(self.running.open_ms, opens_ms, self.length_ms)
        close, start_ms = self.running.close, self.running.open_ms
        self.closed.append(self.running)
        first = 1
        if missing > self._kept:
            # After a long sleep of the machine only what anybody can still ask for is filled in.
            first = missing - self._kept
            self.closed.clear()
        for number in range(first, missing):
            open_ms = shifted_ms(start_ms, number, self.length_ms)
            self.closed.append(_flat(open_ms, self.length_ms, close))
        self.running = _flat(opens_ms, self.length_ms, close)
        if len(self.closed) > 2 * self._kept:
            del self.closed[: len(self.closed) - self._kept]


class CandleStore:
    """All timeframes of one market; each is built when it is first asked for."""

    def __init__(self, history_of: HistoryOf, start_ms: int, price: float) -> None:
        self._history_of = history_of
        self._series: dict[str, _Series] = {}
        opens_ms = candle_open_ms(start_ms, MINUTE_MS)
        self._minutes = _Series(MINUTE_MS, [], _flat(opens_ms, MINUTE_MS, price))
        # Kept from the first moment on: what a second held cannot be found out later. Those of
        # before the start are drawn when somebody asks.
        second_ms = SECOND.length_ms
        self._began_ms = candle_open_ms(start_ms, second_ms)
        began = _flat(self._began_ms, second_ms, price)
        self._seconds = _Series(second_ms, [], began, _SECONDS_KEPT)
        # Where history ends and our own minutes begin.
        self._joint_ms, self._joint_price = start_ms, price
        self._day_rows: Rows | None = None

    def take(self, print_: TapePrint) -> None:
        """Count a trade into every running candle."""
        self.roll(print_.at_ms)
        self._minutes.running.take(print_)
        self._seconds.running.take(print_)
        for series in self._series.values():
            series.running.take(print_)

    def roll(self, now_ms: int) -> None:
        """Close the candles that are over."""
        self._seconds.roll(now_ms)
        if now_ms <= self._minutes.running.close_ms:
            return
        for series in (self._minutes, *self._series.values()):
            series.roll(now_ms)
        oldest = self._minutes.closed[0]
        if oldest.open_ms > self._joint_ms:
            # Older minutes were let go: a timeframe asked for from now on gets a history that
            # ends where our minutes begin.
            self._joint_ms, self._joint_price = oldest.open_ms, oldest.open

    def running(self, timeframe: Timeframe, now_ms: int) -> Kline:
        """Return the candle that is being made."""
        self.roll(now_ms)
        return self._of(timeframe).running

    def last_closed(self, timeframe: Timeframe, now_ms: int) -> Kline:
        """Return the newest closed candle."""
        self.roll(now_ms)
        return self._of(timeframe).closed[-1]

    def candles(self, timeframe: Timeframe, now_ms: int, ahead_ms: int = 0) -> list[Kline]:
        """Return all candles kept, oldest first, the running one last.

        Those of a time zone whose days begin `ahead_ms` before UTC's, whole minutes, are put
        together from the longest ones that fit, and are as many as these reach.
        """
        length_ms = timeframe.length_ms
        if ahead_ms % length_ms:
            finer = max(
                (one for one in TIMEFRAMES if _fits(one.length_ms, length_ms, ahead_ms)),
                key=lambda one: one.length_ms,
            )
            return _ahead_of_utc(self.candles(finer, now_ms), length_ms, ahead_ms)
        self.roll(now_ms)
        series = self._of(timeframe)
        return [*series.closed, series.running]

    def day(self, now_ms: int) -> Kline:
        """Return the last 24 hours as one candle."""
        self.roll(now_ms)
        since_ms = now_ms - _DAY_MS
        day = self._day_before(since_ms)
        for minute in (*self._minutes.closed, self._minutes.running):
            if minute.open_ms > since_ms:
                if day is None:
                    day = _flat(minute.open_ms, _DAY_MS, minute.open)
                day.merge(minute)
        return day or self._minutes.running

    def _day_before(self, since_ms: int) -> Kline | None:
        if self._day_rows is None:
            rows = self._history_of(_MINUTE, self._joint_ms, self._joint_price)
            self._day_rows = rows.tail(_DAY_MS // MINUTE_MS + 1)
        rows = self._day_rows
        first = int(np.searchsorted(rows.opens_ms, since_ms, side="right"))
        if first >= len(rows):
            return None
        volume, close = float(rows.volumes[first:].sum()), float(rows.closes[-1])
        return Kline(
            open_ms=int(rows.opens_ms[first]),
            length_ms=_DAY_MS,
            open=float(rows.opens[first]),
            high=float(rows.highs[first:].max()),
            low=float(rows.lows[first:].min()),
            close=close,
            volume=volume,
            quote_volume=float((rows.volumes[first:] * rows.closes[first:]).sum()),
            trades=max(1, int(volume * close / _QUOTE_PER_TRADE)),
        )

    def _of(self, timeframe: Timeframe) -> _Series:
        if timeframe == SECOND:
            self._draw_seconds()
            return self._seconds
        series = self._series.get(timeframe.name)
        if series is None:
            series = self._series[timeframe.name] = self._build(timeframe)
        return series

    def _draw_seconds(self) -> None:
        oldest = next(iter(self._seconds.closed), self._seconds.running)
        if oldest.open_ms != self._began_ms:
            # They are there already, or so much happened since that nobody can ask for them.
            return
        price, second_ms = oldest.open, SECOND.length_ms
        drawn = _klines(self._history_of(SECOND, self._joint_ms, self._joint_price), second_ms)
        idle_ms = range(candle_open_ms(self._began_ms, MINUTE_MS), self._began_ms, second_ms)
        # Of the minute in which we began the minutes tell nothing before the start, either.
        idle = [_flat(open_ms, second_ms, price) for open_ms in idle_ms]
        self._seconds.closed[:0] = [*drawn, *idle]

    def _build(self, timeframe: Timeframe) -> _Series:
        length_ms = timeframe.length_ms
        minutes = [*self._minutes.closed, self._minutes.running]
        rows = self._history_of(timeframe, self._joint_ms, self._joint_price)
        candles = _klines(rows, length_ms)
        for minute in minutes:
            opens_ms = candle_open_ms(minute.open_ms, length_ms)
            if not candles or candles[-1].open_ms != opens_ms:
                candles.append(_flat(opens_ms, length_ms, minute.open))
            candles[-1].merge(minute)
        return _Series(length_ms, candles[:-1], candles[-1])


def _fits(shorter_ms: int, length_ms: int, ahead_ms: int) -> bool:
    return divides(shorter_ms, length_ms) and ahead_ms % shorter_ms == 0


def _ahead_of_utc(finer: Sequence[Kline], length_ms: int, ahead_ms: int) -> list[Kline]:
    # A first one that the finer ones do not hold whole is left out.
    found: list[Kline] = []
    for candle in finer:
        open_ms = candle_open_ms(candle.open_ms + ahead_ms, length_ms) - ahead_ms
        if not found or found[-1].open_ms != open_ms:
            if not found and candle.open_ms != open_ms:
                continue
            price = candle.open
            begun = Kline(open_ms, length_ms, price, price, price, price, ahead_ms=ahead_ms)
            found.append(begun)
        found[-1].merge(candle)
    return found


def _flat(open_ms: int, length_ms: int, price: float) -> Kline:
    return Kline(open_ms, length_ms, price, price, price, price)


def _klines(rows: Rows, length_ms: int) -> list[Kline]:
    columns = zip(
        rows.opens_ms.tolist(),
        rows.opens.tolist(),
        rows.highs.tolist(),
        rows.lows.tolist(),
        rows.closes.tolist(),
        rows.volumes.tolist(),
        strict=True,
    )
    return [
        Kline(
            open_ms=open_ms,
            length_ms=length_ms,
            open=open_,
            high=high,
            low=low,
            close=close,
            volume=volume,
            quote_volume=volume * (open_ + close) / 2,
            # Trades of before the start have no ids; how many there were is an estimate.
            trades=max(1, int(volume * close / _QUOTE_PER_TRADE)),
            taker_volume=volume / 2,
            taker_quote_volume=volume * (open_ + close) / 4,
        )
        for open_ms, open_, high, low, close, volume in columns
    ]
