"""A book that is torn apart or has one side only: nothing is bought over it, and a stop goes on."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.commands import PlaceOrder
from trading.domain.errors import Refused
from trading.domain.market import Quote
from trading.domain.order import Side
from trading.domain.tracker import Amount, AmountKind, TrackerState


def torn(world: AgentWorld) -> Quote:
    """A book around 60,000 whose sides are 30% apart."""
    quote = world.exchange.quote_now("BTC/USDT")
    return replace(quote, bid=Decimal(51_000), ask=Decimal(69_000))


def buy() -> PlaceOrder:
    return PlaceOrder("BTC/USDT", Side.BUY, Amount(AmountKind.QUOTE, Decimal(100)))


@pytest.mark.fault("M04", "HALT")
async def test_nothing_is_bought_over_a_torn_book_and_a_stop_under_it_sells(
    world: AgentWorld,
) -> None:
    await world.protect("58000")
    book = torn(world)
    world.exchange.show(book)
    await world.time.settle()
    assert world.agent.market.quote("BTC/USDT") == book
    apart = r"bid and ask of BTC/USDT are 30% apart, more than 10%"
    with pytest.raises(Refused, match=apart) as refused:
        await world.do(buy())
    assert world.exchange.sent == []
    await world.move("57990")
    await world.until_sold("0.5")
    assert {request.side for request in world.exchange.sent} == {Side.SELL}
    fired(refused, words=f"{book.bid} to {book.ask}")


@pytest.mark.fault("M04", "HALT CRIT SAID")
async def test_without_bids_nothing_is_bought_and_a_fired_stop_is_blocked_loudly_until_they_come(
    world: AgentWorld,
) -> None:
    await world.protect("58000")
    world.exchange.without_bids.add("BTC/USDT")
    await world.move("57990")
    await world.time.until(lambda: world.desk.tracker(1).tracker.state is TrackerState.BLOCKED, 60)
    [blocked] = world.desk.standing().blocked
    assert "bids" in blocked.reason
    await world.time.pass_by(120)
    with pytest.raises(Refused):
        await world.do(buy())
    assert world.exchange.filled() == 0
    world.exchange.without_bids.clear()
    await world.until_sold("0.5")
    fired(world.exchange.bids_missed, words=blocked.reason)
