"""Coins leave care with the end of their sale, whatever else takes or sells coins just then."""

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal

import pytest

from tests.catalogue.evidence import fired
from tests.unit.trading.agent_world import OWNER, AgentWorld, stop_spec
from trading.desk import Outcome
from trading.domain.commands import ArmTracker, ClosePosition, Command, PlaceOrder
from trading.domain.events import AlertRaised, Event, IntentClosed, IntentOpened, TrackerChanged
from trading.domain.order import OrderStatus, Side
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Distance,
    Then,
    ThenKind,
    TrackerKind,
    TrackerSpec,
)

BTC = "BTC/USDT"


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    """An account of 0.5 BTC: 0.3 came under care only to be sold, at a limit far away."""
    async with AgentWorld() as made:
        await made.do(_sell("0.3"))
        await made.time.pass_by(2)
        yield made


def _base(quantity: str) -> Amount:
    return Amount(AmountKind.BASE, Decimal(quantity))


def _sell(quantity: str) -> PlaceOrder:
    return PlaceOrder(BTC, Side.SELL, _base(quantity), Decimal(70_000))


def _managed(world: AgentWorld) -> Decimal:
    return world.agent.state.book.managed(BTC)


def _owned(world: AgentWorld) -> list[Decimal]:
    return [one.quantity for one in world.agent.trackers.all()]


def _ends(world: AgentWorld) -> list[Decimal]:
    return [one.intent.let_go for one in world.store.of(IntentClosed)]


def _hold_back(world: AgentWorld, kind: type[Event]) -> tuple[asyncio.Event, asyncio.Event]:
    """Have the next write of such a fact wait; returns what it waits for, and what says it does."""
    go, waits, append = asyncio.Event(), asyncio.Event(), world.store.append

    async def slow(*new: Event, **how: bool) -> int:
        if any(isinstance(one, kind) for one in new) and not waits.is_set():
            waits.set()
            await go.wait()
        return await append(*new, **how)

    world.store.append = slow  # type: ignore[method-assign]
    return go, waits


async def _confirmed(world: AgentWorld, command: Command) -> Callable[[], asyncio.Task[Outcome]]:
    """Ask, and return what taps `Confirm`."""
    asked = await world.time.finish(world.desk.propose(command, OWNER))
    seen = (asked.reference_price, asked.shown)
    return lambda: asyncio.ensure_future(world.desk.execute(asked.command, OWNER, "tap", *seen))


async def _cancelled(world: AgentWorld) -> None:
    [order] = world.exchange.orders
    await world.time.finish(world.exchange.cancel(BTC, order))
    await world.time.pass_by(2)


# ------------------------------------------------------------ sold elsewhere before the end


@pytest.mark.fault("M09")
@pytest.mark.parametrize("sold", ["0.5", "0.4"])
@pytest.mark.parametrize("is_dead", [True, False])
async def test_what_a_person_sold_elsewhere_before_the_end_is_found_after_it(
    *, is_dead: bool, sold: str, world: AgentWorld
) -> None:
    await world.protect("58000", _base("0.2"))
    await world.time.pass_by(15)
    await world.time.finish(world.agent.jobs()["balances"]())
    if is_dead:
        await world.kill()
    # Nobody tells: he cancels in another window, and sells more than the order's coins there.
    [order] = world.exchange.orders.values()
    world.exchange._unlock(order)
    order.status, order.updated_at = OrderStatus.CANCELED, world.time.now()
    await world.time.pass_by(2)
    world.exchange.sell_by_hand(BTC, sold)
    await world.time.pass_by(2)
    if is_dead:
        await world.start()
    for _ in range(3):
        await world.time.pass_by(15)
        await world.time.finish(world.agent.jobs()["balances"]())
        await world.time.settle()
    left = Decimal("0.5") - Decimal(sold)
    assert len(_ends(world)) == 1
    assert (_managed(world), sum(_owned(world))) == (left, left)
    fired(world.exchange.foreign)


# ------------------------------------------------------------ something else is being written


async def test_an_end_leaves_nothing_behind_for_a_sale_that_is_just_being_opened(
    world: AgentWorld,
) -> None:
    confirm = await _confirmed(world, _sell("0.2"))
    go, waits = _hold_back(world, IntentOpened)
    opening = confirm()
    await world.time.until(waits.is_set, 30)
    await _cancelled(world)
    go.set()
    await world.time.finish(opening)
    await world.time.pass_by(2)
    assert _ends(world) == [Decimal("0.3")]
    assert [one.residual for one in world.agent.execution.intents] == [Decimal("0.2")]
    assert _managed(world) == Decimal("0.2")


async def test_an_end_lets_go_of_nothing_that_a_stop_is_just_being_given(
    world: AgentWorld,
) -> None:
    # Half of it is to be sold at once, nobody buys, and a stop takes the other half.
    world.exchange.without_bids.add(BTC)
    await world.do(ClosePosition(BTC, Decimal("0.5")))
    [sale] = world.agent.execution.intents
    assert (sale.residual, sale.released) == (Decimal("0.15"), Decimal("0.15"))
    confirm = await _confirmed(world, ArmTracker(stop_spec("58000", _base("0.35"))))
    go, waits = _hold_back(world, TrackerChanged)
    arming = confirm()
    await world.time.until(waits.is_set, 30)
    await world.agent.execution.give_up([sale.intent_id], ())
    await world.time.pass_by(5)
    go.set()
    await world.time.finish(arming)
    await world.time.pass_by(5)
    assert _ends(world) == [Decimal("0.15")]
    assert (_managed(world), _owned(world)) == (Decimal("0.35"), [Decimal("0.35")])


