"""The newest closed candles of one symbol and timeframe, handed out as views and never copied."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.candles.series import REQUIRED, Candles, Times
from trading.domain.market import Candle

CANDLES_KEPT = 2_000
# What decisions look at. A thousand series fill memory, and the archive knows the rest.
_VALUES = (*REQUIRED, "taker_buy_volume")


class CandleRing:
    """Closed candles in order of time, at most `candles_kept` of them.

    A view that was handed out never changes and cannot be written: new candles go behind what was
    shown, and when the room is used up, once in a sixteenth of it, the newest move to a new one.
    Quote volumes and numbers of trades are not kept; both are NaN. The rest is kept as float32:
    seven digits, and half the room of a thousand series; the archive holds them all.
    """

    __slots__ = (
        "_first",
        "_kept",
        "_past",
        "_shown",
        "_shown_times",
        "_times",
        "_unknown",
        "_values",
    )

    def __init__(self, candles_kept: int = CANDLES_KEPT) -> None:
        if candles_kept < 1:
            raise ValueError(f"candles_kept should be > 0, was {candles_kept}")
        self._kept = candles_kept
        self._first = self._past = 0
        self._take_room()

    def __len__(self) -> int:
        return self._past - self._first

    @property
    def newest_ms(self) -> int | None:
        """When the newest candle opened."""
        return int(self._times[self._past - 1]) if len(self) else None

    @property
    def oldest_ms(self) -> int | None:
        """When the oldest candle that is kept opened."""
        return int(self._times[self._first]) if len(self) else None

    def candles(self, newest: int | None = None) -> Candles:
        """Return all candles kept, or the newest so many, oldest first."""
        first = self._first if newest is None else max(self._first, self._past - newest)
        return self._view(slice(first, self._past))

    def at(self, open_time_ms: int) -> Candles:
        """Return the candle that opened then, as one of length 1, or none of length 0."""
        times = self._times[self._first : self._past]
        place = self._first + int(times.searchsorted(open_time_ms))
        is_held = place < self._past and self._times[place] == open_time_ms
        return self._view(slice(place, place + int(is_held)))

    def put(self, candle: Candle) -> bool:
        """Take in a closed candle, at its place; False when it is held or older than all kept."""
        newest_ms = self.newest_ms
        if newest_ms is None or candle.open_time_ms > newest_ms:
            self._append(candle.open_time_ms, _row(candle))
            return True
        return self._insert(candle)

    def fill(self, candles: Candles) -> None:
        """Begin anew with the newest of these candles, which ascend by time."""
        newest = candles.take(slice(-self._kept, None))
        self._first = self._past = 0
        self._take_room()
        self._past = len(newest)
        self._times[: self._past] = newest.open_time_ms
        for row, name in zip(self._values, _VALUES, strict=True):
            row[: self._past] = newest.column(name)

    def _view(self, which: slice) -> Candles:
        prices_and_volumes, unknown = self._shown[:, which], self._unknown[which]
        open_, high, low, close, volume, taker_buy_volume = prices_and_volumes
        return Candles(
            self._shown_times[which],
            open_,
            high,
            low,
            close,
            volume,
            quote_volume=unknown,
            trades=unknown,
            taker_buy_volume=taker_buy_volume,
        )

    def _append(self, open_time_ms: int, row: tuple[float, ...]) -> None:
        if self._past == len(self._times):
            self._move()
        self._times[self._past] = open_time_ms
        self._values[:, self._past] = row
        self._past += 1
        self._first = max(self._first, self._past - self._kept)

    def _insert(self, candle: Candle) -> bool:
        times = self._times[self._first : self._past]
        place = int(times.searchsorted(candle.open_time_ms))
        if times[place] == candle.open_time_ms or (place == 0 and len(self) == self._kept):
            return False
        # Into new room, for what was shown must not move under whoever looks at it.
        later = (
            times[place:].tolist(),
            self._values[:, self._first + place : self._past].T.tolist(),
        )
        self._past = self._first + place
        self._move()
        self._append(candle.open_time_ms, _row(candle))
        for open_time_ms, row in zip(*later, strict=True):
            self._append(open_time_ms, tuple(row))
        return True

    def _move(self) -> None:
        which = slice(self._first, self._past)
        times, values = self._times[which], self._values[:, which]
        self._take_room()
        self._first, self._past = 0, len(times)
        self._times[: self._past] = times
        self._values[:, : self._past] = values

    def _take_room(self) -> None:
        room = self._kept + max(self._kept // 16, 1)
        self._times: Times = np.empty(room, np.int64)
        self._values: NDArray[Any] = np.empty((len(_VALUES), room), np.float32)
        self._shown_times, self._shown = self._times.view(), self._values.view()
        self._shown_times.flags.writeable = self._shown.flags.writeable = False
        # One number seen from everywhere.
        self._unknown: NDArray[Any] = np.broadcast_to(np.float32(np.nan), (room,))


def _row(candle: Candle) -> tuple[float, ...]:
    taken = np.nan if candle.taker_buy_volume is None else candle.taker_buy_volume
    return (candle.open, candle.high, candle.low, candle.close, candle.volume, taken)
