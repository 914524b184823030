"""A person's word whose record was taken for lost is carried out: it may be durable."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

import pytest

from tests.builders import NOON
from tests.unit.trading.agent_world import OWNER, AgentWorld, stop_spec
from trading.commanding.doubts import Doubts
from trading.desk import Outcome, Proposal
from trading.domain.commands import (
    AbortOrders,
    ArmTracker,
    CancelTracker,
    Command,
    Panic,
    PlaceOrder,
    SetTradingMode,
)
from trading.domain.errors import AlreadyRecorded, NotCarriedOn, Refused, StorageLost
from trading.domain.events import CommandExecuted, Event, IntentChanged, TradingModeChanged
from trading.domain.order import Side
from trading.domain.position import TradingMode
from trading.domain.tracker import Amount, AmountKind
from trading.ports.storage import Recorded

BTC = "BTC/USDT"
MONEY = Amount(AmountKind.QUOTE, Decimal(500))
PURCHASE = PlaceOrder(BTC, Side.BUY, MONEY, Decimal(50_000))
LIMIT_SALE = PlaceOrder(BTC, Side.SELL, Amount(AmountKind.ALL), Decimal(70_000))
STOP = ArmTracker(stop_spec())
HALT = SetTradingMode(TradingMode.HALTED, "by hand")


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    async with AgentWorld() as started:
        await started.time.pass_by(5)
        yield started


async def _asked(world: AgentWorld, command: Command) -> Proposal:
    return await world.time.finish(world.desk.propose(command, OWNER))


async def _tap(world: AgentWorld, asked: Proposal) -> Outcome:
    """Confirm a question; a second tap is the same word once more."""
    done = world.desk.execute(asked.command, OWNER, "c-1", None, asked.shown)
    return await world.time.finish(done)


async def _lose_answer(world: AgentWorld, asked: Proposal) -> None:
    world.store.lose_answer()
    with pytest.raises(StorageLost):
        await _tap(world, asked)


def _refuse_next(world: AgentWorld) -> None:
    """Storage refuses what comes first, and is well again after that."""
    append = world.store.append

    async def refused(*_: Event, **__: bool) -> int:
        world.store.append = append  # type: ignore[method-assign]
        raise StorageLost("the disk is full")

    world.store.append = refused  # type: ignore[method-assign]


async def test_a_sale_whose_end_was_taken_for_lost_is_given_up(world: AgentWorld) -> None:
    await world.do(LIMIT_SALE)
    await world.time.pass_by(2)
    [order] = world.exchange.orders.values()
    asked = await _asked(world, AbortOrders(BTC))
    await _lose_answer(world, asked)
    await world.time.until(lambda: not world.agent.execution.intents, 30)
    assert not order.is_open
    with pytest.raises(Refused, match="no order of yours is at work"):
        await _tap(world, asked)
    assert world.exchange.coins["BTC"] == Decimal("0.5")


async def test_a_word_that_is_known_already_is_said_to_be(world: AgentWorld) -> None:
    await world.do(LIMIT_SALE)
    await world.time.pass_by(2)
    asked = await _asked(world, AbortOrders(BTC))
    # The end of its order cannot be proven, so it stays at work.
    world.exchange.is_down = True
    await _lose_answer(world, asked)
    with pytest.raises(AlreadyRecorded):
        await _tap(world, asked)
    world.exchange.is_down = False
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    [order] = world.exchange.orders.values()
    assert not order.is_open


async def test_a_halt_that_was_taken_for_lost_holds_and_cancels(world: AgentWorld) -> None:
    await world.do(PURCHASE)
    await world.time.pass_by(2)
    [order] = world.exchange.orders.values()
    asked = await _asked(world, HALT)
    await _lose_answer(world, asked)
    assert world.agent.state.mode is TradingMode.HALTED
    with pytest.raises(AlreadyRecorded):
        await _tap(world, asked)
    await world.time.until(lambda: not order.is_open, 30)
    assert world.agent.state.mode is TradingMode.HALTED
    await world.time.pass_by(30)
    await world.kill()
    await world.start()
    assert world.agent.state.mode is TradingMode.HALTED
    # Trading that goes on is a word of its own, and no old halt is written after it.
    await world.do(SetTradingMode(TradingMode.ACTIVE, ""))
    await world.time.pass_by(30)
    assert world.store.of(TradingModeChanged)[-1].mode is TradingMode.ACTIVE


async def test_a_halt_that_nothing_can_take_down_holds_and_is_written_as_it_is_given_again(
    world: AgentWorld,
) -> None:
    await world.do(PURCHASE)
    await world.time.pass_by(2)
    [order] = world.exchange.orders.values()
    asked = await _asked(world, HALT)
    world.store.lose(reserve_too=True)
    for _ in range(3):
        with pytest.raises(StorageLost):
            await _tap(world, asked)
    await world.time.until(lambda: not order.is_open, 30)
    assert world.agent.state.mode is TradingMode.HALTED
    with pytest.raises(StorageLost):
        await world.do(SetTradingMode(TradingMode.ACTIVE, ""))
    assert world.agent.state.mode is TradingMode.HALTED
    world.store.heal()
    await world.time.finish(world.agent.execution.check_open_attempts())
    # The word itself is written as it is given again: the chat does that until it is kept.
    assert world.store.of(TradingModeChanged) == []
    assert (await _tap(world, asked)).text
    assert [fact.mode for fact in world.store.of(TradingModeChanged)] == [TradingMode.HALTED]
    await world.kill()
    await world.start()
    assert world.agent.state.mode is TradingMode.HALTED


async def test_a_word_given_again_is_not_recorded_without_what_it_gave_up(
    world: AgentWorld,
) -> None:
    await world.do(LIMIT_SALE)
    await world.time.pass_by(2)
    asked = await _asked(world, AbortOrders(BTC))
    # The end of its order cannot be proven, so it stays at work.
    world.exchange.is_down = True
    world.store.lose(reserve_too=True)
    with pytest.raises(StorageLost):
        await _tap(world, asked)
    world.store.heal()
    _refuse_next(world)
    with pytest.raises(StorageLost):
        await _tap(world, asked)
    await _tap(world, asked)
    assert world.store.of(IntentChanged)[-1].intent.given_up
    await world.kill()
    world.exchange.is_down = False
    await world.start()
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    [order] = world.exchange.orders.values()
    assert not order.is_open


@pytest.mark.parametrize("word", ["pause", "reduce"])
async def test_a_purchase_that_opens_while_a_mode_is_written_is_counted_and_ends_with_the_others(
    world: AgentWorld, word: str
) -> None:
    await world.do(PURCHASE)
    # The same purchase may be asked for again.
    await world.time.pass_by(6)
    is_written, append = asyncio.Event(), world.store.append

    async def slow(*new: Event, **how: bool) -> int:
        if any(isinstance(fact, TradingModeChanged) for fact in new):
            await is_written.wait()
        return await append(*new, **how)

    world.store.append = slow  # type: ignore[method-assign]
    done = world.desk.execute(SetTradingMode(TradingMode.REDUCING, word), OWNER, "c-1", None)
    reducing = asyncio.create_task(done)
    await world.time.settle()
    await world.do(PURCHASE)
    is_written.set()
    outcome = await world.time.finish(reducing)
    assert ("stay, and may fill: 2." if word == "pause" else "are cancelled: 2.") in outcome.text
    await world.time.pass_by(10)
    are_open = [order.is_open for order in world.exchange.orders.values()]
    assert are_open == [word == "pause"] * 2
    ended = [fact for fact in world.store.of(IntentChanged) if fact.intent.given_up]
    assert len(ended) == (0 if word == "pause" else 2)


async def test_an_older_word_whose_record_was_lost_is_not_written_after_a_newer_halt(
    world: AgentWorld,
) -> None:
    asked = await _asked(world, SetTradingMode(TradingMode.REDUCING, "by hand"))
    world.store.lose(reserve_too=True)
    with pytest.raises(StorageLost):
        await _tap(world, asked)
    assert world.agent.state.mode is TradingMode.REDUCING
    world.store.heal()
    await world.do(Panic())
    await world.time.pass_by(60)
    # What memory holds is written with the next decision.
    await world.do(LIMIT_SALE)
    await world.time.pass_by(5)
    assert world.agent.state.mode is TradingMode.HALTED
    await world.kill()
    await world.start()
    assert world.agent.state.mode is TradingMode.HALTED


# ------------------------------------------------------------ words that nobody carries out


async def _again(world: AgentWorld, asked: Proposal) -> None:
    """The chat gives a word again that failed: the process ends, and the next start knows it."""
    with pytest.raises(NotCarriedOn):
        await _tap(world, asked)
    await world.kill()
    await world.start()
    with pytest.raises(AlreadyRecorded):
        await _tap(world, asked)


async def test_a_stop_whose_record_was_taken_for_lost_is_watched_before_it_is_called_done(
    world: AgentWorld,
) -> None:
    await _lose_answer(world, await _asked(world, STOP))
    assert world.agent.trackers.count() == 0
    await _again(world, await _asked(world, STOP))
    assert world.agent.trackers.count() == 1
    await world.move("57900")
    await world.until_sold("0.5")


async def test_coins_of_such_a_stop_that_a_panic_sells_are_not_managed_again(
    world: AgentWorld,
) -> None:
    asked = await _asked(world, STOP)
    await _lose_answer(world, asked)
    panic = await _asked(world, Panic(everything=True))
    # Whoever gives it: what the account holds unmanaged is known to a start alone.
    with pytest.raises(NotCarriedOn):
        await world.time.finish(world.desk.execute(panic.command, OWNER, "c-2", None))
    await world.kill()
    await world.start()
    await world.time.finish(world.desk.execute(panic.command, OWNER, "c-2", None))
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    assert world.exchange.coins["BTC"] == 0
    await world.kill()
    await world.start()
    assert world.agent.state.book.managed(BTC) == 0
    assert world.agent.trackers.count() == 0


async def test_a_stop_whose_end_was_taken_for_lost_does_not_fire_after_that(
    world: AgentWorld,
) -> None:
    await world.do(STOP)
    asked = await _asked(world, CancelTracker(1))
    await _lose_answer(world, asked)
    await _again(world, asked)
    await world.move("57900")
    await world.time.pass_by(10)
    assert world.exchange.coins["BTC"] == Decimal("0.5")


async def test_a_purchase_whose_record_was_taken_for_lost_is_made_by_the_next_start(
    world: AgentWorld,
) -> None:
    asked = await _asked(world, PlaceOrder(BTC, Side.BUY, MONEY))
    await _lose_answer(world, asked)
    await _again(world, asked)
    await world.time.until(lambda: not world.agent.execution.intents, 60)
    assert world.exchange.coins["BTC"] > Decimal("0.5")


async def test_a_word_that_storage_did_refuse_is_carried_out_as_it_is_given_again(
    world: AgentWorld,
) -> None:
    asked = await _asked(world, STOP)
    _refuse_next(world)
    with pytest.raises(StorageLost):
        await _tap(world, asked)
    assert (await _tap(world, asked)).text
    assert world.agent.trackers.count() == 1


# ------------------------------------------------------------ a newer word in between


async def _overtaken(world: AgentWorld, older: Command, newer: Command) -> None:
    """The record of a word is refused only once that of a newer word is durable."""
    await world.do(LIMIT_SALE)
    await world.time.pass_by(2)
    first, second = await _asked(world, older), await _asked(world, newer)
    # Nothing of it can be carried out before the next start.
    world.exchange.is_down = True
    fails, append = asyncio.Event(), world.store.append

    async def slow(*new: Event, **how: bool) -> int:
        if any(isinstance(one, CommandExecuted) and one.cause == "c-1" for one in new):
            await fails.wait()
            raise StorageLost("the disk is full")
        return await append(*new, **how)

    world.store.append = slow  # type: ignore[method-assign]
    word = world.desk.execute(first.command, OWNER, "c-1", None, first.shown)
    failing = asyncio.ensure_future(word)
    await world.time.settle()
    done = world.desk.execute(second.command, OWNER, "c-2", None, second.shown)
    await world.time.finish(done)
    fails.set()
    with pytest.raises(StorageLost):
        await failing
    world.store.append = append  # type: ignore[method-assign]
    await world.time.pass_by(30)
    assert world.agent.execution._s.writer.unsaved == 0
    await world.kill()
    world.exchange.is_down = False
    await world.start()
    await world.time.until(lambda: not world.agent.execution.intents, 60)


async def test_an_end_that_was_refused_is_not_written_behind_a_newer_panic(
    world: AgentWorld,
) -> None:
    await _overtaken(world, AbortOrders(BTC), Panic())
    assert world.exchange.coins["BTC"] == 0


async def test_a_panic_that_was_refused_is_not_written_behind_a_newer_end(
    world: AgentWorld,
) -> None:
    await _overtaken(world, Panic(), AbortOrders(BTC))
    assert world.exchange.coins["BTC"] == Decimal("0.5")


async def test_who_may_only_read_that_a_word_was_not_carried_out_ends_the_process_as_well(
    world: AgentWorld,
) -> None:
    await _lose_answer(world, await _asked(world, STOP))
    # As whoever asks from a terminal, and the agent goes on without an answer to that.
    for cause in ("c-2", "c-3"):
        with pytest.raises(NotCarriedOn):
            await world.time.finish(world.desk.execute(Panic(), OWNER, cause, None))
    assert isinstance(world.following_up.exception(), NotCarriedOn)


async def test_a_word_that_fails_while_another_one_is_looked_for_stays_in_doubt(
    world: AgentWorld,
) -> None:
    doubts, latest = Doubts(world.store), world.store.latest

    async def fails_meanwhile(limit: int, kinds: Sequence[str]) -> Sequence[Recorded]:
        found = await latest(limit, kinds)
        await world.store.append(CommandExecuted("late", OWNER, "ArmTracker", NOON))
        doubts.note(STOP, "late", TradingMode.ACTIVE)
        return found

    doubts.note(STOP, "early", TradingMode.ACTIVE)
    world.store.latest = fails_meanwhile  # type: ignore[method-assign]
    await doubts.settle()
    world.store.latest = latest  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(NotCarriedOn):
            await doubts.settle()
