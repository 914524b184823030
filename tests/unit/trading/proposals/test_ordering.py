"""What is offered in place of a refused order can be sent, or nothing is offered."""

from decimal import Decimal

import pytest

from bot.telegram.grammar import parse
from tests.unit.trading.agent_world import OWNER, AgentWorld
from trading.domain.commands import PlaceOrder
from trading.domain.errors import Refused
from trading.domain.order import Side
from trading.domain.tracker import Amount, AmountKind
from trading.risk.limits import RiskLimits

BTC = "BTC/USDT"


async def offered(world: AgentWorld, asset: str, held: str, command: PlaceOrder) -> str | None:
    """The example for a command that is refused while the account holds so much of an asset."""
    world.exchange.coins[asset] = Decimal(held)
    await world.kill()
    await world.start()
    with pytest.raises(Refused, match="is more than") as refused:
        await world.time.finish(world.desk.propose(command, OWNER))
    return refused.value.example


@pytest.mark.parametrize(
    ("held", "example"), [("0.1", "/sell BTC/USDT all"), ("0.00000001", "/balance")]
)
async def test_all_is_offered_to_be_sold_where_it_is_an_order(
    world: AgentWorld, held: str, example: str
) -> None:
    command = PlaceOrder(BTC, Side.SELL, Amount(AmountKind.BASE, Decimal(2)))
    assert await offered(world, "BTC", held, command) == example


@pytest.mark.parametrize(("free", "example"), [("40", "/buy BTC/USDT 50%"), ("9", "/balance")])
async def test_half_of_the_money_is_offered_to_be_spent_where_it_is_an_order(
    world: AgentWorld, free: str, example: str
) -> None:
    command = PlaceOrder(BTC, Side.BUY, Amount(AmountKind.QUOTE, Decimal(100)))
    assert await offered(world, "USDT", free, command) == example


@pytest.mark.parametrize(
    ("held", "limit", "most"),
    # By the worth that one order may have, and by its coins.
    [("200", "62000", "145.16129"), ("20000", "100", "9000")],
)
async def test_a_limit_sale_that_one_order_cannot_be_is_refused_and_in_parts_it_rests_whole(
    world: AgentWorld, held: str, limit: str, most: str
) -> None:
    world.exchange.set_price(BTC, limit)
    world.exchange.coins["BTC"] = Decimal(held)
    await world.kill()
    await world.start()
    price = Decimal(limit)
    command = PlaceOrder(BTC, Side.SELL, Amount(AmountKind.BASE, Decimal(held)), price)
    with pytest.raises(Refused, match=f"the exchange takes {most} BTC at most") as refused:
        await world.time.finish(world.desk.propose(command, OWNER))
    assert refused.value.example == f"/sell BTC/USDT {most} limit {limit}"
    await world.do(PlaceOrder(BTC, Side.SELL, Amount(AmountKind.BASE, Decimal(most)), price))
    [order] = world.exchange.orders.values()
    assert order.request.quantity == Decimal(most)


@pytest.mark.parametrize(
    ("side", "limit", "taken"),
    [
        (Side.SELL, "400000", "/sell BTC/USDT 0.1 limit 300000"),
        (Side.SELL, "9000", "/sell BTC/USDT 0.1 limit 12000"),
        # Its worth stays what was meant.
        (Side.BUY, "6000", "/buy BTC/USDT 0.04999 limit 12000.01"),
    ],
)
async def test_a_limit_that_the_exchange_would_refuse_is_refused_before_anybody_confirms_it(
    world: AgentWorld, side: Side, limit: str, taken: str
) -> None:
    command = PlaceOrder(BTC, side, Amount(AmountKind.BASE, Decimal("0.1")), Decimal(limit))
    with pytest.raises(Refused, match="too far from the price") as refused:
        await world.time.finish(world.desk.propose(command, OWNER))
    assert refused.value.example == taken


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (Amount(AmountKind.BASE, Decimal("0.01")), "0.01"),
        (Amount(AmountKind.QUOTE, Decimal(500)), "500 USDT"),
        (Amount(AmountKind.SHARE, Decimal("0.05")), "500 USDT"),
    ],
)
@pytest.mark.parametrize(
    ("limit", "why", "market"),
    [
        ("400000", "too far from the price", "60000.01"),
        ("70000", "5% from the market", "60000"),
    ],
)
async def test_a_purchase_with_a_limit_far_above_the_market_is_offered_at_the_market(
    world: AgentWorld, amount: Amount, said: str, limit: str, why: str, market: str
) -> None:
    command = PlaceOrder(BTC, Side.BUY, amount, Decimal(limit))
    with pytest.raises(Refused, match=why) as refused:
        await world.time.finish(world.desk.propose(command, OWNER))
    offered = refused.value.example or ""
    assert offered == f"/buy BTC/USDT {said} limit {market}"
    await world.time.finish(world.desk.propose(parse(offered, world.desk.instrument), OWNER))


async def test_a_limit_purchase_that_one_order_cannot_be_is_refused(world: AgentWorld) -> None:
    world.exchange.coins["USDT"] = Decimal(100_000_000)
    world.limits = RiskLimits(order_notional_max=Decimal(100_000_000))
    await world.kill()
    await world.start()
    money = Amount(AmountKind.QUOTE, Decimal(10_000_000))
    command = PlaceOrder(BTC, Side.BUY, money, Decimal(50_000))
    with pytest.raises(Refused, match="the exchange takes 180 BTC at most"):
        await world.time.finish(world.desk.propose(command, OWNER))


async def test_what_one_order_cannot_be_is_sold_at_the_market_in_parts(world: AgentWorld) -> None:
    world.exchange.coins["BTC"] = Decimal(200)
    await world.kill()
    await world.start()
    await world.do(PlaceOrder(BTC, Side.SELL, Amount(AmountKind.BASE, Decimal(200))))
    await world.until_sold("200")
    assert len(world.exchange.orders) > 1
