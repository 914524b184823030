"""A private stop from the chat message to the sale, and back to the chat."""

from decimal import Decimal

import pytest

from tests.e2e.world import World

pytestmark = pytest.mark.e2e


async def test_a_stop_rests_nowhere_until_it_fires_and_then_sells_once(world: World) -> None:
    card = await world.arm("/track BTC/USDT stop 58000 all")
    assert "SIMULATED" in card["text"]
    assert "🛡 protected" in card["text"]
    assert await world.orders() == []

    await world.price("57990")
    sold = await world.until_message(r"Sold 0\.5 BTC")
    [order] = await world.orders()
    assert (order["side"], order["status"]) == ("SELL", "FILLED")
    assert Decimal(order["executedQty"]) == Decimal("0.5")
    assert await world.balance_of("BTC") == 0
    assert sold["message_id"] > card["message_id"]
    # The card that said "protected" must not go on saying so.
    ended = await world.until_message(r"closed · BTC/USDT", after=card["message_id"] - 1)
    assert ended["message_id"] == card["message_id"]
    assert "done: 0.5 BTC" in ended["text"]
    assert "protected" not in ended["text"]


async def test_a_price_above_the_stop_does_nothing(world: World) -> None:
    await world.arm("/track BTC/USDT stop 58000 all")
    for price in ("58000.01", "61000", "58500"):
        await world.price(price)
    answer = await world.answer("/trackers", "(?i)tracker")
    assert "58,000" in answer["text"] or "58000" in answer["text"]
    assert await world.orders() == []


async def test_panic_ends_flat_and_halted(world: World) -> None:
    await world.arm("/track BTC/USDT stop 50000 all")
    await world.confirm("/panic")
    await world.until_message(r"Sold 0\.5 BTC")
    assert await world.balance_of("BTC") == 0
    status = await world.answer("/status", "Equity")
    assert "halted" in status["text"].lower()
    refused = await world.answer("/buy BTC/USDT 100 USDT", "✋")
    assert "halted" in refused["text"].lower()
