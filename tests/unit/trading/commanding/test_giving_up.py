"""What a person has ordered and what does not come about can be given up, once and for all."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest

from bot.telegram.alert import AlertFacts
from bot.telegram.alerts import alert_for
from bot.telegram.keyboards import does
from bot.telegram.render.status import orders_card
from bot.telegram.render.trading import question_text
from storage.codec import decode, encode
from tests.builders import NOON
from tests.unit.trading.agent_world import OWNER, AgentWorld, stop_spec
from trading.desk import CloseProposal
from trading.domain.commands import (
    AbortIntent,
    AbortOrders,
    ArmTracker,
    CloseAll,
    ClosePosition,
    Command,
    Panic,
    PlaceOrder,
    SetTradingMode,
)
from trading.domain.errors import AlreadyRecorded, Refused, StorageLost
from trading.domain.events import AlertRaised, IntentChanged, IntentClosed
from trading.domain.order import Intent, IntentState, Purpose, Side
from trading.domain.position import TradingMode
from trading.domain.tracker import Amount, AmountKind

BTC = "BTC/USDT"
ALL = Amount(AmountKind.ALL)
TENTH = Amount(AmountKind.BASE, Decimal("0.1"))


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    async with AgentWorld() as started:
        await started.time.pass_by(5)
        yield started


async def _blocked(world: AgentWorld) -> None:
    """A sale of everything that nobody buys."""
    await world.protect()
    world.exchange.without_bids.add(BTC)
    await world.do(ClosePosition(BTC))
    await world.time.until(lambda: _states(world) == [IntentState.BLOCKED], 30)


async def _stop_blocked(world: AgentWorld) -> None:
    """A stop that has fired, and that nobody buys from."""
    await world.protect()
    world.exchange.without_bids.add(BTC)
    await world.move("57900")
    await world.time.until(lambda: _states(world) == [IntentState.BLOCKED], 30)
    await world.time.settle()


async def _die(_: object) -> None:
    raise asyncio.CancelledError


def _states(world: AgentWorld) -> list[IntentState]:
    return [intent.state for intent in world.agent.execution.intents]


def _ended(world: AgentWorld) -> list[IntentState]:
    return [each.intent.state for each in world.store.of(IntentClosed)]


async def test_a_blocked_sale_of_a_person_is_given_up_and_sells_nothing_later(
    world: AgentWorld,
) -> None:
    await _blocked(world)
    proposal = await world.desk.propose(AbortOrders("BTCUSDT"), OWNER)
    assert proposal.needs_confirmation
    asked = question_text(proposal, 300, "").replace("\n", " ")
    assert "0.5 BTC is given up: 0 BTC sold, the rest is not and stays, NOT protected." in asked
    await world.do(AbortOrders(BTC))
    await world.time.until(lambda: _states(world) == [], 30)
    world.exchange.without_bids.clear()
    await world.time.pass_by(120)
    assert world.exchange.coins["BTC"] == Decimal("0.5")
    assert _ended(world) == [IntentState.ABORTED]
    # What was given up may be sold, and protected, anew.
    await world.do(PlaceOrder(BTC, Side.SELL, ALL))
    await world.until_sold("0.5")


async def test_what_was_given_up_stays_so_through_a_death(world: AgentWorld) -> None:
    await _blocked(world)
    await world.kill()
    await world.start()
    assert _states(world) == [IntentState.BLOCKED]
    await world.do(AbortOrders(BTC))
    await world.time.until(lambda: _states(world) == [], 30)
    await world.kill()
    world.exchange.without_bids.clear()
    await world.start()
    await world.time.pass_by(60)
    assert world.exchange.coins["BTC"] == Decimal("0.5")


async def test_a_limit_sale_that_rests_is_taken_off_the_exchange(world: AgentWorld) -> None:
    await world.do(PlaceOrder(BTC, Side.SELL, ALL, Decimal(70_000)))
    await world.time.pass_by(2)
    [order] = world.exchange.orders.values()
    assert order.is_open
    await world.do(AbortOrders(BTC))
    await world.time.until(lambda: _states(world) == [], 30)
    assert not order.is_open
    assert world.exchange.coins["BTC"] == Decimal("0.5")
    assert _ended(world) == [IntentState.ABORTED]


@pytest.mark.parametrize("is_tracker", [False, True])
async def test_the_word_and_what_it_gives_up_are_one_fact(
    world: AgentWorld, *, is_tracker: bool
) -> None:
    await (_stop_blocked(world) if is_tracker else _blocked(world))
    proposal = await world.desk.propose(AbortIntent(1) if is_tracker else AbortOrders(BTC), OWNER)
    world.store.lose(reserve_too=True)
    with pytest.raises(StorageLost):
        await world.time.finish(world.desk.execute(proposal.command, OWNER, "c-1", None))
    # Carried out, and no part of it is durable: as if it had never been given.
    await world.kill()
    world.store.heal()
    await world.start()
    assert _states(world) == [IntentState.BLOCKED]
    # Done again by the start: the tap was never answered.
    world.agent.execution.settle = _die  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await world.desk.execute(proposal.command, OWNER, "c-1", None)
    await world.kill()
    world.exchange.without_bids.clear()
    await world.start()
    with pytest.raises(AlreadyRecorded):
        await world.desk.execute(proposal.command, OWNER, "c-1", None)
    await world.time.pass_by(60)
    assert world.exchange.coins["BTC"] == Decimal("0.5")
    assert _ended(world) == [IntentState.ABORTED]


async def test_an_order_of_an_unknown_fate_is_given_up_through_a_death(world: AgentWorld) -> None:
    world.exchange.fail("lost_after")
    await world.do(PlaceOrder(BTC, Side.SELL, ALL, Decimal(70_000)))
    [order] = world.exchange.orders.values()
    world.exchange.is_down = True
    await world.do(AbortOrders(BTC))
    await world.kill()
    world.exchange.is_down = False
    await world.start()
    await world.time.until(lambda: _states(world) == [], 60)
    assert not order.is_open
    assert world.exchange.coins["BTC"] == Decimal("0.5")


async def test_what_was_ordered_after_the_question_stays_and_is_said(world: AgentWorld) -> None:
    await world.do(PlaceOrder(BTC, Side.SELL, ALL, Decimal(70_000)))
    proposal = await world.desk.propose(AbortOrders(BTC), OWNER)
    money = Amount(AmountKind.QUOTE, Decimal(500))
    await world.do(PlaceOrder(BTC, Side.BUY, money, Decimal(50_000)))
    done = world.desk.execute(proposal.command, OWNER, "c-1", None, proposal.shown)
    outcome = await world.time.finish(done)
    assert "1 that the question did not name stays" in outcome.text
    await world.time.settle()
    assert [intent.side for intent in world.agent.execution.intents] == [Side.BUY]


async def test_what_has_ended_since_the_question_takes_nothing_newer_with_it(
    world: AgentWorld,
) -> None:
    money = Amount(AmountKind.QUOTE, Decimal(500))
    await world.do(PlaceOrder(BTC, Side.BUY, money, Decimal(59_000)))
    proposal = await world.desk.propose(AbortOrders(BTC), OWNER)
    await world.move("58900")
    await world.time.until(lambda: _states(world) == [], 30)
    await world.do(PlaceOrder(BTC, Side.SELL, ALL, Decimal(70_000)))
    with pytest.raises(Refused, match="nothing of what the question named is at work"):
        await world.desk.execute(proposal.command, OWNER, "c-1", None, proposal.shown)
    assert [intent.side for intent in world.agent.execution.intents] == [Side.SELL]


async def test_the_alarm_and_the_list_of_orders_offer_it(world: AgentWorld) -> None:
    await _blocked(world)
    [raised] = [one for one in world.store.of(AlertRaised) if one.topic == "blocked"]
    alert = alert_for(raised, AlertFacts(world.desk.instrument))
    assert alert is not None
    for card, of in ((alert.card, ""), (orders_card(world.desk.open_orders()), f" {BTC}")):
        assert does(f"✖️ Abort{of}", f"/abort {BTC}") in {one for row in card.buttons for one in row}


async def test_without_an_order_of_a_person_there_is_nothing_to_give_up(world: AgentWorld) -> None:
    await world.protect()
    with pytest.raises(Refused, match="no order of yours is at work on BTC/USDT"):
        await world.desk.propose(AbortOrders(BTC), OWNER)


async def test_while_it_is_blocked_nothing_says_that_there_is_nothing(world: AgentWorld) -> None:
    await _blocked(world)
    with pytest.raises(Refused, match=r"0\.5 BTC are in a sale at work"):
        await world.desk.propose(PlaceOrder(BTC, Side.SELL, ALL), OWNER)
    for command in (ClosePosition(BTC), CloseAll(), Panic()):
        proposal = await world.desk.propose(command, OWNER)
        assert isinstance(proposal.facts, CloseProposal)
        assert [line.quantity for line in proposal.facts.lines] == [Decimal("0.5")]


@pytest.mark.parametrize("command", [Panic(), CloseAll(), ClosePosition(BTC)])
async def test_a_panic_sells_what_lies_in_a_limit_sale_of_ours(
    world: AgentWorld, command: Command
) -> None:
    await world.protect()
    await world.do(PlaceOrder(BTC, Side.SELL, TENTH, Decimal(70_000)))
    await world.time.pass_by(2)
    proposal = await world.desk.propose(command, OWNER)
    assert isinstance(proposal.facts, CloseProposal)
    assert [line.quantity for line in proposal.facts.lines] == [Decimal("0.5")]
    assert proposal.facts.at_work == ()
    assert "Limit sale now at market: 0.1 BTC" in question_text(proposal, 300, "")
    await world.do(command)
    await world.until_sold("0.5")
    assert world.exchange.coins["BTC"] == 0
    # The limit sale goes on at the market; what lies in no sale does not wait for its cancel.
    assert [one.is_open for one in world.exchange.orders.values()] == [False, False, False]
    assert _ended(world) == [IntentState.DONE, IntentState.DONE]


async def test_half_a_closing_leaves_a_limit_sale_that_it_does_not_need(world: AgentWorld) -> None:
    await world.protect()
    await world.do(PlaceOrder(BTC, Side.SELL, TENTH, Decimal(70_000)))
    await world.time.pass_by(2)
    proposal = await world.desk.propose(ClosePosition(BTC, Decimal("0.5")), OWNER)
    done = world.desk.execute(proposal.command, OWNER, "c-1", None, proposal.shown)
    await world.time.finish(done)
    await world.time.until(lambda: world.exchange.filled() == Decimal("0.25"), 60)
    assert [one.is_open for one in world.exchange.orders.values()] == [True, False]
    [tracker] = world.agent.trackers.all()
    assert tracker.quantity == Decimal("0.15")


async def test_a_closing_leaves_the_sales_of_other_markets(world: AgentWorld) -> None:
    some = Amount(AmountKind.BASE, Decimal(100))
    await world.do(PlaceOrder("ADA/USDT", Side.SELL, some, Decimal(2)))
    await world.do(PlaceOrder(BTC, Side.SELL, TENTH, Decimal(70_000)))
    await world.do(ClosePosition(BTC))
    await world.time.until(lambda: world.exchange.filled() == Decimal("0.1"), 60)
    assert [intent.symbol for intent in world.agent.execution.intents] == ["ADA/USDT"]


async def test_a_panic_sells_what_a_floor_or_an_empty_book_has_blocked(world: AgentWorld) -> None:
    await world.do(ArmTracker(replace(stop_spec(), slippage_max=Decimal("0.005"))))
    world.exchange.without_bids.add(BTC)
    await world.move("57900")
    await world.time.until(lambda: _states(world) == [IntentState.BLOCKED], 30)
    await world.move("50000")
    world.exchange.without_bids.clear()
    await world.time.pass_by(30)
    assert _states(world) == [IntentState.BLOCKED]
    await world.do(Panic())
    await world.until_sold("0.5")
    assert world.agent.trackers.count() == 0
    assert world.agent.state.mode is TradingMode.HALTED


async def test_one_that_ended_since_the_question_keeps_no_other_at_work(world: AgentWorld) -> None:
    for limit in (60_500, 70_000):
        await world.do(PlaceOrder(BTC, Side.SELL, TENTH, Decimal(limit)))
    await world.time.pass_by(2)
    ids = [intent.intent_id for intent in world.agent.execution.intents]
    world.exchange.move(BTC, "61000")
    await world.time.pass_by(2)
    assert len(_states(world)) == 1
    await world.time.finish(world.agent.execution.give_up(ids, ()))
    await world.time.finish(world.agent.execution.settle(ids))
    assert _states(world) == []
    assert sorted(state.value for state in _ended(world)) == ["aborted", "done"]


@pytest.mark.parametrize("word", ["pause", "reduce"])
async def test_a_pause_keeps_purchases_that_rest_and_a_reduction_ends_them(
    world: AgentWorld, word: str
) -> None:
    money = Amount(AmountKind.QUOTE, Decimal(500))
    await world.do(PlaceOrder(BTC, Side.BUY, money, Decimal(50_000)))
    outcome = await world.do(SetTradingMode(TradingMode.REDUCING, word))
    await world.time.pass_by(5)
    await world.kill()
    await world.start()
    await world.time.pass_by(5)
    [order] = world.exchange.orders.values()
    assert order.is_open is (word == "pause")
    said = "stay, and may fill: 1. /reduce" if word == "pause" else "are cancelled: 1."
    assert said in outcome.text


def test_a_decision_of_an_older_journal_is_not_given_up() -> None:
    opened = IntentChanged(
        Intent("i-1", BTC, Side.SELL, Purpose.CLOSE, Decimal(60_000), NOON), NOON
    )
    payload = json.loads(encode(opened))
    for name in ("given_up", "given_up_filled"):
        payload["intent"].pop(name)
    assert decode("IntentChanged", json.dumps(payload)) == opened


@pytest.mark.parametrize("is_killed", [False, True])
async def test_a_sale_by_hand_that_nobody_takes_for_minutes_sells_at_no_other_price(
    world: AgentWorld, *, is_killed: bool
) -> None:
    await world.protect()
    world.exchange.without_bids.add(BTC)
    await world.do(PlaceOrder(BTC, Side.SELL, ALL))
    await world.time.pass_by(60)
    assert _states(world) == [IntentState.BLOCKED]
    if is_killed:
        await world.kill()
        await world.time.pass_by(600)
        await world.start()
    await world.time.until(lambda: _states(world) == [], 90)
    world.exchange.without_bids.clear()
    await world.move("45000")
    await world.time.pass_by(60)
    assert world.exchange.coins["BTC"] == Decimal("0.5")
    [ended] = [each.intent for each in world.store.of(IntentClosed)]
    assert ended.state is IntentState.EXPIRED
    assert "nothing could be sold for 2 min (no bids" in ended.reason
    # Asked anew it sells, and whoever closes a market wants out however long that takes.
    await world.do(PlaceOrder(BTC, Side.SELL, TENTH))
    await world.until_sold("0.1")
    world.exchange.without_bids.add(BTC)
    await world.do(ClosePosition(BTC))
    await world.time.pass_by(600)
    world.exchange.without_bids.clear()
    await world.until_sold("0.5")


async def test_a_closing_that_has_outgrown_its_question_takes_nothing_back(
    world: AgentWorld,
) -> None:
    await world.do(PlaceOrder(BTC, Side.SELL, Amount(AmountKind.ALL), Decimal(70_000)))
    money = Amount(AmountKind.QUOTE, Decimal(500))
    await world.do(PlaceOrder(BTC, Side.BUY, money, Decimal(59_000)))
    await world.time.pass_by(2)
    proposal = await world.desk.propose(ClosePosition(BTC), OWNER)
    await world.move("58900")
    await world.time.pass_by(5)
    done = world.desk.execute(proposal.command, OWNER, "c-1", None, proposal.shown)
    with pytest.raises(Refused, match="it would sell"):
        await world.time.finish(done)
    await world.time.pass_by(30)
    [sale] = world.agent.execution.intents
    assert (sale.side, sale.given_up) == (Side.SELL, "")


async def test_a_stop_that_is_given_up_after_a_closing_stays_so(world: AgentWorld) -> None:
    await _stop_blocked(world)
    [tracker] = world.agent.trackers.all()
    await world.do(ClosePosition(BTC))
    await world.do(AbortIntent(tracker.tracker_id))
    await world.kill()
    world.exchange.without_bids.clear()
    await world.start()
    await world.time.pass_by(60)
    assert world.exchange.filled() == 0
    assert _ended(world) == [IntentState.ABORTED]
