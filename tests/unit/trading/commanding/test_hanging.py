"""An exchange that answers nothing keeps nobody waiting: cards are made of what is known."""

from collections.abc import AsyncIterator

import pytest

from bot.telegram.render.trading import question_text
from tests.unit.trading.agent_world import OWNER, AgentWorld
from trading.desk import CloseProposal, OrderProposal, Proposal
from trading.domain.commands import ClosePosition, Command, Panic, PlaceOrder
from trading.domain.errors import Refused
from trading.domain.money import ONE
from trading.domain.order import Side
from trading.domain.tracker import Amount, AmountKind

BTC = "BTC/USDT"
# What a person waits for an exchange at most, in seconds.
PATIENCE_S = 2.0


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    async with AgentWorld() as made:
        await made.protect()
        # The look that follows each new stream of the account is over.
        await made.time.pass_by(3)
        yield made


async def proposed(world: AgentWorld, command: Command) -> tuple[Proposal, float]:
    """The card and the seconds that a person waited for it."""
    before_s = world.time.monotonic()
    proposal = await world.time.finish(world.desk.propose(command, OWNER))
    return proposal, world.time.monotonic() - before_s


async def hang(world: AgentWorld, seconds: float) -> None:
    world.exchange.is_hanging = True
    ends_s = world.time.monotonic() + seconds
    while world.time.monotonic() < ends_s:
        await world.time.finish(world.agent.jobs()["staleness_watch"]())
        await world.time.pass_by(1)


async def test_panic_asks_at_once_while_the_exchange_hangs(world: AgentWorld) -> None:
    await hang(world, 30)
    proposal, waited_s = await proposed(world, Panic())
    assert world.exchange.hung
    assert waited_s <= PATIENCE_S
    assert isinstance(proposal.facts, CloseProposal)
    assert [line.symbol for line in proposal.facts.lines] == [BTC]
    assert proposal.facts.foreign_orders is None
    text = question_text(proposal, 60)
    assert "⚠️ Prices 3" in text
    assert "Orders not ours: not known now" in text


async def test_a_sale_is_asked_at_the_last_known_price_which_is_said_to_be_old(
    world: AgentWorld,
) -> None:
    await hang(world, 30)
    command = PlaceOrder(BTC, Side.SELL, Amount(AmountKind.ALL))
    proposal, waited_s = await proposed(world, command)
    assert world.exchange.hung
    assert waited_s <= PATIENCE_S
    assert isinstance(proposal.facts, OrderProposal)
    note = proposal.facts.notes[0]
    assert note.startswith("⚠️ That price is 3")
    assert note.endswith(" s old: the exchange does not answer")


async def test_a_purchase_is_not_asked_at_an_old_price(world: AgentWorld) -> None:
    await hang(world, 30)
    command = PlaceOrder(BTC, Side.BUY, Amount(AmountKind.BASE, ONE / 100))
    before_s = world.time.monotonic()
    with pytest.raises(Refused, match="the exchange does not answer"):
        await world.time.finish(world.desk.propose(command, OWNER))
    assert world.time.monotonic() - before_s <= PATIENCE_S


async def test_what_is_asked_next_does_not_wait_as_long_again(world: AgentWorld) -> None:
    await hang(world, 30)
    _, waited_s = await proposed(world, PlaceOrder(BTC, Side.SELL, Amount(AmountKind.ALL)))
    _, next_s = await proposed(world, Panic())
    assert (waited_s, next_s) == (pytest.approx(2.0), pytest.approx(0.3))
    await world.time.pass_by(11)
    _, later_s = await proposed(world, Panic())
    assert later_s == pytest.approx(2.0)
    world.exchange.is_hanging = False
    proposal, now_s = await proposed(world, Panic())
    assert isinstance(proposal.facts, CloseProposal)
    assert (now_s, proposal.facts.foreign_orders) == (0, ())


async def test_a_live_price_needs_no_answer_to_a_question(world: AgentWorld) -> None:
    world.exchange.is_hanging = True
    command = PlaceOrder(BTC, Side.SELL, Amount(AmountKind.ALL))
    proposal, waited_s = await proposed(world, command)
    assert world.exchange.hung == 1
    assert waited_s <= PATIENCE_S
    assert isinstance(proposal.facts, OrderProposal)
    assert not [note for note in proposal.facts.notes if "old" in note]


async def test_closing_says_the_age_of_its_price(world: AgentWorld) -> None:
    await hang(world, 40)
    proposal, waited_s = await proposed(world, ClosePosition(BTC))
    assert waited_s == 0
    assert "⚠️ Prices 4" in question_text(proposal, 60)


async def test_a_panic_that_sells_everything_does_not_wait_for_orders_of_others(
    world: AgentWorld,
) -> None:
    await hang(world, 30)
    before_s = world.time.monotonic()
    outcome = await world.time.finish(world.desk.execute(Panic(everything=True), OWNER, "tap"))
    assert outcome.intent_ids
    assert world.time.monotonic() - before_s <= PATIENCE_S
