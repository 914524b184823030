"""Candles for tests: a random walk whose candles are all fit to be kept."""

from dataclasses import replace
from typing import Any

import numpy as np

from trading.candles.series import Candles, SeriesName, candles_of

MINUTE_MS = 60_000
START_MS = 1_619_827_200_000  # 2021-05-01
LATER_MS = 1_800_000_000_000
"""A moment long after every candle here has closed."""
BITCOIN = SeriesName("binance", "BTC/USDT", "1m")


def walk(
    count: int, seed: int = 1, *, length_ms: int = MINUTE_MS, start_ms: int = START_MS
) -> Candles:
    """Return candles without gaps, with every optional field."""
    chance = np.random.default_rng(seed)
    closes = 50_000 * np.exp(np.cumsum(chance.normal(0, 0.002, count)))
    opens = np.concatenate(([50_000.0], closes[:-1]))[:count]
    volume = chance.uniform(0.5, 20.0, count)
    return candles_of(
        {
            "open_time_ms": start_ms + length_ms * np.arange(count),
            "open": opens,
            "high": np.maximum(opens, closes) * chance.uniform(1.0, 1.01, count),
            "low": np.minimum(opens, closes) * chance.uniform(0.99, 1.0, count),
            "close": closes,
            "volume": volume,
            "quote_volume": volume * (opens + closes) / 2,
            "trades": chance.integers(1, 1000, count),
            "taker_buy_volume": volume * chance.uniform(0.0, 1.0, count),
        }
    )


def bend(candles: Candles, place: int, **values: Any) -> Candles:
    """Return the candles with other numbers in one of them."""
    columns = {name: getattr(candles, name).copy() for name in values}
    for name, value in values.items():
        columns[name][place] = value
    return replace(candles, **columns)


def without_optional(candles: Candles) -> Candles:
    """Return the candles as an exchange tells them that tells little."""
    nothing = np.full(len(candles), np.nan)
    return candles.replace(quote_volume=nothing, trades=nothing, taker_buy_volume=nothing)
