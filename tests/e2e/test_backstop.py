"""A backstop rests on the exchange, works while Umbra is down, and never sells beside the stop."""

from decimal import Decimal

import pytest

from tests.e2e.world import World

pytestmark = pytest.mark.e2e

LINE = "/track BTC/USDT stop 58000 all backstop 50000"


async def test_the_private_stop_takes_its_backstop_off_and_sells_once(world: World) -> None:
    card = await world.arm(LINE)
    await world.until(lambda: _rests(world), "the backstop never reached the exchange")
    shown = await world.answer("/tracker 1", "rests on the")
    assert "🛡 protected" in shown["text"]
    await world.price("57990")
    await world.until_message(r"Sold 0\.5 BTC", after=card["message_id"])
    backstop, sale = await world.orders()
    assert (backstop["type"], backstop["status"]) == ("STOP_LOSS", "CANCELED")
    assert (sale["status"], Decimal(sale["executedQty"])) == ("FILLED", Decimal("0.5"))


async def test_a_fall_while_umbra_is_down_is_sold_by_the_exchange_and_told_once(
    world: World,
) -> None:
    await world.arm(LINE)
    await world.until(lambda: _rests(world), "the backstop never reached the exchange")
    await world.kill_agent()
    await world.price("49000")
    [order] = await world.orders()
    assert (order["status"], Decimal(order["executedQty"])) == ("FILLED", Decimal("0.5"))
    begin = await world.last_message_id()
    await world.spawn_agent()
    sold = await world.until_message(r"Sold 0\.5 BTC", after=begin)
    assert "backstop" in sold["text"]
    assert "No managed position" in (await world.answer("/positions", "💼"))["text"]
    assert len(await world.orders()) == 1


async def test_under_a_full_halt_every_card_tells_of_the_backstop_and_of_nothing_else(
    world: World,
) -> None:
    await world.arm(LINE)
    await world.until(lambda: _rests(world), "the backstop never reached the exchange")
    await world.confirm("/halt everything")
    await world.until_message("HALTED EVERYTHING")
    for line, part in (
        ("/tracker 1", "Backstop 50000"),
        ("/trackers", "nearest"),
        ("/positions", "💼"),
        ("/status", "Equity"),
        ("/summary", "Summary"),
    ):
        said = " ".join((await world.answer(line, part))["text"].split())
        assert "UNPROTECTED" in said
        assert "only backstop 50,000" in said
        assert "🛡" not in said
        assert "-1,000.00" not in said
    begin = await world.last_message_id()
    await world.kill_agent()
    await world.spawn_agent()
    started = await world.until_message("🔄 Back", after=begin)
    told = " ".join(started["text"].split())
    assert "HALTED EVERYTHING: NO STOP SELLS" in told
    assert "ONLY A BACKSTOP SELLS: 0.5 BTC at 50000" in told
    assert "NOT PROTECTED" not in told


async def _rests(world: World) -> bool:
    return any(
        (order["type"], order["status"]) == ("STOP_LOSS", "NEW") for order in await world.orders()
    )
