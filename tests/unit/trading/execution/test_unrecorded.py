"""An exit without a record, and an end while a backstop is taken off: nothing is left bare."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.unit.trading.execution.desk import BTC, Desk
from trading.domain import events
from trading.domain.order import IntentState, OrderType, Purpose

HALF = Decimal("0.5")


async def _guarded() -> Desk:
    """A desk whose coins a backstop locks."""
    desk = Desk()
    backstop = desk.exit(
        intent_id="backstop:1:1", purpose=Purpose.BACKSTOP, stop_price=Decimal(50_000)
    )
    await desk.open(backstop)
    await desk.time.settle()
    assert desk.exchange.locked["BTC"] == HALF
    return desk


def _sales(desk: Desk) -> list[str]:
    return [one.client_order_id for one in desk.exchange.sent if one.stop_price is None]


@pytest.mark.fault("S03", "ONE CRIT")
@pytest.mark.parametrize("takes", [0, 1, 2])
async def test_s03_an_exit_takes_its_backstop_off_and_sells_once_without_any_storage(
    takes: int,
) -> None:
    desk = await _guarded()
    began_s = desk.time.monotonic()
    desk.store.lose(reserve_takes=takes)
    await desk.open(desk.exit())
    await desk.time.pass_by(5)
    assert desk.exchange.cancelled
    [sale] = _sales(desk)
    assert desk.exchange.filled() == HALF
    assert desk.exchange.history[-1].accepted_s - began_s <= 1
    assert desk.exchange.refused == []
    final = desk.final()
    assert final is not None
    assert final.state is IntentState.DONE
    assert desk.told_loudly("the sale was sent once without it")
    desk.store.heal()
    await desk.time.finish(desk.engine.check_open_attempts())
    assert [one.fill.client_order_id for one in desk.store.of(events.FillBooked)] == [sale]
    assert desk.managed == 0
    fired(desk.store.appends_lost)


@pytest.mark.fault("S03", "ONE SAID")
@pytest.mark.parametrize("takes", [0, 1, 2])
async def test_s03_a_restart_after_it_knows_that_sale_and_sells_nothing_more(takes: int) -> None:
    desk = await _guarded()
    desk.store.lose(reserve_takes=takes)
    await desk.open(desk.exit())
    await desk.time.pass_by(5)
    assert len(_sales(desk)) == 1
    await desk.time.finish(desk.engine.stop())
    desk.store.heal()
    await desk.store.append()
    again = desk.restarted()
    again.book.load({BTC: replace(desk.book.snapshot().positions[BTC], quantity=HALF)})
    state = await again.store.state()
    doubted = {each.intent_id: each.symbol for each in state.intents} | {"tracker:1:1": BTC}
    again.engine.doubt(doubted, again.time.now())
    await again.time.finish(again.engine.recover(state))
    again.engine.go_on()
    if not any(intent.intent_id == "tracker:1:1" for intent in again.engine.intents):
        # The stop triggers again, with the same arming: the same decision.
        await again.open(again.exit())
    final = await again.done()
    assert final.filled_quantity == HALF
    assert len(_sales(again)) == 1
    assert again.managed == 0
    fired(desk.store.appends_lost)


async def test_what_goes_on_from_an_unwritten_decision_is_never_written_before_it() -> None:
    desk = await _guarded()
    desk.store.lose(reserve_takes=0)
    desk.exchange.fail("cancel_mute", times=2)
    now = desk.time.now()
    await desk.open(desk.exit(), *(events.Heartbeat(now + timedelta(seconds=n)) for n in range(2)))
    # Facts that are small find room where its decision did not.
    desk.store.lose(reserve_takes=9, reserve_events_max=2)
    await desk.time.pass_by(10)
    assert desk.exchange.filled() == HALF
    desk.store.heal()
    await desk.time.finish(desk.engine.check_open_attempts())
    kinds = [type(one) for one in desk.store.all_events]
    [opened] = [
        place
        for place, one in enumerate(desk.store.all_events)
        if isinstance(one, events.IntentOpened) and one.intent.purpose is Purpose.PROTECT
    ]
    assert kinds.index(events.FillBooked) > opened
    assert [kind for kind in kinds[opened:] if kind is events.AttemptPrepared] != []


@pytest.mark.fault("P02")
async def test_an_end_lets_an_exit_sell_that_has_taken_its_backstop_off() -> None:
    desk = await _guarded()
    answer = desk.exchange.fail("cancel_slow", after_s=1.5)
    await desk.open(desk.exit())
    await desk.time.pass_by(0.5)
    assert answer.fired == 1
    assert _sales(desk) == []
    began_s = desk.time.monotonic()
    await desk.time.finish(desk.engine.stop())
    assert desk.exchange.filled() == HALF
    assert len(_sales(desk)) == 1
    assert desk.time.monotonic() - began_s <= 5
    [request] = [one for one in desk.exchange.sent if one.stop_price is None]
    assert request.order_type is OrderType.LIMIT
    fired(answer.fired)


@pytest.mark.fault("P02")
async def test_an_end_takes_no_backstop_off_whose_coins_it_would_not_sell_any_more() -> None:
    desk = await _guarded()
    original = desk.store.append

    async def slow(*facts: events.Event, **how: bool) -> int:
        if any(isinstance(fact, events.IntentOpened) for fact in facts):
            # The end comes while the decision is being written.
            desk.engine.send_nothing_new()
        return await original(*facts, **how)

    desk.store.append = slow  # type: ignore[method-assign]
    await desk.open(desk.exit())
    await desk.time.finish(desk.engine.stop())
    assert desk.exchange.cancelled == []
    assert desk.exchange.locked["BTC"] == HALF
    assert _sales(desk) == []
    fired(len(desk.exchange.sent))


async def test_an_end_does_not_wait_for_an_exit_that_something_keeps_from_selling() -> None:
    desk = await _guarded()
    refused = desk.exchange.fail("refuse", times=9, status=400, code=-2015, message="no key")
    await desk.open(desk.exit())
    await desk.time.until(lambda: bool(desk.blocked("key")), 30)
    began_s = desk.time.monotonic()
    await desk.time.finish(desk.engine.stop())
    assert desk.time.monotonic() - began_s < 1
    assert refused.fired


async def test_a_backstop_stays_until_it_is_known_that_its_coins_may_be_sold() -> None:
    desk = await _guarded()
    desk.engine.doubt({"tracker:1:1": BTC}, desk.time.now())
    unanswered = desk.exchange.fail("query_limit", times=3, retry_after_s=1)
    await desk.open(desk.exit())
    await desk.time.until(lambda: unanswered.fired == 3)
    assert desk.exchange.cancelled == []
    await desk.time.until(lambda: desk.exchange.filled() == HALF, 30)
    assert len(_sales(desk)) == 1
