"""A market that the exchange lists no more: what is at work there is held, nothing is guessed."""

from dataclasses import replace
from decimal import Decimal

from tests.unit.trading.execution.desk import BTC, Desk
from tests.unit.trading.execution.test_recovery import killed, recovered
from trading.domain import events
from trading.domain.instrument import InstrumentStatus
from trading.domain.order import IntentState, Purpose

HALF = Decimal("0.5")
GONE = "market gone"


async def started_without_its_market(desk: Desk) -> tuple[Desk, list[str]]:
    listed = desk.exchange.rules.pop(BTC)
    desk.has_quotes = False
    again = await killed(desk)
    again.has_quotes = False
    lines = await recovered(again)
    await again.time.pass_by(60)
    assert not again.told("an error of ours")
    desk.exchange.rules[BTC] = listed
    return again, lines


async def test_a_sale_waits_for_its_market_says_so_once_and_goes_on_when_it_is_back() -> None:
    desk = Desk()
    await desk.store.append(events.IntentOpened(desk.exit(), desk.time.now()))
    again, _ = await started_without_its_market(desk)
    assert again.blocked(GONE) == 1
    assert again.blocked("does not list BTC/USDT now") == 1
    assert again.blocked("/abort 1 gives it up") == 1
    assert again.alerts == []
    assert again.exchange.sent == []
    final = await again.done()
    assert final.state is IntentState.DONE
    assert again.exchange.filled() == HALF


async def test_a_sale_that_no_tracker_tells_of_raises_one_alarm_that_ends_with_the_block() -> None:
    desk = Desk()
    sale = desk.exit(purpose=Purpose.CLOSE, tracker_id=None)
    await desk.store.append(events.IntentOpened(sale, desk.time.now()))
    again, _ = await started_without_its_market(desk)
    await again.done()
    [alarm] = again.alerts
    assert "BTC/USDT: sale of 0.5 is blocked: market gone: the exchange does not" in alarm.text
    assert [one.alert_id for one in again.store.of(events.AlertEnded)] == [alarm.alert_id]


async def test_what_became_of_an_order_is_not_guessed_while_nobody_can_ask_for_it() -> None:
    desk = Desk()
    desk.exchange.is_down = True
    await desk.open(desk.exit())
    await desk.time.settle()
    desk.exchange.is_down = False
    again, [line] = await started_without_its_market(desk)
    assert "is unknown" in line
    [attempt] = again.engine.attempts
    assert again.blocked(f"what became of order {attempt.client_order_id} is not known") == 1
    # Given up by a person, it ends once that is known, and not before.
    again.exchange.rules.pop(BTC)
    await again.engine.give_up(["tracker:1:1"], ())
    await again.time.pass_by(60)
    assert again.final() is None
    again.exchange.rules[BTC] = desk.rules[BTC]
    final = await again.done()
    assert final.state is IntentState.ABORTED
    assert "absent" in again.states()
    assert again.exchange.sent == []


async def test_a_sale_whose_market_is_gone_can_be_given_up() -> None:
    desk = Desk()
    desk.exchange.depth[BTC] = Decimal("0.2")
    await desk.open(desk.exit())
    await desk.time.until(lambda: "expired" in desk.states())
    again, _ = await started_without_its_market(desk)
    again.exchange.rules.pop(BTC)
    await again.engine.give_up(["tracker:1:1"], ())
    final = await again.done()
    assert (final.state, final.filled_quantity) == (IntentState.ABORTED, Decimal("0.2"))
    [trip] = again.store.of(events.RoundTripClosed)
    assert trip.round_trip.quantity == Decimal("0.2")


async def test_a_purchase_whose_market_is_gone_ends_and_holds_no_money_back() -> None:
    desk = Desk()
    await desk.store.append(events.IntentOpened(desk.entry("900"), desk.time.now()))
    again, _ = await started_without_its_market(desk)
    final = again.final("command:7:BTC/USDT")
    assert final is not None
    assert (final.state, again.engine.reserved("USDT")) == (IntentState.EXPIRED, 0)
    assert "does not list BTC/USDT" in final.reason


async def test_a_sale_under_a_halt_of_everything_stays_held_while_its_market_is_gone() -> None:
    desk = Desk()
    await desk.open(desk.exit(), is_held=True)
    listed = desk.exchange.rules.pop(BTC)
    again = await killed(desk)
    await recovered(again)
    again.engine.hold()
    await again.time.pass_by(30)
    assert again.blocked(GONE) == 0
    again.engine.release()
    await again.time.pass_by(30)
    assert again.blocked(GONE) == 1
    again.exchange.rules[BTC] = listed
    await again.done()
    assert again.exchange.filled() == HALF


async def test_a_sale_whose_market_takes_no_orders_at_a_start_is_held_and_goes_on() -> None:
    desk = Desk()
    await desk.store.append(events.IntentOpened(desk.exit(), desk.time.now()))
    traded = desk.exchange.rules[BTC]
    desk.exchange.rules[BTC] = replace(traded, status=InstrumentStatus.HALTED)
    again = await killed(desk)
    await recovered(again)
    await again.time.pass_by(60)
    assert again.blocked("market closed: BTC/USDT takes no orders now") == 1
    again.exchange.rules[BTC] = traded
    await again.done()
    assert again.exchange.filled() == HALF
