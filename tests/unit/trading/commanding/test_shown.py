"""What was confirmed is what is done: an amount that has grown since is asked for again."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from bot.telegram.render.text import strip_markup
from bot.telegram.render.trading import question_text
from tests.unit.trading.agent_world import OWNER, AgentWorld, stop_spec
from trading.desk import Proposal, Shown
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


@pytest.mark.parametrize(
    "command", [sell(Amount(AmountKind.SHARE, HALF)), ClosePosition(BTC, HALF)]
)
async def test_two_halves_confirmed_one_after_the_other_sell_what_each_question_said(
    world: AgentWorld, command: Command
) -> None:
    first, second = await shown_of(world, command), await shown_of(world, command)
    assert first == second == Shown(Decimal("0.125"), first.adopted)
    await confirm(world, command, first)
    await world.until_sold("0.125")
    outcome = await world.time.finish(world.desk.execute(command, OWNER, "again", None, second))
    assert outcome.size == Decimal("0.125")
    await world.until_sold("0.25")


@pytest.mark.parametrize(
    "command", [sell(Amount(AmountKind.SHARE, HALF)), ClosePosition(BTC, HALF)]
)
async def test_a_share_of_which_less_is_left_sells_that_and_says_how_much(
    world: AgentWorld, command: Command
) -> None:
    shown = await shown_of(world, command)
    await adjust(world, "-0.2")
    outcome = await world.time.finish(world.desk.execute(command, OWNER, "tap", None, shown))
    assert outcome.size == Decimal("0.05")
    await world.until_sold("0.05")


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
    assert proposal.shown is not None
    assert proposal.shown.size is None
    proposal = await world.desk.propose(EditTracker(1, amount=ALL), OWNER)
    assert proposal.shown is not None


# ---------------------------------------------------------------- who loses coins by a sale


def base(quantity: str) -> Amount:
    return Amount(AmountKind.BASE, Decimal(quantity))


async def asked(world: AgentWorld, command: Command) -> tuple[Proposal, str]:
    """What a sale would take from trackers, and the whole question."""
    proposal = await world.time.finish(world.desk.propose(command, OWNER))
    return proposal, " ".join(strip_markup(question_text(proposal, 300)).split())


def slices(world: AgentWorld) -> dict[int, Decimal]:
    return {one.tracker_id: one.quantity for one in world.agent.trackers.all()}


@pytest.mark.parametrize(
    ("command", "said", "after"),
    [
        (
            ClosePosition(BTC, HALF),
            "⚠️ #1 shrinks: 0.25 → 0.2 BTC ⚠️ #2 ends: 0.15 → 0 BTC",
            {1: Decimal("0.2")},
        ),
        (
            ClosePosition(BTC, Decimal("0.25")),
            "⚠️ #2 shrinks: 0.15 → 0.05 BTC Answer",
            {1: Decimal("0.25"), 2: Decimal("0.05")},
        ),
        (ClosePosition(BTC), "⚠️ #1 ends: 0.25 → 0 BTC ⚠️ #2 ends: 0.15 → 0 BTC", {}),
        (
            sell(base("0.2")),
            "⚠️ #1 shrinks: 0.25 → 0.2 BTC ⚠️ #2 ends: 0.15 → 0 BTC",
            {1: Decimal("0.2")},
        ),
    ],
)
async def test_a_sale_by_hand_names_the_trackers_that_it_takes_coins_from(
    world: AgentWorld, command: Command, said: str, after: dict[int, Decimal]
) -> None:
    await world.protect("50000", base("0.15"))
    proposal, text = await asked(world, command)
    assert said in text
    assert proposal.shown is not None
    await confirm(world, command, proposal.shown)
    assert slices(world) == after


async def test_a_sale_that_trackers_do_not_feel_names_none(world: AgentWorld) -> None:
    await world.do(CancelTracker(1))
    await world.protect("50000", base("0.1"))
    _, text = await asked(world, ClosePosition(BTC, HALF))
    assert "#1" not in text
    assert "#2" not in text


@pytest.mark.parametrize("command", [ClosePosition(BTC, HALF), sell(base("0.1"))])
async def test_a_sale_by_hand_leaves_a_waiting_stop_its_coins_while_another_one_sells(
    world: AgentWorld, command: Command
) -> None:
    await world.protect("50000", base("0.2"))
    world.exchange.is_hanging = True
    await world.move("57990")
    await world.time.pass_by(1)
    # 0.25 are being sold by #1, and of the 0.2 of #2 the half is to go.
    proposal, text = await asked(world, command)
    assert "⚠️ #2 shrinks: 0.2 → 0.1 BTC" in text
    assert proposal.shown is not None
    await confirm(world, command, proposal.shown)
    assert slices(world) == {1: Decimal("0.25"), 2: Decimal("0.1")}
    world.exchange.is_hanging = False
    await world.until_sold("0.35")
    assert slices(world) == {2: Decimal("0.1")}


async def test_a_change_of_rules_that_others_have_changed_since_is_asked_anew(
    world: AgentWorld,
) -> None:
    loosen = EditTracker(1, level=Decimal(57_000))
    shown = await shown_of(world, loosen)
    await world.do(EditTracker(1, level=Decimal(59_500)))
    with pytest.raises(Outgrown, match="#1 was changed since the question"):
        await confirm(world, loosen, shown)
    await confirm(world, loosen, await shown_of(world, loosen))
    [tracker] = world.agent.trackers.all()
    assert tracker.spec.level == Decimal(57_000)
