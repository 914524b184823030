"""What a comparison with the exchange says while stops sell."""

from collections.abc import Mapping
from decimal import Decimal

import pytest

from tests.unit.trading.agent_world import AgentWorld
from trading.domain.errors import Unreachable
from trading.domain.events import AlertRaised, ConditionChanged, PositionAdjusted
from trading.domain.position import AdjustReason, Balance
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


@pytest.mark.parametrize(("held", "is_told"), [("0.000001", False), ("0.1", True)])
async def test_interrupted_prices_of_what_is_only_a_crumb_are_not_told(
    held: str, is_told: bool
) -> None:
    world = AgentWorld()

    async def refuse(*_: object) -> None:
        raise Unreachable("closed")

    world.exchange.stream_market = refuse  # type: ignore[assignment, method-assign]
    async with world:
        reason, price = AdjustReason.ADOPTED, Decimal(60_000)
        at = world.time.now()
        adopted = PositionAdjusted("BTC/USDT", Decimal(held), price, reason, "", at)
        await world.agent.record(adopted)
        for _ in range(60):
            await world.time.pass_by(1)
            await world.time.finish(world.agent.jobs()["staleness_watch"]())
        told = [one.text for one in world.store.of(ConditionChanged)]
    assert [text.startswith("live prices of BTC/USDT are interrupted") for text in told] == (
        [True] * is_told
    )
