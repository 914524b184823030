"""What a person, the venue's limits and a stop of the process do to decisions in progress."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests import builders
from tests.catalogue import fired
from tests.fakes.exchange import KeptOrder
from tests.unit.trading.execution.desk import BTC, Desk
from trading.domain import events
from trading.domain.errors import AlreadyRecorded, Refused, StorageLost, Unreachable
from trading.domain.market import BookLevel, OrderBook
from trading.domain.order import Fill, IntentState, OrderStatus, OrderType, Purpose, Side
from trading.domain.position import AdjustReason, Balance, Position
from trading.execution.settings import ExecutionSettings
from trading.ports.storage import Recorded
from trading.risk.gate import Approved

HALF = Decimal("0.5")


async def test_a_held_exit_is_written_as_blocked_and_not_sent() -> None:
    desk = Desk()
    opened = await desk.open(desk.exit(), is_held=True)
    assert opened.state is IntentState.BLOCKED
    assert opened.reason.startswith("halted: UNPROTECTED")
    await desk.time.pass_by(185)
    assert desk.exchange.sent == []


async def test_a_blocked_exit_of_a_tracker_raises_no_alarm_beside_the_tracker_s_own() -> None:
    desk = Desk()
    desk.exchange.set_price(BTC, "50000")
    await desk.open(desk.exit(slippage_max=Decimal("0.01")))
    await desk.time.until(lambda: desk.blocked("below the floor") > 0)
    await desk.time.pass_by(185)
    assert desk.blocked("below the floor") == 1
    assert desk.alerts == []


async def test_a_blocked_sale_without_a_tracker_is_told_each_minute() -> None:
    desk = Desk()
    desk.exchange.set_price(BTC, "50000")
    sale = desk.exit(slippage_max=Decimal("0.01"), purpose=Purpose.CLOSE, tracker_id=None)
    await desk.open(sale)
    await desk.time.until(lambda: desk.told("below the floor"))
    await desk.time.pass_by(185)
    told = [alert for alert in desk.alerts if "is blocked: price below the floor" in alert.text]
    assert len(told) == 4
    assert len({alert.alert_id for alert in told}) == 4


@pytest.mark.parametrize("is_given_up", [False, True])
async def test_an_entry_whose_record_waited_while_entries_were_ended_never_leaves(
    *, is_given_up: bool
) -> None:
    desk = Desk()
    waiting, entry = asyncio.Event(), desk.entry()
    append = desk.store.append

    async def slow(*new: events.Event, reserve: bool = False, urgent: bool = False) -> int:
        if isinstance(new[0], events.IntentOpened):
            await waiting.wait()
        return await append(*new, reserve=reserve, urgent=urgent)

    desk.store.append = slow  # type: ignore[method-assign]
    opening = asyncio.create_task(desk.engine.open(Approved(entry, is_held=False)))
    await desk.time.settle()
    if is_given_up:
        await desk.engine.cancel_entries("reducing")
    else:
        desk.takes_entries = False
    waiting.set()
    final = await desk.done(entry.intent_id)
    await opening
    assert desk.exchange.sent == []
    assert final.state is (IntentState.ABORTED if is_given_up else IntentState.EXPIRED)
    # A start has nothing to look for.
    assert desk.states() == ["rejected"]


async def test_an_entry_whose_order_never_came_to_be_sends_no_other_once_entries_are_refused() -> (
    None
):
    desk = Desk()
    desk.exchange.fail("lost_before")
    await desk.open(desk.entry("1000", limit_price=Decimal(50_000)))
    await desk.time.until(lambda: "unknown" in desk.states())
    desk.takes_entries = False
    final = await desk.done("command:7:BTC/USDT")
    assert (final.state, final.reason) == (IntentState.EXPIRED, "new entries are refused")
    assert desk.states()[-1] == "absent"


async def bought_in_part(desk: Desk) -> KeptOrder:
    """Let a purchase rest that has bought a hundredth."""
    await desk.open(desk.entry("1000", limit_price=Decimal(50_000)))
    await desk.time.until(lambda: "open" in desk.states())
    [order] = desk.exchange.history
    part, order_id = Decimal("0.01"), order.request.client_order_id
    price, now = Decimal(50_000), desk.time.now()
    fill = Fill(BTC, "1", order_id, Side.BUY, part, price, Decimal(0), "BTC", now)
    report = desk.exchange.report_of(order)
    bought = replace(
        report, status=OrderStatus.PARTIALLY_FILLED, filled_quantity=part, fills=(fill,)
    )
    desk.engine.on_report(bought)
    await desk.time.settle()
    return order


async def test_what_a_stop_unwound_stays_given_up_through_a_death() -> None:
    desk = Desk()
    order = await bought_in_part(desk)
    await desk.engine.stop()
    # The power goes before the exchange was asked for anything.
    with desk.engine.unwinding(BTC) as unwound:
        await desk.store.append(*unwound)
    again = desk.restarted()
    await again.engine.recover(await again.store.state())
    [case] = again.engine._s.cases.values()
    assert case.unwound_at == Decimal("0.01")
    again.engine.go_on()
    await again.time.until(lambda: not order.is_open)


async def test_what_a_stop_unwinds_counts_what_was_booked_alone() -> None:
    desk = Desk()
    await bought_in_part(desk)
    [case] = desk.engine._s.cases.values()
    [attempt] = case.attempts
    # The exchange has told of more than it has listed yet: no position counts that.
    case.attempts[0] = replace(attempt, filled_quantity=Decimal("0.015"))
    await desk.engine.unwind(BTC, ())
    written = desk.store.of(events.IntentChanged)[-1].intent
    assert written.given_up_filled == case.unwound_at == Decimal("0.01")


async def test_a_trigger_that_storage_refuses_leaves_its_entries_as_they_were() -> None:
    desk = Desk()
    order = await bought_in_part(desk)
    [case] = desk.engine._s.cases.values()
    desk.store.lose()
    with pytest.raises(StorageLost):
        await desk.engine.unwind(BTC, ())
    await desk.time.settle()
    assert (case.unwound_at, case.giving_up, order.is_open) == (None, None, True)
    desk.store.heal()
    await desk.engine.unwind(BTC, ())
    await desk.time.until(lambda: not order.is_open)
    assert case.unwound_at == Decimal("0.01")


async def test_an_entry_that_could_not_leave_stays_here_once_entries_are_cancelled() -> None:
    desk = Desk()
    unsent = desk.exchange.fail("not_sent")
    entry = desk.entry()
    await desk.open(entry)
    await desk.time.settle()
    assert unsent.fired == 1
    await desk.engine.cancel_entries("reducing")
    final = await desk.done(entry.intent_id)
    assert final.state is IntentState.ABORTED
    assert desk.exchange.sent == []


async def test_an_exit_that_could_not_leave_stays_here_while_everything_is_halted() -> None:
    desk = Desk()
    # Sent once more as soon as everybody was told of it.
    unsent = desk.exchange.fail("not_sent", times=2)
    await desk.open(desk.exit())
    await desk.time.settle()
    assert unsent.fired == 2
    desk.engine.hold()
    await desk.time.pass_by(10)
    assert desk.exchange.sent == []
    assert desk.blocked("halted") == 1
    desk.engine.release()
    await desk.done()
    assert desk.exchange.filled() == HALF


async def test_exit_now_sends_one_held_exit_on() -> None:
    desk = Desk(managed="1", balances={"BTC": "1", "USDT": "0"})
    await desk.open(desk.exit(), is_held=True)
    await desk.open(replace(desk.exit(), intent_id="tracker:2:1"), is_held=True)
    desk.engine.exit_now("tracker:1:1")
    await desk.done("tracker:1:1")
    await desk.time.pass_by(5)
    assert desk.final("tracker:2:1") is None
    assert len(desk.exchange.sent) == 1
    opened = [one.intent.state for one in desk.published if isinstance(one, events.IntentChanged)]
    assert IntentState.OPEN in opened


async def test_halt_everything_lets_the_order_in_flight_end_and_sends_no_other() -> None:
    desk = Desk()
    desk.exchange.depth[BTC] = Decimal("0.1")
    await desk.open(desk.exit())
    await desk.time.until(lambda: "expired" in desk.states())
    desk.engine.hold()
    await desk.time.pass_by(30)
    assert len(desk.exchange.sent) == 1
    assert desk.blocked("halted")
    desk.exchange.depth.clear()
    desk.engine.release()
    final = await desk.done()
    assert final.filled_quantity == HALF


async def test_a_person_s_own_sale_is_not_held() -> None:
    desk = Desk()
    desk.exchange.depth[BTC] = Decimal("0.1")
    await desk.open(desk.exit(purpose=Purpose.PANIC))
    desk.engine.hold()
    desk.exchange.depth.clear()
    final = await desk.done()
    assert final.filled_quantity == HALF


async def test_a_blocked_exit_can_be_given_up() -> None:
    desk = Desk()
    desk.exchange.set_price(BTC, "50000")
    await desk.open(desk.exit(slippage_max=Decimal("0.01")))
    await desk.time.until(lambda: desk.blocked("below the floor") > 0)
    await desk.engine.give_up(["tracker:1:1"], ())
    final = await desk.done()
    assert final.state is IntentState.ABORTED
    assert desk.exchange.sent == []


async def test_what_is_not_being_executed_is_neither_given_up_nor_sent_on() -> None:
    desk = Desk()
    await desk.engine.give_up(["tracker:1:1"], ())
    assert desk.store.all_events == []
    with pytest.raises(Refused, match="nothing is being executed"):
        desk.engine.exit_now("tracker:1:1")
    desk.engine.hold("tracker:1:1")


async def test_the_person_s_floor_blocks_instead_of_the_last_step_and_clears_by_itself() -> None:
    desk = Desk()
    desk.exchange.depth[BTC] = Decimal(0)
    await desk.open(desk.exit(slippage_max=Decimal("0.01")))
    await desk.time.until(lambda: len(desk.exchange.sent) == 6)
    floor = Decimal(60_000) * Decimal("0.99")
    assert all(request.price >= floor for request in desk.exchange.sent if request.price)
    assert all(request.order_type is OrderType.LIMIT for request in desk.exchange.sent)
    desk.exchange.set_price(BTC, "59000")
    await desk.time.until(lambda: desk.blocked("below the floor") > 0)
    desk.exchange.depth.clear()
    desk.exchange.set_price(BTC, "59500")
    final = await desk.done()
    assert final.average_price == 59_500


def _slow_book(desk: Desk, seconds: float) -> list[str]:
    """Let reads of the book take so long; they are listed."""
    at_once, reads = desk.exchange.order_book, list[str]()

    async def later(symbol: str, limit: int = 100) -> OrderBook:
        reads.append(symbol)
        await desk.time.sleep(seconds)
        return await at_once(symbol, limit)

    desk.exchange.order_book = later  # type: ignore[method-assign]
    return reads


async def test_patience_that_is_over_while_a_book_is_read_ends_the_sale_at_once() -> None:
    desk = Desk()
    desk.has_quotes = False
    desk.exchange.without_bids.add(BTC)
    _slow_book(desk, 2)
    ends_at = desk.time.now() + timedelta(seconds=120)
    by_hand = desk.exit(purpose=Purpose.CLOSE, tracker_id=None, arm_seq=0, expires_at=ends_at)
    await desk.open(by_hand)
    await desk.time.pass_by(118.5)
    # Bids are there again when the book is, and by then it is too late.
    desk.exchange.without_bids.clear()
    final = await desk.done(limit_s=5)
    assert final.state is IntentState.EXPIRED
    assert desk.exchange.sent == []


async def test_a_purchase_refused_while_a_book_is_read_ends_at_once() -> None:
    desk = Desk(balances={"BTC": "0", "USDT": "10000"}, managed="0")
    desk.has_quotes = False
    _slow_book(desk, 2)
    await desk.open(desk.entry())
    await desk.time.pass_by(1)
    desk.takes_entries = False
    final = await desk.done("command:7:BTC/USDT", limit_s=5)
    assert (final.state, final.reason) == (IntentState.EXPIRED, "new entries are refused")
    assert desk.exchange.sent == []


@pytest.mark.parametrize("word", ["hold", "stop"])
async def test_a_sale_held_or_stopped_while_a_book_is_read_waits_and_reads_no_more(
    word: str,
) -> None:
    desk = Desk()
    desk.has_quotes = False
    reads = _slow_book(desk, 2)
    await desk.open(desk.exit())
    await desk.time.pass_by(1)
    if word == "hold":
        desk.engine.hold()
    else:
        desk.engine.send_nothing_new()
    await desk.time.pass_by(50)
    assert len(reads) == 1
    assert desk.exchange.sent == []


async def test_cancelled_entries_end_without_another_order() -> None:
    desk = Desk(balances={"BTC": "0", "USDT": "10000"}, managed="0")
    await desk.open(desk.entry("1000", limit_price=Decimal(50_000)))
    await desk.time.until(lambda: "open" in desk.states())
    assert desk.engine.reserved("USDT") == 1000
    assert desk.engine.entries == ["command:7:BTC/USDT"]
    await desk.engine.cancel_entries("reducing")
    final = await desk.done("command:7:BTC/USDT")
    assert (final.state, final.reason) == (IntentState.ABORTED, "reducing")
    assert len(desk.exchange.cancelled) == 1


async def test_an_entry_by_hand_rests_at_its_limit_and_fills_there() -> None:
    desk = Desk(balances={"BTC": "0", "USDT": "10000"}, managed="0")
    await desk.open(desk.entry("1000", limit_price=Decimal(50_000)))
    await desk.time.pass_by(60)
    desk.exchange.set_price(BTC, "49999.99")
    final = await desk.done("command:7:BTC/USDT")
    assert final.filled_notional <= 1000
    assert desk.managed == Decimal("0.02")


async def test_a_refused_entry_ends_with_the_exchange_s_words() -> None:
    desk = Desk(managed="0")
    fault = desk.exchange.fail("insufficient")
    final = await desk.run(desk.entry("1000"))
    assert fault.fired == 1
    assert final.state is IntentState.EXPIRED
    assert "insufficient balance" in final.reason
    assert len(desk.exchange.sent) == 1


async def test_an_entry_whose_price_ran_away_expires_without_an_order() -> None:
    desk = Desk()
    desk.exchange.set_price(BTC, "60300")
    final = await desk.run(desk.entry("1000"))
    assert final.state is IntentState.EXPIRED
    assert "beyond the bound" in final.reason
    assert desk.exchange.sent == []


async def test_an_entry_that_filled_in_part_is_done_and_smaller() -> None:
    desk = Desk()
    desk.exchange.depth[BTC] = Decimal("0.01")
    final = await desk.run(desk.entry("1000"))
    assert final.state is IntentState.DONE
    assert final.filled_quantity == Decimal("0.01")
    assert desk.store.of(events.RoundTripClosed) == []


async def test_an_exit_without_any_price_reads_one_and_else_goes_to_the_market() -> None:
    desk = Desk()
    desk.has_quotes = False
    await desk.run(desk.exit())
    assert desk.exchange.sent[0].price == Decimal("59700.00")
    blind = Desk()
    blind.has_quotes = False
    blind.exchange.order_book = _unreachable  # type: ignore[method-assign]
    await blind.run(blind.exit())
    assert blind.exchange.sent[0].order_type is OrderType.MARKET


async def _unreachable(symbol: str, limit: int = 100):  # type: ignore[no-untyped-def]
    raise Unreachable(symbol)


async def test_an_exit_waits_for_a_bid_without_spending_attempts_and_goes_on_at_once() -> None:
    desk = Desk()
    desk.has_quotes = False
    desk.exchange.without_bids.add(BTC)
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.blocked("no bids") > 0)
    await desk.time.pass_by(90)
    assert desk.exchange.sent == []
    assert desk.blocked("") == 1
    assert desk.exchange.book_reads <= 20
    desk.exchange.without_bids.clear()
    desk.has_quotes = True
    returned_s = desk.time.monotonic()
    final = await desk.done()
    assert final.filled_quantity == HALF
    assert desk.time.monotonic() - returned_s <= 0.3


async def test_a_sale_that_found_nobody_reads_the_book_before_the_next_attempt() -> None:
    desk = Desk()
    # The gate believes no book without bids: the stream's last one keeps standing.
    desk.last_quote, desk.has_quotes = desk.quote(BTC), False
    desk.exchange.without_bids.add(BTC)
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.blocked("no bids") > 0)
    await desk.time.pass_by(60)
    assert len(desk.exchange.sent) == 1
    desk.exchange.without_bids.clear()
    returned_s = desk.time.monotonic()
    final = await desk.done()
    assert final.filled_quantity == HALF
    assert desk.time.monotonic() - returned_s <= 5.5


async def test_bids_without_asks_are_sold_to() -> None:
    desk = Desk()
    desk.has_quotes = False
    desk.exchange.order_book = _bids_alone  # type: ignore[method-assign]
    final = await desk.run(desk.exit())
    assert final.filled_quantity == HALF
    # 59,000 x 0.995
    assert desk.exchange.sent[0].price == Decimal("58705.00")


async def _bids_alone(symbol: str, limit: int = 100) -> OrderBook:
    return OrderBook(symbol, (BookLevel(Decimal(59_000), Decimal(1)),), (), 0)


@pytest.mark.fault("M05", "SAID")
async def test_an_exit_below_the_minimum_is_dust_and_nothing_is_sent() -> None:
    desk = Desk()
    final = await desk.run(desk.exit("0.00005"))
    assert final.state is IntentState.DUST
    assert desk.exchange.sent == []
    closed = [one.intent for one in desk.store.of(events.IntentClosed)]
    fired([one for one in closed if one.state is IntentState.DUST], words=final.reason)


async def test_a_fee_in_base_leaves_dust_and_the_fee_is_valued() -> None:
    desk = Desk()
    desk.exchange.fee_share = Decimal("0.001")
    desk.exchange.fee_asset = "BTC"
    desk.exchange.coins["BTC"] = Decimal("0.6")
    await desk.run(desk.exit())
    [trip] = [one.round_trip for one in desk.store.of(events.RoundTripClosed)]
    # 0.5 x 0.001 x 60,000 = 30
    assert trip.fees_quote == 30


async def test_a_fee_in_a_third_coin_is_valued_at_its_price() -> None:
    desk = Desk()
    desk.exchange.fee_share = Decimal("0.001")
    desk.exchange.fee_asset = "BNB"
    desk.exchange.coins["BNB"] = Decimal(10)
    desk.exchange.prices["BNB/USDT"] = Decimal(600)
    await desk.run(desk.exit())
    [trip] = [one.round_trip for one in desk.store.of(events.RoundTripClosed)]
    # the fake exchange charges 0.5 x 0.001 of the coin: 0.0005 BNB x 600
    assert trip.fees_quote == Decimal("0.3")


async def test_a_decision_is_made_once() -> None:
    desk = Desk()
    await desk.run(desk.exit())
    with pytest.raises(AlreadyRecorded):
        await desk.open(desk.exit())
    assert len(desk.exchange.sent) == 1


@pytest.mark.fault("P14")
async def test_too_many_attempts_within_a_minute_block_this_exit_and_not_the_others() -> None:
    settings = ExecutionSettings(exit_attempts_per_minute_max=6)
    desk = Desk(settings=settings, managed="1", balances={"BTC": "1", "USDT": "0"})
    desk.exchange.depth[BTC] = Decimal(0)
    started_s = desk.time.monotonic()
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.blocked("too many attempts") > 0)
    assert len(desk.exchange.sent) == 6
    desk.exchange.depth.clear()
    await desk.run(replace(desk.exit(), intent_id="tracker:2:1"))
    assert len(desk.exchange.sent) == 7
    await desk.done()
    assert desk.time.monotonic() - started_s >= 60
    fired(desk.exchange.sent)


@pytest.mark.fault("M10", "SAID")
async def test_two_hundred_stops_at_once_go_out_by_value_within_the_order_limit() -> None:
    desk = Desk(managed="200", balances={"BTC": "200", "USDT": "0"})
    desk.book.load({BTC: Position(BTC, Decimal(200), Decimal(200) * 50_000)})
    intents = [
        replace(desk.exit(str(Decimal(n) / 200)), intent_id=f"tracker:{n}:1") for n in range(1, 201)
    ]
    started_s = desk.time.monotonic()
    await desk.time.finish(desk.engine.open_all([Approved(one) for one in intents]))
    await desk.time.settle()
    first = [request.quantity for request in desk.exchange.sent]
    assert first == [Decimal(n) / 200 for n in range(200, 150, -1)]
    assert desk.engine.exiting(BTC) > 0
    await desk.time.until(lambda: len(desk.closed) == 200)
    quantities = [request.quantity for request in desk.exchange.sent]
    assert quantities == sorted(quantities, reverse=True)
    assert desk.time.monotonic() - started_s <= 31
    assert desk.managed == 200 - sum(quantities)
    fired(len(intents))


async def test_exits_of_two_quotes_go_out_by_their_worth_in_one_currency() -> None:
    eth = replace(builders.coin("ETH", "BTC"), notional_min=Decimal("0.0001"))
    desk = Desk(
        instruments=[builders.bitcoin(), eth],
        balances={"BTC": "0.001", "ETH": "40", "USDT": "0"},
        managed="0.001",
    )
    desk.exchange.set_price("ETH/BTC", "0.05")
    desk.book.load(
        {
            BTC: Position(BTC, Decimal("0.001"), Decimal(50)),
            "ETH/BTC": Position("ETH/BTC", Decimal(40), Decimal(2)),
        }
    )
    desk.book.set_price(BTC, Decimal(60_000))
    # 60 USDT, and 2 BTC that are worth 120,000 of them.
    small = desk.exit("0.001")
    great = replace(
        desk.exit("40", reference_price=Decimal("0.05")),
        intent_id="tracker:2:1",
        symbol="ETH/BTC",
    )
    await desk.time.finish(desk.engine.open_all([Approved(one) for one in (small, great)]))
    await desk.time.settle()
    assert [request.symbol for request in desk.exchange.sent][:2] == ["ETH/BTC", BTC]


@pytest.mark.fault("X34")
async def test_entries_leave_a_share_of_the_order_limit_to_exits() -> None:
    settings = ExecutionSettings(orders_per_window=10)
    desk = Desk(settings=settings, balances={"BTC": "0.5", "USDT": "100000"})
    for n in range(8):
        await desk.open(replace(desk.entry("1000"), intent_id=f"command:{n}:BTC/USDT"))
    assert len(desk.exchange.sent) == 7
    await desk.open(desk.exit())
    assert desk.exchange.sent[-1].side is Side.SELL
    await desk.time.until(lambda: len(desk.closed) == 9)
    fired(len(desk.exchange.sent))


@pytest.mark.fault("P02")
async def test_a_stop_waits_for_the_answer_and_sends_nothing_new() -> None:
    desk = Desk()
    desk.exchange.depth[BTC] = Decimal("0.1")
    hang = desk.exchange.fail("hang", after_s=2)
    desk.exchange.fail("stream_lost")
    await desk.open(desk.exit())
    await desk.time.finish(desk.engine.stop())
    assert hang.fired == 1
    assert desk.states() == ["expired"]
    assert len(desk.exchange.sent) == 1
    with pytest.raises(Refused, match="stopping"):
        await desk.open(replace(desk.exit(), intent_id="tracker:2:1"))
    fired(hang.fired)


async def test_a_stop_does_not_wait_for_ever() -> None:
    desk = Desk()
    desk.exchange.on_report = None
    desk.exchange.fail("hang", after_s=60)
    await desk.open(desk.exit())
    started_s = desk.time.monotonic()
    await desk.time.finish(desk.engine.stop())
    assert 5 <= desk.time.monotonic() - started_s <= 6


async def test_a_stop_ends_those_who_wait_for_the_order_limit() -> None:
    settings = ExecutionSettings(orders_per_window=1)
    desk = Desk(settings=settings, managed="1", balances={"BTC": "1", "USDT": "0"})
    await desk.open(desk.exit())
    await desk.open(replace(desk.exit(), intent_id="tracker:2:1"))
    await desk.time.settle()
    await desk.time.finish(desk.engine.stop())
    assert len(desk.exchange.sent) == 1


async def test_an_error_of_ours_is_told_and_the_exit_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()
    desk.exchange.fail("expire_half")
    good, calls = desk.engine._s.quote_of, []

    def broken(symbol: str):  # type: ignore[no-untyped-def]
        calls.append(symbol)
        if len(calls) == 3:
            raise ZeroDivisionError("ours")
        return good(symbol)

    desk.engine._s.quote_of = broken
    await desk.run(desk.exit())
    assert len(calls) > 3
    assert desk.told("an error of ours")
    assert "case_failed" in caplog.text
    assert desk.exchange.filled() == HALF


@pytest.mark.fault("X25")
async def test_a_gateway_that_raises_proves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    submit, calls, raised = desk.exchange.submit, [], []

    async def raising(request, _durable=None):  # type: ignore[no-untyped-def]
        calls.append(request)
        await submit(request)
        if len(calls) == 1:
            raised.append(OSError("broken gateway"))
            raise raised[0]
        return await submit(request)

    desk.exchange.submit = raising  # type: ignore[method-assign]
    desk.exchange.on_report = None
    await desk.run(desk.exit())
    assert len(calls) == 1
    assert "submit_raised" in caplog.text
    assert desk.exchange.filled() == HALF
    fired(raised)


async def test_reports_of_a_burst_are_all_applied_in_order() -> None:
    desk = Desk()
    desk.exchange.fail("lost_after")
    desk.exchange.on_report = None
    await desk.open(desk.exit())
    await desk.time.settle()
    [order] = desk.exchange.history
    for _ in range(100):
        desk.engine.on_report(desk.exchange.report_of(order))
    await desk.time.settle()
    await asyncio.sleep(0)
    assert len(desk.store.of(events.FillBooked)) == 1
    assert desk.engine.attempts == []


async def test_rules_are_the_ones_loaded_last() -> None:
    desk = Desk()
    assert desk.engine.instruments[BTC] == builders.bitcoin()


async def test_a_tracker_that_fails_to_end_does_not_keep_the_fill_from_being_booked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()

    def failing(intent, fills, unowned):  # type: ignore[no-untyped-def]
        raise KeyError("no such tracker")

    desk.engine._s.closing = failing
    final = await desk.run(desk.exit())
    assert final.state is IntentState.DONE
    assert desk.managed == 0
    assert desk.told("could not be worked out")
    assert "closing_failed" in caplog.text


async def test_a_balance_that_cannot_be_read_is_no_proof() -> None:
    desk = Desk()
    desk.frozen_balances = {"BTC": Balance("BTC", Decimal(0), Decimal(0))}
    balances = desk.exchange.balances
    desk.exchange.balances = _unreachable_balances  # type: ignore[method-assign]
    await desk.open(desk.exit())
    await desk.time.pass_by(60)
    assert desk.blocked("coins are not free")
    assert desk.final() is None
    desk.exchange.balances = balances  # type: ignore[method-assign]
    final = await desk.done()
    assert final.filled_quantity == HALF


async def _unreachable_balances():  # type: ignore[no-untyped-def]
    raise Unreachable("balances")


async def test_rules_and_clock_that_cannot_be_read_leave_the_exit_trying() -> None:
    desk = Desk()
    desk.exchange.fail("refuse", status=400, code=-1013, message="Filter failure: LOT_SIZE")
    desk.exchange.fail("refuse", status=400, code=-1021, message="recvWindow")
    desk.exchange.instruments = _unreachable_balances  # type: ignore[method-assign]
    desk.exchange.clock_offset_ms = _unreachable_balances  # type: ignore[method-assign]
    final = await desk.run(desk.exit())
    assert final.filled_quantity == HALF
    assert len(desk.exchange.sent) == 3


async def test_a_read_that_never_ends_is_given_up() -> None:
    desk = Desk()
    desk.has_quotes = False
    quote = desk.exchange.quote

    async def hanging(symbol: str):  # type: ignore[no-untyped-def]
        await desk.time.sleep(1000)
        return await quote(symbol)

    desk.exchange.quote = hanging  # type: ignore[method-assign]
    started_s = desk.time.monotonic()
    final = await desk.run(desk.exit())
    assert final.filled_quantity == HALF
    assert desk.time.monotonic() - started_s < 20


# ------------------------------------------------------------ coins that left elsewhere


async def adjust(desk: Desk, quantity: str) -> None:
    """Book coins that left, as a reconciliation does, and let the engine follow."""
    desk.book.apply(away(quantity, desk))
    await desk.time.finish(desk.engine.fit(BTC))


def away(quantity: str, desk: Desk) -> events.PositionAdjusted:
    return events.PositionAdjusted(
        BTC, Decimal(quantity), Decimal(60_000), AdjustReason.EXTERNAL, "sold", desk.time.now()
    )


async def test_x16_an_open_exit_is_cut_down_to_what_is_managed_and_ends_as_sold() -> None:
    desk = Desk(balances={"BTC": "0.2", "USDT": "0"})
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.blocked("coins are not free") > 0)
    assert desk.exchange.filled() == Decimal("0.2")
    await adjust(desk, "-0.3")
    final = await desk.done(limit_s=1)
    assert (final.state, final.filled_quantity) == (IntentState.DONE, Decimal("0.2"))
    assert final.quantity == Decimal("0.2")
    assert desk.managed == 0


async def test_an_exit_that_had_sold_nothing_ends_closed_elsewhere() -> None:
    desk = Desk()
    await desk.open(desk.exit(), is_held=True)
    await adjust(desk, "-0.5")
    final = await desk.done(limit_s=1)
    assert final.state is IntentState.CLOSED_EXTERNAL
    assert "outside of Umbra" in final.reason
    assert desk.exchange.sent == []


async def test_a_sale_that_is_cut_down_while_it_finds_nothing_to_sell_ends_and_is_not_blocked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk, gate = Desk(), asyncio.Event()
    latest = desk.store.latest

    async def slow(limit: int, kinds: Sequence[str] = ()) -> Sequence[Recorded]:
        await gate.wait()
        return await latest(limit, kinds)

    await desk.open(desk.exit(), is_held=True)
    monkeypatch.setattr(desk.store, "latest", slow)
    desk.book.apply(away("-0.5", desk))
    fitting = asyncio.create_task(desk.engine.fit(BTC))
    await desk.time.settle()
    desk.engine.release()
    await desk.time.settle()
    gate.set()
    final = await desk.done(limit_s=1)
    await fitting
    assert final.state is IntentState.CLOSED_EXTERNAL
    assert desk.blocked("coins are not free") == 0


async def test_what_left_is_taken_from_the_youngest_exit_first() -> None:
    desk = Desk(managed="1", balances={"BTC": "1", "USDT": "0"})
    await desk.open(desk.exit(), is_held=True)
    desk.time.advance(1)
    await desk.open(replace(desk.exit(), intent_id="tracker:2:1"), is_held=True)
    await adjust(desk, "-0.7")
    wanted = {intent.intent_id: intent.quantity for intent in desk.engine.intents}
    assert wanted == {"tracker:1:1": Decimal("0.3")}
    assert desk.final("tracker:2:1") is not None


async def test_an_order_at_work_is_not_cut_and_what_is_left_of_it_is() -> None:
    desk = Desk()
    hang = desk.exchange.fail("hang", after_s=3)
    desk.exchange.on_report = None
    desk.exchange.depth[BTC] = Decimal("0.1")
    await desk.open(desk.exit())
    await desk.time.settle()
    await adjust(desk, "-0.4")
    assert [intent.quantity for intent in desk.engine.intents] == [HALF]
    final = await desk.done(limit_s=10)
    assert hang.fired == 1
    assert (final.state, final.filled_quantity) == (IntentState.DONE, Decimal("0.1"))
    assert len(desk.exchange.sent) == 1


async def test_coins_that_come_under_care_with_a_sale_are_sold_by_it_at_once() -> None:
    desk = Desk(managed="0")
    adoption = events.PositionAdjusted(
        BTC, HALF, Decimal(60_000), AdjustReason.ADOPTED, "by a sale", desk.time.now()
    )
    await desk.open(desk.exit(purpose=Purpose.CLOSE, tracker_id=None), adoption)
    final = await desk.done(limit_s=1)
    assert final.filled_quantity == HALF
    assert desk.alerts == []


@pytest.mark.fault("X34", "TELL SAID")
async def test_too_many_orders_makes_a_sale_wait_its_turn_first_and_is_told() -> None:
    desk = Desk(balances={"BTC": "0.5", "USDT": "100000"})
    limit = desk.exchange.fail("refuse", status=429, code=-1015, message="Too many new orders")
    await desk.open(desk.exit())
    await desk.time.until(lambda: limit.fired == 1)
    started_s = desk.time.monotonic()
    for number in range(3):
        await desk.open(replace(desk.entry("1000"), intent_id=f"command:{number}:BTC/USDT"))
    await desk.time.until(lambda: desk.told("asks for silence"), 5)
    sent = len(desk.exchange.sent)
    await desk.done()
    # The sale goes before the purchases, and nothing is dropped.
    assert desk.exchange.sent[sent].side is Side.SELL
    assert desk.exchange.filled() == HALF
    assert desk.time.monotonic() - started_s <= 61
    await desk.time.until(lambda: len(desk.closed) == 4)
    fired(limit.fired)


@pytest.mark.parametrize("purpose", [Purpose.PROTECT, Purpose.BACKSTOP])
async def test_what_is_sold_is_spoken_for_while_its_booking_is_being_written(
    purpose: Purpose,
) -> None:
    desk = Desk()
    left: list[Decimal] = []
    append = desk.store.append

    async def noting(*facts: events.Event, **how: bool) -> int:
        if any(isinstance(fact, events.FillBooked) for fact in facts):
            left.append(desk.managed - desk.engine.exiting(BTC))
        return await append(*facts, **how)

    desk.store.append = noting  # type: ignore[method-assign]
    await desk.open(desk.exit("0.2", purpose=purpose, stop_price=Decimal(59_000)))
    await desk.time.settle()
    desk.exchange.set_price(BTC, "58900")
    await desk.done()
    assert left == [Decimal("0.3")]
    assert desk.managed - desk.engine.exiting(BTC) == Decimal("0.3")


async def test_a_backstop_that_sells_while_no_price_is_known_ends_at_once_with_its_cost() -> None:
    desk = Desk()
    await desk.open(desk.exit(purpose=Purpose.BACKSTOP, stop_price=Decimal(59_000)))
    await desk.time.settle()
    desk.has_quotes = False
    desk.exchange.set_price(BTC, "58900")
    await desk.time.settle()
    final = desk.final()
    assert final is not None
    assert final.state is IntentState.DONE
    [trip] = [one.round_trip for one in desk.published if isinstance(one, events.RoundTripClosed)]
    assert (trip.entry_price, trip.profit + trip.fees_quote) == (Decimal(50_000), HALF * 8_900)


async def test_a_sale_that_was_booked_before_its_end_still_knows_what_its_coins_cost() -> None:
    desk = Desk()
    # Half is sold and booked, and the other half after that; then the position is empty.
    desk.exchange.depth[BTC] = Decimal("0.25")
    await desk.open(desk.exit())
    await desk.time.settle()
    desk.exchange.depth.clear()
    await desk.done()
    [trip] = [one.round_trip for one in desk.published if isinstance(one, events.RoundTripClosed)]
    assert desk.managed == 0
    assert trip.entry_price == 50_000


async def test_a_sale_that_rests_waits_for_all_of_its_coins_and_is_never_sent_with_less() -> None:
    desk = Desk()
    desk.exchange.lock_by_hand("BTC", "0.3")
    await desk.open(desk.exit(purpose=Purpose.CLOSE, limit_price=Decimal(70_000), tracker_id=None))
    await desk.time.pass_by(30)
    assert desk.exchange.sent == []
    assert desk.told_loudly("is blocked: coins are not free: 0.2 of 0.5 BTC can be sold")
    desk.exchange.lock_by_hand("BTC", "-0.3")
    await desk.time.until(lambda: bool(desk.exchange.history), 60)
    [order] = desk.exchange.history
    assert order.request.quantity == HALF
