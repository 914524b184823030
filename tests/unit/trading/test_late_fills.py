"""Orders that were proven absent and fill after all: what is too much goes, the rest stays."""

from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial

import pytest

from tests.catalogue import fired
from tests.fakes.exchange import Fault
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.chat import Severity
from trading.domain.commands import AbortOrders, CancelTracker, ClosePosition, PlaceOrder
from trading.domain.events import AlertRaised, IntentClosed
from trading.domain.order import Side
from trading.domain.tracker import Amount, AmountKind, TrackerState

BTC = "BTC/USDT"
# Far enough beyond the proof of absence, and found by the stream.
LATE_S = 60.0
# What 3,000 USDT do not pay for: both orders were filled a little below their limit.
EXCESS = "0.04999"


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    async with AgentWorld() as made:
        yield made


async def buy_late(world: AgentWorld) -> Fault:
    """Buy for 3,000 USDT at a limit; the first order is proven absent and the second one fills."""
    before, bought = len(world.store.of(IntentClosed)), managed(world) + Decimal("0.05")
    late = world.exchange.fail("late_match", after_s=LATE_S)
    amount = Amount(AmountKind.QUOTE, Decimal(3_000))
    await world.do(PlaceOrder(BTC, Side.BUY, amount, Decimal(60_000)))
    world.exchange.set_price(BTC, "59999")
    await world.time.until(lambda: len(world.store.of(IntentClosed)) > before, LATE_S)
    assert late.fired == 1
    assert managed(world) == bought
    return late


def managed(world: AgentWorld) -> Decimal:
    return world.agent.state.book.snapshot().managed(BTC)


def excess(world: AgentWorld) -> list[AlertRaised]:
    return [one for one in world.store.of(AlertRaised) if "beyond what was decided" in one.text]


@pytest.mark.fault("X08c", "CRIT SAID")
async def test_what_a_late_fill_bought_too_much_is_sold_again(world: AgentWorld) -> None:
    late = await buy_late(world)
    await world.until_sold(EXCESS)
    assert world.exchange.filled(Side.BUY) == Decimal("0.1")
    assert managed(world) == Decimal("0.05001")
    # Whatever the account held before is nobody's excess.
    assert world.exchange.coins["BTC"] == Decimal("0.55001")
    [alert] = excess(world)
    assert alert.severity is Severity.CRIT
    assert f"{EXCESS} BTC are sold again" in alert.text
    fired(late.fired)


@pytest.mark.fault("X08c", "SAID")
async def test_after_a_restart_what_was_decided_is_still_known(world: AgentWorld) -> None:
    late = await buy_late(world)
    await world.kill()
    await world.start()
    world.exchange.appear(world.exchange.sent[0])
    await world.until_sold(EXCESS)
    assert managed(world) == Decimal("0.05001")
    assert len(excess(world)) == 1
    # The next start finds nothing more to sell.
    await world.kill()
    await world.start()
    await world.time.pass_by(60)
    assert world.exchange.filled() == Decimal(EXCESS)
    fired(late.fired)


@pytest.mark.fault("X08c", "CRIT SAID")
async def test_a_death_between_booking_and_selling_again_leaves_nothing_unsold_or_untold(
    world: AgentWorld,
) -> None:
    late = await buy_late(world)
    # What follows from facts is not done any more: the process is about to die.
    world.stop_following_up()
    await world.time.until(lambda: managed(world) > Decimal("0.05"), LATE_S + 60)
    assert any("appeared late" in one.text for one in world.store.of(AlertRaised))
    assert excess(world) == []
    await world.kill()
    await world.start()
    await world.until_sold(EXCESS)
    assert managed(world) == Decimal("0.05001")
    [alert] = excess(world)
    assert alert.severity is Severity.CRIT
    await world.kill()
    await world.start()
    await world.time.pass_by(60)
    assert world.exchange.filled() == Decimal(EXCESS)
    fired(late.fired)


