"""What is offered in place of a refused order can be sent, or nothing is offered."""

from decimal import Decimal

import pytest

from tests.unit.trading.agent_world import OWNER, AgentWorld
from trading.domain.commands import PlaceOrder
from trading.domain.errors import Refused
from trading.domain.order import Side
from trading.domain.tracker import Amount, AmountKind

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
