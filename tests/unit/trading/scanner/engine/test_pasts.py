"""Sorted pasts: begun off the loop, and nothing that closes meanwhile is lost or counted twice."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest

from tests.fakes.candle_market import CandleMarket, CandleMemory
from tests.fakes.virtual_time import VirtualTime
from trading.candles.combining import Gathered
from trading.candles.rows import columns_of
from trading.candles.series import Candles
from trading.domain.market import Candle
from trading.domain.time import Timeframe
from trading.scanner.engine.glance import metrics_of
from trading.scanner.engine.pasts import Pasts
from trading.scanner.history import RankHistory
from trading.scanner.metrics import Metric

ADA, MINUTE = "ADA/USDT", Timeframe("1m")
SOURCE = CandleMarket(VirtualTime())
ALL = SOURCE.all_closed(ADA, MINUTE, SOURCE.now_ms() - 400 * 60_000)


class Gate:
    """Sorting that waits until a test lets it go on."""

    def __init__(self) -> None:
        self.is_open = asyncio.Event()
        self.begun = 0

    async def __call__(self, work: Callable[[], RankHistory], /) -> RankHistory:
        self.begun += 1
        await self.is_open.wait()
        return work()


@contextlib.asynccontextmanager
async def sorting(pasts: Pasts) -> AsyncIterator[None]:
    task = asyncio.ensure_future(pasts.run())
    try:
        yield
    finally:
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def settled() -> None:
    await VirtualTime().settle()


def holds(pasts: Pasts, candles: list[Candle]) -> bool:
    """Whether a past is made of exactly these candles."""
    history, expected = pasts.get(ADA, MINUTE), RankHistory(metrics_of(candles))
    return (
        history is not None
        and len(history) == len(candles)
        and all(np.array_equal(history.values(one), expected.values(one)) for one in Metric)
    )


async def test_what_closes_while_a_past_is_sorted_enters_it_once() -> None:
    gate = Gate()
    pasts = Pasts(None, 1_000, 60, gate)
    async with sorting(pasts):
        pasts.warmed(ADA, MINUTE, columns_of(ALL[100:160]))
        await settled()
        for candle in ALL[160:163]:
            pasts.closed(ADA, MINUTE, candle)
        assert pasts.get(ADA, MINUTE) is None
        gate.is_open.set()
        await settled()
        pasts.closed(ADA, MINUTE, ALL[163])
        assert gate.begun == 1
        assert holds(pasts, ALL[100:164])


async def test_a_series_that_waits_for_its_turn_keeps_no_candles_alive() -> None:
    pasts = Pasts(None, 1_000, 60, Gate())
    candles = columns_of(ALL[100:160])
    closes = weakref.ref(candles.close)
    pasts.warmed(ADA, MINUTE, candles)
    del candles
    gc.collect()
    assert closes() is None


async def test_a_hole_that_is_filled_late_enters_too() -> None:
    gate = Gate()
    pasts = Pasts(None, 1_000, 60, gate)
    async with sorting(pasts):
        pasts.warmed(ADA, MINUTE, columns_of([*ALL[100:120], *ALL[121:160]]))
        await settled()
        pasts.closed(ADA, MINUTE, ALL[120])
        gate.is_open.set()
        await settled()
        assert holds(pasts, ALL[100:160])


async def test_a_series_that_is_dropped_or_begins_anew_while_it_is_sorted_is_not_mixed_up() -> None:
    gate = Gate()
    pasts = Pasts(None, 1_000, 60, gate)
    async with sorting(pasts):
        pasts.warmed(ADA, MINUTE, columns_of(ALL[:60]))
        await settled()
        pasts.keep(())
        gate.is_open.set()
        await settled()
        assert pasts.get(ADA, MINUTE) is None
        gate.is_open.clear()
        pasts.warmed(ADA, MINUTE, columns_of(ALL[:60]))
        await settled()
        pasts.closed(ADA, MINUTE, ALL[60])
        pasts.warmed(ADA, MINUTE, columns_of(ALL[100:160]))
        gate.is_open.set()
        await settled()
        assert holds(pasts, ALL[100:160])


async def test_the_archive_adds_what_is_older_than_the_live_candles() -> None:
    memory, gate = CandleMemory(), Gate()
    gate.is_open.set()
    # What the archive was told meanwhile is among the live candles already.
    memory.put(ADA, MINUTE, ALL[:170])
    pasts = Pasts(memory, 1_000, 60, gate)
    async with sorting(pasts):
        pasts.warmed(ADA, MINUTE, columns_of(ALL[100:160]))
        await settled()
        assert holds(pasts, ALL[:160])


async def test_an_archive_that_cannot_be_read_leaves_the_live_candles() -> None:
    memory, gate = CandleMemory(), Gate()
    gate.is_open.set()
    memory.put(ADA, MINUTE, ALL[:170])
    memory.is_broken = True
    pasts = Pasts(memory, 1_000, 60, gate)
    async with sorting(pasts):
        pasts.warmed(ADA, MINUTE, columns_of(ALL[100:160]))
        await settled()
        assert holds(pasts, ALL[100:160])


async def test_a_past_that_is_not_sound_is_no_past_and_ends_nothing() -> None:
    gate = Gate()
    gate.is_open.set()
    pasts = Pasts(None, 1_000, 60, gate)
    sound = columns_of(ALL[:60])
    unsound: Candles = sound.replace(low=sound.low * np.nan)
    async with sorting(pasts):
        pasts.warmed(ADA, MINUTE, unsound)
        pasts.warmed("SOL/USDT", MINUTE, sound)
        await settled()
        history = pasts.get(ADA, MINUTE)
        assert history is not None
        assert history.is_young
        other = pasts.get("SOL/USDT", MINUTE)
        assert other is not None
        assert len(other) == 60


async def test_what_waited_when_sorting_ended_is_sorted_by_the_next_run() -> None:
    gate = Gate()
    pasts = Pasts(None, 1_000, 60, gate)
    async with sorting(pasts):
        pasts.warmed(ADA, MINUTE, columns_of(ALL[:60]))
        await settled()
    gate.is_open.set()
    async with sorting(pasts):
        await settled()
        assert holds(pasts, ALL[:60])


def test_a_candle_of_a_series_that_is_not_known_is_nobodys() -> None:
    pasts = Pasts(None, 1_000, 60, Gate())
    pasts.closed(ADA, MINUTE, ALL[0])
    assert pasts.get(ADA, MINUTE) is None


@pytest.mark.parametrize("count", [0, 1, 39])
async def test_few_candles_make_a_young_past(count: int) -> None:
    gate = Gate()
    gate.is_open.set()
    pasts = Pasts(None, 1_000, 60, gate)
    async with sorting(pasts):
        pasts.warmed(ADA, MINUTE, columns_of(ALL[:count]))
        await settled()
        history = pasts.get(ADA, MINUTE)
        assert history is not None
        assert history.is_young
        assert len(history) == count


@pytest.mark.parametrize("recent_max", [60, 1_000])
async def test_a_combined_history_comes_before_the_live_candles_and_says_whose_it_is(
    recent_max: int,
) -> None:
    memory, gate = CandleMemory(), Gate()
    gate.is_open.set()
    source = np.array([2] * 40 + [0] * 120, np.uint8)
    exchanges = ("binance", "bitstamp", "kraken")
    memory.combined[ADA, MINUTE] = Gathered(columns_of(ALL[60:220]), source, exchanges)
    pasts = Pasts(memory, 1_000, recent_max, gate)
    async with sorting(pasts):
        pasts.warmed(ADA, MINUTE, columns_of(ALL[160:220]))
        await settled()
        assert holds(pasts, ALL[60:220])
        assert pasts.exchanges(ADA, MINUTE) == ("binance", "kraken")
        pasts.keep(())
        assert pasts.exchanges(ADA, MINUTE) == ()


async def test_a_combined_history_that_gave_nothing_older_is_not_named() -> None:
    memory, gate = CandleMemory(), Gate()
    gate.is_open.set()
    source = np.array([0] * 50 + [1] * 10 + [0] * 40, np.uint8)
    whole = Gathered(columns_of(ALL[60:160]), source, ("binance", "kraken"))
    memory.combined[ADA, MINUTE] = whole
    pasts = Pasts(memory, 1_000, 60, gate)
    async with sorting(pasts):
        pasts.warmed(ADA, MINUTE, columns_of(ALL[100:160]))
        await settled()
        assert holds(pasts, ALL[60:160])
        assert pasts.exchanges(ADA, MINUTE) == ()
