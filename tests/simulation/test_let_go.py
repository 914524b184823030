"""Coins that a `/sell` put under care leave it unsold with its end, whenever the power goes."""

from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from bot.localchat.facts import Message
from tests.simulation.facts import Facts
from tests.simulation.machine import CrashPlan
from tests.simulation.stage import BTC, Stage
from tests.simulation.story import Story
from tests.simulation.world import World, play

pytestmark = pytest.mark.slow
# More than are made from the tap to the end of the sale.
COMMITS = range(1, 8)


def _journal(world: World) -> Facts:
    facts = Facts()
    facts.read(world.machine.disk.database)
    facts.close()
    return facts


async def _for_sale(stage: Stage) -> None:
    """0.3 coins came under care only to be sold, at a limit; a stop owns the other 0.2."""
    await stage.open()
    stage.world.on_step = Story(stage.world).check
    assert await stage.world.confirm("/sell BTC/USDT 0.3 limit 70000")
    await stage.until(lambda: any(one.is_open for one in stage.world.orders()), 30)
    assert await stage.world.confirm("/track BTC/USDT stop 50000 0.2")
    await stage.until(lambda: stage.world.agent.trackers.count() == 1, 30)


async def _is_as_before(stage: Stage) -> None:
    """Nothing but what the stop owns is managed, and whoever looks is told so."""
    world = stage.world
    await stage.until_told("0.3 BTC are not managed any more", 60)
    facts = _journal(world)
    assert facts.managed[BTC] == world.agent.state.book.managed(BTC) == Decimal("0.2")
    assert [one.quantity for one in world.agent.trackers.all()] == [Decimal("0.2")]
    [sale] = [one for one in facts.intents.values() if one.adopted]
    assert sale.let_go == Decimal("0.3")


async def _cancelled_elsewhere(stage: Stage) -> None:
    [order] = [one for one in stage.world.orders() if one.is_open]
    await stage.control.foreign_cancel({"clientOrderId": order.ticket.client_order_id})


async def _given_up(stage: Stage) -> None:
    [question] = [one for one in stage.world.telephone.messages() if _asks(one)][-1:]
    assert stage.world.telephone.press(question, "Confirm")


def _asks(message: Message) -> bool:
    return any(button.text.endswith("Confirm") for row in message.keyboard for button in row)


@pytest.mark.parametrize("end", [_cancelled_elsewhere, _given_up])
@pytest.mark.parametrize("moment", ["before", "torn", "after"])
def test_coins_of_a_sale_that_does_not_come_about_are_let_go_of_whenever_the_power_goes(
    moment: str, end: Callable[[Stage], Awaitable[None]]
) -> None:
    def cut(commits: int) -> bool:
        async def story(world: World) -> None:
            nonlocal is_written
            stage = Stage(world)
            await _for_sale(stage)
            if end is _given_up:
                world.telephone.say("/abort BTC/USDT")
                await stage.until(lambda: _asks(world.telephone.messages()[-1]), 30)
                await world.pass_by(1)
            world.machine.plan = CrashPlan(moment, commits)
            await end(stage)
            await world.pass_by(8)
            is_written = any(one.let_go for one in _journal(world).intents.values())
            world.machine.plan = None
            if not world.machine.is_running:
                world.machine.start()
            await world.pass_by(30)
            await _is_as_before(stage)

        is_written = False
        play(1, story)
        return is_written

    ends_durable = [cut(commits) for commits in COMMITS]
    assert any(ends_durable), "the power never went behind the end of the sale"
    # The very next commit may have it all: the end is one fact with what it lets go of.
    assert moment == "after" or not all(ends_durable), "the power never went before that end"


def test_a_sale_that_nobody_takes_for_minutes_lets_its_coins_go() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open()
        world.on_step = Story(world).check
        asked = world.telephone.say("/sell BTC/USDT 0.3")
        await stage.until(lambda: _asks(world.telephone.messages()[-1]), 30)
        await stage.control.shape_book({"symbol": "BTCUSDT", "quote_depth": "0", "side": "bid"})
        assert world._tap_confirm(asked.message_id)
        await stage.until(lambda: world.agent.state.book.managed(BTC) == Decimal("0.3"), 30)
        await stage.until_told("0.3 BTC are not managed any more", 180)
        assert _journal(world).managed[BTC] == world.agent.state.book.managed(BTC) == 0

    play(1, story)
