"""What a comparison with the exchange says while stops sell."""

from collections.abc import Mapping
from decimal import Decimal

from tests.unit.trading.agent_world import AgentWorld
from trading.domain.events import AlertRaised, PositionAdjusted
from trading.domain.position import Balance
from trading.domain.tracker import Amount, AmountKind


async def test_what_a_stop_sells_while_the_account_is_read_is_no_sale_outside_of_umbra(
    world: AgentWorld,
) -> None:
    await world.protect("58000", Amount(AmountKind.BASE, Decimal("0.2")))
    await world.protect("50000", Amount(AmountKind.BASE, Decimal("0.3")))
    # Coins that nobody manages, so that the account still holds more than is managed.
    world.exchange.coins["BTC"] += Decimal("0.2")
    await world.time.finish(world.agent.jobs()["balances"]())
    world.exchange.sell_by_hand("BTC/USDT", "0.2")
    read = world.exchange.balances
    sold: list[Decimal] = []

    async def balances() -> Mapping[str, Balance]:
        if not sold:
            sold.append(Decimal("0.2"))
            world.exchange.move("BTC/USDT", "57990")
            await world.exchange.time.sleep(2)
        return await read()

    world.exchange.balances = balances  # type: ignore[method-assign]
    await world.time.finish(world.agent.jobs()["full_reconcile"]())
    assert world.exchange.filled() == Decimal("0.2")
    await world.time.pass_by(5)
    assert world.store.of(PositionAdjusted)[2:] == []
    assert [one for one in world.store.of(AlertRaised) if "missing" in one.text] == []
    await world.move("49990")
    await world.until_sold("0.5")
