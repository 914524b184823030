"""A panic ends purchases in the fact that sells everything: what they buy after it is sold, too."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.commands import ArmTracker, Panic, PlaceOrder
from trading.domain.events import AlertRaised, CommandExecuted, Event, FillBooked, TrackerChanged
from trading.domain.order import PANICKED, Side
from trading.domain.position import TradingMode
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

BTC = "BTC/USDT"
MONEY = Amount(AmountKind.QUOTE, Decimal(3_000))
BUY = PlaceOrder(BTC, Side.BUY, MONEY, Decimal(59_000))


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    async with AgentWorld() as started:
        await started.time.pass_by(5)
        await started.protect("50000", Amount(AmountKind.BASE, Decimal("0.3")))
        yield started


async def rest(world: AgentWorld, part: str = "0") -> None:
    """Have a purchase rest, of which a part is bought."""
    await world.do(BUY)
    await world.time.pass_by(2)
    if Decimal(part):
        buy(world, part)
        await world.time.settle()


def buy(world: AgentWorld, quantity: str) -> None:
    world.exchange.depth[BTC] = Decimal(quantity)
    world.exchange.move(BTC, "58990")
    del world.exchange.depth[BTC]
    world.exchange.move(BTC, "60000")


async def is_flat(world: AgentWorld) -> None:
    """Everything that came under care, or was bought, is sold, and nobody's other coins are."""
    await world.time.pass_by(30)
    bought = world.exchange.filled(Side.BUY)
    assert bought
    assert world.exchange.filled() == Decimal("0.3") + bought
    assert world.agent.state.book.managed(BTC) == 0
    assert world.exchange.coins["BTC"] == Decimal("0.2")
    assert world.agent.execution.intents == []
    assert world.agent.state.mode is TradingMode.HALTED


def told(world: AgentWorld) -> list[str]:
    return [one.text for one in world.store.of(AlertRaised)]


@pytest.mark.fault("X22", "SAID")
@pytest.mark.parametrize("part", ["0", "0.02"])
async def test_a_panic_sells_what_a_purchase_bought_before_its_cancel(
    world: AgentWorld, part: str
) -> None:
    await rest(world, part)
    race = world.exchange.fail("fill_before_cancel")
    await world.do(Panic())
    await is_flat(world)
    [text] = told(world)
    assert "were bought beyond what was decided: a panic had sold everything" in text
    fired(race.fired)


async def test_a_panic_sells_what_is_just_being_booked_of_a_purchase(world: AgentWorld) -> None:
    await rest(world)
    append, waits, go = world.store.append, asyncio.Event(), asyncio.Event()

    async def held(*new: Event, **how: bool) -> int:
        if any(isinstance(one, FillBooked) for one in new) and not waits.is_set():
            waits.set()
            await go.wait()
        return await append(*new, **how)

    world.store.append = held  # type: ignore[method-assign]
    buy(world, "0.02")
    await world.time.finish(waits.wait())
    await world.do(Panic())
    go.set()
    await is_flat(world)
    assert "0.02 BTC are sold again" in told(world)[0]


@pytest.mark.parametrize("is_written", [True, False])
async def test_a_death_right_after_a_panic_leaves_nothing_bought_unsold(
    world: AgentWorld, *, is_written: bool
) -> None:
    await rest(world, "0.02")
    append, asked = world.store.append, asyncio.Event()

    async def dying(*new: Event, **how: bool) -> int:
        if not any(isinstance(fact, CommandExecuted) for fact in new):
            return await append(*new, **how)
        seq = await append(*new, **how) if is_written else 0
        asked.set()
        await asyncio.Event().wait()
        return seq

    world.store.append = dying  # type: ignore[method-assign]
    doing = asyncio.ensure_future(world.desk.execute(Panic(), 1, "tap"))
    await world.time.finish(asked.wait())
    await world.kill()
    await asyncio.gather(doing, return_exceptions=True)
    world.store.append = append  # type: ignore[method-assign]
    # Nobody listens as it is bought.
    world.exchange.on_report = None
    buy(world, "0.01")
    await world.start()
    if is_written:
        await is_flat(world)
        return
    await world.time.pass_by(30)
    # It was never heard: what was bought stays, and so does what protects.
    assert world.agent.state.book.managed(BTC) == Decimal("0.33")
    assert world.exchange.filled() == 0


async def test_a_panic_that_storage_does_not_take_ends_purchases_all_the_same(
    world: AgentWorld,
) -> None:
    await rest(world, "0.02")
    race = world.exchange.fail("fill_before_cancel")
    world.store.lose(reserve_too=True)
    await world.do(Panic())
    await world.time.pass_by(5)
    world.store.heal()
    await is_flat(world)
    assert race.fired


async def test_a_swing_that_was_buying_as_a_panic_came_ends_with_it(world: AgentWorld) -> None:
    swing = TrackerSpec(
        TrackerKind.BREAKOUT,
        BTC,
        MONEY,
        level=Decimal(61_000),
        trail=Distance(share=Decimal("0.02")),
        then=Then(ThenKind.SWING, Decimal("0.04")),
    )
    await world.do(ArmTracker(swing))
    world.exchange.depth[BTC] = Decimal("0.02")
    await world.move("61001")
    slow = world.exchange.fail("hang", after_s=2)
    world.exchange.depth[BTC] = Decimal("0.01")
    await world.time.until(lambda: bool(slow.fired), 5)
    await world.do(Panic())
    del world.exchange.depth[BTC]
    await is_flat(world)
    assert world.agent.trackers.all() == []
    last = world.store.of(TrackerChanged)[-1]
    assert (last.change, last.reason) == (TrackerChange.CLOSED, PANICKED)