@pytest.mark.fault("X08c", "SAID")
async def test_what_comes_too_late_for_its_own_exit_goes_as_well(world: AgentWorld) -> None:
    late = await buy_late(world)
    await world.do(ClosePosition(BTC, Decimal(1)))
    await world.until_sold("0.05")
    # What was too much comes after everything was sold, and goes, too.
    await world.until_sold("0.09999")
    assert managed(world) == Decimal("0.00001")
    assert world.exchange.coins["BTC"] == Decimal("0.50001")
    fired(late.fired)


@pytest.mark.fault("X08c", "SAID")
async def test_coins_that_a_late_sale_took_are_not_protected_any_more(world: AgentWorld) -> None:
    late = world.exchange.fail("late_match", after_s=LATE_S)
    await world.protect("58000", Amount(AmountKind.BASE, Decimal("0.2")))
    await world.protect("50000", Amount(AmountKind.BASE, Decimal("0.3")))
    await world.move("57000")
    await world.until_sold("0.2")
    assert late.fired == 1
    [other] = world.agent.trackers.all()
    assert other.quantity == Decimal("0.3")
    # The first order fills, too: it takes coins that the second stop protected.
    await world.until_sold("0.4")
    assert managed(world) == Decimal("0.1")
    [other] = world.agent.trackers.all()
    assert other.quantity == Decimal("0.1")
    fired(late.fired)


async def buy_a_part(world: AgentWorld) -> None:
    """Let the rest of a purchase wait for a lower price, while a stop follows what it bought."""
    amount = Amount(AmountKind.QUOTE, Decimal(3_000))
    await world.do(PlaceOrder(BTC, Side.BUY, amount, Decimal(59_990)))
    world.exchange.depth[BTC] = Decimal("0.02")
    world.exchange.move(BTC, "59980")
    await world.time.settle()
    assert managed(world) == Decimal("0.02")
    del world.exchange.depth[BTC]
    await world.move("61000")
    await world.protect("60500", Amount(AmountKind.BASE, Decimal("0.02")))


async def test_a_stop_that_may_not_sell_yet_ends_its_entry_in_the_same_fact(
    world: AgentWorld,
) -> None:
    await buy_a_part(world)
    [entry] = [one for one in world.exchange.history if one.request.side is Side.BUY]
    mute = world.exchange.fail("cancel_mute", times=1000)
    world.agent.execution.send_nothing_new()
    await world.move("60400")
    [refused] = world.agent.trackers.all()
    assert refused.state is TrackerState.BLOCKED
    # The power goes before anything was cancelled: that is for the next start.
    assert entry.is_open
    await world.kill()
    mute.times = mute.fired
    await world.start()
    await world.time.finish(world.agent.jobs()["tracker_sweep"]())
    await world.time.until(lambda: managed(world) == 0, 60)
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    assert not entry.is_open
    assert world.exchange.filled(Side.BUY) == world.exchange.filled() == Decimal("0.02")


async def test_an_entry_that_a_person_gave_up_sells_what_it_buys_after_its_stop_has_fired(
    world: AgentWorld,
) -> None:
    await buy_a_part(world)
    [entry] = [one for one in world.exchange.history if one.request.side is Side.BUY]
    world.exchange.fail("cancel_mute", times=1000)
    await world.do(AbortOrders(BTC))
    await world.move("60400")
    await world.time.until(lambda: managed(world) == 0, 60)
    world.stop_following_up()
    await world.move("59900")
    await world.time.until(lambda: managed(world) == Decimal("0.03"), 60)
    assert not entry.is_open
    await world.kill()
    await world.start()
    await world.time.until(lambda: managed(world) == 0, 60)
    assert len(excess(world)) == 1


