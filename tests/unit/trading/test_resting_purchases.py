"""What a purchase that rests has bought is managed, sold and protected before the rest is."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.unit.trading.agent_world import AgentWorld, stop_spec
from trading.domain.commands import ArmTracker, ClosePosition, PlaceOrder
from trading.domain.errors import Refused
from trading.domain.events import TrackerChanged
from trading.domain.order import OrderType, Side
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Distance,
    Then,
    ThenKind,
    TrackerChange,
    TrackerKind,
    TrackerSpec,
)

ALL = Amount(AmountKind.ALL)
REARMED = TrackerChange.REARMED
BUY = PlaceOrder("BTC/USDT", Side.BUY, Amount(AmountKind.BASE, Decimal("0.1")), Decimal(59_000))
SWING = TrackerSpec(
    TrackerKind.BREAKOUT,
    "BTC/USDT",
    Amount(AmountKind.QUOTE, Decimal(3_000)),
    level=Decimal(61_000),
    trail=Distance(share=Decimal("0.02")),
    then=Then(ThenKind.SWING, Decimal("0.04")),
)


async def _buy_in_part(world: AgentWorld, quantity: str = "0.04") -> Decimal:
    """Have a purchase at 59,000 rest, and let the market fill so much of it; what is managed."""
    if not world.agent.execution.entries:
        await world.do(BUY)
    world.exchange.depth["BTC/USDT"] = Decimal(quantity)
    world.exchange.move("BTC/USDT", "58999")
    await world.time.settle()
    world.exchange.tell_balance("BTC")
    await world.time.pass_by(2)
    orders = world.exchange.orders.values()
    [order] = [one for one in orders if one.request.price == BUY.limit_price]
    assert order.is_open
    assert order.filled < Decimal("0.1")
    del world.exchange.depth["BTC/USDT"]
    return world.agent.state.book.managed("BTC/USDT")


def _owned(world: AgentWorld) -> list[Decimal]:
    return [tracker.quantity for tracker in world.agent.trackers.all()]


async def test_a_stop_on_everything_grows_with_each_part_that_is_bought(world: AgentWorld) -> None:
    await world.protect("58000", ALL)
    assert await _buy_in_part(world) == Decimal("0.54")
    assert _owned(world) == [Decimal("0.54")]
    assert world.desk.positions()[0].is_protected
    assert await _buy_in_part(world, "0.02") == Decimal("0.56")
    assert _owned(world) == [Decimal("0.56")]
    changes = [one.change for one in world.store.of(TrackerChanged)]
    assert changes.count(TrackerChange.RESIZED) == 2


async def test_a_stop_on_a_part_keeps_what_it_has(world: AgentWorld) -> None:
    await world.protect("58000", Amount(AmountKind.BASE, Decimal("0.3")))
    assert await _buy_in_part(world) == Decimal("0.34")
    assert _owned(world) == [Decimal("0.3")]


async def test_a_stop_on_everything_takes_nothing_of_what_a_swing_is_buying(
    world: AgentWorld,
) -> None:
    await world.protect("50000", ALL)
    await world.do(ArmTracker(SWING))
    await world.do(BUY)
    world.exchange.depth["BTC/USDT"] = Decimal("0.02")
    await world.move("61001")
    [swing] = world.agent.trackers.acting()
    assert world.agent.execution.bought_of_slices("BTC/USDT") == Decimal("0.02")
    # A person's own purchase gets a part while the swing has one.
    assert await _buy_in_part(world, "0.01") == Decimal("0.53")
    assert _owned(world) == [Decimal("0.51"), Decimal(0)]
    # A sale by hand fits the slices, too, and takes of the youngest.
    sale = Amount(AmountKind.BASE, Decimal("0.005"))
    await world.do(PlaceOrder("BTC/USDT", Side.SELL, sale, Decimal(70_000)))
    assert _owned(world) == [Decimal("0.51"), Decimal(0)]
    await world.time.until(lambda: not world.agent.trackers.acting(), 120)
    await world.time.settle()
    bought = world.exchange.filled(Side.BUY)
    [stop, swung] = world.agent.trackers.all()
    assert (swung.tracker_id, swung.side) == (swing.tracker_id, Side.SELL)
    assert stop.quantity == Decimal("0.51")
    assert stop.quantity + swung.quantity == Decimal("0.495") + bought


@pytest.mark.parametrize("fee", ["0", "0.001"])
async def test_a_stop_that_is_armed_on_everything_takes_nothing_of_what_a_swing_is_buying(
    world: AgentWorld, fee: str
) -> None:
    world.exchange.fee_share = Decimal(fee)
    await world.protect("50000", Amount(AmountKind.BASE, Decimal("0.4")))
    await world.do(ArmTracker(SWING))
    world.exchange.depth["BTC/USDT"] = Decimal("0.02")
    await world.move("61001")
    assert world.agent.trackers.acting()
    await world.do(ArmTracker(stop_spec("58000", ALL)))
    assert _owned(world) == [Decimal("0.4"), Decimal(0), Decimal("0.1")]
    await world.time.until(lambda: not world.agent.trackers.acting(), 120)
    await world.time.settle()
    changes = [one.change for one in world.store.of(TrackerChanged)]
    assert TrackerChange.RESIZED not in changes
    managed = world.agent.state.book.managed("BTC/USDT")
    assert managed - sum(_owned(world)) < Decimal("0.00001")


@pytest.mark.parametrize(("sold", "left"), [("0.02", "0.5"), ("0.12", "0.4")])
async def test_what_is_sold_of_a_swing_that_is_buying_is_missing_to_no_other_stop(
    world: AgentWorld, sold: str, left: str
) -> None:
    await world.do(ArmTracker(SWING))
    world.exchange.depth["BTC/USDT"] = Decimal("0.02")
    await world.move("61001")
    await world.protect("50000", Amount(AmountKind.BASE, Decimal("0.5")))
    sale = PlaceOrder("BTC/USDT", Side.SELL, Amount(AmountKind.BASE, Decimal(sold)))
    await world.do(sale)
    assert _owned(world) == [Decimal(0), Decimal(left)]
    del world.exchange.depth["BTC/USDT"]
    await world.time.until(lambda: not world.agent.trackers.acting(), 120)
    await world.time.settle()
    bought = world.exchange.filled(Side.BUY)
    [swung] = [one for one in world.store.of(TrackerChanged) if one.change is REARMED]
    assert swung.tracker.quantity == bought - Decimal("0.02")
    assert _owned(world) == [swung.tracker.quantity, Decimal(left)]
    assert world.agent.state.book.managed("BTC/USDT") == sum(_owned(world))


async def test_where_all_is_a_swing_s_who_wants_a_stop_is_told_so(world: AgentWorld) -> None:
    world.exchange.lock_by_hand("BTC", "0.5")
    await world.do(ArmTracker(SWING))
    world.exchange.depth["BTC/USDT"] = Decimal("0.02")
    await world.move("61001")
    with pytest.raises(Refused, match=r"; 0\.02 BTC belong to a swing that is still buying"):
        await world.do(ArmTracker(stop_spec("58000", ALL)))


async def test_a_start_gives_a_stop_on_everything_what_was_bought_while_nobody_watched(
    world: AgentWorld,
) -> None:
    await world.protect("58000", ALL)
    await world.do(BUY)
    await world.agent.beat()
    await world.kill()
    world.exchange.depth["BTC/USDT"] = Decimal("0.04")
    world.exchange.set_price("BTC/USDT", "58999")
    del world.exchange.depth["BTC/USDT"]
    await world.start()
    await world.time.pass_by(2)
    assert world.agent.execution.intents
    assert _owned(world) == [Decimal("0.54")]


@pytest.mark.parametrize("command", [PlaceOrder("BTC/USDT", Side.SELL, ALL), None])
async def test_a_sale_and_a_closing_of_everything_sell_what_was_bought_by_now(
    world: AgentWorld, command: PlaceOrder | None
) -> None:
    await world.protect("58000", ALL)
    await _buy_in_part(world)
    await world.do(command or ClosePosition("BTC/USDT"))
    await world.time.until(lambda: world.exchange.filled() == Decimal("0.54"), 60)


async def test_a_stop_that_is_armed_on_everything_has_what_was_bought_by_now(
    world: AgentWorld,
) -> None:
    await world.protect("57000", Amount(AmountKind.BASE, Decimal("0.5")))
    await _buy_in_part(world)
    await world.do(ArmTracker(stop_spec("58000", ALL)))
    assert _owned(world) == [Decimal("0.5"), Decimal("0.04")]


async def test_a_purchase_in_many_parts_leaves_a_backstop_to_rest_meanwhile(
    world: AgentWorld,
) -> None:
    await world.do(ArmTracker(replace(stop_spec("58000", ALL), backstop=Decimal(50_000))))

    async def sweep(seconds: int) -> None:
        for _ in range(seconds):
            await world.time.pass_by(1)
            await world.time.finish(world.agent.jobs()["tracker_sweep"]())
            await world.time.settle()

    def resting() -> list[Decimal]:
        kind = OrderType.STOP_LOSS
        orders = [one for one in world.exchange.orders.values() if one.is_open]
        return [one.request.quantity for one in orders if one.request.order_type is kind]

    await sweep(2)
    assert resting() == [Decimal("0.5")]
    for _ in range(4):
        await _buy_in_part(world, "0.01")
        await sweep(3)
        assert resting() == [Decimal("0.5")]
    await sweep(60)
    assert resting() == [Decimal("0.54")]
