"""Candles one by one, as streams tell them, and the same as columns."""

from collections.abc import Sequence
from math import isnan

from trading.candles.series import COLUMNS, Candles, candles_of, no_candles
from trading.domain.market import Candle


def columns_of(candles: Sequence[Candle]) -> Candles:
    """Turn candles into columns, in the order in which they come."""
    if not candles:
        return no_candles()
    return candles_of({name: [getattr(one, name) for one in candles] for name in COLUMNS})


def rows_of(candles: Candles) -> list[Candle]:
    """Turn columns into closed candles."""
    columns = (getattr(candles, name).tolist() for name in COLUMNS)
    return [
        Candle(
            opened_ms,
            opened,
            high,
            low,
            closed,
            volume,
            is_closed=True,
            quote_volume=_known(quote_volume),
            trades=None if isnan(trades) else int(trades),
            taker_buy_volume=_known(taken),
        )
        for opened_ms, opened, high, low, closed, volume, quote_volume, trades, taken in zip(
            *columns, strict=True
        )
    ]


def _known(value: float) -> float | None:
    return None if isnan(value) else value
