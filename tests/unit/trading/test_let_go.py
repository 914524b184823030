"""Coins that came under care only to be sold leave it again where that sale does not come about."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from tests.unit.trading.agent_world import AgentWorld
from trading.domain.commands import AbortOrders, ClosePosition, PlaceOrder
from trading.domain.events import PositionAdjusted
from trading.domain.order import Side
from trading.domain.position import AdjustReason
from trading.domain.tracker import Amount, AmountKind

BTC = "BTC/USDT"


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    """An account of 0.5 BTC, of which nothing is managed."""
    async with AgentWorld() as made:
        yield made


def sell(quantity: str, limit: str | None = "70000") -> PlaceOrder:
    amount = Amount(AmountKind.BASE, Decimal(quantity))
    return PlaceOrder(BTC, Side.SELL, amount, None if limit is None else Decimal(limit))


def managed(world: AgentWorld) -> Decimal:
    return world.agent.state.book.managed(BTC)


async def test_coins_of_a_limit_sale_that_is_given_up_are_not_managed_any_more(
    world: AgentWorld,
) -> None:
    await world.do(sell("0.3"))
    await world.time.pass_by(2)
    assert managed(world) == Decimal("0.3")
    await world.do(AbortOrders(BTC))
    await world.time.pass_by(5)
    assert managed(world) == 0
    await world.kill()
    await world.start()
    assert managed(world) == 0


async def test_what_was_sold_before_it_was_given_up_is_sold(world: AgentWorld) -> None:
    world.exchange.depth[BTC] = Decimal("0.1")
    await world.do(sell("0.3", "60500"))
    await world.move("60600")
    await world.time.until(lambda: world.exchange.filled() == Decimal("0.1"), 30)
    await world.do(AbortOrders(BTC))
    await world.time.pass_by(5)
    assert managed(world) == 0
    assert world.exchange.coins["BTC"] == Decimal("0.4")


async def test_coins_that_were_managed_before_the_sale_stay_managed(world: AgentWorld) -> None:
    await world.protect("58000", Amount(AmountKind.BASE, Decimal("0.25")))
    await world.do(sell("0.4"))
    await world.time.pass_by(2)
    assert managed(world) == Decimal("0.4")
    await world.do(AbortOrders(BTC))
    await world.time.pass_by(5)
    assert managed(world) == Decimal("0.25")


async def test_coins_that_a_tracker_owns_by_now_stay_with_it(world: AgentWorld) -> None:
    await world.do(sell("0.3"))
    await world.time.pass_by(2)
    await world.protect("58000", Amount(AmountKind.BASE, Decimal("0.2")))
    await world.do(AbortOrders(BTC))
    await world.time.pass_by(5)
    [tracker] = world.agent.trackers.all()
    assert (tracker.quantity, managed(world)) == (Decimal("0.2"), Decimal("0.2"))


async def test_a_sale_by_hand_that_nobody_takes_lets_its_coins_go(world: AgentWorld) -> None:
    proposal = await world.desk.propose(sell("0.3", None), 1)
    world.exchange.without_bids.add(BTC)
    await world.time.finish(world.desk.execute(proposal.command, 1, "tap", None, proposal.shown))
    await world.time.pass_by(150)
    assert not world.agent.execution.intents
    assert managed(world) == 0


async def test_a_closing_still_sells_what_a_sale_that_it_takes_back_has_put_under_care(
    world: AgentWorld,
) -> None:
    await world.do(sell("0.3"))
    await world.time.pass_by(2)
    await world.do(ClosePosition(BTC))
    await world.until_sold("0.3")
    await world.time.pass_by(5)
    assert managed(world) == 0
    reasons = {each.reason for each in world.store.of(PositionAdjusted)}
    assert reasons == {AdjustReason.ADOPTED}
