"""What comes in or goes out without a trade is no profit and no loss, and hides none."""

from collections.abc import Mapping
from decimal import Decimal

import pytest

from tests.builders import coin
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.commands import PlaceOrder
from trading.domain.errors import Unreachable
from trading.domain.events import DayOpened, FundsMoved
from trading.domain.order import Side
from trading.domain.position import Movement, TradingMode
from trading.domain.tracker import Amount, AmountKind
from trading.funds import Funds
from trading.portfolio import PortfolioBook

# 10,000 USDT + 0.5 BTC at 60,000 + 1,000 ADA at 0.90.
OPENED = Decimal(40_900)


async def _moved(world: AgentWorld, asset: str, delta: str) -> Movement:
    movement = world.exchange.bring(asset, delta)
    world.exchange.tell_movement(movement)
    world.exchange.tell_balance(asset)
    await world.time.settle()
    return movement


async def _balances_are_read(world: AgentWorld) -> None:
    await world.time.finish(world.agent.jobs()["balances"]())
    await world.time.settle()


def _today(world: AgentWorld) -> Decimal | None:
    return world.desk.status().profit_today


async def _bought(world: AgentWorld) -> None:
    await world.do(PlaceOrder("BTC/USDT", Side.BUY, Amount(AmountKind.QUOTE, Decimal(100))))
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    await world.time.settle()


@pytest.mark.parametrize("delta", ["50000", "-9000"])
async def test_what_comes_and_goes_is_no_profit_and_no_loss(world: AgentWorld, delta: str) -> None:
    before = world.desk.status().equity
    await _moved(world, "USDT", delta)
    assert world.desk.status().equity == before + Decimal(delta)
    assert _today(world) == 0
    [fact] = world.store.of(FundsMoved)
    assert fact.value == Decimal(delta)
    summary = await world.desk.summary(world.time.now().replace(hour=0, minute=0, second=0))
    assert summary.moved == Decimal(delta)
    await _balances_are_read(world)
    assert world.desk.status().state is TradingMode.ACTIVE


async def test_after_a_withdrawal_one_may_buy_and_a_real_loss_still_ends_that(
    world: AgentWorld,
) -> None:
    await _moved(world, "USDT", "-9000")
    await _bought(world)
    assert world.agent.state.mode is TradingMode.ACTIVE
    # Of 31,900 that are left 3,190 may be lost: half a Bitcoin falls by 7,000.
    await world.protect("40000")
    await world.move("53000")
    await _balances_are_read(world)
    assert world.agent.state.mode is TradingMode.REDUCING


async def test_a_deposit_hides_no_loss(world: AgentWorld) -> None:
    await world.protect("30000")
    await _moved(world, "USDT", "50000")
    # More than it was worth at midnight, and 11 % less than what came in makes of that.
    await world.move("50000")
    await world.move("40000")
    await _balances_are_read(world)
    assert world.desk.status().equity > OPENED
    assert _today(world) == -10_000
    assert world.agent.state.mode is TradingMode.REDUCING


async def test_what_is_told_again_or_known_from_before_counts_once(world: AgentWorld) -> None:
    movement = await _moved(world, "USDT", "5000")
    world.exchange.tell_movement(movement)
    await world.time.settle()
    assert len(world.store.of(FundsMoved)) == 1
    await world.kill()
    await world.start()
    assert _today(world) == 0
    world.exchange.tell_movement(movement)
    await world.time.settle()
    assert len(world.store.of(FundsMoved)) == 1
    assert _today(world) == 0


@pytest.mark.parametrize("delta", ["50000", "-9000"])
async def test_in_the_order_of_its_frames_nothing_looks_like_a_loss_in_between(
    world: AgentWorld, delta: str
) -> None:
    movement, seen = world.exchange.bring("USDT", delta), list[Decimal | None]()
    world.exchange.tell_movement(movement)
    seen.append(_today(world))
    await world.time.settle()
    seen.append(_today(world))
    world.exchange.tell_balance("USDT")
    seen.append(_today(world))
    assert [one for one in seen if one is None or one < 0] == []
    assert seen[-1] == 0


