"""An exchange that tells candles, and an archive for them: both with memory, both can fail."""

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from tests.fakes.clock import FakeClock
from trading.candles.combining import Gathered
from trading.candles.rows import columns_of
from trading.candles.series import Candles
from trading.domain.errors import InstanceConflict, RateLimited, Refused, Unreachable
from trading.domain.market import Candle
from trading.domain.time import Timeframe, candle_open_ms, following_ms, shifted_ms, to_ms

_LOOKS = 12
_LISTED_MS = 1_577_836_800_000  # 2020-01-01
Key = tuple[str, Timeframe]
TakeCandle = Callable[[str, Timeframe, Candle, int], None]


@dataclass(eq=False, slots=True)
class Connection:
    """One open stream, and what it has told of each series last."""

    wanted: Mapping[str, frozenset[Timeframe]]
    take: TakeCandle
    ends: asyncio.Future[None]
    opens_ms: dict[Key, int] = field(default_factory=dict)


class CandleMarket:
    """Prices follow a fixed curve, so every candle is known; REST and streams tell the same one.

    `ahead_ms` is how far the exchange's clock is ahead of ours.
    """

    def __init__(self, clock: FakeClock, ahead_ms: int = 0) -> None:
        self.clock = clock
        self.ahead_ms = ahead_ms
        self.listed_ms: dict[str, int] = {}
        self.factor: dict[str, float] = {}
        self.connections: list[Connection] = []
        self.connected: list[tuple[float, Mapping[str, frozenset[Timeframe]]]] = []
        self.requests: list[tuple[str, Timeframe, int, datetime | None]] = []
        self.request_times_s: list[float] = []
        self.silent: set[Key] = set()
        self.halted: set[str] = set()
        self.lacking: set[Timeframe] = set()
        self.is_rest_down = False
        self.refuses_streams = False
        self.limited_s: float | None = None
        self.page_max = 1_000
        self.holes: set[tuple[str, Timeframe, int]] = set()
        # How long an answer travels; it says what has closed by the time of its arrival.
        self.answer_s = 0.0

    # ------------------------------------------------------------ the truth

    def now_ms(self) -> int:
        """Return the exchange's time."""
        return to_ms(self.clock.now()) + self.ahead_ms

    def price(self, symbol: str, at_ms: int) -> float:
        """Return the price of a moment."""
        phase = sum(map(ord, symbol))
        slow, quick = math.sin(at_ms / 5.1e6 + phase), math.sin(at_ms / 2.3e4 + phase)
        return self.factor.get(symbol, 1.0) * 100 * (1 + 0.02 * slow + 0.003 * quick)

    def closed(self, symbol: str, timeframe: Timeframe, open_ms: int) -> Candle:
        """Return the candle that opened then as it is when it is over."""
        return replace(self._until(symbol, timeframe, open_ms, _LOOKS), is_closed=True)

    def running(self, symbol: str, timeframe: Timeframe) -> Candle:
        """Return the candle of this moment."""
        now_ms, length_ms = self.now_ms(), timeframe.length_ms
        open_ms = candle_open_ms(now_ms, length_ms)
        lasts_ms = following_ms(open_ms, length_ms) - open_ms
        return self._until(symbol, timeframe, open_ms, (now_ms - open_ms) * _LOOKS // lasts_ms)

    def all_closed(self, symbol: str, timeframe: Timeframe, first_ms: int) -> list[Candle]:
        """Return every candle from an open time on that is over by now."""
        length_ms = timeframe.length_ms
        present_ms = candle_open_ms(self.now_ms(), length_ms)
        return [
            self.closed(symbol, timeframe, open_ms)
            for open_ms in self._opens(symbol, length_ms, first_ms, present_ms)
            if (symbol, timeframe, open_ms) not in self.holes
        ]

    def _until(self, symbol: str, timeframe: Timeframe, open_ms: int, looks: int) -> Candle:
        step_ms = (following_ms(open_ms, timeframe.length_ms) - open_ms) // _LOOKS
        prices = [self.price(symbol, open_ms + step_ms * look) for look in range(looks + 1)]
        volume = float(looks + 1)
        return Candle(
            open_ms, prices[0], max(prices), min(prices), prices[-1], volume, is_closed=False
        )

    def _opens(self, symbol: str, length_ms: int, first_ms: int, past_ms: int) -> Iterator[int]:
        """Yield when the candles of a symbol open, from the first on the grid to before `past`."""
        first_ms = max(first_ms, self._listed(symbol))
        open_ms = following_ms(candle_open_ms(first_ms - 1, length_ms), length_ms)
        while open_ms < past_ms:
            yield open_ms
            open_ms = following_ms(open_ms, length_ms)

    def _listed(self, symbol: str) -> int:
        return self.listed_ms.get(symbol, _LISTED_MS)

    # ------------------------------------------------------------ what tests do

    def tell(self) -> None:
        """Tell every connection what closed since the last time, and what runs."""
        for connection in list(self.connections):
            for symbol, timeframes in connection.wanted.items():
                for timeframe in timeframes:
                    if (symbol, timeframe) not in self.silent:
                        self._tell(connection, symbol, timeframe)

    def say(self, symbol: str, timeframe: Timeframe, candle: Candle, at_ms: int = 0) -> None:
        """Tell every connection one candle, true or not."""
        for connection in list(self.connections):
            if timeframe in connection.wanted.get(symbol, ()):
                connection.take(symbol, timeframe, candle, at_ms or self.now_ms())

    def _tell(self, connection: Connection, symbol: str, timeframe: Timeframe) -> None:
        now_ms, length_ms = self.now_ms(), timeframe.length_ms
        open_ms = candle_open_ms(now_ms, length_ms)
        before_ms = connection.opens_ms.get((symbol, timeframe), open_ms)
        for each_ms in self._opens(symbol, length_ms, before_ms, open_ms):
            connection.take(symbol, timeframe, self.closed(symbol, timeframe, each_ms), now_ms)
        connection.opens_ms[symbol, timeframe] = open_ms
        connection.take(symbol, timeframe, self.running(symbol, timeframe), now_ms)

    def cut(self) -> None:
        """End every stream."""
        for connection in self.connections:
            if not connection.ends.done():
                connection.ends.set_exception(Unreachable("connection reset"))

    # ------------------------------------------------------------ CandleFeed

    async def candles(
        self, symbol: str, timeframe: Timeframe, limit: int, since: datetime | None = None
    ) -> Sequence[Candle]:
        """Answer as klines do: the running one last, from `since` on or the newest."""
        self.requests.append((symbol, timeframe, limit, since))
        self.request_times_s.append(self.clock.monotonic())
        if self.limited_s is not None:
            raise RateLimited("too many requests", self.limited_s)
        if self.is_rest_down:
            raise Unreachable("no answer")
        if timeframe in self.lacking:
            raise Refused(f"there are no {timeframe.name} candles")
        if symbol.startswith("NO"):
            raise Refused(f"{symbol} is not traded on this exchange")
        if symbol in self.halted:
            return []
        limit = min(limit, self.page_max)
        length_ms = timeframe.length_ms
        present_ms = candle_open_ms(self.now_ms(), length_ms)
        first_ms = shifted_ms(present_ms, 1 - limit, length_ms) if since is None else to_ms(since)
        opens = list(islice(self._opens(symbol, length_ms, first_ms, present_ms), limit))
        told = [
            self.closed(symbol, timeframe, open_ms)
            for open_ms in opens
            if (symbol, timeframe, open_ms) not in self.holes
        ]
        if len(opens) < limit:
            told.append(self.running(symbol, timeframe))
        if self.answer_s:
            await self.clock.sleep(self.answer_s)
            now_ms = self.now_ms()
            told = [
                replace(one, is_closed=following_ms(one.open_time_ms, length_ms) <= now_ms)
                for one in told
            ]
        return told

    def candle_source(self, timeframe: Timeframe) -> Timeframe | None:
        """Every length is there, but for those that a test has taken away."""
        return None if timeframe in self.lacking else timeframe

    async def stream_candles(
        self, wanted: Mapping[str, frozenset[Timeframe]], on_candle: TakeCandle
    ) -> None:
        """Stream until cancelled or cut."""
        self.connected.append((self.clock.monotonic(), wanted))
        if self.refuses_streams:
            raise Unreachable("connection refused")
        ends = asyncio.get_running_loop().create_future()
        connection = Connection(wanted, on_candle, ends)
        self.connections.append(connection)
        try:
            await ends
        finally:
            self.connections.remove(connection)


class CandleMemory:
    """An archive in memory; it counts what it is told twice."""

    def __init__(self) -> None:
        self.held: dict[Key, dict[int, Candle]] = {}
        self.combined: dict[Key, Gathered] = {}
        self.appends: list[int] = []
        self.is_locked = False
        self.is_broken = False

    def put(self, symbol: str, timeframe: Timeframe, candles: Iterable[Candle]) -> None:
        """Hold candles from before."""
        series = self.held.setdefault((symbol, timeframe), {})
        series.update((candle.open_time_ms, candle) for candle in candles)

    def opens_ms(self, symbol: str, timeframe: Timeframe) -> list[int]:
        """Return the open times held, in order."""
        return sorted(self.held.get((symbol, timeframe), {}))

    async def load(self, symbol: str, timeframe: Timeframe, newest: int) -> Candles:
        """Return the newest so many."""
        if self.is_broken:
            raise OSError("the disk is gone")
        series = self.held.get((symbol, timeframe), {})
        return columns_of([series[open_ms] for open_ms in sorted(series)[-newest:]])

    async def gathered(self, symbol: str, timeframe: Timeframe, newest: int) -> Gathered | None:
        """Return what a test has combined."""
        if self.is_broken:
            raise OSError("the disk is gone")
        return self.combined.get((symbol, timeframe))

    async def append(self, closed: Sequence[tuple[str, Timeframe, Candle]]) -> None:
        """Keep closed candles."""
        if self.is_locked:
            raise InstanceConflict("the archive is being written by somebody else")
        self.appends.append(len(closed))
        for symbol, timeframe, candle in closed:
            assert candle.is_closed, "the running candle is never stored"
            series = self.held.setdefault((symbol, timeframe), {})
            assert series.setdefault(candle.open_time_ms, candle) == candle
