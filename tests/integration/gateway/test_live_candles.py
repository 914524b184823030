"""Live candles against the simulated exchange over sockets: its own candles, closed once."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from storage.archive.live import LiveArchive
from tests.contract.gateway.worlds import (
    MachineClock,
    control,
    settings_of,
    shown,
    simulated,
)
from trading.candles.rows import columns_of
from trading.candles.series import Candles
from trading.domain.errors import Refused
from trading.domain.market import Candle
from trading.domain.time import Timeframe, from_ms
from trading.gateway import create_gateway, library_candles
from trading.gateway.unified import UnifiedVenue
from trading.market.live_candles import CandleHooks, LiveCandles
from trading.market.settings import CandleSettings
from trading.ports.exchange import CandleFeed, ExchangeGateway
from trading.ports.history import CandleStore
from trading.sim.binance.server import RunningSim, SimSettings

BTC, ETH = "BTC/USDT", "ETH/USDT"
SECOND, MINUTE = Timeframe("1s"), Timeframe("1m")
QUICK = CandleSettings(
    candles_kept=200, grace_s=0.4, plan_s=0.1, reconnect_s_first=0.2, down_after_s=1.0
)


@pytest.fixture
async def sim() -> AsyncIterator[RunningSim]:
    async with simulated(SimSettings(port=0)) as found:
        yield found


@pytest.fixture
async def gateway(sim: RunningSim) -> AsyncIterator[ExchangeGateway]:
    found = create_gateway(settings_of(sim), MachineClock())
    await found.connect()
    yield found
    await found.close()


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"the condition should hold within {seconds} s"
        await asyncio.sleep(0.02)


async def trade(sim: RunningSim, seconds: float) -> None:
    """Let many trades happen, so that every second has some."""
    body = {"rate_per_s": 60, "seconds": seconds, "symbols": ["BTCUSDT", "ETHUSDT"]}
    await control(sim, "traffic", body)


class Counting:
    """A feed that counts what it is asked for."""

    def __init__(self, gateway: ExchangeGateway) -> None:
        self._gateway = gateway
        self.stream_candles = gateway.stream_candles
        self.minutes: list[int] = []

    async def candles(
        self, symbol: str, timeframe: Timeframe, limit: int, since: datetime | None = None
    ) -> Sequence[Candle]:
        if timeframe == MINUTE:
            self.minutes.append(limit)
        return await self._gateway.candles(symbol, timeframe, limit, since)


@contextlib.asynccontextmanager
async def following(
    feed: CandleFeed, store: CandleStore | None = None
) -> AsyncIterator[tuple[LiveCandles, dict[str, Candles], list[tuple[str, Timeframe, Candle]]]]:
    warmed: dict[str, Candles] = {}
    closed: list[tuple[str, Timeframe, Candle]] = []

    def on_warm(symbol: str, timeframe: Timeframe, past: Candles) -> None:
        warmed[f"{symbol} {timeframe.name}"] = past

    hooks = CandleHooks(on_warm=on_warm, on_closed=lambda *told: closed.append(told))
    live = LiveCandles(feed, store, MachineClock(), hooks, settings=QUICK)
    live.watch({symbol: frozenset({SECOND, MINUTE}) for symbol in (BTC, ETH)})
    task = asyncio.ensure_future(live.run())
    try:
        await until(lambda: len(warmed) == 4)
        yield live, warmed, closed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_series_is_the_exchanges_own_also_after_a_lost_connection(
    sim: RunningSim, gateway: ExchangeGateway
) -> None:
    await trade(sim, 30)
    async with following(gateway) as (live, warmed, closed):
        assert len(warmed[f"{BTC} 1m"]) == len(warmed[f"{ETH} 1m"]) == QUICK.candles_kept
        await until(lambda: sum(one == SECOND for _, one, _ in closed) >= 4)
        await control(sim, "fault", {"kind": "disconnect", "times": 1, "args": {"scope": "market"}})
        [fault] = await shown(sim, "faults")  # type: ignore[misc]
        assert fault["fired"] == 1
        before = len(closed)
        await until(lambda: len(closed) >= before + 8)
        for symbol in (BTC, ETH):
            times = Counter(one.open_time_ms for each, _, one in closed if each == symbol)
            held = live.candles(symbol, SECOND)
            since = from_ms(int(held.open_time_ms[0]))
            told = await gateway.candles(symbol, SECOND, 1_000, since)
            true = columns_of([one for one in told if one.is_closed][: len(held)])
            assert held.open_time_ms.tolist() == true.open_time_ms.tolist()
            for column in ("open", "high", "low", "close", "volume"):
                assert held.column(column) == pytest.approx(true.column(column))
            assert max(times.values()) == 1
            assert not live.is_stale(symbol)
            running = live.running(symbol, MINUTE)
            assert running is not None
            assert not running.is_closed


async def minutes_held(archive: LiveArchive) -> int:
    """Return how many minutes of each market are on disk: pasts are written by and by."""
    kept = QUICK.candles_kept
    return min([len(await archive.load(symbol, MINUTE, kept)) for symbol in (BTC, ETH)])


async def test_a_start_over_an_archive_asks_for_what_lacks_alone(
    gateway: ExchangeGateway, sim: RunningSim, tmp_path: Path
) -> None:
    await trade(sim, 8)
    first = Counting(gateway)
    archive = LiveArchive(tmp_path, "simulated")
    async with following(first, archive) as (live, _, closed):
        assert first.minutes == [QUICK.candles_kept + 1] * 2
        await until(lambda: len(closed) >= 4)
        await live.sweep()
        assert live.unwritten == 0
        async with asyncio.timeout(20):
            while await minutes_held(archive) < QUICK.candles_kept:
                await asyncio.sleep(0.02)
    second = Counting(gateway)
    async with following(second, LiveArchive(tmp_path, "simulated")) as (live, warmed, _):
        past = warmed[f"{BTC} 1m"]
        assert len(past) == QUICK.candles_kept
        # A minute may have closed meanwhile.
        assert max(second.minutes) <= 3
        told = await gateway.candles(BTC, MINUTE, 500, from_ms(int(past.open_time_ms[0])))
        true = columns_of([one for one in told if one.is_closed][: len(past)])
        assert past.close == pytest.approx(true.close)
        assert past.taker_buy_volume == pytest.approx(true.taker_buy_volume)


async def test_candles_come_over_a_connection_that_carries_no_quote(
    sim: RunningSim, gateway: ExchangeGateway
) -> None:
    quotes: list[object] = []
    market = asyncio.ensure_future(
        gateway.stream_market(frozenset({BTC}), lambda _: None, quotes.append)
    )
    await trade(sim, 5)
    async with following(gateway) as (_, _, closed):
        await until(lambda: bool(quotes) and bool(closed))
        connections = sim.service.market_streams.subscribers
        kinds = [{_kind(name) for name in one.streams} for one in connections]
        assert sorted(kinds, key=len) == [{"kline"}, {"trade", "bookTicker"}]
    market.cancel()
    await asyncio.gather(market, return_exceptions=True)


def _kind(stream: str) -> str:
    return stream.partition("@")[2].partition("_")[0]


async def test_a_length_that_the_library_lacks_is_made_of_shorter_ones_alike(
    sim: RunningSim, gateway: ExchangeGateway
) -> None:
    venue = UnifiedVenue(settings_of(sim), MachineClock())
    await venue.open()
    await venue.instruments()
    day, three_days, month = Timeframe("1d"), Timeframe("3d"), Timeframe("1M")
    venue._api.timeframes = {name: name for name in ("1m", "1h", "1d")}
    try:
        for timeframe, source in (
            (three_days, day),
            (month, day),
            (Timeframe("2h"), Timeframe("1h")),
        ):
            assert venue.candle_source(timeframe) == source
            made = await venue.candles(BTC, timeframe, 20, None)
            true = {one.open_time_ms: one for one in await gateway.candles(BTC, timeframe, 60)}
            assert len(made) >= 19
            assert [one.is_closed for one in made] == [True] * (len(made) - 1) + [False]
            for one in made[:-1]:
                own = true[one.open_time_ms]
                assert (one.open, one.high, one.low, one.close) == (
                    own.open,
                    own.high,
                    own.low,
                    own.close,
                )
                assert one.volume == pytest.approx(own.volume)
            since = from_ms(made[3].open_time_ms)
            assert [one.open_time_ms for one in await venue.candles(BTC, timeframe, 4, since)] == [
                one.open_time_ms for one in made[3:7]
            ]
        venue._api.timeframes = {"1h": "1h"}
        with pytest.raises(Refused, match="has no 1m candles, nor shorter ones to make them of"):
            await venue.candles(BTC, MINUTE, 20, None)
    finally:
        await venue.close()


async def test_candles_counted_of_trades_are_the_klines_and_so_is_the_takers_share(
    sim: RunningSim, gateway: ExchangeGateway
) -> None:
    settings, clock = settings_of(sim), MachineClock()
    venue = UnifiedVenue(settings, clock)
    await venue.open()
    await venue.instruments()
    library = venue._api
    poor = SimpleNamespace(
        has={"watchTradesForSymbols": True},
        watch_trades_for_symbols=library.watch_trades_for_symbols,
        trades=library.trades,
    )
    closed: list[Candle] = []

    def on_candle(_symbol: str, _timeframe: Timeframe, candle: Candle, _at_ms: int) -> None:
        if candle.is_closed:
            closed.append(candle)

    stream = asyncio.ensure_future(
        library_candles.stream(
            poor, {BTC: frozenset({SECOND})}, on_candle, lambda: int(time.time() * 1000)
        )
    )
    try:
        await trade(sim, 12)
        await until(lambda: len(closed) >= 5)
        since = datetime.now(UTC) - timedelta(seconds=30)
        told = {one.open_time_ms: one for one in await gateway.candles(BTC, SECOND, 60, since)}
        for one in closed[:-1]:
            true = told[one.open_time_ms]
            prices = (one.open, one.high, one.low, one.close)
            assert prices == (true.open, true.high, true.low, true.close)
            assert one.volume == pytest.approx(true.volume)
            assert one.trades == true.trades
            assert one.quote_volume == pytest.approx(true.quote_volume)
            assert one.taker_buy_volume == pytest.approx(true.taker_buy_volume)
            assert one.taker_buy_volume is not None
            assert 0 < one.taker_buy_volume < one.volume
    finally:
        stream.cancel()
        await asyncio.gather(stream, return_exceptions=True)
        await venue.close()
