"""Time without eyes, as prices: what is read afterwards about it, and how finely."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from trading.domain.market import Candle
from trading.domain.time import Timeframe

CANDLES_MAX = 1000
_SECOND = Timeframe("1s")
_TIMEFRAMES = tuple(Timeframe(name) for name in ("1m", "15m", "1h", "1d"))


@dataclass(frozen=True, slots=True)
class Gap:
    """Candles that cover a gap of one symbol, and the price after it."""

    symbol: str
    candles: tuple[Candle, ...]
    price: Decimal
    event_time_ms: int


def covers(gap_ms: int) -> Sequence[tuple[Timeframe, int]]:
    """Return the candle lengths to ask for, each with how many cover the gap, best first.

    Seconds where they reach: only they tell what came before a tracker was armed from what came
    after. Not every venue has them, so that minutes follow.
    """
    counts = [(timeframe, _count(gap_ms, timeframe)) for timeframe in _TIMEFRAMES]
    coarse = next(
        (each for each in counts if each[1] <= CANDLES_MAX), (_TIMEFRAMES[-1], CANDLES_MAX)
    )
    seconds = _count(gap_ms, _SECOND)
    return ((_SECOND, seconds), coarse) if seconds <= CANDLES_MAX else (coarse,)


def within(candles: Iterable[Candle], since_ms: int, timeframe: Timeframe) -> tuple[Candle, ...]:
    """Return the candles of a gap; the one that it began in counts whole."""
    begin_ms = since_ms - timeframe.length_ms
    return tuple(candle for candle in candles if candle.open_time_ms > begin_ms)


def is_whole(candles: Sequence[Candle], since_ms: int) -> bool:
    """Whether candles reach back to the beginning of a gap."""
    return bool(candles) and candles[0].open_time_ms <= since_ms


def _count(gap_ms: int, timeframe: Timeframe) -> int:
    return gap_ms // timeframe.length_ms + 2
