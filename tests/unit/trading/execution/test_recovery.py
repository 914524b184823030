"""A start is a recovery: whatever was written may have been sent, and is looked for first."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests import builders
from tests.catalogue import fired
from tests.unit.trading.execution.desk import BTC, Desk
from trading.domain import events
from trading.domain.errors import Unreachable
from trading.domain.order import (
    Attempt,
    AttemptState,
    IntentState,
    OrderRequest,
    OrderStatus,
    OrderType,
    Purpose,
    Side,
    TimeInForce,
)
from trading.domain.position import TradingMode
from trading.execution.identity import client_order_id
from trading.execution.reconcile import Difference

HALF = Decimal("0.5")


async def killed(desk: Desk) -> Desk:
    """The process ends without a word; what was on its way stays on its way."""
    desk.exchange.on_report = None
    for task in list(desk.engine._tasks):
        task.cancel()
    await desk.time.settle()
    return desk.restarted()


async def recovered(desk: Desk) -> list[str]:
    lines = await desk.time.finish(desk.engine.recover(await desk.store.state()))
    desk.engine.go_on()
    return list(lines)


async def test_an_order_that_filled_while_we_were_dead_is_booked_and_not_repeated() -> None:
    desk = Desk()
    desk.exchange.fail("lost_after", after_s=5)
    await desk.open(desk.exit())
    await desk.time.settle()
    again = await killed(desk)
    [line] = await recovered(again)
    final = await again.done()
    assert line == "BTC/USDT: selling 0.5, 0.5 filled; no order was open"
    assert final.filled_quantity == HALF
    assert len(again.exchange.sent) == 1
    assert again.managed == 0


@pytest.mark.fault("P01", "ONE")
async def test_a_written_attempt_that_never_left_is_proven_absent_first() -> None:
    desk = Desk()
    desk.exchange.is_down = True
    await desk.open(desk.exit())
    await desk.time.settle()
    again = await killed(desk)
    again.exchange.is_down = False
    started_s = again.time.monotonic()
    [line] = await recovered(again)
    assert "is unknown" in line
    final = await again.done()
    assert final.state is IntentState.DONE
    assert [one[-2:] for one in again.exchange.ids] == ["-2"]
    assert again.time.monotonic() - started_s >= 18
    assert again.managed == 0
    fired(again.exchange.unreached)


async def test_a_half_filled_exit_goes_on_with_the_rest() -> None:
    desk = Desk()
    desk.exchange.depth[BTC] = Decimal("0.2")
    await desk.open(desk.exit())
    await desk.time.until(lambda: "expired" in desk.states())
    again = await killed(desk)
    again.exchange.depth.clear()
    assert again.managed == Decimal("0.3")
    await recovered(again)
    final = await again.done()
    assert final.filled_quantity == HALF
    assert again.exchange.filled() == HALF
    assert len(again.store.of(events.FillBooked)) == len(
        {one.key for one in again.store.of(events.FillBooked)}
    )


async def test_a_blocked_exit_stays_blocked_until_its_reason_is_gone() -> None:
    desk = Desk()
    desk.exchange.set_price(BTC, "50000")
    await desk.open(desk.exit(slippage_max=Decimal("0.01")))
    await desk.time.until(lambda: desk.blocked("below the floor") > 0)
    again = await killed(desk)
    await recovered(again)
    await again.time.pass_by(10)
    assert again.exchange.sent == []
    again.exchange.set_price(BTC, "60000")
    final = await again.done()
    assert final.state is IntentState.DONE


async def test_under_halt_everything_a_restart_keeps_exits_held() -> None:
    desk = Desk()
    await desk.open(desk.exit(), is_held=True)
    mode = events.TradingModeChanged(
        TradingMode.HALTED_EVERYTHING, "test", "a person", desk.time.now()
    )
    await desk.store.append(mode)
    again = await killed(desk)
    await recovered(again)
    await again.time.pass_by(100)
    assert again.exchange.sent == []
    again.engine.release()
    final = await again.done()
    assert final.state is IntentState.DONE


async def test_exits_go_on_before_entries_and_the_greater_value_first() -> None:
    desk = Desk(managed="0.5")
    await desk.store.append(
        events.IntentOpened(desk.entry("9000"), desk.time.now()),
        events.IntentOpened(replace(desk.exit("0.1"), intent_id="small"), desk.time.now()),
        events.IntentOpened(replace(desk.exit("0.4"), intent_id="large"), desk.time.now()),
    )
    again = await killed(desk)
    lines = await recovered(again)
    assert [line.split(",")[0] for line in lines] == [
        "BTC/USDT: selling 0.4",
        "BTC/USDT: selling 0.1",
        "BTC/USDT: buying 9000",
    ]
    await again.time.until(lambda: len(again.closed) == 3)
    sides = [request.side for request in again.exchange.sent]
    assert sides == [Side.SELL, Side.SELL, Side.BUY]
    assert again.exchange.sent[0].quantity == Decimal("0.4")


async def test_an_old_entry_is_not_bought_after_a_restart() -> None:
    desk = Desk()
    await desk.store.append(events.IntentOpened(desk.entry("900"), desk.time.now()))
    desk.time.advance(3600)
    again = await killed(desk)
    await recovered(again)
    final = await again.done("command:7:BTC/USDT")
    assert final.state is IntentState.EXPIRED
    assert again.exchange.sent == []


async def test_an_unreachable_exchange_does_not_stop_the_start() -> None:
    desk = Desk()
    desk.exchange.fail("lost_after")
    desk.exchange.on_report = None
    await desk.open(desk.exit())
    await desk.time.settle()
    again = await killed(desk)
    again.exchange.is_down = True
    lines = await recovered(again)
    assert "could not be compared" in lines[-1]
    again.exchange.is_down = False
    await again.done()
    assert again.exchange.filled() == HALF


async def test_a_watched_order_that_appears_after_a_restart_is_booked_and_told() -> None:
    desk = Desk(balances={"BTC": "1", "USDT": "0"})
    desk.exchange.fail("late_match", after_s=60)
    await desk.run(desk.exit())
    again = await killed(desk)
    await recovered(again)
    await again.time.pass_by(70)
    assert again.told("proven absent and appeared late")
    assert len(again.store.of(events.FillBooked)) == 2
    # The decision itself had ended: its record is not written over.
    stored = await again.store.intent("tracker:1:1")
    assert stored is not None
    assert stored.state is IntentState.DONE


async def test_a_late_order_is_also_found_by_the_sweep() -> None:
    desk = Desk(balances={"BTC": "1", "USDT": "0"})
    desk.exchange.fail("late_match", after_s=60)
    desk.exchange.on_report = None
    await desk.run(desk.exit())
    await desk.time.pass_by(70)
    findings = await desk.time.finish(desk.engine.reconcile([BTC]))
    assert Difference.LATE_FOUND in {finding.kind for finding in findings}
    assert desk.told("proven absent and appeared late")


@pytest.mark.fault("W10", "CRIT")
async def test_an_order_of_our_form_that_nobody_wrote_is_an_orphan_and_told_once() -> None:
    desk = Desk()
    order_id = client_order_id("ux", "tracker:99:1", 1)
    request = OrderRequest(
        order_id, BTC, Side.SELL, OrderType.LIMIT, Decimal("0.1"), Decimal(90_000)
    )
    await desk.time.finish(desk.exchange.submit(request))
    await desk.time.settle()
    findings = await desk.time.finish(desk.engine.reconcile([BTC]))
    assert [finding.kind for finding in findings] == [Difference.ORPHAN]
    assert len([one for one in desk.alerts if "does not know" in one.text]) == 1
    assert desk.told_loudly("does not know")
    fired(desk.exchange.history)


@pytest.mark.fault("W10", "CRIT SAID")
async def test_what_an_order_that_nobody_claims_has_traded_enters_the_position() -> None:
    desk = Desk()
    order_id = client_order_id("ux", "tracker:99:1", 1)
    request = OrderRequest(order_id, BTC, Side.SELL, OrderType.MARKET, Decimal("0.1"))
    await desk.time.finish(desk.exchange.submit(request))
    await desk.time.settle()
    assert desk.told_loudly("does not know")
    await desk.time.finish(desk.engine.check_open_attempts())
    # Its decision may still be made anew, and would take it over.
    assert desk.managed == Decimal("0.5")
    await desk.time.pass_by(61)
    await desk.time.finish(desk.engine.check_open_attempts())
    assert desk.managed == Decimal("0.4")
    await desk.time.finish(desk.engine.reconcile([BTC]))
    [fill] = desk.store.of(events.FillBooked)
    assert fill.fill.client_order_id == order_id
    # The next process finds it in the journal, and books nothing twice.
    again = await killed(desk)
    await recovered(again)
    await again.time.finish(again.engine.reconcile([BTC]))
    await again.time.pass_by(61)
    await again.time.finish(again.engine.check_open_attempts())
    assert len(desk.store.of(events.FillBooked)) == 1
    assert again.managed == Decimal("0.4")
    fired(desk.exchange.history)


@pytest.mark.parametrize("is_filled_first", [False, True])
async def test_an_order_that_was_taken_in_is_cancelled_and_what_it_filled_counts(
    is_filled_first: bool,
) -> None:
    desk = Desk()
    order_id = client_order_id("ux", "tracker:99:1", 1)
    request = OrderRequest(
        order_id, BTC, Side.SELL, OrderType.LIMIT, Decimal("0.1"), Decimal(90_000)
    )
    await desk.time.finish(desk.exchange.submit(request))
    await desk.time.pass_by(61)
    if is_filled_first:
        desk.exchange.fail("fill_before_cancel")
    await desk.time.finish(desk.engine.check_open_attempts())
    await desk.time.settle()
    assert desk.exchange.cancelled == [order_id]
    assert desk.managed == Decimal("0.4" if is_filled_first else "0.5")
    assert not [one for one in desk.exchange.history if one.is_open]
    assert len([one for one in desk.alerts if "does not know" in one.text]) == 1
    assert len([one for one in desk.alerts if "is cancelled" in one.text]) == 1


async def test_a_decision_that_is_made_after_its_order_was_taken_in_sends_no_second_one() -> None:
    desk = Desk()
    order_id = client_order_id("ux", "tracker:1:1", 1)
    request = OrderRequest(order_id, BTC, Side.SELL, OrderType.MARKET, Decimal("0.5"))
    await desk.time.finish(desk.exchange.submit(request))
    await desk.time.pass_by(61)
    await desk.time.finish(desk.engine.check_open_attempts())
    assert desk.managed == 0
    await desk.open(desk.exit())
    await desk.done()
    assert desk.exchange.ids == [order_id]
    assert len(desk.store.of(events.FillBooked)) == 1


async def test_an_order_of_a_decision_before_memory_is_no_orphan() -> None:
    desk = Desk()
    await desk.run(desk.exit())
    again = await killed(desk)
    await recovered(again)
    findings = await again.time.finish(again.engine.reconcile([BTC]))
    assert findings == []
    assert again.alerts == []


@pytest.mark.fault("W11")
async def test_a_foreign_order_is_none_of_our_business() -> None:
    desk = Desk()
    [report] = [desk.exchange.report_of(order) for order in [await _foreign(desk)]]
    desk.engine.on_report(report)
    await desk.time.settle()
    assert desk.alerts == []
    fired({report.client_order_id} - {one.request.client_order_id for one in desk.engine.attempts})


async def _foreign(desk: Desk):  # type: ignore[no-untyped-def]
    request = OrderRequest("web_1", BTC, Side.SELL, OrderType.MARKET, Decimal("0.1"))
    await desk.time.finish(desk.exchange.submit(request))
    return desk.exchange.history[-1]


async def test_a_sweep_names_foreign_sales_and_what_is_missing() -> None:
    desk = Desk()
    desk.exchange.sell_by_hand(BTC, "0.2")
    findings = await desk.time.finish(desk.engine.reconcile([BTC]))
    assert [(one.kind, one.quantity) for one in findings] == [
        (Difference.FOREIGN_SALE, Decimal("0.2")),
        (Difference.SHORT, Decimal("0.2")),
    ]


async def test_a_sale_by_hand_counts_though_an_order_of_ours_elsewhere_has_its_number() -> None:
    """Executions are numbered for each symbol alone, so a number says nothing of another one."""
    desk = Desk(
        instruments=[builders.bitcoin(), builders.coin("ETH")],
        balances={"BTC": "0.5", "ETH": "4", "USDT": "10000"},
    )
    desk.exchange.prices["ETH/USDT"] = Decimal(3000)
    await desk.run(desk.entry(symbol="ETH/USDT", reference_price=Decimal(3000)))
    [ours] = desk.exchange.history[-1].fills
    desk.exchange.sell_by_hand(BTC, "0.2")
    desk.exchange.foreign[:] = [replace(desk.exchange.foreign[0], trade_id=ours.trade_id)]
    sold, _ = await desk.time.finish(desk.engine.reconcile([BTC]))
    assert (sold.kind, sold.quantity) == (Difference.FOREIGN_SALE, Decimal("0.2"))


async def test_a_sweep_without_an_answer_finds_nothing_and_says_so() -> None:
    desk = Desk()
    desk.exchange.is_down = True
    with pytest.raises(Unreachable):
        await desk.time.finish(desk.engine.reconcile([BTC]))


@pytest.mark.fault("W06")
async def test_a_resting_order_that_filled_unseen_is_found_by_the_ten_second_check() -> None:
    desk = Desk()
    await desk.open(desk.exit(purpose=Purpose.CLOSE, limit_price=Decimal(70_000)))
    await desk.time.until(lambda: "open" in desk.states())
    desk.exchange.on_report = None
    desk.exchange.set_price(BTC, "70000")
    await desk.time.finish(desk.engine.check_open_attempts())
    final = await desk.done()
    assert final.average_price == 70_000
    fired(desk.exchange.unheard)


async def test_a_resting_order_survives_a_restart() -> None:
    desk = Desk()
    await desk.open(desk.exit(purpose=Purpose.CLOSE, limit_price=Decimal(70_000)))
    await desk.time.until(lambda: "open" in desk.states())
    again = await killed(desk)
    [line] = await recovered(again)
    assert "is open" in line
    again.exchange.set_price(BTC, "70000")
    final = await again.done()
    assert final.state is IntentState.DONE
    assert len(again.exchange.sent) == 1


async def test_an_attempt_of_another_terminal_intent_is_ignored() -> None:
    desk = Desk()
    intent = replace(desk.exit(), state=IntentState.DONE)
    request = OrderRequest(
        client_order_id("ux", "tracker:1:1", 1),
        BTC,
        Side.SELL,
        OrderType.LIMIT,
        HALF,
        Decimal(59_700),
        TimeInForce.IOC,
    )
    attempt = Attempt("tracker:1:1", 1, request, AttemptState.FILLED, desk.time.now())
    state = replace(await desk.store.state(), intents=(intent,), attempts=(attempt,))
    assert list(await desk.time.finish(desk.engine.recover(state))) == []
    assert desk.engine.intents == []


async def test_two_ends_of_one_order_are_told() -> None:
    desk = Desk()
    await desk.run(desk.exit())
    [order] = desk.exchange.history
    report = replace(
        desk.exchange.report_of(order),
        status=OrderStatus.CANCELED,
        updated_at=desk.time.now() + timedelta(seconds=1),
    )
    desk.engine.on_report(report)
    await desk.time.settle()
    assert desk.told("two different ends")


@pytest.mark.fault("P13")
async def test_more_reports_than_the_queue_holds_lead_to_a_sweep() -> None:
    desk = Desk(settings=replace(Desk().settings, reports_max=0))
    lost = desk.exchange.fail("lost_after")
    desk.exchange.fail("report_first")
    await desk.run(desk.exit())
    assert lost.fired == 1
    desk.engine.on_report(desk.exchange.report_of(desk.exchange.history[0]))
    await desk.time.settle()
    assert desk.exchange.filled() == HALF
    assert desk.managed == 0
    fired(lost.fired)


async def test_a_fill_that_an_earlier_process_never_heard_of_is_booked_when_it_shows() -> None:
    desk = Desk(balances={"BTC": "1", "USDT": "0"})
    await desk.run(desk.exit())
    again = await killed(desk)
    await recovered(again)
    [order] = again.exchange.history
    extra = replace(order.fills[0], trade_id="later", quantity=Decimal("0.01"))
    report = again.exchange.report_of(order)
    again.engine.on_report(replace(report, fills=(*report.fills, extra), quantity=Decimal(1)))
    await again.time.settle()
    booked = [one.fill.trade_id for one in again.store.of(events.FillBooked)]
    assert booked == [order.fills[0].trade_id, "later"]
    assert again.alerts == []


async def test_every_watched_attempt_of_one_decision_is_recognised() -> None:
    desk = Desk(balances={"BTC": "2", "USDT": "0"})
    late = desk.exchange.fail("late_match", times=2, after_s=90)
    await desk.run(desk.exit())
    assert late.fired == 2
    again = await killed(desk)
    await recovered(again)
    await again.time.pass_by(120)
    told = [one for one in again.alerts if "appeared late" in one.text]
    assert len(told) == 2
    assert not again.told("does not know")


async def test_an_open_decision_recognises_its_absent_attempts_after_a_restart() -> None:
    desk = Desk(balances={"BTC": "1", "USDT": "0"})
    desk.exchange.fail("late_match", after_s=90)
    desk.exchange.depth[BTC] = Decimal(0)
    await desk.open(desk.exit())
    await desk.time.until(lambda: "absent" in desk.states())
    again = await killed(desk)
    await recovered(again)
    again.exchange.depth[BTC] = Decimal("0.5")
    await again.done()
    again.exchange.depth.clear()
    await again.time.pass_by(120)
    assert again.told("appeared late")
