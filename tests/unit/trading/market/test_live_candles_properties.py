"""Whatever the order of stream, sweep, doubles and losses: each candle closes once, as it was."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.candle_market import CandleMarket, CandleMemory
from tests.fakes.virtual_time import VirtualTime
from tests.unit.trading.market.make import as_kept
from trading.candles.rows import columns_of
from trading.candles.series import Candles
from trading.domain.market import Candle
from trading.domain.time import Timeframe, candle_open_ms
from trading.market.live_candles import CandleHooks, LiveCandles
from trading.market.settings import CandleSettings

MINUTE, THREE = Timeframe("1m"), Timeframe("3m")
SYMBOLS = ("ADA/USDT", "SOL/USDT")
SERIES = [(symbol, timeframe) for symbol in SYMBOLS for timeframe in (MINUTE, THREE)]
WANTED = {symbol: frozenset({MINUTE, THREE}) for symbol in SYMBOLS}

ACTIONS = (
    *("time", "time", "time", "half a minute", "sweep", "sweep"),
    *("twice", "late", "cut", "stream down", "stream up", "rest down", "rest up", "limited"),
    *("silent", "locked", "unlocked", "stand still", "old news", "outage", "slow", "quick"),
)


class Story:
    """One run: what happened, what was told of it, and what is known in the end."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.market = CandleMarket(self.time, ahead_ms=1_700)
        self.memory = CandleMemory()
        self.warmed: dict[tuple[str, Timeframe], Candles] = {}
        self.closed: list[tuple[str, Timeframe, Candle]] = []
        self.live = LiveCandles(
            self.market,
            self.memory,
            self.time,
            CandleHooks(on_warm=self._on_warm, on_closed=lambda *told: self.closed.append(told)),
            settings=CandleSettings(candles_kept=60, requests_per_s_max=20.0),
            sleep=self.time.sleep,
        )

    def _on_warm(self, symbol: str, timeframe: Timeframe, past: Candles) -> None:
        assert (symbol, timeframe) not in self.warmed, "once"
        self.warmed[symbol, timeframe] = past

    async def pass_by(self, seconds: int, *, is_told: bool = True) -> None:
        for _ in range(seconds):
            await self.time.pass_by(1.0)
            if is_told:
                self.market.tell()
        await self.time.settle()

    async def act(self, action: str) -> None:
        market = self.market
        acts: dict[str, Callable[[], object]] = {
            "cut": market.cut,
            "stream down": lambda: setattr(market, "refuses_streams", True),
            "stream up": lambda: setattr(market, "refuses_streams", False),
            "rest down": lambda: setattr(market, "is_rest_down", True),
            "rest up": lambda: setattr(market, "is_rest_down", False),
            "silent": lambda: market.silent.symmetric_difference_update(SERIES[:1]),
            "locked": lambda: setattr(self.memory, "is_locked", True),
            "unlocked": lambda: setattr(self.memory, "is_locked", False),
            "slow": lambda: setattr(market, "answer_s", 4.0),
            "quick": lambda: setattr(market, "answer_s", 0.0),
        }
        if action == "time":
            await self.pass_by(7)
        elif action == "half a minute":
            await self.pass_by(30)
        elif action == "stand still":
            self.time.advance(95.0)
            await self.pass_by(1)
        elif action == "sweep":
            await self.live.sweep()
        elif action == "limited":
            market.limited_s = 5.0
            await self.pass_by(2)
            market.limited_s = None
        elif action == "outage":
            await self._outage()
        elif action in {"twice", "late", "old news"}:
            self._tell_again(action)
        else:
            acts[action]()
        await self.time.settle()

    async def _outage(self) -> None:
        """Lose minutes that only REST can tell, which comes back after the stream."""
        market = self.market
        market.is_rest_down = market.refuses_streams = True
        market.cut()
        await self.pass_by(130)
        market.refuses_streams = False
        await self.pass_by(70)
        market.is_rest_down = False

    def _tell_again(self, action: str) -> None:
        for symbol, timeframe in SERIES:
            length_ms = timeframe.length_ms
            open_ms = candle_open_ms(self.market.now_ms(), length_ms)
            back = {"twice": (1, 1), "late": (3, 2), "old news": (70, 1)}[action]
            for number in back:
                candle = self.market.closed(symbol, timeframe, open_ms - number * length_ms)
                self.market.say(symbol, timeframe, candle)

    async def heal(self) -> None:
        market = self.market
        market.refuses_streams = market.is_rest_down = self.memory.is_locked = False
        market.limited_s, market.answer_s = None, 0.0
        market.silent.clear()
        for _ in range(50):
            await self.pass_by(5)
            await self.live.sweep()


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(actions=st.lists(st.sampled_from(ACTIONS), max_size=30))
async def test_each_candle_closes_once_and_in_the_end_all_is_as_the_exchange_has_it(
    actions: list[str],
) -> None:
    story = Story()
    story.live.watch(WANTED)
    task = asyncio.ensure_future(story.live.run())
    try:
        for action in actions:
            await story.act(action)
        await story.heal()
        _check(story)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _check(story: Story) -> None:
    times = Counter((symbol, one, candle.open_time_ms) for symbol, one, candle in story.closed)
    assert not [key for key, count in times.items() if count > 1]
    for symbol, timeframe in SERIES:
        past = story.warmed[symbol, timeframe]
        told = [candle for *key, candle in story.closed if tuple(key) == (symbol, timeframe)]
        first_ms = int(past.open_time_ms[0])
        true = story.market.all_closed(symbol, timeframe, first_ms)
        known = {one.open_time_ms: one for one in told}
        assert not known.keys() & set(past.open_time_ms.tolist()), "its past is not told again"
        whole = [*(one for one in true if one.open_time_ms <= past.open_time_ms[-1]), *told]
        assert sorted(one.open_time_ms for one in whole) == [one.open_time_ms for one in true]
        assert all(known[one.open_time_ms] == one for one in true if one.open_time_ms in known)
        held = story.live.candles(symbol, timeframe)
        assert held.equals(as_kept(columns_of(true[-len(held) :])))
        assert len(held) == 60
        assert known.keys() <= set(story.memory.opens_ms(symbol, timeframe)), "and all is kept"
        assert story.live.running(symbol, timeframe) == story.market.running(symbol, timeframe)
        assert not story.live.is_stale(symbol)