@pytest.mark.fault("M15", "EQ SAID")
@pytest.mark.parametrize("is_late", [False, True], ids=["cancelled", "filled late"])
async def test_a_stop_that_fires_while_its_entry_is_open_ends_flat(
    world: AgentWorld, is_late: bool
) -> None:
    before = world.exchange.coins["BTC"]
    await buy_a_part(world)
    race = world.exchange.fail("fill_before_cancel", times=int(is_late))
    await world.move("60400")
    [entry] = [one for one in world.exchange.history if one.request.side is Side.BUY]
    await world.time.until(lambda: managed(world) == 0, 60)
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    assert not entry.is_open
    assert race.fired == int(is_late)
    bought, sold = world.exchange.filled(Side.BUY), world.exchange.filled()
    assert bought == sold == (Decimal("0.05") if is_late else Decimal("0.02"))
    # Position and account agree, and nobody's other coins were touched.
    assert world.exchange.coins["BTC"] == before
    assert len(excess(world)) == int(is_late)
    # The entry was taken off by the stop that fired, and in one case had filled by then.
    fired([one for one in world.exchange.cancelled if one == entry.request.client_order_id])


@pytest.mark.fault("X08c", "SAID")
@pytest.mark.parametrize("dies", [False, True])
async def test_no_stop_grows_by_what_is_sold_again_and_none_pays_for_it(
    world: AgentWorld, dies: bool
) -> None:
    await world.protect("57000", Amount(AmountKind.BASE, Decimal("0.2")))
    await world.protect("56000", Amount(AmountKind.ALL))
    await world.do(CancelTracker(1))
    await world.protect("57000", Amount(AmountKind.BASE, Decimal("0.2")))
    late = await buy_late(world)
    if dies:
        await world.kill()
        await world.start()
        world.exchange.appear(world.exchange.sent[0])
    await world.until_sold(EXCESS)
    owned = {one.tracker_id: one.quantity for one in world.agent.trackers.all()}
    # Of what was decided less than a unit of money was left, and what that buys is kept.
    assert owned == {2: Decimal("0.35001"), 3: Decimal("0.2")}
    assert not any("coins are gone" in one.text for one in world.store.of(AlertRaised))
    fired(late.fired, words=excess(world)[0].text)


@pytest.mark.fault("X08c", "SAID")
async def test_no_stop_grows_by_what_is_sold_again_though_another_fact_has_slices_fitted(
    world: AgentWorld,
) -> None:
    await world.protect("57000", Amount(AmountKind.BASE, Decimal("0.1")))
    await world.protect("56000", Amount(AmountKind.ALL))
    await world.do(CancelTracker(1))
    await world.protect("57000", Amount(AmountKind.BASE, Decimal("0.1")))
    late = await buy_late(world)
    async with world.agent.trackers.undisturbed():
        world.agent._follow_ups.add(partial(world.agent._reacting.resize, BTC))
        # What is too much is booked while that waits for its turn.
        await world.time.until(lambda: managed(world) > Decimal("0.55"), LATE_S)
    await world.until_sold(EXCESS)
    owned = {one.tracker_id: one.quantity for one in world.agent.trackers.all()}
    assert owned == {2: Decimal("0.45001"), 3: Decimal("0.1")}
    fired(late.fired, words=excess(world)[0].text)


async def test_a_stop_on_everything_owns_what_comes_late_of_a_purchase_that_ended_before_a_start(
    world: AgentWorld,
) -> None:
    await world.protect("57000", Amount(AmountKind.ALL))
    lost = world.exchange.fail("lost_before", 30)
    await world.do(PlaceOrder(BTC, Side.BUY, Amount(AmountKind.BASE, Decimal("0.1"))))
    await world.time.until(lambda: bool(world.store.of(IntentClosed)), 300)
    assert lost.fired
    assert managed(world) == Decimal("0.5")
    await world.kill()
    await world.start()
    world.exchange.appear(world.exchange.sent[-1])
    await world.time.settle()
    assert managed(world) == Decimal("0.6")
    assert [one.quantity for one in world.agent.trackers.all()] == [Decimal("0.6")]