async def test_no_stop_on_everything_grows_by_what_is_just_being_let_go(
    world: AgentWorld,
) -> None:
    await world.protect("58000")
    go, waits = _hold_back(world, IntentClosed)
    async with world.agent.trackers.undisturbed():
        counting = asyncio.ensure_future(world.agent._reacting.resize(BTC))
        await world.time.settle()
        [order] = world.exchange.orders
        await world.time.finish(world.exchange.cancel(BTC, order))
    await world.time.until(waits.is_set, 30)
    assert counting.done()
    assert _owned(world) == [Decimal("0.2")]
    go.set()
    await world.time.pass_by(2)
    assert (_managed(world), _owned(world)) == (Decimal("0.2"), [Decimal("0.2")])
    assert not any("are gone" in one.text for one in world.store.of(AlertRaised))


# ------------------------------------------------------------ a newer sale takes them over


async def _taken_over(world: AgentWorld, takes: Command) -> tuple[str, str]:
    """A stop owns 0.1 coins; of 0.3 for sale a closing takes 0.1 off, and a newer sale has those.

    Returns the names of both sales.
    """
    await world.protect("58000", _base("0.1"))
    world.exchange.without_bids.add(BTC)
    await world.do(ClosePosition(BTC, Decimal("0.5")))
    await world.do(takes)
    [older, newer] = world.agent.execution.intents
    assert (older.released, older.residual) == (Decimal("0.1"), Decimal("0.2"))
    assert newer.residual == Decimal("0.1")
    return older.intent_id, newer.intent_id


async def _end(world: AgentWorld, intent_id: str) -> None:
    before = len(_ends(world))
    await world.time.finish(world.agent.execution.give_up([intent_id], ()))
    await world.time.until(lambda: len(_ends(world)) > before, 60)
    await world.time.settle()


@pytest.mark.parametrize("is_dead", [False, True])
async def test_what_a_newer_sale_took_over_of_an_older_one_is_let_go_of_with_its_end(
    *, is_dead: bool, world: AgentWorld
) -> None:
    older, newer = await _taken_over(world, _sell("0.1"))
    before = world.agent.state.book.positions[BTC].average_price
    await world.move("61000")
    await _end(world, older)
    assert _managed(world) == Decimal("0.2")
    if is_dead:
        await world.kill()
        await world.start()
    await _end(world, newer)
    assert (_managed(world), _ends(world)) == (Decimal("0.1"), [Decimal("0.2"), Decimal("0.1")])
    assert world.agent.state.book.positions[BTC].average_price == before
    await world.kill()
    await world.start()
    assert _managed(world) == Decimal("0.1")


async def test_what_a_newer_sale_took_over_and_has_sold_is_not_let_go_of(world: AgentWorld) -> None:
    older, newer = await _taken_over(world, ClosePosition(BTC, Decimal("0.5")))
    await _end(world, older)
    world.exchange.without_bids.clear()
    await world.until_sold("0.1")
    assert [one.intent.intent_id for one in world.store.of(IntentClosed)] == [older, newer]
    assert (_managed(world), _ends(world)) == (Decimal("0.1"), [Decimal("0.2"), 0])


async def test_what_ends_at_once_with_what_took_it_over_is_all_let_go_of(
    world: AgentWorld,
) -> None:
    older, newer = await _taken_over(world, _sell("0.1"))
    go, waits = _hold_back(world, IntentClosed)
    await world.agent.execution.give_up([newer], ())
    await world.time.until(waits.is_set, 60)
    await world.agent.execution.give_up([older], ())
    await world.time.pass_by(5)
    go.set()
    await world.time.until(lambda: len(_ends(world)) == 2, 60)
    assert (_managed(world), sum(_ends(world))) == (Decimal("0.1"), Decimal("0.3"))


async def test_an_end_lets_go_of_nothing_that_a_swing_is_just_buying(world: AgentWorld) -> None:
    # A closing of a part leaves 0.15 of them unsold, which a stop takes with all that nobody has.
    world.exchange.without_bids.add(BTC)
    world.exchange.fee_share, world.exchange.fee_asset = Decimal("0.001"), "BTC"
    await world.do(ClosePosition(BTC, Decimal("0.5")))
    [sale] = world.agent.execution.intents
    await world.do(ArmTracker(stop_spec("50000", _base("0.35"))))
    swing = TrackerSpec(
        TrackerKind.BREAKOUT,
        BTC,
        Amount(AmountKind.QUOTE, Decimal(3_000)),
        level=Decimal(60_100),
        trail=Distance(share=Decimal("0.02")),
        then=Then(ThenKind.SWING, Decimal("0.04")),
    )
    await world.do(ArmTracker(swing))
    world.exchange.depth[BTC] = Decimal("0.02")
    await world.move("60150")
    bought = world.agent.execution.bought_of_slices(BTC)
    assert bought == Decimal("0.02") * (1 - world.exchange.fee_share)
    world.exchange.depth[BTC] = Decimal(0)
    await world.time.finish(world.agent.execution.give_up([sale.intent_id], ()))
    await world.time.until(lambda: bool(_ends(world)), 5)
    assert world.agent.execution.intents
    assert _ends(world) == [Decimal("0.15")]
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    await world.time.settle()
    assert _managed(world) == Decimal("0.35") + bought
    assert not any("are gone" in one.text for one in world.store.of(AlertRaised))
