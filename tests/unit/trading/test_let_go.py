"""Coins that came under care only to be sold leave it again with the end of their sale."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from bot.telegram.render.trading import question_text
from tests.catalogue.evidence import fired
from tests.unit.trading.agent_world import OWNER, AgentWorld
from tests.unit.trading.execution.desk import Desk
from trading.domain.commands import AbortOrders, ClosePosition, Panic, PlaceOrder
from trading.domain.events import Event, FillBooked, IntentClosed, PositionAdjusted
from trading.domain.order import IntentState, Purpose, Side
from trading.domain.position import AdjustReason
from trading.domain.tracker import Amount, AmountKind

BTC = "BTC/USDT"
QUARTER = Amount(AmountKind.BASE, Decimal("0.25"))


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    """An account of 0.5 BTC, of which nothing is managed."""
    async with AgentWorld() as made:
        yield made


def sell(quantity: str, limit: str | None = "70000") -> PlaceOrder:
    amount = Amount(AmountKind.BASE, Decimal(quantity))
    return PlaceOrder(BTC, Side.SELL, amount, None if limit is None else Decimal(limit))


def managed(world: AgentWorld) -> Decimal:
    return world.agent.state.book.managed(BTC)


def ends(world: AgentWorld) -> list[Decimal]:
    """What each end let go of, by the journal."""
    return [one.intent.let_go for one in world.store.of(IntentClosed)]


def is_over(world: AgentWorld) -> bool:
    return not any(one.symbol == BTC for one in world.agent.execution.intents)


async def given_up(world: AgentWorld) -> None:
    await world.do(AbortOrders(BTC))
    await world.time.until(lambda: is_over(world), 60)


async def again(world: AgentWorld) -> None:
    """Another process on what is durable."""
    await world.kill()
    await world.start()


async def test_coins_of_a_limit_sale_that_is_given_up_are_not_managed_any_more(
    world: AgentWorld,
) -> None:
    await world.do(sell("0.3"))
    await world.time.pass_by(2)
    assert managed(world) == Decimal("0.3")
    await given_up(world)
    assert (managed(world), ends(world)) == (0, [Decimal("0.3")])
    await again(world)
    assert managed(world) == 0
    # They can be sold, or come under care, as if nothing had been.
    await world.protect("58000")
    assert managed(world) == Decimal("0.5")


async def test_what_was_sold_before_it_was_given_up_is_sold(world: AgentWorld) -> None:
    world.exchange.depth[BTC] = Decimal("0.1")
    await world.do(sell("0.3", "60500"))
    await world.move("60600")
    await world.time.until(lambda: world.exchange.filled() == Decimal("0.1"), 30)
    await given_up(world)
    assert (managed(world), ends(world)) == (0, [Decimal("0.2")])
    assert world.exchange.coins["BTC"] == Decimal("0.4")


async def test_a_limit_sale_that_is_cancelled_elsewhere_lets_its_coins_go(
    world: AgentWorld,
) -> None:
    await world.do(sell("0.3"))
    await world.time.pass_by(2)
    [order] = world.exchange.orders
    await world.time.finish(world.exchange.cancel(BTC, order))
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    [end] = world.store.of(IntentClosed)
    assert end.intent.state is IntentState.EXPIRED
    assert (managed(world), ends(world)) == (0, [Decimal("0.3")])


async def test_a_sale_by_hand_that_nobody_takes_lets_its_coins_go(world: AgentWorld) -> None:
    asked = await world.desk.propose(sell("0.3", None), OWNER)
    world.exchange.without_bids.add(BTC)
    await world.time.finish(world.desk.execute(asked.command, OWNER, "tap", None, asked.shown))
    assert managed(world) == Decimal("0.3")
    await world.time.pass_by(150)
    assert not world.agent.execution.intents
    assert (managed(world), ends(world)) == (0, [Decimal("0.3")])


async def test_coins_that_were_managed_before_the_sale_stay_as_they_were(
    world: AgentWorld,
) -> None:
    await world.protect("58000", QUARTER)
    before = world.agent.state.book.positions[BTC].average_price
    await world.move("64000")
    await world.do(sell("0.4"))
    await world.time.pass_by(2)
    assert managed(world) == Decimal("0.4")
    assert world.agent.state.book.positions[BTC].average_price != before
    await given_up(world)
    assert (managed(world), ends(world)) == (Decimal("0.25"), [Decimal("0.15")])
    assert world.agent.state.book.positions[BTC].average_price == before
    await again(world)
    assert world.agent.state.book.positions[BTC].average_price == before


async def test_coins_that_a_tracker_owns_by_now_stay_with_it(world: AgentWorld) -> None:
    await world.do(sell("0.3"))
    await world.time.pass_by(2)
    await world.protect("58000", Amount(AmountKind.BASE, Decimal("0.2")))
    await given_up(world)
    [tracker] = world.agent.trackers.all()
    assert (tracker.quantity, managed(world)) == (Decimal("0.2"), Decimal("0.2"))


async def test_the_end_of_one_sale_takes_nothing_from_another(world: AgentWorld) -> None:
    await world.do(sell("0.3", "70000"))
    await world.do(sell("0.2", "71000"))
    await world.time.pass_by(2)
    [first, second] = world.agent.execution.intents
    await world.time.finish(world.agent.execution.give_up([first.intent_id], ()))
    await world.time.pass_by(10)
    assert (managed(world), ends(world)) == (Decimal("0.2"), [Decimal("0.3")])
    assert [one.residual for one in world.agent.execution.intents] == [second.quantity]
    await world.move("71100")
    await world.until_sold("0.2")
    assert (managed(world), world.exchange.coins["BTC"]) == (0, Decimal("0.3"))


@pytest.mark.fault("M09", "SAID")
async def test_a_fired_stop_that_was_cut_keeps_no_coins_that_it_does_not_sell(
    world: AgentWorld,
) -> None:
    await world.do(sell("0.1"))
    await world.time.pass_by(2)
    await world.protect("58000", Amount(AmountKind.BASE, Decimal("0.4")))
    world.exchange.lock_by_hand("BTC", "0.5")
    await world.move("57990")
    await world.time.pass_by(10)
    # An order of the person's own sells half of what the stop cannot sell.
    world.exchange.lock_by_hand("BTC", "-0.2")
    world.exchange.sell_by_hand(BTC, "0.2")
    world.exchange.tell_balance("BTC")
    await world.time.until(lambda: managed(world) == Decimal("0.3"), 60)
    await world.time.pass_by(10)
    [sale, _] = world.agent.execution.intents
    await world.time.finish(world.agent.execution.give_up([sale.intent_id], ()))
    await world.time.until(lambda: bool(ends(world)), 60)
    [exit_] = world.agent.execution.intents
    assert (exit_.residual, managed(world), ends(world)) == (
        *(Decimal("0.2"), Decimal("0.2")),
        [Decimal("0.1")],
    )
    fired(world.exchange.foreign)


async def test_a_sale_is_not_cut_for_one_that_has_just_let_its_coins_go() -> None:
    desk = Desk(managed="0")
    for name, quantity in (("first", "0.3"), ("second", "0.2")):
        adoption = PositionAdjusted(
            *(BTC, Decimal(quantity), Decimal(60_000)),
            *(AdjustReason.ADOPTED, "", desk.time.now(), name),
        )
        sale = desk.exit(
            quantity,
            intent_id=name,
            purpose=Purpose.CLOSE,
            tracker_id=None,
            limit_price=Decimal(70_000),
            adopted=Decimal(quantity),
        )
        await desk.open(sale, adoption)
    await desk.time.pass_by(2)
    fitted, real = list[asyncio.Task[None]](), desk.book.apply

    def apply(event: Event) -> None:
        real(event)
        if isinstance(event, IntentClosed):
            # As whoever listens does: before the task of the sale is over.
            fitted.append(asyncio.create_task(desk.engine.fit(BTC)))

    desk.book.apply = apply  # type: ignore[method-assign]
    await desk.time.finish(desk.engine.give_up(["first"], ()))
    await desk.done("first")
    await asyncio.gather(*fitted)
    assert len(fitted) == 1
    assert [one.quantity for one in desk.engine.intents] == [Decimal("0.2")] == [desk.managed]


async def test_a_sale_that_ends_with_its_first_answer_lets_even_dust_go() -> None:
    desk = Desk(managed="0")
    desk.exchange.depth[BTC] = Decimal("0.3")
    some = Decimal("0.30005")
    adoption = PositionAdjusted(
        *(BTC, some, Decimal(60_000), AdjustReason.ADOPTED, "", desk.time.now(), "tap")
    )
    sale = desk.exit(str(some), purpose=Purpose.CLOSE, tracker_id=None, adopted=some)
    await desk.open(sale, adoption)
    final = await desk.done()
    assert (final.state, final.let_go) == (IntentState.DUST, Decimal("0.00005"))
    assert desk.managed == 0


async def test_an_end_lets_go_of_no_more_than_a_loss_has_left_to_the_trackers(
    world: AgentWorld,
) -> None:
    await world.do(sell("0.3"))
    await world.protect("58000", Amount(AmountKind.BASE, Decimal("0.2")))
    await world.time.pass_by(2)
    # What follows from the loss has not cut the sale yet.
    world.stop_following_up()
    await world.time.settle()
    why = (AdjustReason.EXTERNAL, "sold elsewhere", world.time.now())
    await world.agent.record(PositionAdjusted(BTC, Decimal("-0.2"), Decimal(60_000), *why))
    [order] = world.exchange.orders
    await world.time.finish(world.exchange.cancel(BTC, order))
    await world.time.until(lambda: is_over(world), 60)
    assert (managed(world), ends(world)) == (Decimal("0.2"), [Decimal("0.1")])


async def test_the_same_coins_may_be_for_sale_again_and_are_let_go_of_again(
    world: AgentWorld,
) -> None:
    for _ in range(2):
        await world.do(sell("0.5"))
        await world.time.pass_by(2)
        assert managed(world) == Decimal("0.5")
        await given_up(world)
    assert (managed(world), ends(world)) == (0, [Decimal("0.5")] * 2)


async def _asked(world: AgentWorld) -> str:
    proposal = await world.desk.propose(AbortOrders(BTC), OWNER)
    return question_text(proposal, 300, "").replace("\n", " ")


async def test_the_question_whether_to_give_up_says_what_is_not_managed_any_more(
    world: AgentWorld,
) -> None:
    await world.do(sell("0.3"))
    assert "0 BTC sold, the rest is not and is not managed any more." in await _asked(world)
    await given_up(world)
    await world.protect("58000", QUARTER)
    await world.do(sell("0.4"))
    assert (
        "the rest is not and stays, NOT protected; 0.15 BTC of it are not managed any more."
        in await _asked(world)
    )


# ------------------------------------------------------------ storage and death


def _lose_the_answer_of_the_end(world: AgentWorld) -> list[Event]:
    append, lost = world.store.append, list[Event]()

    async def lossy(*new: Event, **how: bool) -> int:
        ending = [one for one in new if isinstance(one, IntentClosed)]
        if ending and not lost:
            lost.extend(ending)
            world.store.lose_answer()
        return await append(*new, **how)

    world.store.append = lossy  # type: ignore[method-assign]
    return lost


async def test_an_end_whose_answer_was_lost_lets_go_once(world: AgentWorld) -> None:
    await world.do(sell("0.2"))
    await world.protect("58000", QUARTER)
    await world.time.pass_by(2)
    lost = _lose_the_answer_of_the_end(world)
    await given_up(world)
    await world.time.pass_by(30)
    assert (len(lost), managed(world)) == (1, Decimal("0.25"))
    await again(world)
    [tracker] = world.agent.trackers.all()
    assert managed(world) == Decimal("0.25") == tracker.quantity
    assert ends(world) == [Decimal("0.2")]


async def test_an_end_that_storage_refuses_lets_go_once_it_is_written(world: AgentWorld) -> None:
    await _end_without_storage(world)
    world.store.heal()
    await world.time.finish(world.agent.execution.check_open_attempts())
    assert ends(world) == [Decimal("0.25")]
    await again(world)
    assert managed(world) == Decimal("0.25")


async def test_a_death_before_the_end_is_written_leaves_it_to_the_next_start(
    world: AgentWorld,
) -> None:
    await _end_without_storage(world)
    await world.kill()
    world.store.heal()
    await world.start()
    await world.time.until(lambda: is_over(world), 60)
    assert (managed(world), ends(world)) == (Decimal("0.25"), [Decimal("0.25")])
    [tracker] = world.agent.trackers.all()
    assert tracker.quantity == Decimal("0.25")


async def _end_without_storage(world: AgentWorld) -> None:
    """A sale of 0.25 beside a stop of 0.25 ends, and only memory knows."""
    await world.do(sell("0.25"))
    await world.protect("58000", QUARTER)
    await world.time.pass_by(2)
    [order] = world.exchange.orders
    world.store.lose(reserve_too=True)
    await world.time.finish(world.exchange.cancel(BTC, order))
    await world.time.until(lambda: is_over(world), 60)
    assert (managed(world), ends(world)) == (Decimal("0.25"), [])


async def test_a_sale_whose_record_was_taken_for_lost_puts_its_coins_under_care_once(
    world: AgentWorld,
) -> None:
    asked = await world.time.finish(world.desk.propose(sell("0.3"), OWNER))
    world.store.lose_answer()
    done = world.desk.execute(asked.command, OWNER, "tap", None, asked.shown)
    await world.time.finish(done)
    await world.time.pass_by(60)
    assert managed(world) == Decimal("0.3")
    await again(world)
    assert managed(world) == Decimal("0.3")


# ------------------------------------------------------------ a closing in between


async def test_a_closing_sells_what_an_older_sale_has_put_under_care(world: AgentWorld) -> None:
    await world.do(sell("0.3"))
    await world.time.pass_by(2)
    await world.do(ClosePosition(BTC))
    await world.until_sold("0.3")
    assert (managed(world), ends(world)) == (0, [0])


@pytest.mark.parametrize("command", [ClosePosition(BTC), Panic()])
async def test_what_such_a_closing_does_not_sell_is_let_go_of_as_well(
    world: AgentWorld, command: ClosePosition | Panic
) -> None:
    await world.protect("58000", Amount(AmountKind.BASE, Decimal("0.1")))
    await world.do(sell("0.3"))
    await world.time.pass_by(2)
    world.exchange.without_bids.add(BTC)
    await world.do(command)
    await world.time.pass_by(10)
    assert not is_over(world)
    await again(world)
    await given_up(world)
    assert (managed(world), ends(world)) == (Decimal("0.1"), [Decimal("0.2")])


@pytest.mark.parametrize(("owned", "left"), [("0", "0.15"), ("0.1", "0.15"), ("0.2", "0.1")])
async def test_what_a_closing_of_a_share_leaves_unsold_of_it_is_let_go_of(
    world: AgentWorld, owned: str, left: str
) -> None:
    if Decimal(owned):
        await world.protect("58000", Amount(AmountKind.BASE, Decimal(owned)))
    await world.do(sell("0.3"))
    await world.time.pass_by(2)
    await world.do(ClosePosition(BTC, Decimal("0.5")))
    await world.until_sold("0.15")
    assert ends(world) == [Decimal(left)]
    assert managed(world) == Decimal("0.15") - Decimal(left)


async def test_a_closing_sells_what_was_given_up_by_hand_a_moment_before(
    world: AgentWorld,
) -> None:
    await world.do(sell("0.3"))
    await world.time.pass_by(2)
    world.exchange.is_down = True
    await world.do(AbortOrders(BTC))
    assert world.agent.execution.intents
    asked = await world.time.finish(world.desk.propose(ClosePosition(BTC), OWNER))
    world.exchange.is_down = False
    done = world.desk.execute(asked.command, OWNER, "tap", None, asked.shown)
    await world.time.finish(done)
    await world.until_sold("0.3")
    assert (managed(world), ends(world)) == (0, [0])


async def test_what_a_panic_about_everything_does_not_sell_is_let_go_of(
    world: AgentWorld,
) -> None:
    await world.protect("58000", QUARTER)
    world.exchange.without_bids.add(BTC)
    world.exchange.without_bids.add("ADA/USDT")
    await world.do(Panic(everything=True))
    await world.time.pass_by(10)
    assert managed(world) == Decimal("0.5")
    await given_up(world)
    assert managed(world) == Decimal("0.25")


# ------------------------------------------------------------ executions after the end


async def _absent(world: AgentWorld, limit: str = "60500") -> None:
    """A sale of 0.25 beside a stop of 0.25 ends, for its order was proven absent; it was not."""
    late = world.exchange.fail("late_match", after_s=120)
    await world.do(sell("0.25", limit))
    await world.protect("58000", QUARTER)
    await given_up(world)
    assert late.fired == 1
    assert (managed(world), ends(world)) == (Decimal("0.25"), [Decimal("0.25")])
    await world.move("61000")
    fired(late.fired)


def _unmanaged(world: AgentWorld) -> list[Decimal]:
    return [one.unmanaged for one in world.store.of(FillBooked)]


async def _check_late(world: AgentWorld, *unmanaged: str) -> None:
    await world.time.until(lambda: len(_unmanaged(world)) == len(unmanaged), 200)
    await world.time.settle()
    sold = sum(map(Decimal, unmanaged))
    assert _unmanaged(world) == [Decimal(one) for one in unmanaged]
    assert world.exchange.coins["BTC"] == Decimal("0.5") - sold
    [tracker] = world.agent.trackers.all()
    assert managed(world) == Decimal("0.25") == tracker.quantity


@pytest.mark.fault("X08c")
async def test_what_a_late_order_sells_is_what_was_let_go_of_and_nobody_elses(
    world: AgentWorld,
) -> None:
    await _absent(world)
    await _check_late(world, "0.25")
    await again(world)
    await _check_late(world, "0.25")


@pytest.mark.fault("X08c")
async def test_that_is_so_after_a_start_in_between(world: AgentWorld) -> None:
    await _absent(world)
    await again(world)
    world.exchange.appear(world.exchange.sent[-1])
    await _check_late(world, "0.25")
    await again(world)
    await _check_late(world, "0.25")


@pytest.mark.fault("X08c")
async def test_late_parts_of_an_order_take_it_in_turn_and_a_start_counts_them(
    world: AgentWorld,
) -> None:
    world.exchange.depth[BTC] = Decimal("0.1")
    mute = world.exchange.fail("cancel_mute", times=9)
    await _absent(world)
    await _check_late(world, "0.1")
    await again(world)
    world.exchange.depth[BTC] = Decimal("0.1")
    await world.move("61100")
    await _check_late(world, "0.1", "0.1")
    await again(world)
    world.exchange.depth[BTC] = Decimal("0.1")
    await world.move("61200")
    await _check_late(world, "0.1", "0.1", "0.05")
    assert mute.fired


async def test_more_than_was_let_go_of_is_taken_off_what_is_managed(world: AgentWorld) -> None:
    await world.protect("58000", Amount(AmountKind.BASE, Decimal("0.1")))
    late = world.exchange.fail("late_match", after_s=120)
    await world.do(sell("0.25", "60500"))
    await given_up(world)
    assert (managed(world), ends(world)) == (Decimal("0.1"), [Decimal("0.15")])
    await world.move("61000")
    await world.time.until(lambda: bool(_unmanaged(world)), 200)
    assert _unmanaged(world) == [Decimal("0.15")]
    assert (managed(world), world.exchange.coins["BTC"]) == (0, Decimal("0.25"))
    assert late.fired