@pytest.mark.parametrize("delta", ["50000", "-9000"])
async def test_a_balance_may_be_told_before_what_changed_it(world: AgentWorld, delta: str) -> None:
    movement = world.exchange.bring("USDT", delta)
    world.exchange.tell_balance("USDT")
    world.exchange.tell_movement(movement)
    await world.time.settle()
    assert _today(world) == 0


async def test_coins_that_nobody_watches_are_valued_by_what_the_exchange_says(
    world: AgentWorld,
) -> None:
    await world.kill()
    world.exchange.rules["ETH/USDT"] = coin("ETH")
    world.exchange.prices["ETH/USDT"] = Decimal(3_000)
    await world.start()
    await _moved(world, "ETH", "50")
    [fact] = world.store.of(FundsMoved)
    assert fact.value == 150_000
    assert _today(world) == 0


async def test_a_worth_that_nobody_tells_now_is_asked_for_again(world: AgentWorld) -> None:
    await world.kill()
    world.exchange.rules["ETH/USDT"] = coin("ETH")
    world.exchange.prices["ETH/USDT"] = Decimal(3_000)
    await world.start()
    answer = world.exchange.last_prices

    async def unreachable() -> Mapping[str, Decimal]:
        raise Unreachable("no answer")

    world.exchange.last_prices = unreachable  # type: ignore[method-assign]
    await _moved(world, "ETH", "50")
    assert world.store.of(FundsMoved) == []
    # Neither side counts it yet.
    assert _today(world) == 0
    world.exchange.last_prices = answer  # type: ignore[method-assign]
    await _balances_are_read(world)
    assert [fact.value for fact in world.store.of(FundsMoved)] == [150_000]
    assert _today(world) == 0


async def test_what_no_market_values_is_written_down_as_worth_nothing(world: AgentWorld) -> None:
    await _moved(world, "XYZ", "1000000")
    assert [fact.value for fact in world.store.of(FundsMoved)] == [0]
    assert _today(world) == 0


async def test_a_trade_made_elsewhere_stays_profit_and_loss(world: AgentWorld) -> None:
    # Sold for half of its worth.
    world.exchange.bring("BTC", "-0.1")
    world.exchange.bring("USDT", "3000")
    for asset in ("BTC", "USDT"):
        world.exchange.tell_balance(asset)
    await _balances_are_read(world)
    assert world.store.of(FundsMoved) == []
    assert _today(world) == -3_000


async def test_what_comes_in_right_before_midnight_is_part_of_what_the_day_opens_with(
    world: AgentWorld,
) -> None:
    # It is not written down yet: the exchange does not answer, and its stream does.
    world.exchange.is_down = True
    await _moved(world, "USDT", "50000")
    assert world.store.of(FundsMoved) == []
    world.exchange.is_down = False
    world.time.advance(24 * 3600)
    await world.time.settle()
    await world.time.finish(world.agent.jobs()["daily_risk_reset"]())
    await _balances_are_read(world)
    kinds = [type(one).__name__ for one in world.store.all_events]
    told = [kind for kind in kinds if kind in {DayOpened.__name__, FundsMoved.__name__}]
    assert told == ["DayOpened", "FundsMoved", "DayOpened"]
    assert _today(world) == 0


async def test_more_than_is_ever_told_at_once_is_refused_and_said(
    world: AgentWorld, caplog: pytest.LogCaptureFixture
) -> None:
    async def nobody(*_: object) -> None:
        raise AssertionError("nothing is settled here")

    funds = Funds(PortfolioBook("USDT"), world.time, nobody)
    for number in range(1_001):
        funds.take(Movement("ETH", Decimal(number + 1), world.time.now()))
    assert [one.message for one in caplog.records] == ["movement_dropped"]
