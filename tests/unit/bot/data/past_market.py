"""A market with a past, told a page at a time as different exchanges do."""

import numpy as np

from trading.candles.series import Candles, no_candles
from trading.domain.errors import Unreachable
from trading.domain.time import Timeframe


class PastMarket:
    """Holds candles, remembers what it was asked, and answers as one kind of exchange."""

    def __init__(
        self,
        candles: Candles,
        now_ms: int,
        *,
        page_candles: int = 50,
        is_by_window: bool = False,
        knows_days: bool = True,
    ) -> None:
        self.candles = candles
        self.page_candles = page_candles
        self.asked: list[tuple[str, int]] = []
        # Requests of these numbers, from 0, are answered with nothing, or not at all.
        self.silent_at: set[int] = set()
        self.dies_at: int | None = None
        self._now_ms = now_ms
        self._is_by_window = is_by_window
        self._knows_days = knows_days

    def knows(self, timeframe: str) -> bool:
        return timeframe != "1d" or self._knows_days

    def now_ms(self) -> int:
        return self._now_ms

    async def page(self, timeframe: str, since_ms: int) -> Candles:
        number = len(self.asked)
        self.asked.append((timeframe, since_ms))
        if number == self.dies_at:
            raise Unreachable("the line is cut")
        if number in self.silent_at:
            return no_candles()
        candles = self.candles
        if timeframe == "1d":
            opens_ms = candles.open_time_ms // 86_400_000 * 86_400_000
            days, firsts = np.unique(opens_ms, return_index=True)
            candles = candles.take(firsts)
            candles = Candles(days, *(candles.column(name) for name in Candles.__slots__[1:]))
        page = candles.take(candles.open_time_ms >= since_ms).take(slice(0, self.page_candles))
        if self._is_by_window:
            until_ms = since_ms + self.page_candles * Timeframe(timeframe).length_ms
            page = page.take(page.open_time_ms < until_ms)
        # Newest first, as some exchanges answer.
        return page.take(slice(None, None, -1)) if number % 2 else page


class Silence:
    """A bar that nobody sees, but that adds up."""

    def __init__(self) -> None:
        self.total = 0
        self.done = 0

    def begin(self, candles: int) -> None:
        self.total += candles

    def advance(self, candles: int) -> None:
        self.done += candles
