"""Streams that stall or break: prices come over REST within 5 s, stops fire, one alert tells it."""

import asyncio
import time
from pathlib import Path

import pytest

from benchmarks.processes import resident_mb
from tests.catalogue import fired
from tests.e2e.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

HARD_S = 7.0
BACK_S = 35.0
# 40,000 prints kept would be some 20 MB of frames, and more once they are read.
BURST_MB_MAX = 12.0


@pytest.mark.fault("W03", "TELL PROT SAID")
async def test_a_silent_stall_is_bridged_over_rest_and_told_once(world: World) -> None:
    await world.arm("/track BTC/USDT stop 58000 0.3")
    await world.arm("/track BTC/USDT stop 50000 all")
    await world.fault("stall_stream", scope="market", seconds=12)
    stalled_s = time.monotonic()
    await world.price("57990")
    await world.until_message(r"Sold 0\.3 BTC")
    assert time.monotonic() - stalled_s <= HARD_S
    assert await world.unfired() == []
    fired((await world.seen("streams"))["muted_market_frames"])
    # The process goes back to the stream by itself.
    while "Prices live" not in (await world.answer("/health", "Loop lag"))["text"]:
        assert time.monotonic() - stalled_s < BACK_S
        await asyncio.sleep(1.1)
    await world.until_message(r"^⚠️ Live prices of \S+ are\s+interrupted")
    assert await world.count(r"^⚠️ Live prices of \S+ are\s+interrupted") == 1


@pytest.mark.fault("W15", "SAID")
async def test_a_burst_of_ten_thousand_prints_a_second_holds_up_no_stop_and_leaves_nothing_behind(
    world: World,
) -> None:
    await world.arm("/track BTC/USDT stop 58000 0.3")
    await world.arm("/track BTC/USDT stop 57000 all")
    before_mb, first = resident_mb(world.processes["run"].pid), await _newest_print(world)
    burst = {"rate_per_s": 10_000, "seconds": 4, "symbols": ["BTCUSDT"], "reach": 0.001}
    await world.control("traffic", **burst)
    await _until_printed(world, first + 5_000)
    crossed_s = time.monotonic()
    await world.price("57900")
    await world.until_message(r"Sold 0\.3 BTC")
    assert time.monotonic() - crossed_s <= HARD_S
    await _until_printed(world, first + 40_000)
    fired((await _newest_print(world)) - first)
    # What was not read in time would lie in a queue, and this sale would wait behind it.
    await world.price("56900")
    await world.until_message(r"Sold 0\.2 BTC")
    assert len(await world.orders()) == 2
    assert resident_mb(world.processes["run"].pid) - before_mb <= BURST_MB_MAX
    assert await world.count("interrupted|stand still") == 0


async def _newest_print(world: World) -> int:
    (newest,) = await world.public("trades?symbol=BTCUSDT&limit=1")
    return int(newest["id"])


async def _until_printed(world: World, number: int) -> None:
    deadline_s = time.monotonic() + 60
    while await _newest_print(world) < number:
        assert time.monotonic() < deadline_s, "the burst should come to its end"
        # A question costs of the budget that the agent's own come out of.
        await asyncio.sleep(0.5)


@pytest.mark.fault("W06")
async def test_a_stall_of_the_user_stream_does_not_delay_a_sale(world: World) -> None:
    await world.arm("/track BTC/USDT stop 58000 all")
    await world.fault("stall_stream", scope="user", seconds=20)
    await world.fault("late_match", seconds=1)
    await world.price("57990")
    await world.until_message(r"Sold 0\.5 BTC")
    assert await world.unfired() == []
    fired((await world.seen("streams"))["muted_user_frames"])
    assert len(await world.orders()) == 1


@pytest.mark.fault("W01")
@pytest.mark.parametrize("is_abort", [True, False])
async def test_connections_that_break_are_back_before_the_next_price(
    world: World, is_abort: bool
) -> None:
    await world.arm("/track BTC/USDT stop 58000 all")
    await world.fault("disconnect", scope="all", abort=is_abort)
    broken_s = time.monotonic()
    await world.price("57990")
    await world.until_message(r"Sold 0\.5 BTC")
    assert time.monotonic() - broken_s <= HARD_S
    assert await world.unfired() == []
    fired([fault["effects"] for fault in await world.faults()])
    assert await world.balance_of("BTC") == 0
    # A moment without a stream is nobody's business.
    assert await world.count("interrupted|stand still") == 0


@pytest.mark.fault("W18")
async def test_flapping_streams_are_one_alert_and_no_double_sale(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.price("60000")
        await world.start_agent()
        await world.arm("/track BTC/USDT stop 58000 all")
        for price in ("59900", "59800", "59700", "59600"):
            await world.fault("disconnect", scope="all", abort=True)
            await world.price(price)
        await world.price("57990")
        await world.until_message(r"Sold 0\.5 BTC")
        assert await world.unfired() == []
        fired([fault["fired"] for fault in await world.faults()])
        assert len(await world.orders()) == 1
        assert await world.count("interrupted") <= 1
        answer = await world.answer("/health", "Loop lag")
        assert "died" not in answer["text"]
