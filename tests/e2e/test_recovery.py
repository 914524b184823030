"""Down and up again: what was blind is told, what is beyond its stop is sold, the rest is kept."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from tests.catalogue import fired
from tests.e2e.coin import Mint
from tests.e2e.world import World

pytestmark = pytest.mark.e2e

BACK = "🔄 Back, blind"


@pytest.mark.fault("M02", "TELL SAID")
async def test_a_gap_through_the_stop_while_down_sells_at_the_start(world: World) -> None:
    await world.arm("/track BTC/USDT stop 58000 all")
    await world.kill_agent()
    await world.price("55000")
    begin = await world.last_message_id()
    await world.spawn_agent()
    card = await world.until_message(BACK, after=begin)
    assert "#1 BTC/USDT" in card["text"]
    assert "55000" in card["text"]
    fired(world.kills, words=card["text"])
    await world.until_message(r"Sold 0\.5 BTC", after=begin)
    [order] = await world.orders()
    assert Decimal(order["executedQty"]) == Decimal("0.5")


@pytest.mark.fault("M02", "TELL SAID")
async def test_what_happened_while_down_is_told_and_what_stands_is_kept(tmp_path: Path) -> None:
    options, balance = Mint.options(3)
    async with World(tmp_path, options, balance) as world:
        mint = Mint(world)
        await mint.open(3)
        stop, trail, buy = [await mint.take() for _ in range(3)]
        await stop.track("stop 95 all")
        await trail.track("trail 5% all")
        await buy.track("buy stop 105 500 USDT")
        # A candle that began before a tracker was armed says nothing about it.
        await _next_minute(world)
        await world.kill_agent()
        await stop.price("94", "101")
        await trail.price("109")
        await buy.price("106")
        begin = await world.last_message_id()
        await world.spawn_agent()
        card = " ".join((await world.until_message(BACK, after=begin))["text"].split())
        assert f"{stop.symbol}: 95 was crossed" in card
        assert f"{buy.symbol}: would have bought" in card
        fired(world.kills, words=card)
        assert "103.55" in (await world.answer("/tracker 2", trail.symbol))["text"]
        assert await world.orders() == []
        await stop.price("94.9")
        await stop.sold()


async def _next_minute(world: World) -> None:
    began = await world.server_time_ms() // 60_000
    async with asyncio.timeout(70):
        while await world.server_time_ms() // 60_000 == began:
            await asyncio.sleep(0.1)


@pytest.mark.fault("M09", "TELL")
async def test_coins_sold_elsewhere_while_down_are_not_sold_again(world: World) -> None:
    await world.arm("/track BTC/USDT stop 58000 all")
    await world.kill_agent()
    await world.control("order", symbol="BTCUSDT", side="SELL", type="MARKET", quantity="0.3")
    begin = await world.last_message_id()
    await world.spawn_agent()
    told = await world.until_message("sold outside", after=begin)

    await world.price("57990")
    await world.until_message(r"Sold 0\.2 BTC", after=begin)
    assert await world.balance_of("BTC") == 0
    orders = await world.orders()
    by_hand = [order for order in orders if order["clientOrderId"].startswith("web_")]
    ours = [order for order in orders if order not in by_hand]
    assert sum(Decimal(order["executedQty"]) for order in ours) == Decimal("0.2")
    fired(len(by_hand), words=told["text"])


async def test_an_orderly_stop_says_that_nothing_is_watched(world: World) -> None:
    begin = await world.last_message_id()
    await world.end("run")
    assert world.processes["run"].returncode == 0
    await world.until_message("(?s)stopping.*NOT watched", after=begin)
