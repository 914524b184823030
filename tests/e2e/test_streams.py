"""Streams that stall or break: prices come over REST within 5 s, stops fire, one alert tells it."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.catalogue import fired
from tests.e2e.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

HARD_S = 7.0
BACK_S = 35.0


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
    # The process goes back to the stream by itself; a command counts once in a second.
    while "Prices live" not in (await world.answer("/health", "Loop lag"))["text"]:
        assert time.monotonic() - stalled_s < BACK_S
        await asyncio.sleep(1.1)
    await world.until_message("(?s)live prices.*(stand still|interrupted)")
    assert await world.count("(?s)live prices.*(stand still|interrupted)") == 1


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
    fired(await world.faults())
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
        fired(len(await world.faults()))
        assert len(await world.orders()) == 1
        assert await world.count("interrupted") <= 1
        answer = await world.answer("/health", "Loop lag")
        assert "died" not in answer["text"]
