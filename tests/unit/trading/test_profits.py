"""What a whole agent says it earned: in each quote, with every fee, and the same after a death."""

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.builders import coin
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.commands import ArmTracker, PlaceOrder
from trading.domain.events import FillBooked
from trading.domain.order import Side
from trading.domain.position import RoundTrip, TradingMode
from trading.domain.tracker import Amount, AmountKind, TrackerKind, TrackerSpec

ETH_BTC = replace(coin("ETH", "BTC"), notional_min=Decimal("0.0001"))
ALL = Amount(AmountKind.ALL)
CLOSE = Decimal("1E-20")


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    running = AgentWorld()
    exchange = running.exchange
    exchange.rules |= {"ETH/BTC": ETH_BTC, "BNB/USDT": coin("BNB")}
    exchange.prices |= {"ETH/BTC": Decimal("0.05"), "BNB/USDT": Decimal(600)}
    exchange.coins |= {"ETH": Decimal(4), "BNB": Decimal(1)}
    async with running:
        yield running


async def newest(world: AgentWorld) -> RoundTrip:
    return (await world.time.finish(world.desk.history(1)))[0]


async def sell_eth(world: AgentWorld, price: str) -> None:
    """Sell 4 ETH for Bitcoin once their price falls there."""
    level = Decimal("0.048")
    await world.do(ArmTracker(TrackerSpec(TrackerKind.STOP, "ETH/BTC", ALL, level=level)))
    await world.move(price, "ETH/BTC")
    await world.until_sold("4")


async def test_a_loss_in_another_currency_is_a_loss_of_the_day(world: AgentWorld) -> None:
    await sell_eth(world, "0.02")
    assert (await newest(world)).profit == Decimal("-0.12")
    # 0.12 BTC are 7,200 USDT, of 53,500 in the morning.
    await world.time.finish(world.agent.jobs()["balances"]())
    status = world.desk.status()
    assert status.state is TradingMode.REDUCING
    assert status.trading_mode is not None
    assert "13.4" in status.trading_mode.reason
    assert status.profit_today == -7_200


async def test_fees_in_a_coin_that_nobody_watches_count_and_a_start_changes_nothing(
    world: AgentWorld,
) -> None:
    world.exchange.fee_share, world.exchange.fee_asset = Decimal("0.001"), "BNB"
    part = Amount(AmountKind.BASE, Decimal("0.1"))
    await world.do(PlaceOrder("BTC/USDT", Side.BUY, part))
    bought = world.agent.state.book.positions["BTC/USDT"]
    await world.kill()
    await world.start()
    known = world.agent.state.book.positions["BTC/USDT"]
    assert known.quantity == bought.quantity
    assert known.fees == bought.fees
    assert abs(known.cost - bought.cost) < CLOSE
    await world.do(PlaceOrder("BTC/USDT", Side.SELL, part))
    await world.until_sold("0.1")
    trip = await newest(world)
    [entry, out] = [one.fill for one in world.store.of(FillBooked)]
    fees = (entry.fee + out.fee) * 600
    assert entry.fee > 0 < out.fee
    assert trip.fees_quote == fees
    assert abs(trip.profit - (out.notional - entry.notional - fees)) < CLOSE
    assert trip.fees_unpriced == ()


async def test_a_fee_of_a_sale_into_bitcoin_is_counted_in_bitcoin(world: AgentWorld) -> None:
    world.exchange.fee_share, world.exchange.fee_asset = Decimal("0.001"), "BNB"
    await sell_eth(world, "0.045")
    trip = await newest(world)
    # 0.004 BNB of 600 USDT, at 60,000 USDT a Bitcoin.
    assert abs(trip.fees_quote - Decimal("0.00004")) < CLOSE
    assert abs(trip.profit - Decimal("-0.02004")) < CLOSE
