"""What was confirmed is what is done: an amount that has grown since is asked for again."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from tests.unit.trading.agent_world import OWNER, AgentWorld, stop_spec
from trading.desk import Shown
from trading.domain.commands import (
    ArmTracker,
    CancelTracker,
    ClosePosition,
    Command,
    EditTracker,
    PlaceOrder,
)
from trading.domain.errors import Outgrown
from trading.domain.events import PositionAdjusted
from trading.domain.order import Side
from trading.domain.position import AdjustReason
from trading.domain.tracker import Amount, AmountKind

BTC = "BTC/USDT"
HALF = Decimal("0.5")
ALL = Amount(AmountKind.ALL)
PRICE = Decimal(60_000)


def sell(amount: Amount) -> PlaceOrder:
    return PlaceOrder(BTC, Side.SELL, amount)


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    """Of 0.5 BTC in the account 0.25 are managed."""
    async with AgentWorld() as made:
        await made.protect("58000", Amount(AmountKind.BASE, Decimal("0.25")))
        yield made


async def adjust(world: AgentWorld, delta: str) -> None:
    reason = AdjustReason.ADOPTED if Decimal(delta) > 0 else AdjustReason.EXTERNAL
    now = world.time.now()
    await world.agent.record(PositionAdjusted(BTC, Decimal(delta), PRICE, reason, "", now))
    await world.time.settle()


async def shown_of(world: AgentWorld, command: Command) -> Shown:
    proposal = await world.time.finish(world.desk.propose(command, OWNER))
    assert proposal.shown is not None
    return proposal.shown


async def confirm(world: AgentWorld, command: Command, shown: Shown) -> None:
    reference = PRICE if isinstance(command, PlaceOrder) and command.side is Side.BUY else None
    await world.time.finish(world.desk.execute(command, OWNER, "tap", reference, shown))
    await world.time.settle()


@pytest.mark.parametrize(
    ("command", "said", "comes_to"),
    [
        (sell(ALL), "0.25", "sell 0.35"),
        (sell(Amount(AmountKind.SHARE, HALF)), "0.125", "sell 0.175"),
        (ClosePosition(BTC), "0.25", "sell 0.35"),
        (ClosePosition(BTC, HALF), "0.125", "sell 0.175"),
    ],
)
async def test_a_sale_that_has_grown_since_its_question_is_not_made(
    world: AgentWorld, command: Command, said: str, comes_to: str
) -> None:
    shown = await shown_of(world, command)
    assert shown.size == Decimal(said)
    await adjust(world, "0.1")
    with pytest.raises(Outgrown, match=f"it would {comes_to} now, the question said {said}"):
        await confirm(world, command, shown)
    assert world.exchange.filled() == 0
    # Asked again, it says the present amount, and that is what is done.
    again = await shown_of(world, command)
    await confirm(world, command, again)
    await world.until_sold(comes_to.partition(" ")[2])


@pytest.mark.parametrize("command", [sell(ALL), ClosePosition(BTC)])
async def test_a_sale_that_has_shrunk_since_its_question_sells_what_is_left(
    world: AgentWorld, command: Command
) -> None:
    shown = await shown_of(world, command)
    await adjust(world, "-0.1")
    await confirm(world, command, shown)
    await world.until_sold("0.15")


async def test_a_share_of_money_that_has_grown_since_its_question_is_not_spent(
    world: AgentWorld,
) -> None:
    purchase = PlaceOrder(BTC, Side.BUY, Amount(AmountKind.SHARE, Decimal("0.1")))
    shown = await shown_of(world, purchase)
    assert shown.size == 1000
    world.exchange.coins["USDT"] += 500
    await world.time.finish(world.agent.jobs()["balances"]())
    with pytest.raises(Outgrown, match="it would spend 1050 now, the question said 1000"):
        await confirm(world, purchase, shown)
    assert world.exchange.filled() == 0


async def test_what_was_typed_as_it_is_grows_with_nothing(world: AgentWorld) -> None:
    command = sell(Amount(AmountKind.BASE, Decimal("0.1")))
    shown = await shown_of(world, command)
    assert shown == Shown()
    await adjust(world, "0.1")
    await confirm(world, command, shown)
    await world.until_sold("0.1")


async def test_a_sale_takes_no_coins_beside_the_managed_ones_that_its_question_did_not_name(
    world: AgentWorld,
) -> None:
    command = sell(Amount(AmountKind.BASE, Decimal("0.25")))
    shown = await shown_of(world, command)
    assert shown.adopted == 0
    # The stop takes the managed ones; as many lie beside them.
    await world.move("57000")
    await world.until_sold("0.25")
    with pytest.raises(Outgrown, match=r"0\.25 of it are coins that Umbra does not manage"):
        await confirm(world, command, shown)
    assert world.exchange.filled() == Decimal("0.25")
    named = await shown_of(world, command)
    assert named.adopted == Decimal("0.25")
    await confirm(world, command, named)
    await world.until_sold("0.5")


async def test_a_sale_takes_no_other_coins_when_its_own_are_gone_while_it_is_written(
    world: AgentWorld,
) -> None:
    command = sell(Amount(AmountKind.BASE, Decimal("0.25")))
    shown = await shown_of(world, command)
    async with world.agent.trackers.undisturbed():
        executing = world.desk.execute(command, OWNER, "tap", None, shown)
        selling = asyncio.ensure_future(executing)
        await world.time.settle()
        assert not selling.done()
        await adjust(world, "-0.25")
    with pytest.raises(Outgrown, match="does not manage"):
        await world.time.finish(selling)
    assert world.exchange.filled() == 0


async def test_a_tracker_that_would_own_more_than_its_question_said_is_not_armed(
    world: AgentWorld,
) -> None:
    await world.do(CancelTracker(1))
    command = ArmTracker(stop_spec("50000"))
    shown = await shown_of(world, command)
    assert shown == Shown(HALF, adopted=Decimal("0.25"))
    world.exchange.coins["BTC"] += Decimal("0.1")
    await world.time.finish(world.agent.jobs()["balances"]())
    with pytest.raises(Outgrown, match=r"it would own 0\.6 now, the question said 0\.5"):
        await confirm(world, command, shown)
    assert world.agent.trackers.count() == 0


async def test_a_change_of_a_level_is_not_asked_again_for_an_amount(world: AgentWorld) -> None:
    proposal = await world.desk.propose(EditTracker(1, level=Decimal(57_000)), OWNER)
    assert proposal.needs_confirmation
    assert proposal.shown is None
    proposal = await world.desk.propose(EditTracker(1, amount=ALL), OWNER)
    assert proposal.shown is not None
