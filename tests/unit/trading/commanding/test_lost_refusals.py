"""The answer to a record may be lost: what memory holds after that is what a start would read."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.unit.trading.agent_world import OWNER, AgentWorld
from tests.unit.trading.commanding.test_firing import adjust, opened, refuse_the_second, sweep
from trading.domain.commands import AbortIntent, PlaceOrder
from trading.domain.errors import Refused, StorageLost
from trading.domain.events import Event, TrackerChanged
from trading.domain.order import Side
from trading.domain.tracker import Amount, AmountKind, TrackerChange, TrackerState

BTC = "BTC/USDT"
QUARTER = Amount(AmountKind.BASE, Decimal("0.25"))


def lose_answer_to(world: AgentWorld, change: TrackerChange, number: int, then: str = "0") -> None:
    """Keep the next append that tells such a change of a tracker, and say that it failed.

    So many coins come under care `then`, before it is tried again.
    """
    append, recorder = world.store.append, world.agent.trackers._recorder
    recorder._settings = replace(recorder._settings, retry_s_first=0.0)

    async def losing(*new: Event, **how: bool) -> int:
        told = [fact for fact in new if isinstance(fact, TrackerChanged) and fact.change is change]
        if all(fact.tracker.tracker_id != number for fact in told):
            return await append(*new, **how)
        world.store.append = append  # type: ignore[method-assign]
        world.store.lose_answer()
        try:
            return await append(*new, **how)
        finally:
            adjust(world, then)

    world.store.append = losing  # type: ignore[method-assign]


def differences(world: AgentWorld, numbers: Iterable[int]) -> list[int]:
    """The trackers of which memory and journal do not tell the same state."""
    written = {
        event.tracker.tracker_id: event.tracker.state for event in world.store.of(TrackerChanged)
    }
    held = {one.tracker_id: one.state for one in world.agent.trackers.all()}
    return [one for one in numbers if not written[one].is_terminal and held[one] != written[one]]


async def fire_two(world: AgentWorld) -> None:
    """Two stops fire on what is enough for one, and nobody buys yet: the second is refused."""
    await world.protect("58000", QUARTER)
    await world.protect("58000", QUARTER)
    adjust(world, "-0.25")
    world.exchange.depth[BTC] = Decimal(0)
    await world.move("57990")


async def test_a_refused_sale_whose_record_was_taken_for_lost_is_tried_again(
    world: AgentWorld,
) -> None:
    lose_answer_to(world, TrackerChange.BLOCKED, 2)
    await fire_two(world)
    assert world.store.appends_lost == 1
    assert differences(world, (1, 2)) == []
    assert world.desk.tracker(2).tracker.state is TrackerState.BLOCKED
    adjust(world, "0.25")
    await sweep(world)
    assert opened(world) == 2
    world.exchange.depth.clear()
    await world.until_sold("0.5")
    changes = world.store.of(TrackerChanged)
    fired = [one for one in changes if one.change is TrackerChange.TRIGGERED]
    assert sorted(one.tracker.tracker_id for one in fired) == [1, 2]


async def test_a_refusal_that_is_over_by_the_next_try_is_not_the_end_of_it(
    world: AgentWorld,
) -> None:
    lose_answer_to(world, TrackerChange.BLOCKED, 2, "0.25")
    await fire_two(world)
    assert world.store.appends_lost == 1
    await sweep(world)
    assert opened(world) == 2
    world.exchange.depth.clear()
    await world.until_sold("0.5")


async def test_a_sale_of_what_is_gone_ends_once_where_the_answer_was_lost(
    world: AgentWorld,
) -> None:
    await world.protect()
    adjust(world, "-0.5")
    lose_answer_to(world, TrackerChange.TRIGGERED, 1)
    await world.move("57990")
    assert world.store.appends_lost == 1
    assert world.desk.trackers() == []


async def test_a_purchase_that_a_refused_stop_ends_is_ended_where_the_answer_was_lost(
    world: AgentWorld,
) -> None:
    await world.protect("59500", QUARTER)
    await world.protect("58000", QUARTER)
    world.exchange.without_bids.add(BTC)
    await world.move("59400")
    money = Amount(AmountKind.QUOTE, Decimal(3000))
    await world.do(PlaceOrder(BTC, Side.BUY, money, Decimal(59_000)))
    world.exchange.depth[BTC] = Decimal("0.01")
    await world.move("58900")
    await world.time.pass_by(2)
    purchase = list(world.exchange.orders.values())[-1]
    assert purchase.is_open
    assert purchase.filled
    # What is left is in the exit of the first stop.
    adjust(world, f"{-QUARTER.value - purchase.filled}")
    lose_answer_to(world, TrackerChange.BLOCKED, 2)
    await world.move("57990")
    assert world.store.appends_lost == 1
    assert world.desk.tracker(2).tracker.state is TrackerState.BLOCKED
    await world.time.pass_by(5)
    assert not purchase.is_open


async def test_a_refused_sale_that_is_given_up_stays_so_where_the_answer_was_lost(
    world: AgentWorld,
) -> None:
    await refuse_the_second(world)
    proposal = await world.desk.propose(AbortIntent(2), OWNER)
    world.store.lose_answer()
    with pytest.raises(StorageLost):
        await world.time.finish(world.desk.execute(proposal.command, OWNER, "c-1", None))
    assert world.store.appends_lost == 1
    assert [view.tracker.tracker_id for view in world.desk.trackers()] == [1]
    adjust(world, "0.25")
    await sweep(world)
    assert opened(world) == 1
    with pytest.raises(Refused):
        await world.time.finish(world.desk.execute(proposal.command, OWNER, "c-1", None))
    await world.kill()
    await world.start()
    assert [view.tracker.tracker_id for view in world.desk.trackers()] == [1]


async def test_a_refused_sale_that_is_given_up_while_nothing_can_be_written_stays_so(
    world: AgentWorld,
) -> None:
    await refuse_the_second(world)
    proposal = await world.desk.propose(AbortIntent(2), OWNER)
    world.store.lose(reserve_too=True)
    with pytest.raises(StorageLost):
        await world.time.finish(world.desk.execute(proposal.command, OWNER, "c-1", None))
    world.store.heal()
    adjust(world, "0.25")
    await sweep(world)
    assert opened(world) == 1
    await world.time.finish(world.agent.execution.check_open_attempts())
    await world.kill()
    await world.start()
    assert [view.tracker.tracker_id for view in world.desk.trackers()] == [1]
