"""A sale that was refused when its rule came true is tried until it stands, and never twice."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.unit.trading.agent_world import OWNER, AgentWorld
from trading.decide import DecisionSettings, on_backstop
from trading.desk import PlainProposal
from trading.domain.commands import AbortIntent, ExitNow, SetTradingMode
from trading.domain.errors import Refused
from trading.domain.events import (
    AlertRaised,
    IntentClosed,
    IntentOpened,
    PositionAdjusted,
    TrackerChanged,
)
from trading.domain.order import BACKSTOP_SOLD, IntentState
from trading.domain.position import AdjustReason, TradingMode
from trading.domain.tracker import Amount, AmountKind, TrackerChange, TrackerState
from trading.execution.engine import HELD

QUARTER = Amount(AmountKind.BASE, Decimal("0.25"))


def adjust(world: AgentWorld, quantity: str) -> None:
    """Change what is managed, unheard by the trackers."""
    reason = AdjustReason.EXTERNAL if quantity.startswith("-") else AdjustReason.ADOPTED
    world.agent.state.book.apply(
        PositionAdjusted(
            "BTC/USDT", Decimal(quantity), Decimal(58_000), reason, "", world.time.now()
        )
    )


async def refuse_the_second(world: AgentWorld) -> None:
    """Two stops fire on what is enough for one, and nobody buys yet."""
    await world.protect("58000", QUARTER)
    await world.protect("58000", QUARTER)
    adjust(world, "-0.25")
    world.exchange.depth["BTC/USDT"] = Decimal(0)
    await world.move("57990")
    blocked = world.desk.tracker(2).tracker
    assert blocked.state is TrackerState.BLOCKED
    assert "more than is managed" in blocked.reason
    assert opened(world) == 1


def opened(world: AgentWorld) -> int:
    return len(world.store.of(IntentOpened))


async def sweep(world: AgentWorld) -> None:
    await world.time.finish(world.agent.jobs()["tracker_sweep"]())
    await world.time.settle()


async def test_what_fires_and_is_at_work_at_once_is_one_fact(world: AgentWorld) -> None:
    await world.protect()
    await world.move("57990")
    await world.until_sold("0.5")
    [opening] = world.store.of(IntentOpened)
    fired, closed = [one for one in world.store.of(TrackerChanged) if one.tracker.intent_id]
    assert (fired.change, fired.tracker.state) == (
        TrackerChange.TRIGGERED,
        TrackerState.EXITING,
    )
    assert fired.tracker.intent_id == opening.intent.intent_id
    assert fired.evidence is not None
    assert closed.change is TrackerChange.CLOSED


async def test_a_refused_sale_is_sold_once_its_coins_are_there(world: AgentWorld) -> None:
    await refuse_the_second(world)
    await sweep(world)
    assert opened(world) == 1
    adjust(world, "0.25")
    await sweep(world)
    assert opened(world) == 2
    assert world.desk.tracker(2).tracker.state is TrackerState.EXITING
    world.exchange.depth.clear()
    await world.until_sold("0.5")
    await sweep(world)
    assert opened(world) == 2
    fired = [
        event.tracker.tracker_id
        for event in world.store.of(TrackerChanged)
        if event.change is TrackerChange.TRIGGERED
    ]
    assert sorted(fired) == [1, 2]


async def test_a_refused_sale_sells_what_is_left_and_no_more(world: AgentWorld) -> None:
    await refuse_the_second(world)
    adjust(world, "0.1")
    await sweep(world)
    world.exchange.depth.clear()
    await world.until_sold("0.35")


async def test_a_refused_sale_of_which_nothing_is_left_ends(world: AgentWorld) -> None:
    await refuse_the_second(world)
    world.exchange.depth.clear()
    await world.until_sold("0.25")
    await sweep(world)
    assert world.desk.trackers() == []
    last = world.store.of(TrackerChanged)[-1]
    assert (last.tracker.tracker_id, last.tracker.state) == (2, TrackerState.CLOSED_EXTERNAL)


async def test_a_refused_sale_can_be_given_up(world: AgentWorld) -> None:
    await refuse_the_second(world)
    proposal = await world.desk.propose(AbortIntent(2), OWNER)
    assert proposal.needs_confirmation
    await world.do(AbortIntent(2))
    assert [view.tracker.tracker_id for view in world.desk.trackers()] == [1]
    adjust(world, "0.25")
    await sweep(world)
    assert opened(world) == 1


async def test_a_refused_sale_that_is_being_given_up_is_not_opened_meanwhile(
    world: AgentWorld,
) -> None:
    await refuse_the_second(world)
    adjust(world, "0.25")
    proposal = await world.desk.propose(AbortIntent(2), OWNER)
    aborting = world.desk.execute(proposal.command, OWNER, "abort", None)
    await world.time.finish(_both(aborting, world.agent.jobs()["tracker_sweep"]()))
    assert opened(world) == 1
    assert [view.tracker.tracker_id for view in world.desk.trackers()] == [1]


async def _both(first, second) -> None:  # type: ignore[no-untyped-def]
    await asyncio.gather(first, second)


async def test_exit_now_sells_a_refused_sale_or_says_what_stands_in_its_way(
    world: AgentWorld,
) -> None:
    await refuse_the_second(world)
    with pytest.raises(Refused, match="more than is managed"):
        await world.do(ExitNow(2))
    adjust(world, "0.25")
    await world.do(ExitNow(2))
    assert opened(world) == 2
    world.exchange.depth.clear()
    await world.until_sold("0.5")


async def test_a_refused_sale_is_tried_after_a_restart_without_an_alarm(world: AgentWorld) -> None:
    await refuse_the_second(world)
    await world.kill()
    await world.start()
    adjust(world, "0.25")
    await sweep(world)
    assert opened(world) == 2
    assert not [one for one in world.store.of(AlertRaised) if "had fired" in one.text]


async def test_a_stop_that_fires_during_an_orderly_stop_is_sold_after_the_next_start(
    world: AgentWorld,
) -> None:
    await world.protect()
    await world.time.finish(world.agent.execution.stop())
    await world.move("57990")
    assert world.exchange.sent == []
    await world.kill()
    await world.start()
    await sweep(world)
    await world.until_sold("0.5")


async def test_a_sale_that_was_made_before_is_never_made_again(world: AgentWorld) -> None:
    await world.protect()
    await world.move("57990")
    await world.until_sold("0.5")
    [closed] = world.store.of(IntentClosed)
    fired = next(
        event.tracker
        for event in world.store.of(TrackerChanged)
        if event.change is TrackerChange.TRIGGERED
    )
    blocked = replace(fired, state=TrackerState.BLOCKED, intent_id=closed.intent.intent_id)
    await world.agent.record(
        TrackerChanged(blocked, TrackerChange.BLOCKED, world.time.now(), reason="lost")
    )
    adjust(world, "0.5")
    await sweep(world)
    await sweep(world)
    assert world.exchange.filled() == Decimal("0.5")
    [alert] = [one for one in world.store.of(AlertRaised) if "had fired" in one.text]
    assert "/abort 1" in alert.text
    await world.do(AbortIntent(1))
    assert world.desk.trackers() == []


async def test_a_blocked_tracker_that_never_fired_is_given_up_and_never_sold(
    world: AgentWorld,
) -> None:
    await world.protect()
    gone = replace(
        world.desk.tracker(1).tracker,
        state=TrackerState.BLOCKED,
        fired_rule="stop",
        reason="the exchange no longer knows BTC/USDT",
    )
    await world.agent.record(
        TrackerChanged(gone, TrackerChange.BLOCKED, world.time.now(), reason=gone.reason)
    )
    await sweep(world)
    with pytest.raises(Refused, match="no exit at work"):
        await world.do(ExitNow(1))
    assert opened(world) == 0
    await world.do(AbortIntent(1))
    assert world.desk.trackers() == []


async def test_a_resume_names_what_it_releases_and_not_what_is_blocked_for_another_reason(
    world: AgentWorld,
) -> None:
    await refuse_the_second(world)
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    await world.time.until(lambda: world.desk.tracker(1).tracker.reason == str(HELD), 60)
    await sweep(world)
    assert len(world.desk.standing().blocked) == 2
    proposal = await world.desk.propose(SetTradingMode(TradingMode.ACTIVE), OWNER)
    assert isinstance(proposal.facts, PlainProposal)
    assert "SOLD AT ONCE, for it has fired: 0.25 BTC (#1)." in proposal.facts.text
    assert "#2" not in proposal.facts.text
    world.exchange.depth.clear()
    await world.do(SetTradingMode(TradingMode.ACTIVE))
    await world.until_sold("0.25")


async def test_a_stop_that_fires_when_its_coins_are_gone_ends_without_an_alarm(
    world: AgentWorld,
) -> None:
    await world.protect("58000", QUARTER)
    adjust(world, "-0.25")
    await world.move("57990")
    assert opened(world) == 0
    told = [(one.change, one.tracker.state) for one in world.store.of(TrackerChanged)][-2:]
    assert [change for change, _ in told] == [TrackerChange.TRIGGERED, TrackerChange.CLOSED]
    assert told[-1][1] is TrackerState.CLOSED_EXTERNAL
    assert not world.agent.trackers.count()


async def test_a_stop_that_fires_when_its_backstop_has_sold_is_not_told_as_closed_elsewhere(
    world: AgentWorld,
) -> None:
    await world.protect("58000", QUARTER)
    now = world.time.now()
    tracker = replace(world.desk.tracker(1).tracker, quantity=QUARTER.value)
    placed = on_backstop(tracker, QUARTER.value, Decimal(50_000), now, DecisionSettings())
    ended = replace(placed, state=IntentState.DONE, filled_quantity=QUARTER.value)
    await world.store.journal.append(IntentClosed(ended, now))
    adjust(world, "-0.25")
    await world.move("57990")
    last = world.store.of(TrackerChanged)[-1].tracker
    assert (last.state, last.reason) == (TrackerState.CLOSED, BACKSTOP_SOLD)
