"""A decision becomes one order after another, each durable before it is sent, until it is done."""

import asyncio
from decimal import Decimal

from tests.unit.trading.execution.desk import BTC, Desk
from trading.domain import events
from trading.domain.order import IntentState, OrderType, TimeInForce
from trading.risk.gate import Approved


async def test_an_exit_is_written_before_it_is_sent_and_sold_at_once() -> None:
    desk = Desk()
    durable_when_accepted = []
    desk.exchange.before_accept = lambda request: durable_when_accepted.append(
        [one.attempt.client_order_id for one in desk.store.of(events.AttemptPrepared)]
        == [request.client_order_id]
    )
    final = await desk.run(desk.exit())
    assert durable_when_accepted == [True]
    assert final.state is IntentState.DONE
    assert final.filled_quantity == Decimal("0.5")
    assert desk.managed == 0
    [request] = desk.exchange.sent
    # 60,000 x (1 - 0.5 %) = 59,700
    assert (request.order_type, request.price) == (OrderType.LIMIT, Decimal("59700.00"))
    assert request.time_in_force is TimeInForce.IOC


async def test_cause_decision_and_attempt_share_one_transaction_and_so_do_fill_and_end() -> None:
    desk = Desk()
    desk.extra = [events.Heartbeat(desk.time.now())]
    cause = events.JobRan("cause", "", desk.time.now())
    await desk.open(desk.exit(), cause)
    await desk.done()
    first, second = desk.store.appends
    assert [type(one).__name__ for one in first] == ["JobRan", "IntentOpened", "AttemptPrepared"]
    assert [type(one).__name__ for one in second] == [
        "AttemptChanged",
        "FillBooked",
        "IntentClosed",
        "RoundTripClosed",
        "Heartbeat",
    ]


async def test_an_exit_alone_is_urgent_and_neither_an_entry_nor_its_outcome_is() -> None:
    desk = Desk()
    await desk.run(desk.exit())
    await desk.run(desk.entry("1000"))
    kinds = [{type(one) for one in appended} for appended in desk.store.appends]
    opened = [events.IntentOpened in each for each in kinds]
    assert opened == [True, False, True, False]
    assert desk.store.urgencies == [True, False, False, False]


async def test_of_many_exits_at_once_none_holds_the_others_up() -> None:
    desk = Desk()
    exits = [desk.exit("0.1", intent_id=f"tracker:{number}:1") for number in range(1, 5)]
    opening = [desk.engine.open(Approved(one, is_held=False)) for one in exits]
    await desk.time.finish(asyncio.gather(*opening))
    assert desk.store.urgencies[:4] == [False, False, False, False]
    await desk.time.until(lambda: len(desk.exchange.sent) == 4)


async def test_a_round_trip_is_worth_what_was_got_less_cost_and_fees() -> None:
    desk = Desk()
    desk.exchange.fee_share = Decimal("0.001")
    await desk.run(desk.exit())
    [trip] = [one.round_trip for one in desk.store.of(events.RoundTripClosed)]
    # 0.5 x 60,000 = 30,000 less fee 30 less cost 25,000 = 4,970
    assert (trip.exit_price, trip.fees_quote, trip.profit) == (60_000, 30, 4_970)


async def test_an_exit_walks_down_and_ends_at_the_market_within_about_a_second() -> None:
    desk = Desk()
    desk.exchange.depth[BTC] = Decimal("0.1")
    started_s = desk.time.monotonic()
    await desk.open(desk.exit())
    await desk.time.until(lambda: len(desk.exchange.sent) == 3)
    desk.exchange.depth[BTC] = Decimal("0.4")
    final = await desk.done()
    assert final.state is IntentState.DONE
    prices = [request.price for request in desk.exchange.sent]
    assert prices == [Decimal("59700.00"), Decimal("59400.00"), Decimal("58800.00"), None]
    assert desk.exchange.sent[-1].quantity == Decimal("0.4")
    assert desk.time.monotonic() - started_s <= 1.0


async def test_an_entry_never_exceeds_its_budget_nor_its_bound() -> None:
    desk = Desk()
    final = await desk.run(desk.entry("1000"))
    assert final.state is IntentState.DONE
    assert final.filled_notional <= 1000
    for request in desk.exchange.sent:
        assert request.order_type is OrderType.LIMIT
        assert request.price is not None
        assert request.price <= Decimal(60_000) * Decimal("1.003")


async def test_an_entry_that_is_not_filled_within_ten_seconds_expires() -> None:
    desk = Desk()
    desk.exchange.depth[BTC] = Decimal(0)
    started_s = desk.time.monotonic()
    final = await desk.run(desk.entry())
    assert final.state is IntentState.EXPIRED
    assert 9.5 <= desk.time.monotonic() - started_s <= 11
    assert desk.exchange.filled() == 0
