"""Candles of other exchanges: told ones close when the next opens, others are counted of trades."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from trading.candles.building import GRACE_MS
from trading.domain.errors import Unreachable
from trading.domain.market import Candle
from trading.domain.time import Timeframe
from trading.gateway import library_candles

MINUTE, FIVE = Timeframe("1m"), Timeframe("5m")
NOON_MS = 1_700_000_100_000
ADA = "ADA/USDT"
Told = list[tuple[str, str, Candle]]


class Library:
    """What the client library keeps of its streams, and how it wakes who waits."""

    def __init__(self, *abilities: str) -> None:
        self.has = dict.fromkeys(abilities, True)
        self.timeframes = {"1m": "1m", "5m": "5m"}
        self.ohlcvs: dict[str, dict[str, list[list[Any]]]] = {}
        self.trades: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[Any] = []
        self.now_ms = NOON_MS
        self._wakes: list[asyncio.Future[None]] = []

    async def watch_ohlcv_for_symbols(self, asked: list[list[str]]) -> None:
        await self._wait(asked)

    async def watch_trades_for_symbols(self, asked: list[str]) -> None:
        await self._wait(asked)

    async def _wait(self, asked: Any) -> None:
        self.asked.append(asked)
        wakes = asyncio.get_running_loop().create_future()
        self._wakes.append(wakes)
        await wakes

    async def wake(self, error: Exception | None = None) -> None:
        wakes, self._wakes = self._wakes, []
        for one in wakes:
            one.set_exception(error) if error else one.set_result(None)
        for _ in range(4):
            await asyncio.sleep(0)

    def candle(self, minute: int, close: float, volume: float = 1.0) -> None:
        rows = self.ohlcvs.setdefault(ADA, {}).setdefault("1m", [])
        row = [NOON_MS + minute * 60_000, "100", "110", "90", str(close), str(volume)]
        if rows and rows[-1][0] == row[0]:
            rows[-1] = row
        else:
            rows.append(row)

    def trade(self, second: float, price: float, side: str | None = "buy") -> None:
        at_ms = NOON_MS + int(second * 1_000)
        self.now_ms = max(self.now_ms, at_ms)
        said = {"symbol": ADA, "price": str(price), "amount": "2", "timestamp": at_ms, "side": side}
        self.trades.setdefault(ADA, []).append(said)


@contextlib.asynccontextmanager
async def streaming(
    library: Library, *timeframes: Timeframe
) -> AsyncIterator[tuple[Told, "asyncio.Future[None]"]]:
    told: Told = []
    stream = asyncio.ensure_future(
        library_candles.stream(
            library,
            {ADA: frozenset(timeframes)},
            lambda symbol, timeframe, candle, _: told.append((symbol, timeframe.name, candle)),
            lambda: library.now_ms,
        )
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    try:
        yield told, stream
    finally:
        stream.cancel()
        await asyncio.gather(stream, return_exceptions=True)


def closed(told: Told) -> list[Candle]:
    return [candle for _, _, candle in told if candle.is_closed]


async def test_a_told_candle_closes_when_the_next_one_opens_and_once() -> None:
    library = Library("watchOHLCVForSymbols")
    async with streaming(library, MINUTE) as (told, _):
        assert library.asked == [[[ADA, "1m"]]]
        library.candle(0, 101)
        await library.wake()
        library.candle(0, 102)
        await library.wake()
        library.candle(0, 103, volume=7)
        library.candle(1, 104)
        await library.wake()
        await library.wake()
        [first] = closed(told)
        assert (first.open_time_ms, first.close, first.volume) == (NOON_MS, 103, 7)
        assert [candle.close for _, _, candle in told if not candle.is_closed] == [101, 102, 104]


async def test_a_length_that_the_exchange_does_not_know_costs_no_other_its_stream() -> None:
    library = Library("watchOHLCVForSymbols")
    async with streaming(library, MINUTE, Timeframe("3d")):
        assert library.asked == [[[ADA, "1m"]]]


async def test_what_was_told_before_we_listened_is_not_told_as_news() -> None:
    library = Library("watchOHLCVForSymbols")
    for minute in range(5):
        library.candle(minute, 100 + minute)
    async with streaming(library, MINUTE) as (told, _):
        await library.wake()
        assert not closed(told)
        assert [candle.open_time_ms for _, _, candle in told] == [NOON_MS + 240_000]


async def test_over_a_hole_nothing_closes_for_nobody_knows_how_it_ended() -> None:
    library = Library("watchOHLCVForSymbols")
    async with streaming(library, MINUTE) as (told, _):
        library.candle(0, 101)
        await library.wake()
        library.candle(3, 104)
        await library.wake()
        assert not closed(told)


async def test_an_unusable_row_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    library = Library("watchOHLCVForSymbols")
    async with streaming(library, MINUTE) as (told, stream):
        library.candle(0, float("nan"))
        await library.wake()
        assert "message_unusable" in [one.message for one in caplog.records]
        assert not stream.done()
        library.candle(0, 101)
        await library.wake()
        assert len(told) == 1


async def test_candles_are_counted_of_trades_where_none_are_told() -> None:
    library = Library("watchTradesForSymbols")
    async with streaming(library, MINUTE, FIVE) as (told, _):
        for second, price, side in (
            (-5, 99, "buy"),
            (1, 100, "buy"),
            (20, 104, "sell"),
            (59, 98, "buy"),
            (61, 99, "sell"),
        ):
            library.trade(second, price, side)
        await library.wake()
        [candle] = closed(told)
        assert candle == Candle(
            *(NOON_MS, 100, 104, 98, 98, 6, True),
            quote_volume=2 * (100 + 104 + 98),
            trades=3,
            taker_buy_volume=4,
        )
        library.now_ms = NOON_MS + 120_000 + GRACE_MS
        await library.wake()
        assert [one.open_time_ms for one in closed(told)] == [NOON_MS, NOON_MS + 60_000]
        running = [one for _, name, one in told if name == "5m"][-1]
        assert (running.is_closed, running.trades) == (False, 4)


async def test_a_trade_is_counted_once_however_often_somebody_is_woken() -> None:
    library = Library("watchTradesForSymbols")
    async with streaming(library, MINUTE) as (told, _):
        library.trade(-5, 100)
        library.trade(1, 100)
        await library.wake()
        await library.wake()
        library.trade(2, 100)
        await library.wake()
        library.trade(61, 100)
        await library.wake()
        assert closed(told)[0].trades == 2


async def test_a_candle_in_which_listening_began_is_not_given() -> None:
    library = Library("watchTradesForSymbols")
    async with streaming(library, MINUTE) as (told, _):
        for second in (0, 61, 121):
            library.trade(second, 100)
        await library.wake()
        assert [one.open_time_ms for one in closed(told)] == [NOON_MS + 60_000]


async def test_a_candle_with_lost_trades_is_not_given() -> None:
    library = Library("watchTradesForSymbols")
    async with streaming(library, MINUTE) as (told, _):
        library.trade(-5, 100)
        library.trade(-5, 100)
        library.trade(1, 100)
        await library.wake()
        # More came than the library keeps: the one that was seen last is gone.
        library.trades[ADA].clear()
        library.trade(30, 100)
        await library.wake()
        library.trade(61, 100)
        await library.wake()
        assert not closed(told)
        library.trade(121, 100)
        await library.wake()
        assert [one.open_time_ms for one in closed(told)] == [NOON_MS + 60_000]


async def test_without_sides_nobody_guesses_who_was_in_a_hurry() -> None:
    library = Library("watchTradesForSymbols")
    async with streaming(library, MINUTE) as (told, _):
        library.trade(-5, 100)
        library.trade(1, 100, side=None)
        library.trade(61, 100)
        await library.wake()
        assert closed(told)[0].taker_buy_volume is None
        assert closed(told)[0].volume == 2


async def test_a_library_without_streams_stays_silent() -> None:
    async with streaming(Library(), MINUTE) as (told, stream):
        await asyncio.sleep(0)
        assert not told
        assert not stream.done()


async def test_a_lost_connection_is_told() -> None:
    library = Library("watchTradesForSymbols")
    async with streaming(library, MINUTE) as (_, stream):
        await library.wake(ConnectionError("reset"))
        with pytest.raises(Unreachable, match="reset"):
            await stream
