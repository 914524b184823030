"""Candles made of trades, where an exchange tells no candles or only some time later."""

from dataclasses import dataclass, replace

from trading.domain.market import Candle
from trading.domain.time import Timeframe, candle_open_ms, following_ms

# How long after its end a candle waits for trades that were still on their way.
GRACE_MS = 2_000


@dataclass(frozen=True, slots=True)
class Print:
    """One trade as statistics need it; `trade_id` grows with every trade where it is known."""

    price: float
    quantity: float
    at_ms: int
    is_taker_buy: bool
    trade_id: int | None = None


class CandleBuilder:
    """Counts the trades of one symbol into candles of one timeframe; times are the exchange's.

    A candle is given when its whole time was listened to: not the one in which listening began,
    nor one with an interruption. A stretch without trades has no candle.
    """

    __slots__ = ("_last_id", "_length_ms", "_listening_ms", "_past_ms", "late", "running")

    def __init__(self, timeframe: Timeframe, listening_ms: int) -> None:
        self._length_ms = timeframe.length_ms
        self._listening_ms = listening_ms
        # What opened before this has been given, or is not going to be.
        self._past_ms = 0
        self._last_id = -1
        self.running: Candle | None = None
        self.late = 0
        """Trades that came after their candle had closed, and are in none."""

    def take(self, traded: Print) -> Candle | None:
        """Count a trade, and return the candle that it ends; a trade told twice counts once."""
        if traded.trade_id is not None:
            if traded.trade_id <= self._last_id:
                return None
            self._last_id = traded.trade_id
        opened_ms, running = candle_open_ms(traded.at_ms, self._length_ms), self.running
        if opened_ms < (self._past_ms if running is None else running.open_time_ms):
            self.late += 1
            return None
        closed = None
        if running is not None and opened_ms != running.open_time_ms:
            closed = self._close(running)
        self.running = _counted(self.running, traded, opened_ms)
        return closed

    def close_due(self, at_ms: int) -> Candle | None:
        """Return the running candle when its time and a little more have passed without a trade."""
        running = self.running
        if running is None or at_ms < self._ends_ms(running) + GRACE_MS:
            return None
        return self._close(running)

    def interrupted(self, resumed_ms: int) -> None:
        """Note that trades were missed up to a moment: the candles they belong to are not given."""
        self._listening_ms = max(self._listening_ms, resumed_ms)

    def _close(self, running: Candle) -> Candle | None:
        self.running = None
        self._past_ms = self._ends_ms(running)
        if running.open_time_ms < self._listening_ms:
            return None
        return replace(running, is_closed=True)

    def _ends_ms(self, running: Candle) -> int:
        return following_ms(running.open_time_ms, self._length_ms)


def _counted(running: Candle | None, traded: Print, opened_ms: int) -> Candle:
    price, quantity = traded.price, traded.quantity
    taken = quantity if traded.is_taker_buy else 0.0
    if running is None:
        return Candle(
            opened_ms, price, price, price, price, quantity, False, price * quantity, 1, taken
        )
    return Candle(
        running.open_time_ms,
        running.open,
        max(running.high, price),
        min(running.low, price),
        price,
        running.volume + quantity,
        False,
        (running.quote_volume or 0.0) + price * quantity,
        (running.trades or 0) + 1,
        (running.taker_buy_volume or 0.0) + taken,
    )
