"""A closing has older sales sell at the market: in one fact with it, and each market for itself."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest

from bot.telegram.render.text import strip_markup
from bot.telegram.render.trading import question_text
from tests.builders import coin
from tests.catalogue import fired
from tests.unit.trading.agent_world import OWNER, AgentWorld, stop_spec
from trading.desk import Outcome
from trading.domain.commands import (
    AbortOrders,
    ArmTracker,
    CloseAll,
    ClosePosition,
    Command,
    Panic,
    PlaceOrder,
    SetTradingMode,
)
from trading.domain.errors import Ending, Refused, StorageLost
from trading.domain.events import AlertRaised, CommandExecuted, Event, IntentChanged, IntentClosed
from trading.domain.order import IntentState, SendEvidence, Side
from trading.domain.position import TradingMode
from trading.domain.tracker import Amount, AmountKind, TrackerKind, TrackerSpec

BTC = "BTC/USDT"
ADA = "ADA/USDT"
ALL = Amount(AmountKind.ALL)
CLOSINGS: tuple[Command, ...] = (Panic(), CloseAll(), ClosePosition(BTC))


def coins(quantity: str) -> Amount:
    return Amount(AmountKind.BASE, Decimal(quantity))


def limit_sale(quantity: str, limit: int = 70_000) -> PlaceOrder:
    return PlaceOrder(BTC, Side.SELL, coins(quantity), Decimal(limit))


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    async with AgentWorld() as started:
        await started.time.pass_by(5)
        yield started


async def rest(world: AgentWorld, *sales: PlaceOrder) -> None:
    for sale in sales:
        await world.do(sale)
        await world.time.pass_by(2)
    assert [one.is_open for one in world.exchange.orders.values()] == [True] * len(sales)


async def block_at_floor(world: AgentWorld) -> None:
    """A stop that has fired, and whose floor is above what anybody bids."""
    await world.do(ArmTracker(replace(stop_spec(), slippage_max=Decimal("0.005"))))
    world.exchange.without_bids.add(BTC)
    await world.move("57900")
    await world.time.until(lambda: is_blocked(world), 30)
    await world.move("50000")
    world.exchange.without_bids.clear()
    await world.time.pass_by(30)
    assert is_blocked(world)


def is_blocked(world: AgentWorld) -> bool:
    states = [intent.state for intent in world.agent.execution.intents]
    return states == [IntentState.BLOCKED]


async def confirm(world: AgentWorld, command: Command) -> tuple[str, Outcome]:
    """Ask, and do at once what the question said; both texts."""
    proposal = await world.time.finish(world.desk.propose(command, OWNER))
    asked = " ".join(strip_markup(question_text(proposal, 300)).split())
    done = world.desk.execute(proposal.command, OWNER, "tap", None, proposal.shown)
    return asked, await world.time.finish(done)


# ---------------------------------------------------------------- what a part takes


async def test_a_part_says_what_becomes_of_a_limit_sale_and_what_of_it_stays(
    world: AgentWorld,
) -> None:
    await rest(world, limit_sale("0.5"))
    asked, outcome = await confirm(world, ClosePosition(BTC, Decimal("0.25")))
    said = "Limit sale of 0.5 BTC ends: 0.125 BTC of it is sold now, 0.375 BTC is not managed any"
    assert said in asked
    assert "NOT protected" not in asked
    assert outcome.text == (
        "Selling 0.125 BTC. 0.375 BTC of an older sale, which ends, are unsold and not managed any "
        "more."
    )
    assert outcome.size == Decimal("0.125")
    await world.until_sold("0.125")
    await world.time.pass_by(60)
    assert not any(one.is_open for one in world.exchange.orders.values())
    # Nothing claims the rest: it can be sold, or protected.
    await world.do(PlaceOrder(BTC, Side.SELL, coins("0.375")))
    await world.until_sold("0.5")


async def test_a_part_tells_apart_what_stays_of_a_limit_sale_and_what_is_not_managed_any_more(
    world: AgentWorld,
) -> None:
    await world.protect("58000", coins("0.2"))
    await rest(world, limit_sale("0.5"))
    asked, outcome = await confirm(world, ClosePosition(BTC, Decimal("0.25")))
    assert "0.075 BTC stays, NOT protected, 0.3 BTC is not managed any more" in asked
    assert outcome.text == (
        "Selling 0.125 BTC. 0.075 BTC of an older sale, which ends, stay unsold and NOT protected: "
        "/positions. 0.3 BTC of an older sale, which ends, are unsold and not managed any more."
    )
    await world.until_sold("0.125")
    assert world.agent.state.book.managed(BTC) == Decimal("0.075")


async def test_a_part_takes_no_more_sales_than_it_lacks(world: AgentWorld) -> None:
    await world.protect()
    await rest(world, limit_sale("0.1", 70_000), limit_sale("0.1", 71_000))
    # Of 0.5 BTC 0.3 lie in no sale, and 0.4 are to go.
    asked, outcome = await confirm(world, ClosePosition(BTC, Decimal("0.8")))
    assert "Limit sale now at market: 0.1 BTC" in asked
    assert outcome.text == "Selling 0.4 BTC."
    await world.time.until(lambda: world.exchange.filled() == Decimal("0.4"), 60)
    await world.time.settle()
    [left] = world.agent.execution.intents
    assert left.limit_price == 70_000
    assert world.agent.trackers.all() == []


async def test_what_stops_protect_is_sold_last(world: AgentWorld) -> None:
    await world.protect()
    await rest(world, limit_sale("0.2"))
    asked, outcome = await confirm(world, ClosePosition(BTC, Decimal("0.8")))
    assert "Limit sale now at market: 0.2 BTC" in asked
    assert "#1 shrinks: 0.3 → 0.1 BTC" in asked
    assert outcome.text == "Selling 0.4 BTC."
    await world.until_sold("0.4")
    [tracker] = world.agent.trackers.all()
    assert tracker.quantity == Decimal("0.1")


async def test_a_part_leaves_the_exit_of_a_stop_that_has_fired_at_work(world: AgentWorld) -> None:
    await block_at_floor(world)
    with pytest.raises(Refused, match=r"0\.5 BTC are in a sale at work"):
        await world.desk.propose(ClosePosition(BTC, Decimal("0.25")), OWNER)
    asked, _ = await confirm(world, ClosePosition(BTC))
    assert "Blocked sale now at market: 0.5 BTC" in asked
    await world.until_sold("0.5")


async def test_a_closing_counts_once_what_is_too_little_beside_a_limit_sale(
    world: AgentWorld,
) -> None:
    # 0.00005 BTC are 3 USDT, and nobody takes less than 5.
    await world.do(ArmTracker(replace(stop_spec("50000"), amount=ALL)))
    await rest(world, limit_sale("0.49995"))
    _, outcome = await confirm(world, ClosePosition(BTC))
    assert outcome.text == "Selling 0.49995 BTC."
    await world.until_sold("0.49995")


# ---------------------------------------------------------------- each market for itself


async def twenty(world: AgentWorld) -> list[str]:
    """Twenty coins under care, a part of each in a limit sale that rests."""
    names = [f"C{number:02}" for number in range(20)]
    for name in names:
        instrument = coin(name)
        world.exchange.rules[instrument.symbol] = instrument
        world.exchange.prices[instrument.symbol] = Decimal(1)
        world.exchange.coins[name] = Decimal(1000)
    await world.kill()
    await world.start()
    await world.time.pass_by(5)
    for name in names:
        spec = TrackerSpec(TrackerKind.STOP, f"{name}/USDT", ALL, level=Decimal("0.9"))
        await world.do(ArmTracker(spec))
        await world.do(PlaceOrder(f"{name}/USDT", Side.SELL, coins("400"), Decimal(2)))
        # No more than the limits let through in a minute.
        await world.time.pass_by(5)
    assert sum(one.is_open for one in world.exchange.orders.values()) == 20
    return names


async def test_a_panic_ends_flat_within_two_seconds_with_twenty_positions_open(
    world: AgentWorld,
) -> None:
    names = await twenty(world)
    slow = world.exchange.fail("cancel_slow", times=20, after_s=1.0)
    _, outcome = await confirm(world, Panic())
    assert len(outcome.intent_ids) == 40
    await world.time.pass_by(2)
    assert slow.fired == 20
    assert [world.exchange.coins[name] for name in names] == [0] * 20
    await world.time.pass_by(1)
    assert not world.desk.positions()
    assert world.agent.state.mode is TradingMode.HALTED


async def test_a_panic_waits_in_no_market_for_a_cancel_of_another(world: AgentWorld) -> None:
    await world.do(PlaceOrder(ADA, Side.SELL, coins("100"), Decimal(2)))
    await world.do(ArmTracker(TrackerSpec(TrackerKind.STOP, ADA, ALL, level=Decimal("0.5"))))
    await world.protect()
    await world.do(limit_sale("0.1"))
    await world.time.pass_by(2)
    mute = world.exchange.fail("cancel_mute", times=10_000)
    _, outcome = await confirm(world, Panic())
    assert outcome.text == "Selling 1,000 ADA, 0.5 BTC."
    await world.time.pass_by(1)
    assert mute.fired
    assert (world.exchange.coins["BTC"], world.exchange.coins["ADA"]) == (
        Decimal("0.1"),
        Decimal(100),
    )
    await world.time.pass_by(130)
    told = [one.text for one in world.store.of(AlertRaised) if one.topic == "unresolved"]
    assert any("has not said what became of the sale of 0.1 BTC" in text for text in told)
    mute.times = 0
    await world.time.until(lambda: world.exchange.coins["BTC"] == 0, 30)
    await world.time.until(lambda: world.exchange.coins["ADA"] == 0, 30)


async def test_a_cancel_that_the_stream_tells_of_needs_no_answer(world: AgentWorld) -> None:
    await rest(world, limit_sale("0.5"))
    real = world.exchange.cancel

    async def unanswered(symbol: str, client_order_id: str) -> SendEvidence:
        await real(symbol, client_order_id)
        await world.time.sleep(15)
        raise AssertionError("nobody waits for it")

    world.exchange.cancel = unanswered  # type: ignore[method-assign]
    await confirm(world, Panic())
    await world.time.pass_by(2)
    assert world.exchange.coins["BTC"] == 0


# ---------------------------------------------------------------- one fact


async def break_off(world: AgentWorld, command: Command, *, is_written: bool) -> None:
    """Die right before or right after the word is written; nobody keeps what a terminal asked."""
    append, asked = world.store.append, asyncio.Event()

    async def dying(*new: Event, **how: bool) -> int:
        if not any(isinstance(fact, CommandExecuted) for fact in new):
            return await append(*new, **how)
        seq = await append(*new, **how) if is_written else 0
        asked.set()
        await asyncio.Event().wait()
        return seq

    world.store.append = dying  # type: ignore[method-assign]
    doing = asyncio.ensure_future(world.desk.execute(command, OWNER, "local:1"))
    await world.time.finish(asked.wait())
    await world.kill()
    await asyncio.gather(doing, return_exceptions=True)
    world.store.append = append  # type: ignore[method-assign]
    await world.start()


@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize("command", CLOSINGS)
async def test_a_death_leaves_a_blocked_stop_as_it_was_or_sold(
    world: AgentWorld, command: Command, *, is_written: bool
) -> None:
    await block_at_floor(world)
    await break_off(world, command, is_written=is_written)
    await world.time.pass_by(30)
    assert world.exchange.filled() == (Decimal("0.5") if is_written else 0)
    assert is_blocked(world) is not is_written


@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize("command", CLOSINGS)
async def test_a_death_leaves_a_limit_sale_as_it_was_or_sold(
    world: AgentWorld, command: Command, *, is_written: bool
) -> None:
    await world.protect()
    await rest(world, limit_sale("0.1"))
    await break_off(world, command, is_written=is_written)
    await world.time.pass_by(30)
    assert world.exchange.filled() == (Decimal("0.5") if is_written else 0)
    [order, *_] = world.exchange.orders.values()
    assert order.is_open is not is_written


async def test_an_order_of_an_unknown_fate_goes_to_the_market_once_it_is_known(
    world: AgentWorld,
) -> None:
    lost = world.exchange.fail("lost_after")
    await world.do(limit_sale("0.5"))
    await confirm(world, Panic())
    await world.until_sold("0.5")
    assert lost.fired
    assert [one.is_open for one in world.exchange.orders.values()] == [False, False]


async def test_a_limit_that_has_not_left_yet_never_does(world: AgentWorld) -> None:
    unsent = world.exchange.fail("not_sent", times=1)
    await world.do(limit_sale("0.5"))
    assert unsent.fired
    await confirm(world, Panic())
    await world.until_sold("0.5")
    assert all(not request.rests for request in world.exchange.sent)


async def test_a_sale_that_was_given_up_a_moment_before_is_sold(world: AgentWorld) -> None:
    await rest(world, limit_sale("0.5"))
    mute = world.exchange.fail("cancel_mute", times=10_000)
    await world.do(AbortOrders(BTC))
    await confirm(world, Panic())
    assert mute.fired
    mute.times = 0
    await world.until_sold("0.5")
    assert [each.intent.given_up for each in world.store.of(IntentClosed)] == [""]


async def test_a_newer_word_gives_a_hurried_sale_up(world: AgentWorld) -> None:
    await rest(world, limit_sale("0.5"))
    mute = world.exchange.fail("cancel_mute", times=10_000)
    await confirm(world, ClosePosition(BTC))
    await world.do(AbortOrders(BTC))
    assert mute.fired
    mute.times = 0
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    assert world.exchange.coins["BTC"] == Decimal("0.5")


async def test_a_closing_at_the_end_of_the_process_is_kept_for_the_next_start(
    world: AgentWorld,
) -> None:
    await rest(world, limit_sale("0.5"))
    world.agent.execution.send_nothing_new()
    with pytest.raises(Ending, match="this was not done"):
        await confirm(world, Panic())
    await world.kill()
    await world.start()
    [sale] = world.agent.execution.intents
    assert sale.limit_price == 70_000


# ---------------------------------------------------------------- without storage


@pytest.mark.parametrize("is_holding", [False, True])
async def test_a_panic_that_nothing_can_take_down_halts_and_ends_purchases(
    world: AgentWorld, *, is_holding: bool
) -> None:
    if is_holding:
        await rest(world, limit_sale("0.5"))
    purchase = Amount(AmountKind.QUOTE, Decimal(500))
    await world.do(PlaceOrder(ADA, Side.BUY, purchase, Decimal("0.5")))
    await world.time.pass_by(2)
    bought = list(world.exchange.orders.values())[-1]
    world.store.lose(reserve_too=True)
    with pytest.raises(StorageLost):
        await confirm(world, Panic())
    assert world.agent.state.mode is TradingMode.HALTED
    await world.time.until(lambda: not bought.is_open, 30)
    with pytest.raises(Refused, match="new risk is refused"):
        await world.desk.propose(PlaceOrder(BTC, Side.BUY, purchase), OWNER)
    if is_holding:
        await world.time.until(lambda: world.exchange.coins["BTC"] == 0, 30)
    world.store.heal()
    # Given again, it is written down.
    await confirm(world, Panic())
    await world.time.pass_by(30)
    await world.kill()
    await world.start()
    assert world.agent.state.mode is TradingMode.HALTED
    assert world.agent.execution.intents == []


async def test_a_closing_whose_answer_was_lost_differs_in_nothing_from_its_record(
    world: AgentWorld,
) -> None:
    await rest(world, limit_sale("0.5"))
    world.store.lose_answer()
    with pytest.raises(StorageLost):
        await confirm(world, ClosePosition(BTC))
    assert world.store.appends_lost == 1
    await world.until_sold("0.5")
    assert all(one.intent.limit_price is None for one in world.store.of(IntentChanged))


# ---------------------------------------------------------------- what is at work already


@pytest.mark.parametrize("command", [Panic(), CloseAll()])
async def test_a_sale_by_hand_at_work_has_no_patience_any_more(
    world: AgentWorld, command: Command
) -> None:
    world.exchange.depth[BTC] = Decimal(0)
    await world.do(PlaceOrder(BTC, Side.SELL, ALL))
    assert not is_blocked(world)
    if command == CloseAll():
        with pytest.raises(Refused, match="all that is managed is in sales at work"):
            await world.desk.propose(command, OWNER)
        await world.do(PlaceOrder(ADA, Side.SELL, coins("100"), Decimal(2)))
    _, outcome = await confirm(world, command)
    assert "BTC" not in outcome.text
    world.exchange.without_bids.add(BTC)
    await world.time.pass_by(600)
    world.exchange.without_bids.clear()
    world.exchange.depth.clear()
    await world.time.until(lambda: world.exchange.coins["BTC"] == 0, 60)


async def test_a_stop_at_work_sells_below_its_floor_after_a_panic(world: AgentWorld) -> None:
    await world.do(ArmTracker(replace(stop_spec(), slippage_max=Decimal("0.005"))))
    world.exchange.depth[BTC] = Decimal(0)
    await world.move("57900")
    assert not is_blocked(world)
    assert len(world.agent.trackers.acting()) == 1
    await confirm(world, Panic())
    await world.move("50000")
    world.exchange.depth.clear()
    await world.until_sold("0.5")


@pytest.mark.parametrize("command", [Panic(), CloseAll()])
async def test_a_stop_that_a_halt_holds_loses_its_floor_to_a_panic_alone(
    world: AgentWorld, command: Command
) -> None:
    await world.do(PlaceOrder(ADA, Side.SELL, coins("100"), Decimal(2)))
    await world.do(ArmTracker(replace(stop_spec(), slippage_max=Decimal("0.005"))))
    await world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    world.exchange.depth[BTC] = Decimal(0)
    await world.time.pass_by(5)
    await world.move("57900")
    assert len(world.agent.trackers.acting()) == 1
    await confirm(world, command)
    await world.do(SetTradingMode(TradingMode.HALTED))
    await world.move("50000")
    world.exchange.depth.clear()
    await world.time.pass_by(60)
    assert world.exchange.coins["BTC"] == (0 if command == Panic() else Decimal("0.5"))


async def test_a_sale_at_work_that_was_given_up_a_moment_before_a_panic_is_sold(
    world: AgentWorld,
) -> None:
    await world.protect()
    # Nobody knows for a while whether its order rests, so that it cannot end.
    lost = world.exchange.fail("lost_before")
    await world.do(ClosePosition(BTC))
    await world.do(AbortOrders(BTC))
    assert lost.fired
    await confirm(world, Panic())
    await world.until_sold("0.5")


# ---------------------------------------------------------------- what moves meanwhile


def write_slowly(world: AgentWorld) -> None:
    append = world.store.append

    async def slowly(*new: Event, **how: bool) -> int:
        await world.time.sleep(0.3)
        return await append(*new, **how)

    world.store.append = slowly  # type: ignore[method-assign]


@pytest.mark.parametrize("command", [Panic(), CloseAll()])
async def test_a_limit_sale_that_is_just_being_written_is_sold_too(
    world: AgentWorld, command: Command
) -> None:
    await world.do(ArmTracker(stop_spec(amount=coins("0.4"))))
    write_slowly(world)
    asked = await world.time.finish(world.desk.propose(limit_sale("0.3"), OWNER))
    selling = asyncio.ensure_future(
        world.desk.execute(asked.command, OWNER, "sell", asked.reference_price)
    )
    await world.time.settle()
    _, outcome = await confirm(world, command)
    assert selling.done()
    assert outcome.text == "Selling 0.4 BTC."
    await world.until_sold("0.4")
    assert not any(one.is_open for one in world.exchange.orders.values())


@pytest.mark.parametrize("command", CLOSINGS)
async def test_what_a_sale_leaves_whose_end_is_just_being_written_is_sold(
    world: AgentWorld, command: Command
) -> None:
    await world.protect()
    await rest(world, limit_sale("0.3"))
    write_slowly(world)
    ending = asyncio.ensure_future(world.desk.execute(AbortOrders(BTC), OWNER, "abort"))

    [case] = world.agent.execution._s.cases.values()

    def is_ending() -> bool:
        return case.intent.state.is_terminal

    await world.time.until(is_ending, 10)
    assert world.store.of(IntentClosed) == []
    await confirm(world, command)
    await world.until_sold("0.5")
    await ending


async def test_a_stop_that_has_just_fired_loses_its_floor_to_a_panic(world: AgentWorld) -> None:
    await world.do(ArmTracker(replace(stop_spec(), slippage_max=Decimal("0.005"))))
    world.exchange.depth[BTC] = Decimal(0)
    write_slowly(world)
    await world.move("57900")
    assert world.exchange.sent == []
    await confirm(world, Panic())
    await world.move("50000")
    world.exchange.depth.clear()
    await world.until_sold("0.5")


@pytest.mark.parametrize("command", CLOSINGS)
async def test_a_sale_that_a_closing_cannot_take_along_is_named(
    world: AgentWorld, command: Command
) -> None:
    await world.protect()
    await rest(world, limit_sale("0.3"))
    [intent] = world.agent.execution.intents
    async with world.agent.execution.unmoved([intent.intent_id]):
        _, outcome = await confirm(world, command)
    assert outcome.text == (
        "Selling 0.2 BTC. NOT taken along, just being changed: older sales of 0.3 BTC. Ask again."
    )
    await world.do(command)
    await world.until_sold("0.5")


async def test_a_sale_that_has_sold_all_is_not_named(world: AgentWorld) -> None:
    await rest(world, limit_sale("0.2"))
    await world.do(PlaceOrder(ADA, Side.SELL, coins("100"), Decimal(2)))
    [case] = [one for one in world.agent.execution._s.cases.values() if one.intent.symbol == BTC]
    async with case.lock:
        # What it has sold is just being booked.
        case.unbooked = case.intent.quantity
        case.intent = replace(case.intent, filled_quantity=case.unbooked)
        _, outcome = await confirm(world, CloseAll())
    assert outcome.text == "Selling 100 ADA."


@pytest.mark.fault("X01")
@pytest.mark.parametrize("command", CLOSINGS)
@pytest.mark.parametrize("lost", ["lost_before", "lost_after"])
async def test_a_closing_sells_what_was_given_up_with_an_order_of_an_unknown_fate(
    world: AgentWorld, command: Command, lost: str
) -> None:
    fault = world.exchange.fail(lost)
    await world.do(PlaceOrder(BTC, Side.SELL, ALL))
    world.exchange.is_down = True
    await world.do(AbortOrders(BTC))
    [sale] = world.agent.execution.intents
    assert sale.given_up
    asked, outcome = await confirm(world, command)
    assert "Sale that was given up goes on at market: 0.5 BTC" in asked
    assert outcome.text == "Selling 0.5 BTC."
    world.exchange.is_down = False
    await world.until_sold("0.5")
    assert world.exchange.coins["BTC"] == 0
    [end] = world.store.of(IntentClosed)
    assert end.intent.state is IntentState.DONE
    fired(fault.fired)


@pytest.mark.fault("X01")
@pytest.mark.parametrize(("lost", "left"), [("lost_before", "0.25"), ("lost_after", "0")])
async def test_a_part_of_that_sells_no_more_than_asked_beyond_what_was_sold_already(
    world: AgentWorld, lost: str, left: str
) -> None:
    fault = world.exchange.fail(lost)
    await world.do(PlaceOrder(BTC, Side.SELL, ALL))
    world.exchange.is_down = True
    await world.do(AbortOrders(BTC))
    await confirm(world, ClosePosition(BTC, Decimal("0.5")))
    world.exchange.is_down = False
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    assert world.exchange.coins["BTC"] == Decimal(left)
    await world.time.settle()
    # What is left came under care for that sale alone.
    assert world.agent.state.book.managed(BTC) == 0
    fired(fault.fired)
