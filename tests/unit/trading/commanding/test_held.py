"""What `/halt everything` holds back goes out with its end, whoever ends it."""

from decimal import Decimal

import pytest

from tests.unit.trading.agent_world import OWNER, AgentWorld
from trading.desk import CloseProposal
from trading.domain import events
from trading.domain.commands import CloseAll, ClosePosition, Panic, SetTradingMode
from trading.domain.errors import Refused
from trading.domain.position import TradingMode
from trading.domain.tracker import Amount, AmountKind, TrackerChange, TrackerState


async def test_a_panic_sells_what_had_fired_and_was_held_and_says_so_before(
    world: AgentWorld,
) -> None:
    await world.protect("58000", Amount(AmountKind.BASE, Decimal("0.2")))
    await world.protect("50000", Amount(AmountKind.BASE, Decimal("0.1")))
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    await world.move("57990")
    await world.time.until(lambda: world.desk.tracker(1).tracker.state is TrackerState.BLOCKED, 10)
    blocked = [
        fact
        for fact in world.store.of(events.TrackerChanged)
        if fact.change is TrackerChange.BLOCKED
    ]
    # One message tells of both: what fired, and that nothing sells.
    assert [fact.evidence and fact.evidence.price for fact in blocked] == [Decimal(57_990)]
    proposal = await world.desk.propose(Panic(), OWNER)
    assert isinstance(proposal.facts, CloseProposal)
    assert [line.quantity for line in proposal.facts.lines] == [Decimal("0.1"), Decimal("0.2")]
    assert proposal.facts.currency == "USDT"
    assert world.exchange.sent == []
    await world.do(Panic())
    await world.until_sold("0.3")
    assert world.desk.status().state is TradingMode.HALTED
    assert world.desk.trackers() == []


async def test_an_exit_that_was_being_held_as_the_halt_ended_goes_out(world: AgentWorld) -> None:
    await world.protect()
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    append = world.store.append

    async def slowly(*facts: events.Event, **how: bool) -> int:
        # While the held exit is being written, somebody ends the halt.
        if any(isinstance(fact, events.IntentOpened) for fact in facts):
            world.store.append = append  # type: ignore[method-assign]
            await world.desk.execute(SetTradingMode(TradingMode.HALTED), OWNER, "meanwhile")
        return await append(*facts, **how)

    world.store.append = slowly  # type: ignore[method-assign]
    await world.move("57990")
    await world.until_sold("0.5")


async def test_closing_what_is_held_says_what_sells_it(world: AgentWorld) -> None:
    await world.protect()
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    await world.move("57990")
    await world.time.until(lambda: world.desk.tracker(1).tracker.state is TrackerState.BLOCKED, 10)
    for command in (ClosePosition("BTC/USDT"), CloseAll()):
        with pytest.raises(Refused, match="#1 has fired and waits for the end of the halt"):
            await world.desk.propose(command, OWNER)
