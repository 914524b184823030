"""Histories and candles for tests of the scanner."""

import numpy as np

from trading.candles.series import Candles, candles_of
from trading.domain.market import Candle
from trading.domain.time import Timeframe, candle_open_ms
from trading.scanner.history import RankHistory
from trading.scanner.metrics import Percents, metrics
from trading.scanner.points import Method
from trading.scanner.rating import Monitored, rate
from trading.scanner.scores import RankScore

HOUR = Timeframe("1h")
AT_MS = 1_700_000_100_000


def candles(count: int, seed: int = 7, wildness: float = 0.01) -> Percents:
    """Metrics of a random walk."""
    generator = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(generator.normal(0, wildness, count + 1)))
    opens, closes = closes[:-1], closes[1:]
    highs = np.maximum(opens, closes) * (1 + np.abs(generator.normal(0, wildness, count)))
    lows = np.minimum(opens, closes) * (
        1 - np.abs(generator.normal(0, wildness, count)).clip(0, 0.9)
    )
    return metrics(opens, highs, lows, closes)


def reaches(ups: list[float], downs: list[float] | None = None) -> RankHistory:
    """A past of candles that went so many percent up and down, and closed where they opened."""
    downs = downs or ups
    opens = np.full(len(ups), 100.0)
    return RankHistory(metrics(opens, opens + np.array(ups), opens - np.array(downs), opens.copy()))


def running(
    change: float, timeframe: Timeframe = HOUR, at_ms: int = AT_MS, spike: float = 0.0
) -> Candle:
    """A running candle that opened at 100, and changed so many percent."""
    close = 100 + change
    high, low = max(100.0, close) + max(spike, 0.0), min(100.0, close) + min(spike, 0.0)
    opened_ms = candle_open_ms(at_ms, timeframe.length_ms)
    return Candle(opened_ms, 100.0, high, low, close, 1.0, False)


def rated(
    history: RankHistory, candle: Candle, method: Method = Method.RANK, at_ms: int = AT_MS
) -> RankScore:
    """The score of a symbol with one timeframe."""
    [score] = rate(
        [Monitored("ADA/USDT", at_ms, candle.close, {HOUR: history}, {HOUR: candle})], method
    )
    return score


def walk(
    count: int, seed: int = 7, length_ms: int = 300_000, began_ms: int = 1_699_920_000_000
) -> Candles:
    """A random walk of sound candles without holes, on the grid."""
    generator = np.random.default_rng(seed)
    path = 100 * np.exp(np.cumsum(generator.normal(0, 0.004, count + 1)))
    opens, closes = path[:-1], path[1:]
    return candles_of(
        {
            "open_time_ms": began_ms + length_ms * np.arange(count),
            "open": opens,
            "high": np.maximum(opens, closes) * (1 + np.abs(generator.normal(0, 0.002, count))),
            "low": np.minimum(opens, closes) * (1 - np.abs(generator.normal(0, 0.002, count))),
            "close": closes,
            "volume": generator.uniform(1, 9, count),
        }
    )


def with_holes(whole: Candles, seed: int, share: float = 0.2) -> Candles:
    """The same candles, some of them missing."""
    generator = np.random.default_rng(seed)
    return whole.take(generator.random(len(whole)) > share)
