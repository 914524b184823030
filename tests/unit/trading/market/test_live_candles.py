"""Live candles: warm once, closed once, asked for where nobody tells, kept once they closed."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.builders import NOON
from tests.fakes.candle_market import CandleMarket, CandleMemory
from tests.fakes.virtual_time import VirtualTime
from tests.unit.trading.market.make import as_kept
from trading.candles.rows import columns_of
from trading.candles.series import Candles
from trading.domain.market import Candle
from trading.domain.time import Timeframe, candle_open_ms, following_ms, from_ms, to_ms
from trading.market.live_candles import CandleHooks, LiveCandles
from trading.market.settings import CandleSettings

ADA, SOL = "ADA/USDT", "SOL/USDT"
MINUTE, HOUR = Timeframe("1m"), Timeframe("1h")
MINUTE_MS = 60_000


@dataclass
class World:
    """Live candles over an exchange and an archive with memory, in virtual time."""

    time: VirtualTime
    market: CandleMarket
    memory: CandleMemory
    live: LiveCandles
    warmed: list[tuple[str, Timeframe, Candles]] = field(default_factory=list)
    closed: list[tuple[str, Timeframe, Candle]] = field(default_factory=list)

    async def pass_by(self, seconds: float, *, is_told: bool = True) -> None:
        """Let time pass; the exchange speaks each second, the sweep comes each five."""
        for second in range(round(seconds)):
            await self.time.pass_by(1.0)
            if is_told:
                self.market.tell()
            if second % 5 == 0:
                await self.live.sweep()
        await self.time.settle()

    async def until_warm(self, symbol: str = ADA, timeframe: Timeframe = MINUTE) -> None:
        await self.time.until(lambda: self.live.is_warm(symbol, timeframe))

    def opens(self, symbol: str = ADA, timeframe: Timeframe = MINUTE) -> list[int]:
        """Return when the candles opened that were told closed, in the order of telling."""
        return [
            candle.open_time_ms
            for told_symbol, told_timeframe, candle in self.closed
            if (told_symbol, told_timeframe) == (symbol, timeframe)
        ]

    def is_true(self, symbol: str = ADA, timeframe: Timeframe = MINUTE) -> bool:
        """Whether the series is what the exchange would tell of the same time."""
        held = self.live.candles(symbol, timeframe)
        true = self.market.all_closed(symbol, timeframe, int(held.open_time_ms[0]))
        return held.equals(as_kept(columns_of(true[-len(held) :])))


@contextlib.asynccontextmanager
async def following(
    wanted: Mapping[str, frozenset[Timeframe]],
    *,
    settings: CandleSettings | None = None,
    memory: CandleMemory | None = None,
    ahead_ms: int = 0,
    begins: datetime | None = None,
    is_run: bool = True,
) -> AsyncIterator[World]:
    time = VirtualTime()
    if begins is not None:
        time.advance((begins - time.now()).total_seconds())
    market = CandleMarket(time, ahead_ms)
    memory = memory or CandleMemory()
    warmed: list[tuple[str, Timeframe, Candles]] = []
    closed: list[tuple[str, Timeframe, Candle]] = []
    live = LiveCandles(
        market,
        memory,
        time,
        CandleHooks(
            on_warm=lambda *told: warmed.append(told), on_closed=lambda *told: closed.append(told)
        ),
        settings=settings or CandleSettings(candles_kept=50),
        sleep=time.sleep,
    )
    world = World(time, market, memory, live, warmed, closed)
    live.watch(wanted)
    task = asyncio.ensure_future(live.run()) if is_run else None
    try:
        yield world
    finally:
        if task is not None:
            assert not task.done(), "nothing ends it but its owner"
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert not market.connections


BOTH = {ADA: frozenset({MINUTE, HOUR}), SOL: frozenset({MINUTE})}
ONE = {ADA: frozenset({MINUTE})}


async def test_each_series_is_warm_once_with_what_the_exchange_tells() -> None:
    async with following(BOTH) as world:
        await world.pass_by(20)
        assert sorted((symbol, one.name) for symbol, one, _ in world.warmed) == [
            (ADA, "1h"),
            (ADA, "1m"),
            (SOL, "1m"),
        ]
        for symbol, timeframe, candles in world.warmed:
            assert len(candles) == 50
            true = world.market.all_closed(symbol, timeframe, int(candles.open_time_ms[0]))
            assert candles.equals(columns_of(true[:50]))


async def test_a_candle_that_the_stream_closes_is_told_and_kept_once() -> None:
    async with following(ONE) as world:
        await world.until_warm()
        await world.pass_by(185)
        assert len(world.opens()) == 3
        assert world.opens() == sorted(set(world.opens()))
        assert world.is_true()
        assert set(world.opens()) <= set(world.memory.opens_ms(ADA, MINUTE))
        asked = len(world.market.requests)
        await world.pass_by(60)
        assert len(world.market.requests) == asked, "what the stream tells is not asked for"


async def test_the_running_candle_is_that_of_the_present_span_alone() -> None:
    async with following(ONE) as world:
        await world.until_warm()
        await world.pass_by(30)
        assert world.live.running(ADA, MINUTE) == world.market.running(ADA, MINUTE)
        world.market.is_rest_down = True
        await world.pass_by(40, is_told=False)
        assert world.live.running(ADA, MINUTE) is None


async def test_without_a_stream_everything_is_asked_for() -> None:
    async with following(BOTH) as world:
        world.market.refuses_streams = True
        await world.pass_by(200)
        assert not world.market.connections
        assert len(world.opens()) == 3
        assert world.is_true()
        assert world.is_true(SOL)
        running = world.live.running(ADA, HOUR)
        assert running is not None
        assert running.open_time_ms == world.market.running(ADA, HOUR).open_time_ms
        assert not world.live.is_stale(ADA)


async def test_what_a_lost_stream_missed_is_asked_for_and_told_once() -> None:
    async with following(ONE) as world:
        await world.pass_by(70)
        world.market.cut()
        world.market.refuses_streams = True
        world.market.is_rest_down = True
        await world.pass_by(190)
        lost = len(world.opens())
        world.market.refuses_streams = world.market.is_rest_down = False
        await world.pass_by(150)
        assert len(world.opens()) >= lost + 4
        assert len(set(world.opens())) == len(world.opens())
        assert world.is_true()


async def test_reconnecting_backs_off() -> None:
    async with following(ONE) as world:
        world.market.refuses_streams = True
        await world.pass_by(120)
        times = [at_s for at_s, _ in world.market.connected]
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert len(times) < 12
        assert pauses[-1] >= 20


async def test_requests_keep_their_pace() -> None:
    many = {f"C{number:03}/USDT": frozenset({MINUTE, HOUR}) for number in range(40)}
    settings = CandleSettings(candles_kept=10, requests_per_s_max=5.0)
    async with following(many, settings=settings) as world:
        await world.pass_by(10, is_told=False)
        assert len(world.market.requests) <= 51
        await world.pass_by(20)
        assert len(world.warmed) == 80


async def test_a_limit_of_the_exchange_is_a_pause_for_all() -> None:
    async with following(BOTH) as world:
        world.market.limited_s = 30.0
        await world.pass_by(25)
        asked = len(world.market.requests)
        assert asked <= world.live._settings.readers
        world.market.limited_s = None
        await world.pass_by(20)
        assert len(world.warmed) == 3


async def test_the_archive_gives_the_past_and_the_exchange_what_lacks() -> None:
    memory = CandleMemory()
    async with following(ONE, memory=memory, is_run=False) as world:
        now_ms = candle_open_ms(world.market.now_ms(), MINUTE_MS)
        past = world.market.all_closed(ADA, MINUTE, now_ms - 45 * MINUTE_MS)
        # Ten of the newest are lacking, and a hole of three further back.
        memory.put(ADA, MINUTE, [*past[:20], *past[23:35]])
    async with following(ONE, memory=memory) as world:
        await world.until_warm()
        assert world.is_true()
        limits = [limit for _, _, limit, _ in world.market.requests]
        assert max(limits) < 20, "what is held is not asked for"
        await world.time.settle()
        assert set(memory.opens_ms(ADA, MINUTE)) >= {one.open_time_ms for one in past}


async def test_a_broken_archive_costs_requests_and_nothing_else() -> None:
    memory = CandleMemory()
    memory.is_broken = True
    async with following(ONE, memory=memory) as world:
        await world.until_warm()
        assert world.is_true()


async def test_closed_candles_wait_while_the_archive_is_locked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with following(ONE) as world:
        await world.until_warm()
        world.memory.is_locked = True
        await world.pass_by(200)
        told = world.opens()
        assert len(told) == 3
        assert not set(told) & set(world.memory.opens_ms(ADA, MINUTE))
        assert world.live.unwritten == 3
        assert [one.message for one in caplog.records].count("candles_not_written") == 1
        world.memory.is_locked = False
        await world.pass_by(10)
        assert set(told) <= set(world.memory.opens_ms(ADA, MINUTE))
        assert world.live.unwritten == 0


async def test_what_has_no_room_to_wait_is_told_and_found_at_the_next_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = CandleSettings(candles_kept=50, unwritten_max=2)
    memory = CandleMemory()
    async with following(ONE, settings=settings, memory=memory) as world:
        await world.until_warm()
        memory.is_locked = True
        await world.pass_by(250)
        assert world.live.unwritten == 2
        assert any(one.message == "candles_not_kept" for one in caplog.records)
        memory.is_locked = False
        await world.pass_by(10)
        times = memory.opens_ms(ADA, MINUTE)
        assert times[-1] - times[0] > (len(times) - 1) * MINUTE_MS, "there is a hole"
    async with following(ONE, settings=settings, memory=memory) as world:
        await world.pass_by(300)
        times = memory.opens_ms(ADA, MINUTE)
        assert times[-1] - times[0] == (len(times) - 1) * MINUTE_MS


async def test_a_coin_listed_today_is_warm_with_what_there_is() -> None:
    day = Timeframe("1d")
    async with following({ADA: frozenset({MINUTE, day})}, is_run=False) as world:
        world.market.listed_ms[ADA] = world.market.now_ms() - 150_000
        task = asyncio.ensure_future(world.live.run())
        await world.pass_by(130)
        warm = {timeframe.name: len(candles) for _, timeframe, candles in world.warmed}
        assert warm == {"1m": 2, "1d": 0}
        assert world.is_true()
        assert world.live.running(ADA, day) is not None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_first_candle_closes_without_a_stream_too() -> None:
    async with following({ADA: frozenset({HOUR})}, is_run=False) as world:
        world.market.refuses_streams = True
        world.market.listed_ms[ADA] = world.market.now_ms() - 150_000
        task = asyncio.ensure_future(world.live.run())
        await world.pass_by(3700)
        assert len(world.opens(ADA, HOUR)) == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_times_are_the_exchanges_own() -> None:
    async with following(ONE, ahead_ms=-30_000) as world:
        await world.until_warm()
        await world.pass_by(100)
        assert abs(world.live.now_ms() - world.market.now_ms()) <= 1_000
        running = world.live.running(ADA, MINUTE)
        assert running is not None
        assert running.open_time_ms == candle_open_ms(world.market.now_ms(), MINUTE_MS)


async def test_series_come_and_go_while_running() -> None:
    async with following(ONE) as world:
        await world.pass_by(70)
        world.live.watch({SOL: frozenset({MINUTE})})
        await world.pass_by(70)
        assert not world.live.is_warm(ADA, MINUTE)
        assert not len(world.live.candles(ADA, MINUTE))
        told = len(world.opens())
        assert world.live.is_warm(SOL, MINUTE)
        [(_, wanted)] = world.market.connected[-1:]
        assert wanted == {SOL: frozenset({MINUTE})}
        world.live.watch(ONE)
        await world.pass_by(70)
        assert [symbol for symbol, _, _ in world.warmed] == [ADA, SOL, ADA]
        assert len(world.opens()) == told + 1
        world.live.watch({})
        await world.pass_by(5)
        assert not world.market.connections


async def test_a_quiet_market_is_asked_for_and_is_not_stale() -> None:
    async with following(BOTH) as world:
        await world.pass_by(20)
        world.market.silent = {(SOL, MINUTE)}
        await world.pass_by(200)
        assert not world.live.is_stale(SOL)
        assert world.is_true(SOL)
        world.market.is_rest_down = True
        await world.pass_by(200)
        assert world.live.is_stale(SOL)
        assert not world.live.is_stale(ADA)


async def test_a_feed_that_repeats_itself_says_nothing() -> None:
    async with following(ONE) as world:
        await world.pass_by(20)
        frozen, at_ms = world.market.running(ADA, MINUTE), world.market.now_ms()
        world.market.is_rest_down = True
        for _ in range(130):
            await world.time.pass_by(1.0)
            world.market.say(ADA, MINUTE, frozen, at_ms)
        assert world.live.is_stale(ADA)


async def test_a_stream_that_forgets_a_symbol_is_replaced() -> None:
    async with following(BOTH) as world:
        await world.pass_by(20)
        world.market.silent = {(SOL, MINUTE)}
        await world.pass_by(120)
        assert len(world.market.connected) == 2, "once, and not again and again"


async def test_a_price_that_no_neighbour_knows_is_believed_when_rest_says_so() -> None:
    async with following(ONE) as world:
        await world.pass_by(20)
        world.market.factor[ADA] = 0.5
        world.market.tell()
        assert world.live.running(ADA, MINUTE) != world.market.running(ADA, MINUTE)
        await world.pass_by(8)
        running = world.live.running(ADA, MINUTE)
        assert running is not None
        assert running.low < 60


async def test_a_price_that_rest_does_not_know_is_never_believed() -> None:
    async with following(ONE) as world:
        await world.pass_by(20)
        for _ in range(20):
            await world.time.pass_by(1.0)
            wrong = replace(world.market.running(ADA, MINUTE), low=1.5)
            world.market.say(ADA, MINUTE, wrong)
            running = world.live.running(ADA, MINUTE)
            assert running is None or running.low > 90
        assert len(world.market.requests) < 12, "nor asked for at every message"
        await world.pass_by(30)
        wrong = replace(world.market.closed(ADA, MINUTE, world.opens()[-1] + MINUTE_MS), high=900.0)
        await world.pass_by(50, is_told=False)
        world.market.say(ADA, MINUTE, wrong)
        await world.pass_by(20)
        assert world.is_true()


async def test_a_true_crash_is_believed_without_rest_after_some_time() -> None:
    async with following(ONE) as world:
        await world.pass_by(20)
        world.market.is_rest_down = True
        world.market.factor[ADA] = 0.5
        await world.pass_by(5)
        assert (before := world.live.running(ADA, MINUTE)) is not None
        assert before.low > 90
        await world.pass_by(8)
        assert (after := world.live.running(ADA, MINUTE)) is not None
        assert after.low < 60


async def test_prices_in_another_unit_are_never_taken() -> None:
    async with following(ONE) as world:
        await world.pass_by(20)
        world.market.factor[ADA] = 1000.0
        await world.pass_by(400)
        assert float(world.live.candles(ADA, MINUTE).high.max()) < 200
        assert world.live.is_stale(ADA)


async def test_what_is_refused_is_told_once_a_sweep(caplog: pytest.LogCaptureFixture) -> None:
    async with following(ONE) as world:
        await world.pass_by(20)
        off_grid = replace(world.market.running(ADA, MINUTE), open_time_ms=17)
        for _ in range(3):
            world.market.say(ADA, MINUTE, off_grid)
        await world.live.sweep()
        await world.live.sweep()
        told = [one for one in caplog.records if one.message == "candles_not_taken"]
        assert len(told) == 1
        assert told[0].__dict__["symbols"] == [ADA]


async def test_a_halted_market_is_asked_less_and_less() -> None:
    async with following(ONE) as world:
        await world.pass_by(70)
        world.market.silent = {(ADA, MINUTE)}
        world.market.halted.add(ADA)
        asked = len(world.market.requests)
        await world.pass_by(600)
        assert len(world.market.requests) - asked < 40
        assert world.live.is_stale(ADA)


async def test_an_unknown_symbol_disturbs_nobody() -> None:
    async with following({"NO/USDT": frozenset({MINUTE}), **ONE}) as world:
        await world.pass_by(100)
        assert world.live.is_warm(ADA, MINUTE)
        assert not world.live.is_warm("NO/USDT", MINUTE)
        assert sum(symbol == "NO/USDT" for symbol, *_ in world.market.requests) == 1


async def test_whoever_fails_at_a_closed_candle_loses_no_other() -> None:
    time = VirtualTime()
    market = CandleMarket(time)
    seen: list[int] = []

    def fail(_symbol: str, _timeframe: Timeframe, candle: Candle) -> None:
        seen.append(candle.open_time_ms)
        raise RuntimeError("a bug elsewhere")

    hooks = CandleHooks(on_warm=lambda *_: None, on_closed=fail)
    live = LiveCandles(market, None, time, hooks, sleep=time.sleep)
    live.watch(ONE)
    task = asyncio.ensure_future(live.run())
    for _ in range(190):
        await time.pass_by(1.0)
        market.tell()
    assert len(seen) == 3
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_without_an_archive_nothing_waits_for_one() -> None:
    time = VirtualTime()
    market = CandleMarket(time)
    hooks = CandleHooks(on_warm=lambda *_: None, on_closed=lambda *_: None)
    live = LiveCandles(market, None, time, hooks, sleep=time.sleep)
    live.watch(ONE)
    task = asyncio.ensure_future(live.run())
    for _ in range(70):
        await time.pass_by(1.0)
        market.tell()
    await live.sweep()
    assert live.unwritten == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_months_are_warm_with_all_there_are_and_close_on_the_first() -> None:
    month = Timeframe("1M")
    begins = from_ms(following_ms(candle_open_ms(to_ms(NOON), month.length_ms), month.length_ms))
    wanted = {ADA: frozenset({MINUTE, month})}
    async with following(wanted, begins=begins - timedelta(minutes=10)) as world:
        await world.until_warm(ADA, month)
        held = world.live.candles(ADA, month)
        assert {from_ms(at_ms).day for at_ms in held.open_time_ms.tolist()} == {1}
        assert from_ms(int(held.open_time_ms[0])) >= datetime(2020, 1, 1, tzinfo=UTC)
        assert world.is_true(ADA, month)
        opened_ms = candle_open_ms(world.market.now_ms(), month.length_ms)
        ends_ms = following_ms(opened_ms, month.length_ms)
        await world.time.pass_by((ends_ms - world.market.now_ms()) / 1000 - 5)
        world.market.tell()
        running = world.live.running(ADA, month)
        assert running is not None
        assert running.open_time_ms == opened_ms
        await world.pass_by(10)
        assert world.opens(ADA, month) == [opened_ms]
        assert world.is_true(ADA, month)


async def test_a_thousand_months_that_no_exchange_has_are_asked_for_once() -> None:
    month, settings = Timeframe("1M"), CandleSettings()
    async with following({ADA: frozenset({month})}, settings=settings) as world:
        await world.until_warm(ADA, month)
        assert len(world.market.requests) <= 2
        assert all(since is None or to_ms(since) >= 0 for *_, since in world.market.requests)
        assert world.is_true(ADA, month)


async def test_what_closed_while_the_past_was_read_is_in_it_or_told_and_never_both() -> None:
    async with following({}) as world:
        await world.time.pass_by(55 - world.market.now_ms() / 1000 % 60)
        world.market.answer_s = 8.0
        world.live.watch(ONE)
        await world.pass_by(30)
        [(_, _, warm)] = world.warmed
        told = world.opens()
        assert told, "a minute closed while its past was on its way"
        assert not set(told) & set(warm.open_time_ms.tolist())
