"""Candles of before the start: drawn backwards from the start price, coarse from fine."""

from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from trading.candles.grid import opens_of
from trading.domain.time import MONTH, Timeframe, candle_open_ms, divides

MINUTE_MS = 60_000
_NAMES = (
    *("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w"),
    MONTH,
)
SECOND = Timeframe("1s")
TIMEFRAMES = (SECOND, *(Timeframe(name) for name in _NAMES))
# Length and number of the candles that are drawn at random; all others are sums of these.
_LAYERS = ((MINUTE_MS, 5_400), (900_000, 8_600), (7_200_000, 6_600), (86_400_000, 7_400))
_SIGMA_PER_MINUTE = 0.0012
# How far, as a logarithm, the past strays from the start price at most.
_REACH = 1.0
_QUOTE_PER_MINUTE = 150_000.0
_ROWS_MAX = 1_500
_SECONDS_PER_MINUTE = 60
# Minutes that are told in seconds: enough for as many as one request may ask for.
_MINUTES_IN_SECONDS = 17

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Candles as columns; `opens_ms` ascends, volumes are in base units."""

    opens_ms: NDArray[np.int64]
    opens: Floats
    highs: Floats
    lows: Floats
    closes: Floats
    volumes: Floats

    def __len__(self) -> int:
        return len(self.opens_ms)

    def tail(self, count: int) -> "Rows":
        """Return the last rows."""
        return Rows(
            self.opens_ms[-count:],
            self.opens[-count:],
            self.highs[-count:],
            self.lows[-count:],
            self.closes[-count:],
            self.volumes[-count:],
        )


def history(name: str, timeframe: Timeframe, start_ms: int, price: float, tick: float) -> Rows:
    """Return at least 1,000 closed candles before `start_ms`, and the running one where it began.

    Of months there are 240, for a thousand of them would be more years than any market has.
    `name` seeds the walk; same arguments, same candles. The last close is `price`. 1m, 15m, 2h
    and 1d candles are drawn; wherever finer ones reach, coarser ones are aggregated from them.
    Seconds are drawn within the last minutes, and there is no running one.
    """
    if timeframe == SECOND:
        minutes = _extend(name, 0, None, start_ms, price).tail(_MINUTES_IN_SECONDS)
        return _on_grid(_in_seconds(name, minutes), tick)
    length_ms = timeframe.length_ms
    rows: Rows | None = None
    for layer, (layer_ms, count) in enumerate(_LAYERS):
        rows = _extend(name, layer, rows, start_ms, price)
        next_ms = _LAYERS[layer + 1][0] if layer + 1 < len(_LAYERS) else None
        enough = count * layer_ms >= 1_050 * length_ms
        if divides(layer_ms, length_ms) and (enough or next_ms is None):
            break
    if rows is None:
        raise ValueError(f"no candles for {timeframe.name}")
    return _on_grid(aggregate(rows, length_ms), tick).tail(_ROWS_MAX)


def aggregate(rows: Rows, length_ms: int) -> Rows:
    """Return the candles of a greater length; an incomplete first one is left out."""
    buckets = opens_of(rows.opens_ms, length_ms)
    starts = np.flatnonzero(np.diff(buckets, prepend=buckets[0] - 1))
    if buckets[0] != rows.opens_ms[0]:
        starts = starts[1:]
    ends = np.append(starts[1:], len(rows)) - 1
    first = int(starts[0])
    return Rows(
        buckets[starts],
        rows.opens[starts],
        np.maximum.reduceat(rows.highs[first:], starts - first),
        np.minimum.reduceat(rows.lows[first:], starts - first),
        rows.closes[ends],
        np.add.reduceat(rows.volumes[first:], starts - first),
    )


def _extend(name: str, layer: int, finer: Rows | None, start_ms: int, price: float) -> Rows:
    length_ms, count = _LAYERS[layer]
    if finer is None:
        end_ms, anchor = candle_open_ms(start_ms, length_ms), price
        recent = None
    else:
        recent = aggregate(finer, length_ms)
        end_ms, anchor = int(recent.opens_ms[0]), float(recent.opens[0])
    drawn = _draw(f"{name} {layer}", length_ms, count, end_ms, anchor)
    return drawn if recent is None else _joined(drawn, recent)


def _draw(name: str, length_ms: int, count: int, end_ms: int, anchor: float) -> Rows:
    generator = np.random.default_rng(Random(name).getrandbits(64))
    sigma = _SIGMA_PER_MINUTE * (length_ms / MINUTE_MS) ** 0.5
    # Fat tails: every candle has its own wildness.
    wild = sigma * np.exp(generator.normal(0, 0.35, count))
    walk = np.cumsum(generator.normal(0, 1, count) * wild)
    # Folded back softly, so that years of history stay within sight of the start price.
    backwards = _REACH * np.tanh(np.concatenate(([0.0], walk)) / _REACH)
    path = anchor * np.exp(backwards[::-1])
    opens, closes = path[:-1], path[1:]
    highs = np.maximum(opens, closes) * np.exp(np.abs(generator.normal(0, 0.5, count)) * wild)
    lows = np.minimum(opens, closes) * np.exp(-np.abs(generator.normal(0, 0.5, count)) * wild)
    quote = _QUOTE_PER_MINUTE * (length_ms / MINUTE_MS) * (0.5 + wild / sigma)
    opens_ms = end_ms - length_ms * np.arange(count, 0, -1, dtype=np.int64)
    return Rows(opens_ms, opens, highs, lows, closes, np.round(quote / closes, 5))


def _in_seconds(name: str, minutes: Rows) -> Rows:
    """Return the seconds that each minute is the sum of."""
    generator = np.random.default_rng(Random(f"{name} seconds").getrandbits(64))
    shape = (len(minutes), _SECONDS_PER_MINUTE)
    lows, highs = minutes.lows[:, None], minutes.highs[:, None]
    sigma = _SIGMA_PER_MINUTE / _SECONDS_PER_MINUTE**0.5
    walk = np.cumsum(generator.normal(0, sigma, shape), axis=1)
    # A bridge: it wanders, and ends where the minute closed.
    passed = np.arange(1, _SECONDS_PER_MINUTE + 1) / _SECONDS_PER_MINUTE
    net = np.log(minutes.closes / minutes.opens)[:, None]
    bridge = minutes.opens[:, None] * np.exp(walk + passed * (net - walk[:, -1:]))
    closes = np.clip(bridge, lows, highs)
    closes[:, -1] = minutes.closes
    opens = np.concatenate((minutes.opens[:, None], closes[:, :-1]), axis=1)
    upper, lower = np.maximum(opens, closes), np.minimum(opens, closes)
    # The second that came closest to an extreme of the minute is the one that reached it.
    rows = np.arange(len(minutes))
    upper[rows, upper.argmax(axis=1)] = minutes.highs
    lower[rows, lower.argmin(axis=1)] = minutes.lows
    shares = np.cumsum(generator.exponential(1, shape), axis=1)
    traded = np.round(minutes.volumes[:, None] * shares / shares[:, -1:], 5)
    volumes = np.round(np.diff(traded, axis=1, prepend=0.0), 5)
    opens_ms = minutes.opens_ms[:, None] + SECOND.length_ms * np.arange(_SECONDS_PER_MINUTE)
    prices = (opens.ravel(), upper.ravel(), lower.ravel(), closes.ravel())
    return Rows(opens_ms.ravel(), *prices, volumes.ravel())


def _joined(older: Rows, newer: Rows) -> Rows:
    return Rows(
        np.concatenate((older.opens_ms, newer.opens_ms)),
        np.concatenate((older.opens, newer.opens)),
        np.concatenate((older.highs, newer.highs)),
        np.concatenate((older.lows, newer.lows)),
        np.concatenate((older.closes, newer.closes)),
        np.concatenate((older.volumes, newer.volumes)),
    )


def _on_grid(rows: Rows, tick: float) -> Rows:
    def rounded(column: Floats) -> Floats:
        return np.maximum(np.round(column / tick), 1) * tick

    return Rows(
        rows.opens_ms,
        rounded(rows.opens),
        rounded(rows.highs),
        rounded(rows.lows),
        rounded(rows.closes),
        rows.volumes,
    )
