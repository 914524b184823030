"""Coins in orders that are not Umbra's: no stop sells them, so nothing says that one would."""

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.builders import bitcoin
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.commands import ArmTracker, ClosePosition, EditTracker, PlaceOrder
from trading.domain.errors import Refused
from trading.domain.events import ConditionChanged, RecoveryReported
from trading.domain.order import OrderReport, Side
from trading.domain.position import Balance, Portfolio, Position
from trading.domain.tracker import Amount, AmountKind, TrackerKind, TrackerSpec
from trading.locking import COINS_LOCKED
from trading.proposals.holding import Holding

ALL = Amount(AmountKind.ALL)
SALE = PlaceOrder("BTC/USDT", Side.SELL, ALL)


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    async with AgentWorld() as started:
        await started.time.pass_by(5)
        yield started


def stop(amount: Amount = ALL) -> ArmTracker:
    return ArmTracker(TrackerSpec(TrackerKind.STOP, "BTC/USDT", amount, level=Decimal(58_000)))


def base(quantity: str) -> Amount:
    return Amount(AmountKind.BASE, Decimal(quantity))


async def _refusal(world: AgentWorld, command: ArmTracker | PlaceOrder | EditTracker) -> str:
    with pytest.raises(Refused) as caught:
        await world.do(command)
    return str(caught.value)


async def _look(world: AgentWorld) -> None:
    """Let Umbra look at what is locked twice."""
    for _ in range(2):
        await world.time.finish(world.agent.jobs()["exchange_probe"]())
        await world.time.settle()


def _told(world: AgentWorld) -> list[bool]:
    told = world.store.of(ConditionChanged)
    return [each.is_active for each in told if each.condition == COINS_LOCKED]


async def test_a_stop_takes_only_the_coins_that_no_order_of_others_holds(
    world: AgentWorld,
) -> None:
    world.exchange.lock_by_hand("BTC", "0.3")
    told = await _refusal(world, stop(base("0.4")))
    assert "at most 0.2 BTC" in told
    assert "0.3 BTC lie in orders that are not Umbra's" in told
    await world.do(stop())
    assert world.agent.trackers.all()[0].quantity == Decimal("0.2")
    assert _told(world) == []


async def test_where_orders_of_others_hold_everything_a_stop_and_a_sale_say_so(
    world: AgentWorld,
) -> None:
    world.exchange.lock_by_hand("BTC", "0.5")
    for command in (stop(), SALE):
        told = await _refusal(world, command)
        assert "there is no BTC to" in told
        assert "0.5 BTC lie in orders that are not Umbra's" in told


async def test_a_sale_offers_what_is_managed_less_what_orders_of_others_hold(
    world: AgentWorld,
) -> None:
    await world.do(stop())
    world.exchange.lock_by_hand("BTC", "0.3")
    sale = PlaceOrder("BTC/USDT", Side.SELL, base("0.4"))
    assert "more than can be sold: 0.2" in await _refusal(world, sale)
    await world.do(SALE)
    await world.until_sold("0.2")


async def test_a_closing_names_what_can_be_sold_and_leaves_the_stop_the_rest(
    world: AgentWorld,
) -> None:
    await world.do(stop())
    world.exchange.lock_by_hand("BTC", "0.3")
    await world.do(ClosePosition("BTC/USDT"))
    await world.until_sold("0.2")
    world.exchange.tell_balance("BTC")
    assert world.agent.trackers.all()[0].quantity == Decimal("0.3")
    with pytest.raises(Refused, match=r"0\.3 BTC lie in orders that are not Umbra's"):
        await world.do(ClosePosition("BTC/USDT"))
    assert world.agent.trackers.count() == 1


async def test_a_closing_of_what_is_not_managed_says_that_and_nothing_of_orders(
    world: AgentWorld,
) -> None:
    world.exchange.lock_by_hand("BTC", "0.3")
    with pytest.raises(Refused, match="nothing of BTC/USDT is managed"):
        await world.do(ClosePosition("BTC/USDT"))


async def test_nothing_that_lies_in_an_order_of_others_is_called_protected(
    world: AgentWorld,
) -> None:
    await world.do(stop())
    assert world.desk.positions()[0].is_protected
    world.exchange.lock_by_hand("BTC", "0.3")
    (view,) = world.desk.positions()
    assert (view.protected_quantity, view.bound, view.worst_case) == (
        Decimal("0.2"),
        Decimal("0.3"),
        None,
    )
    tracker = world.desk.tracker(1)
    assert (tracker.is_protecting, tracker.worst_case) == (False, None)
    await _look(world)
    assert _told(world) == [True]

    world.exchange.lock_by_hand("BTC", "-0.3")
    assert world.desk.positions()[0].is_protected
    await _look(world)
    assert _told(world) == [True, False]


