"""The shell around the market: streams while it can, asks over REST when it must, tells once."""

from trading.market.engine.hooks import MarketHooks
from trading.market.engine.telling import (
    DEGRADED_DATA,
    DROPPED_PRICES,
    PRICE_DISAGREEMENT,
    STALE_DATA,
    STREAM_DOWN,
)
from trading.market.engine.watching import MarketEngine

__all__ = [
    "DEGRADED_DATA",
    "DROPPED_PRICES",
    "PRICE_DISAGREEMENT",
    "STALE_DATA",
    "STREAM_DOWN",
    "MarketEngine",
    "MarketHooks",
]
