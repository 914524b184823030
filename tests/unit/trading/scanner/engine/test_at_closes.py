"""A candle is scored as it came to, and not only as it stood when somebody last looked."""

import numpy as np
import pytest

from tests.fakes.clock import FakeClock
from tests.unit.trading.scanner.engine.world import (
    ADA,
    HOUR,
    MINUTE,
    QUARTER,
    FallingMarket,
    World,
    running,
    watching,
)
from trading.candles.lengthening import lengthened
from trading.candles.rows import columns_of, rows_of
from trading.candles.series import Candles
from trading.domain.market import Candle
from trading.domain.time import Timeframe, candle_open_ms, from_ms
from trading.scanner.engine import ScannerSettings
from trading.scanner.replay import ReplaySettings, replay
from trading.scanner.scores import RankScore

MINUTE_MS = 60_000
ALL = (MINUTE, QUARTER, HOUR)


async def to_second(world: World, second: int) -> None:
    """Let time pass to a second of the minute."""
    now_s = world.market.now_ms() // 1000
    await world.pass_by((second - now_s) % 60)


async def test_a_crash_after_the_scan_is_scored_when_its_candle_closes() -> None:
    async with running(watching(ADA, MINUTE)) as world:
        await world.pass_by(20)
        await to_second(world, 55)
        await world.scan()
        before = world.engine.score(watching(ADA, MINUTE))
        assert before is not None
        assert before.bear is not None
        assert before.bear < 1.0
        world.crash(ADA, 0.5)
        await world.pass_by(5)
        # And back, before anybody looks again.
        world.market.fallen.clear()
        world.told.clear()
        await world.pass_by(10)
        [[told]] = world.told
        assert (told.bear, told.bull) == (1.0, 0.0)
        assert from_ms(told.at_ms).second == 0
        assert told.price < 0.6 * before.price
        assert world.store.held[-1].bear == 1.0
        assert world.store.held[-1].at_ms == told.at_ms
        await to_second(world, 55)
        await world.scan()
        after = world.engine.score(watching(ADA, MINUTE))
        assert after is not None
        assert after.bear is not None
        assert after.bear < 1.0, "what was given back is not told again"


async def test_a_close_is_told_once_and_before_what_was_seen_after_it() -> None:
    async with running(watching(ADA, MINUTE, QUARTER)) as world:
        await world.pass_by(20)
        await to_second(world, 58)
        world.told.clear()
        for _ in range(4):
            await world.time.pass_by(1)
            world.market.tell()
        [looked] = await world.time.finish(world.engine.scan([watching(ADA, MINUTE, QUARTER)]))
        await world.scan()
        closed, present = (scores[0] for scores in world.told)
        assert closed.at_ms < looked.at_ms <= present.at_ms
        assert from_ms(closed.at_ms).second == 0
        await world.pass_by(30)
        assert len(world.told) == 2
        assert world.engine.score(watching(ADA, MINUTE, QUARTER)) == present


async def test_a_close_that_nobody_could_take_is_told_at_the_next_look() -> None:
    async with running(watching(ADA, MINUTE)) as world:
        await world.pass_by(20)
        await to_second(world, 58)
        world.told.clear()
        world.is_deaf = True
        await world.time.pass_by(3)
        world.market.tell()
        with pytest.raises(RuntimeError):
            await world.engine.sweep()
        assert world.told == []
        recorded = len(world.store.held)
        world.is_deaf = False
        await world.engine.sweep()
        await world.engine.sweep()
        [[told]] = world.told
        assert from_ms(told.at_ms).second == 0
        assert [one.at_ms for one in world.store.held[recorded:]] == [told.at_ms]


class MinuteMarket(FallingMarket):
    """A market whose longer candles are made of its minutes, as those of an exchange are."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        # Two days before, at a full hour.
        self.listed_ms[ADA] = candle_open_ms(self.now_ms(), HOUR.length_ms) - 48 * HOUR.length_ms
        self._longer: dict[Timeframe, dict[int, Candle]] = {}

    def minutes(self, symbol: str) -> Candles:
        """Return every closed minute."""
        return columns_of(super().all_closed(symbol, MINUTE, 0))

    def closed(self, symbol: str, timeframe: Timeframe, open_ms: int) -> Candle:
        if timeframe == MINUTE:
            return super().closed(symbol, timeframe, open_ms)
        known = self._longer.setdefault(timeframe, {})
        if open_ms not in known:
            whole = lengthened(self.minutes(symbol), timeframe.length_ms)
            known.update((one.open_time_ms, one) for one in rows_of(whole))
        return known[open_ms]

    def running(self, symbol: str, timeframe: Timeframe) -> Candle:
        now = super().running(symbol, MINUTE)
        if timeframe == MINUTE:
            return now
        opened_ms = candle_open_ms(self.now_ms(), timeframe.length_ms)
        before = [
            super(MinuteMarket, self).closed(symbol, MINUTE, at_ms)
            for at_ms in range(opened_ms, now.open_time_ms, MINUTE_MS)
        ]
        [whole] = rows_of(lengthened(columns_of([*before, now]), timeframe.length_ms))
        return Candle(*(getattr(whole, name) for name in Candle.__slots__[:6]), is_closed=False)


@pytest.mark.slow
async def test_the_scores_of_closes_are_those_that_a_replay_makes() -> None:
    settings = ScannerSettings(timeframes=ALL)
    async with running(
        watching(ADA, *ALL), settings=settings, market=MinuteMarket, kept=4_000
    ) as world:
        await world.pass_by(20)
        world.told.clear()
        for _ in range(65 * 12):
            await world.time.pass_by(5)
            world.market.tell()
            await world.engine.sweep()
        closes = [scores[0] for scores in world.told]
    assert len(closes) >= 64, "every minute was told"
    assert isinstance(world.market, MinuteMarket)
    settings_of = ReplaySettings(ALL, skipped_ms=0, taught_ms=0)
    expected = replay(world.market.minutes(ADA), MINUTE_MS, settings_of)
    for name in ("bull", "bear", "change"):
        assert scores_of(closes, name) == [
            getattr(expected, name)[place]
            for place in np.flatnonzero(np.isin(expected.at_ms, [one.at_ms for one in closes]))
        ], name
    hours = [one for one in closes if one.at_ms % HOUR.length_ms == 0]
    assert hours, "an hour, a quarter and a minute closed at once"
    assert len({one.bear for one in closes}) > 5, "or nothing was compared"


def scores_of(scores: list[RankScore], name: str) -> list[float]:
    return [getattr(one, name) for one in scores]