async def test_a_backstop_and_a_sale_of_ours_lock_nothing_of_others(world: AgentWorld) -> None:
    await world.do(ArmTracker(replace(stop().spec, backstop=Decimal(50_000))))
    await world.time.finish(world.agent.jobs()["tracker_sweep"]())
    await world.time.settle()
    assert world.exchange.locked["BTC"] == Decimal("0.5")
    (view,) = world.desk.positions()
    assert (view.is_protected, view.bound) == (True, Decimal(0))
    await _look(world)
    await world.do(ClosePosition("BTC/USDT"))
    await world.until_sold("0.5")
    await _look(world)
    assert _told(world) == []


async def test_what_an_order_of_ours_locked_until_a_start_asked_for_it_lies_in_none_of_others(
    world: AgentWorld,
) -> None:
    await world.do(ArmTracker(replace(stop().spec, backstop=Decimal(50_000))))
    await world.time.finish(world.agent.jobs()["tracker_sweep"]())
    await world.time.settle()
    await world.kill()
    exchange, (backstop,) = world.exchange, world.exchange.ids
    ask = exchange.order

    async def order(symbol: str, client_order_id: str) -> OrderReport | None:
        # The cancel that was sent right before the death arrives after the account was read.
        await exchange.cancel(symbol, backstop)
        return await ask(symbol, client_order_id)

    exchange.order = order  # type: ignore[method-assign]
    await world.start()
    (*_, told) = world.store.of(RecoveryReported)
    assert exchange.cancelled[0] == backstop
    assert not [line for line in told.lines if "not Umbra's" in line]
    # With the next read of the account others' orders show again.
    exchange.lock_by_hand("BTC", "0.3")
    await world.time.finish(world.agent.jobs()["balances"]())
    await _look(world)
    assert _told(world) == [True]


async def test_a_limit_sale_of_ours_that_rests_hides_no_order_of_others(world: AgentWorld) -> None:
    await world.do(stop())
    world.exchange.lock_by_hand("BTC", "0.3")
    await _look(world)
    await world.do(PlaceOrder("BTC/USDT", Side.SELL, base("0.1"), Decimal(70_000)))
    await world.time.pass_by(3)
    # As the exchange locks what a limit order sells.
    world.exchange.lock_by_hand("BTC", "0.1")
    await _look(world)
    assert _told(world) == [True]
    assert world.desk.positions()[0].bound == Decimal("0.3")


async def test_each_coin_that_is_locked_later_is_told_too(world: AgentWorld) -> None:
    await world.do(stop())
    await world.do(ArmTracker(TrackerSpec(TrackerKind.STOP, "ADA/USDT", ALL, level=Decimal("0.8"))))
    for asset, quantity in (("ADA", "1"), ("BTC", "0.5"), ("ADA", "-1"), ("BTC", "-0.5")):
        world.exchange.lock_by_hand(asset, quantity)
        await _look(world)
        await _look(world)
    told = [each.text for each in world.store.of(ConditionChanged)]
    told = [text for text in told if "lock" in text or "lie in orders" in text]
    assert ["ADA" in text for text in told] == [True, True, False, False]
    assert ["0.5 BTC" in text for text in told] == [False, True, True, False]
    assert _told(world) == [True, True, True, False]


def test_of_two_markets_of_a_coin_each_may_have_what_is_free() -> None:
    balance = Balance("BTC", Decimal("0.2"), Decimal("0.3"))
    positions = {
        "BTC/USDT": Position("BTC/USDT", Decimal("0.3")),
        "BTC/EUR": Position("BTC/EUR", Decimal("0.2")),
    }
    portfolio = Portfolio({"BTC": balance}, positions)
    for symbol, quote, bound in (("BTC/USDT", "USDT", "0.1"), ("BTC/EUR", "EUR", "0")):
        instrument = replace(bitcoin(), symbol=symbol, quote=quote)
        assert Holding(instrument, portfolio, ()).bound == Decimal(bound)


def test_what_is_missing_is_not_bound() -> None:
    position = {"BTC/USDT": Position("BTC/USDT", Decimal(2))}
    for free, locked, offered, bound in (
        ("2", "0", "0", "0"),
        ("0.5", "1.5", "0", "1.5"),
        ("0.5", "1.5", "1", "0.5"),
        ("0.5", "1.5", "1.5", "0"),
        ("0.5", "0", "0", "0"),
        ("1.5", "3", "0", "0.5"),
    ):
        balance = Balance("BTC", Decimal(free), Decimal(locked))
        portfolio = Portfolio({"BTC": balance}, position)
        assert portfolio.bound("BTC", Decimal(offered)) == Decimal(bound)
