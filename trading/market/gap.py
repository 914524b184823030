"""Time without eyes, as prices: what was read afterwards about it."""

from dataclasses import dataclass
from decimal import Decimal

from trading.domain.market import Candle


@dataclass(frozen=True, slots=True)
class Gap:
    """Candles that cover a gap of one symbol, and the price after it."""

    symbol: str
    candles: tuple[Candle, ...]
    price: Decimal
    event_time_ms: int
