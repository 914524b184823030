"""The account's worth and the day's loss: what was sold into another currency is not lost."""

from collections.abc import AsyncIterator, Mapping
from decimal import Decimal

import pytest

from tests.builders import coin
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.commands import PlaceOrder
from trading.domain.errors import Unreachable
from trading.domain.order import Side
from trading.domain.position import Balance, TradingMode
from trading.domain.tracker import Amount, AmountKind

ADA = Decimal(10_000)


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    """Coins with a market against USDC, which itself has none against USDT, only Bitcoin has."""
    world = AgentWorld()
    for base, price in (("ADA", "0.9"), ("BTC", "60000")):
        world.exchange.rules[f"{base}/USDC"] = coin(base, "USDC")
        world.exchange.prices[f"{base}/USDC"] = Decimal(price)
    world.exchange.coins |= {"ADA": ADA}
    async with world:
        yield world


async def _sell_ada(world: AgentWorld) -> None:
    # 9,000 of 49,000: far more than the day may lose.
    await world.do(PlaceOrder("ADA/USDC", Side.SELL, Amount(AmountKind.ALL)))
    await world.until_sold("10000")
    assert world.exchange.coins["USDC"] > 8_900
    for asset in ("ADA", "USDC"):
        # What the account's stream tells in that moment.
        balance = Balance(asset, world.exchange.coins[asset], Decimal(0))
        world.agent.state.book.set_balance(balance)


async def _read_balances(world: AgentWorld) -> None:
    await world.time.finish(world.agent.jobs()["balances"]())
    await world.time.settle()


async def test_a_sale_into_a_currency_without_a_market_here_is_no_loss(world: AgentWorld) -> None:
    before = world.desk.status().equity
    await _sell_ada(world)
    for _ in range(2):
        status = world.desk.status()
        assert (status.state, status.uncounted) == (TradingMode.ACTIVE, ())
        assert abs(status.equity - before) < 50
        await _read_balances(world)
    [balance] = [view for view in world.desk.account().balances if view.balance.asset == "USDC"]
    assert balance.value is not None
    assert balance.value > 8_900


async def test_a_live_price_is_never_multiplied_by_one_of_a_minute_ago(world: AgentWorld) -> None:
    await world.protect("50000")
    await _sell_ada(world)
    value = world.agent.state.book.value
    worth = value("USDC", Decimal(1))
    # Only Bitcoin against USDT streams: against USDC it is as old as the last round.
    await world.move("54000")
    assert value("USDC", Decimal(1)) == worth
    world.exchange.set_price("BTC/USDC", "54000")
    await _read_balances(world)
    renewed = value("USDC", Decimal(1))
    assert renewed is not None
    assert abs(renewed - 1) < Decimal("0.001")


async def test_a_loss_is_not_judged_while_nobody_can_value_what_is_held(world: AgentWorld) -> None:
    await world.kill()

    async def unreachable() -> Mapping[str, Decimal]:
        raise Unreachable("no answer")

    answering, world.exchange.last_prices = world.exchange.last_prices, unreachable  # type: ignore[method-assign]
    await world.start()
    assert world.agent.state.book.unpriced()
    assert world.desk.status().state is TradingMode.ACTIVE
    world.exchange.last_prices = answering  # type: ignore[method-assign]
    world.exchange.set_price("BTC/USDT", "50000")
    await _read_balances(world)
    assert world.desk.status().state is TradingMode.REDUCING


async def test_what_no_market_values_is_named_beside_the_loss(world: AgentWorld) -> None:
    world.exchange.bring("XRP", "5")
    world.exchange.set_price("BTC/USDT", "50000")
    await _read_balances(world)
    status = world.desk.status()
    assert [each.asset for each in status.uncounted] == ["XRP"]
    assert status.trading_mode is not None
    assert status.trading_mode.reason.endswith("the limit of 10%; not counted: 5 XRP, no price")
