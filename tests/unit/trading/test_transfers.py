"""What comes in or goes out while nobody tells of it is found, and hides no loss."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import pytest

from tests.unit.trading.agent_world import AgentWorld
from trading.domain.commands import PlaceOrder
from trading.domain.errors import Unreachable
from trading.domain.events import AccountCounted, AlertRaised, DayOpened, FundsMoved
from trading.domain.order import Fill, Side
from trading.domain.position import TradingMode
from trading.domain.tracker import Amount, AmountKind


async def _a_minute_passes(world: AgentWorld) -> None:
    await world.time.pass_by(60)
    await world.time.finish(world.agent.jobs()["balances"]())
    await world.time.settle()


async def _is_found(world: AgentWorld) -> None:
    for _ in range(2):
        await _a_minute_passes(world)


def _today(world: AgentWorld) -> Decimal | None:
    return world.desk.status().profit_today


def _moved(world: AgentWorld) -> list[tuple[str, Decimal]]:
    return [(of.movement.asset, of.movement.quantity) for of in world.store.of(FundsMoved)]


def _told(world: AgentWorld) -> list[str]:
    said = world.store.of(AlertRaised)
    return [one.text for one in said if one.alert_id.startswith("unexplained:")]


def _trade_elsewhere(world: AgentWorld, quantity: str, price: str) -> None:
    amount, at = Decimal(quantity), Decimal(price)
    world.exchange.bring("BTC", str(-amount))
    world.exchange.bring("USDT", str(amount * at))
    sold = Fill(
        *("BTC/USDT", "elsewhere-1", "", Side.SELL, amount, at, Decimal(0), "USDT"),
        world.time.now(),
    )
    world.exchange.foreign.append(sold)


@pytest.mark.parametrize("delta", ["50000", "-9000"])
async def test_what_no_stream_has_told_is_no_profit_and_no_loss(
    world: AgentWorld, delta: str
) -> None:
    world.exchange.bring("USDT", delta)
    await _is_found(world)
    assert _moved(world) == [("USDT", Decimal(delta))]
    assert _today(world) == 0
    assert world.agent.state.mode is TradingMode.ACTIVE
    await _is_found(world)
    assert len(_moved(world)) == 1
    assert _told(world) == []


@pytest.mark.parametrize("delta", ["50000", "-9000"])
async def test_what_moved_while_umbra_was_down_is_no_profit_and_no_loss(
    world: AgentWorld, delta: str
) -> None:
    await world.kill()
    world.exchange.bring("USDT", delta)
    await world.start()
    await _is_found(world)
    assert _today(world) == 0
    assert world.agent.state.mode is TradingMode.ACTIVE
    await world.kill()
    await world.start()
    await _is_found(world)
    assert _moved(world) == [("USDT", Decimal(delta))]
    assert _today(world) == 0


async def test_a_deposit_that_nobody_told_hides_no_loss_not_even_until_it_is_found(
    world: AgentWorld,
) -> None:
    await world.protect("30000")
    await world.kill()
    world.exchange.bring("USDT", "50000")
    world.exchange.set_price("BTC/USDT", "40000")
    await world.start()
    await _a_minute_passes(world)
    # Half a Bitcoin has lost 10,000 of 40,900, and 90,900 have come to be 80,900.
    assert world.agent.state.mode is TradingMode.REDUCING
    await _is_found(world)
    assert _today(world) == -10_000


async def test_a_trade_elsewhere_that_the_exchange_tells_of_stays_profit_and_loss(
    world: AgentWorld,
) -> None:
    await world.kill()
    # 0.1 BTC for half of their worth, and a deposit besides.
    _trade_elsewhere(world, "0.1", "30000")
    world.exchange.bring("USDT", "700")
    await world.start()
    await _is_found(world)
    assert _moved(world) == [("USDT", Decimal(700))]
    assert _today(world) == -3_000
    assert _told(world) == []


async def test_a_loss_that_nothing_explains_is_told_and_counts_as_one(world: AgentWorld) -> None:
    world.exchange.bring("BTC", "-0.2")
    world.exchange.bring("USDT", "5000")
    await _is_found(world)
    [text] = _told(world)
    assert text.startswith("The account has changed by -0.2 BTC, +5,000 USDT, together -7,000 USDT")
    assert text.endswith("it counts as a loss of the day")
    assert _moved(world) == []
    assert _today(world) == -7_000
    # Said before it ends entries: no limit is reached without a word.
    kinds = [type(one).__name__ for one in world.store.all_events]
    assert kinds.index("AlertRaised") < kinds.index("TradingModeChanged")
    await _is_found(world)
    assert len(_told(world)) == 1


async def test_a_gain_that_nothing_explains_is_told_and_hides_no_loss(world: AgentWorld) -> None:
    world.exchange.bring("BTC", "0.2")
    world.exchange.bring("USDT", "-5000")
    await _is_found(world)
    [text] = _told(world)
    assert text.endswith("it is not counted as a profit")
    assert _today(world) == 0


async def test_what_is_told_a_moment_after_the_balances_show_it_counts_once(
    world: AgentWorld,
) -> None:
    movement = world.exchange.bring("USDT", "-9000")
    await world.time.finish(world.agent.jobs()["balances"]())
    assert _moved(world) == []
    assert world.agent.state.mode is TradingMode.ACTIVE
    world.exchange.tell_movement(movement)
    await world.time.settle()
    await _is_found(world)
    assert _moved(world) == [("USDT", Decimal(-9000))]
    assert _today(world) == 0


async def test_what_is_told_twice_or_again_after_a_start_counts_once(world: AgentWorld) -> None:
    movement = world.exchange.bring("USDT", "-9000")
    for _ in range(2):
        world.exchange.tell_movement(movement)
        await world.time.settle()
        await _is_found(world)
    await world.kill()
    await world.start()
    world.exchange.tell_movement(movement)
    await world.time.settle()
    await _is_found(world)
    assert _moved(world) == [("USDT", Decimal(-9000))]
    assert _today(world) == 0


async def test_what_was_found_before_it_was_told_counts_once(world: AgentWorld) -> None:
    movement = world.exchange.bring("USDT", "-9000")
    await _is_found(world)
    for _ in range(2):
        world.exchange.tell_movement(movement)
        await world.time.settle()
        await _is_found(world)
    assert _moved(world) == [("USDT", Decimal(-9000))]
    assert _today(world) == 0


async def test_what_umbra_trades_itself_is_neither_before_nor_after_a_death(
    world: AgentWorld,
) -> None:
    world.exchange.fee_share = Decimal("0.001")
    await world.do(PlaceOrder("BTC/USDT", Side.BUY, Amount(AmountKind.QUOTE, Decimal(1000))))
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    await _is_found(world)
    await world.kill()
    await world.start()
    await _is_found(world)
    assert _moved(world) == []
    assert _told(world) == []


async def test_executions_that_cannot_be_read_are_asked_for_again(world: AgentWorld) -> None:
    answer = world.exchange.fills_since
    asked: list[datetime] = []

    async def unreachable(symbol: str, since: datetime) -> Sequence[Fill]:
        asked.append(since)
        raise Unreachable("no answer")

    world.exchange.fills_since = unreachable  # type: ignore[method-assign]
    _trade_elsewhere(world, "0.1", "30000")
    await _is_found(world)
    assert asked
    assert (_moved(world), _told(world)) == ([], [])
    world.exchange.fills_since = answer  # type: ignore[method-assign]
    await _is_found(world)
    assert (_moved(world), _told(world)) == ([], [])
    assert _today(world) == -3_000


async def test_a_day_opens_with_what_came_right_before_it(world: AgentWorld) -> None:
    world.time.advance(24 * 3600 - 30)
    world.exchange.bring("USDT", "50000")
    await world.time.finish(world.agent.jobs()["balances"]())
    await world.time.finish(world.agent.jobs()["daily_risk_reset"]())
    assert [one.equity for one in world.store.of(DayOpened)] == [40_900, 90_900]
    await _is_found(world)
    assert _moved(world) == []
    assert _today(world) == 0


async def test_an_answer_that_lacks_what_is_managed_moves_nothing(world: AgentWorld) -> None:
    await world.protect("30000")
    await _is_found(world)
    world.exchange.fail("empty_balances", 3)
    for _ in range(3):
        await _a_minute_passes(world)
    await _is_found(world)
    assert (_moved(world), _told(world)) == ([], [])
    assert _today(world) == 0


async def test_the_account_is_counted_once_a_day_and_when_something_was_found(
    world: AgentWorld,
) -> None:
    held = {"ADA": Decimal(1000), "BTC": Decimal("0.5"), "USDT": Decimal(10000)}
    assert [dict(one.totals) for one in world.store.of(AccountCounted)] == [held]
    await _is_found(world)
    assert len(world.store.of(AccountCounted)) == 1
    world.exchange.bring("USDT", "500")
    await _is_found(world)
    assert dict(world.store.of(AccountCounted)[-1].totals)["USDT"] == 10_500
