"""The four metrics of a candle, in percent: how far it went, and where it stayed."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Percents = NDArray[np.float32]
"""Metrics as they are kept: 7 digits tell candles apart, and half the memory holds them."""


class Metric(IntEnum):
    """The rows of every array of metrics."""

    CHANGE = 0
    AMPLITUDE = 1
    UP = 2
    DOWN = 3


def metrics(opens: Floats, highs: Floats, lows: Floats, closes: Floats) -> Percents:
    """Return the metrics of candles, shape (4, n), rows as `Metric` names them.

    Change is close against open, amplitude high against low, up high against open, and down open
    against low as a share of the open, so that up and down are never negative. Nothing is rounded:
    tenths of a percent would make ties of candles that differ. ValueError for prices that are not
    finite and above 0, or for a high or low that does not bound open and close.
    """
    prices = np.stack((opens, highs, lows, closes))
    if not (np.isfinite(prices).all() and (prices > 0).all()):
        raise ValueError("prices of candles should be finite and above 0")
    if (prices.max(axis=0) > highs).any() or (prices.min(axis=0) < lows).any():
        raise ValueError("high and low of a candle should bound its open and close")
    made = np.empty((len(Metric), prices.shape[1]), np.float32)
    made[Metric.CHANGE] = 100 * (closes / opens - 1)
    made[Metric.AMPLITUDE] = 100 * (highs / lows - 1)
    made[Metric.UP] = 100 * (highs / opens - 1)
    made[Metric.DOWN] = 100 * (1 - lows / opens)
    return made


def sought(made: Percents) -> Percents:
    """Return what running candles are looked up by in the sorted past, shape (4, n).

    The present change, and not the furthest reach, stands against the past reaches up and down:
    only what a candle still holds counts, and a spike that was given back scores nothing.
    """
    found = made.copy()
    found[Metric.UP] = made[Metric.CHANGE]
    found[Metric.DOWN] = -made[Metric.CHANGE]
    return found
