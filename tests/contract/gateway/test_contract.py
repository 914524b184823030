"""Every gateway behaves alike: the simulated exchange over sockets, paper, and the fake."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from tests.contract.gateway import worlds
from tests.contract.gateway.worlds import BTC, World
from trading.domain.errors import Unreachable
from trading.domain.market import Candle, MarketTrade, Quote
from trading.domain.order import (
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    SendPhase,
    Side,
    TimeInForce,
)
from trading.domain.position import Balance
from trading.domain.time import Timeframe, from_ms
from trading.execution.classify import Cause, Verdict, classify
from trading.execution.identity import client_order_id
from trading.gateway.rest import CcxtGateway

WORLDS = {
    "sockets": worlds.over_sockets,
    "common": worlds.the_common_way,
    "paper": worlds.on_paper,
    "memory": worlds.in_memory,
}


@pytest.fixture(params=list(WORLDS))
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with WORLDS[request.param]() as found:
        yield found


def order_id(number: int = 1) -> str:
    return client_order_id("ux", "contract", number)


def sell(
    quantity: str = "0.1", price: str | None = None, number: int = 1, **changes: object
) -> OrderRequest:
    return OrderRequest(
        client_order_id=order_id(number),
        symbol=BTC,
        side=Side.SELL,
        order_type=OrderType.LIMIT if price else OrderType.MARKET,
        quantity=Decimal(quantity),
        price=Decimal(price) if price else None,
        **changes,  # type: ignore[arg-type]
    )


def an_hour_ago() -> datetime:
    return datetime.now(UTC) - timedelta(hours=1)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"the condition should hold within {seconds} s"
        await asyncio.sleep(0.01)


async def test_rules_quotes_and_balances_are_read_exactly(world: World) -> None:
    instrument = (await world.gateway.instruments())[BTC]
    assert (instrument.base, instrument.quote) == ("BTC", "USDT")
    assert instrument.price_tick == Decimal("0.01")
    assert instrument.quantity_step == Decimal("0.00001")
    assert instrument.market_quantity_max >= 100
    quote = await world.gateway.quote(BTC)
    assert quote.bid < quote.ask
    balances = await world.gateway.balances()
    assert balances["BTC"] == Balance("BTC", Decimal("0.5"), Decimal(0))
    assert isinstance(balances["USDT"].free, Decimal)


async def test_the_account_is_named_and_its_key_cannot_withdraw(world: World) -> None:
    assert await world.gateway.account_id()
    rights = await world.gateway.permissions()
    if world.is_exact:
        assert rights.can_trade
        assert rights.is_ip_restricted
    # What cannot be known is assumed to be possible.
    assert rights.can_withdraw is not world.is_exact
    assert world.gateway.is_simulated
    assert abs(await world.gateway.clock_offset_ms()) < 1000


async def test_a_market_order_is_answered_with_its_executions(world: World) -> None:
    evidence = await world.gateway.submit(sell())
    assert classify(evidence).verdict is Verdict.ACK
    report = evidence.report
    assert report is not None
    assert (report.client_order_id, report.status) == (order_id(), OrderStatus.FILLED)
    assert report.filled_quantity == Decimal("0.1")
    assert sum(fill.quantity for fill in report.fills) == Decimal("0.1")
    assert all(fill.client_order_id == order_id() for fill in report.fills)
    # A tenth of a percent of what was got.
    notional = sum(fill.notional for fill in report.fills)
    assert sum(fill.fee for fill in report.fills) == pytest.approx(notional / 1000)
    balances = await world.gateway.balances()
    assert balances["BTC"].total == Decimal("0.4")


async def test_an_order_that_was_held_longer_than_its_window_is_signed_anew(world: World) -> None:
    loop = asyncio.get_running_loop()
    durable = loop.create_future()
    loop.call_later(0.4, durable.set_result, None)
    evidence = await world.gateway.submit(sell(recv_window_ms=300), durable)
    assert classify(evidence).verdict is Verdict.ACK
    report = await world.gateway.order(BTC, order_id())
    assert report is not None
    assert report.filled_quantity == Decimal("0.1")


async def test_an_order_on_hold_is_nowhere_until_it_may_leave(world: World) -> None:
    durable = asyncio.get_running_loop().create_future()
    sending = asyncio.create_task(world.gateway.submit(sell(), durable))
    # Longer than any of them takes to answer.
    for _ in range(3):
        assert await world.gateway.order(BTC, order_id()) is None
    assert not sending.done()
    durable.set_result(None)
    assert classify(await sending).verdict is Verdict.ACK
    report = await world.gateway.order(BTC, order_id())
    assert report is not None
    assert report.filled_quantity == Decimal("0.1")


async def test_an_order_on_hold_that_is_given_up_never_leaves(world: World) -> None:
    durable = asyncio.get_running_loop().create_future()
    sending = asyncio.create_task(world.gateway.submit(sell(), durable))
    assert await world.gateway.order(BTC, order_id()) is None
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert await world.gateway.order(BTC, order_id()) is None
    assert (await world.gateway.balances())["BTC"] == Balance("BTC", Decimal("0.5"), Decimal(0))


async def test_an_order_is_found_by_our_id_and_its_executions_carry_it(world: World) -> None:
    await world.gateway.submit(sell())
    report = await world.gateway.order(BTC, order_id())
    assert report is not None
    assert (report.status, report.filled_quantity) == (OrderStatus.FILLED, Decimal("0.1"))
    fills = await world.gateway.fills_since(BTC, an_hour_ago())
    assert {fill.client_order_id for fill in fills} == {order_id()}
    assert sum(fill.quantity for fill in fills) == Decimal("0.1")
    assert len({fill.trade_id for fill in fills}) == len(fills)
    orders = await world.gateway.orders_since(BTC, an_hour_ago())
    assert [one.client_order_id for one in orders] == [order_id()]


async def test_an_order_that_never_was_is_definitively_none(world: World) -> None:
    assert await world.gateway.order(BTC, order_id(7)) is None


async def test_a_resting_order_is_listed_locks_coins_and_fills_when_crossed(world: World) -> None:
    evidence = await world.gateway.submit(sell("0.1", "66000"))
    assert evidence.report is not None
    assert evidence.report.status is OrderStatus.NEW
    [open_order] = await world.gateway.open_orders(BTC)
    assert open_order.price == Decimal(66_000)
    assert [one.client_order_id for one in await world.gateway.open_orders()] == [order_id()]


async def test_a_cancelled_order_ends_and_cannot_be_cancelled_again(world: World) -> None:
    await world.gateway.submit(sell("0.1", "66000"))
    evidence = await world.gateway.cancel(BTC, order_id())
    assert evidence.report is not None
    assert evidence.report.client_order_id == order_id()
    assert evidence.report.status is OrderStatus.CANCELED
    assert await world.gateway.open_orders(BTC) == []
    again = await world.gateway.cancel(BTC, order_id())
    assert (again.http_status, again.code) == (400, -2011)


async def test_an_immediate_order_that_cannot_fill_expires(world: World) -> None:
    request = sell("0.1", "66000", time_in_force=TimeInForce.IOC)
    evidence = await world.gateway.submit(request)
    assert evidence.report is not None
    assert evidence.report.status is OrderStatus.EXPIRED
    assert evidence.report.filled_quantity == 0


@pytest.mark.parametrize(
    ("request_", "cause"),
    [
        (sell("5"), Cause.BALANCE),
        (sell("0.100001"), Cause.FILTER),
        (sell("0.1", "66000.001"), Cause.FILTER),
        (sell("0.00001", "66000"), Cause.FILTER),
    ],
)
async def test_refusals_say_what_to_correct(
    world: World, request_: OrderRequest, cause: Cause
) -> None:
    classified = classify(await world.gateway.submit(request_))
    if classified.verdict is Verdict.NOT_SENT:
        # Held back before the library could round it to something that nobody decided.
        assert (world.is_exact, cause) == (False, Cause.FILTER)
        return
    assert (classified.verdict, classified.cause) == (Verdict.REJECTED, cause)


async def test_an_id_that_is_open_cannot_be_used_again(world: World) -> None:
    await world.gateway.submit(sell("0.1", "66000"))
    evidence = await world.gateway.submit(sell("0.1", "67000"))
    assert classify(evidence).verdict is Verdict.LIVE_EVIDENCE


async def test_the_account_s_stream_reports_orders_and_balances(world: World) -> None:
    if not world.has_streams:
        pytest.skip("the fake pushes reports by a plain call")
    reports: list[OrderReport] = []
    balances: list[Balance] = []
    stream = asyncio.create_task(world.gateway.stream_account(reports.append, balances.append))
    await _subscribed(world, reports)
    await world.gateway.submit(sell(number=2))
    await until(lambda: any(one.status is OrderStatus.FILLED for one in reports))
    last = [one for one in reports if one.client_order_id == order_id(2)][-1]
    assert last.status is OrderStatus.FILLED
    fills = {fill.trade_id: fill for one in reports for fill in one.fills}
    listed = await world.gateway.fills_since(BTC, an_hour_ago())
    assert set(fills) == {fill.trade_id for fill in listed}
    await until(lambda: any(one.asset == "BTC" and one.free == Decimal("0.4") for one in balances))
    stream.cancel()
    await asyncio.gather(stream, return_exceptions=True)


async def test_the_account_is_told_over_its_stream_as_well(world: World) -> None:
    if not world.has_streams:
        pytest.skip("the fake's stream is a plain call")
    reports: list[OrderReport] = []
    stream = asyncio.create_task(world.gateway.stream_account(reports.append, lambda _: None))
    await _subscribed(world, reports)
    told = await world.gateway.balances_by_stream()
    # Exchanges of the common way have no such question.
    assert told is None if not world.is_exact else told == await world.gateway.balances()
    stream.cancel()
    await asyncio.gather(stream, return_exceptions=True)
    if told is not None and isinstance(world.gateway, CcxtGateway):
        with pytest.raises(Unreachable):
            await world.gateway.balances_by_stream()


async def _subscribed(world: World, reports: list[OrderReport]) -> None:
    # A resting order shows when the stream lives; it is cancelled again.
    for number in range(100, 200):
        await world.gateway.submit(sell("0.01", "66000", number))
        await world.gateway.cancel(BTC, order_id(number))
        await asyncio.sleep(0.02)
        if any(one.status is OrderStatus.CANCELED for one in reports):
            return
    raise AssertionError("the account's stream should report within 2 s")


async def test_the_market_s_stream_brings_quotes_and_crosses_resting_orders(world: World) -> None:
    if not world.has_streams:
        pytest.skip("the fake has no market stream")
    trades: list[MarketTrade] = []
    quotes: list[Quote] = []
    stream = asyncio.create_task(
        world.gateway.stream_market(frozenset({BTC}), trades.append, quotes.append)
    )
    await until(lambda: bool(quotes))
    await world.gateway.submit(sell("0.1", "61000"))
    await world.set_price("61500")
    await until(lambda: quotes[-1].bid > 61_000)
    await until(lambda: bool(trades))
    report = None
    for _ in range(500):
        report = await world.gateway.order(BTC, order_id())
        if report is not None and report.status is OrderStatus.FILLED:
            break
        await asyncio.sleep(0.01)
    assert report is not None
    assert report.status is OrderStatus.FILLED
    assert all(fill.price >= 61_000 for fill in report.fills)
    stream.cancel()
    await asyncio.gather(stream, return_exceptions=True)


async def test_nothing_is_sent_for_an_instrument_that_does_not_exist(world: World) -> None:
    if not world.has_streams:
        pytest.skip("the fake knows only its own instruments")
    request = OrderRequest(order_id(), "NO/SUCH", Side.SELL, OrderType.MARKET, Decimal(1))
    evidence = await world.gateway.submit(request)
    assert evidence.phase is SendPhase.NOT_SENT or evidence.code == -1121


async def test_depth_candles_and_the_last_print_are_read(world: World) -> None:
    if not world.has_streams:
        pytest.skip("the fake shows neither depth nor candles")
    await world.set_price("60500")
    book = await world.gateway.order_book(BTC, 5)
    assert book.bids[0].price < book.asks[0].price
    assert len(book.bids) == 5
    candles = await world.gateway.candles(BTC, Timeframe("1h"), 10)
    assert len(candles) == 10
    assert [one.is_closed for one in candles] == [True] * 9 + [False]
    hour_ms = Timeframe("1h").length_ms
    assert {later.open_time_ms - one.open_time_ms for one, later in pairwise(candles)} == {hour_ms}
    since = from_ms(candles[-3].open_time_ms)
    assert len(await world.gateway.candles(BTC, Timeframe("1h"), 10, since)) == 3
    last = await world.gateway.last_trade(BTC)
    assert abs(last.price - 60_500) < 100


async def test_books_of_several_symbols_are_read_at_once(world: World) -> None:
    # The fake knows only its own instruments.
    symbols = sorted({BTC, "ETH/USDT"} & (await world.gateway.instruments()).keys())
    quotes = await world.gateway.quotes(symbols)
    assert sorted(quotes) == symbols
    assert all(symbol == quote.symbol for symbol, quote in quotes.items())
    alone = await world.gateway.quote(BTC)
    assert abs(quotes[BTC].bid - alone.bid) < alone.bid / 50
    assert all(quote.bid < quote.ask for quote in quotes.values())


async def test_all_last_prices_are_read_at_once_and_the_moved_one_is_new(world: World) -> None:
    await world.set_price("60500")
    prices = await world.gateway.last_prices()
    assert abs(prices[BTC] - 60_500) < 100


def stop(stop_price: str, quantity: str = "0.1", number: int = 1) -> OrderRequest:
    return OrderRequest(
        client_order_id=order_id(number),
        symbol=BTC,
        side=Side.SELL,
        order_type=OrderType.STOP_LOSS,
        quantity=Decimal(quantity),
        stop_price=Decimal(stop_price),
    )


@contextlib.asynccontextmanager
async def watched(world: World) -> AsyncIterator[None]:
    # Paper hears of prices from its feed; the others fire by themselves.
    if not world.has_streams:
        yield
        return
    quotes: list[Quote] = []
    market = world.gateway.stream_market(frozenset({BTC}), lambda _trade: None, quotes.append)
    stream = asyncio.create_task(market)
    try:
        await until(lambda: bool(quotes))
        yield
    finally:
        stream.cancel()
        await asyncio.gather(stream, return_exceptions=True)


async def ended(world: World, name: str) -> OrderReport:
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        report = await world.gateway.order(BTC, name)
        if report is not None and report.status.is_terminal:
            return report
        await asyncio.sleep(0.01)
    raise AssertionError(f"order {name} should end within 10 s")


async def test_a_stop_waits_with_its_coins_locked_and_sells_once_when_the_price_falls(
    world: World,
) -> None:
    async with watched(world):
        evidence = await world.gateway.submit(stop("58000"))
        assert evidence.report is not None
        assert evidence.report.status is OrderStatus.NEW
        assert (evidence.report.quantity, evidence.report.filled_quantity) == (Decimal("0.1"), 0)
        [waiting] = await world.gateway.open_orders(BTC)
        assert (waiting.client_order_id, waiting.status) == (order_id(), OrderStatus.NEW)
        assert (await world.gateway.balances())["BTC"] == Balance(
            "BTC", Decimal("0.4"), Decimal("0.1")
        )
        await world.set_price("58500")
        asked = await world.gateway.order(BTC, order_id())
        assert asked is not None
        assert asked.status is OrderStatus.NEW
        await world.set_price("57900")
        report = await ended(world, order_id())
        assert (report.status, report.filled_quantity) == (OrderStatus.FILLED, Decimal("0.1"))
        await world.set_price("59000")
        await world.set_price("57000")
    assert await world.gateway.open_orders(BTC) == []
    fills = await world.gateway.fills_since(BTC, an_hour_ago())
    assert sum(fill.quantity for fill in fills) == Decimal("0.1")
    assert {fill.client_order_id for fill in fills} == {order_id()}
    assert all(57_000 < fill.price <= 58_000 for fill in fills)
    left = (await world.gateway.balances())["BTC"]
    assert left == Balance("BTC", Decimal("0.4"), Decimal(0))


async def test_a_cancelled_stop_frees_its_coins_and_never_fires(world: World) -> None:
    async with watched(world):
        await world.gateway.submit(stop("58000", "0.5"))
        refused = classify(await world.gateway.submit(sell("0.5", number=2)))
        assert (refused.verdict, refused.cause) == (Verdict.REJECTED, Cause.BALANCE)
        evidence = await world.gateway.cancel(BTC, order_id())
        assert evidence.report is not None
        assert evidence.report.status is OrderStatus.CANCELED
        assert (await world.gateway.balances())["BTC"] == Balance("BTC", Decimal("0.5"), Decimal(0))
        await world.set_price("57000")
        report = await world.gateway.order(BTC, order_id())
    assert report is not None
    assert (report.status, report.filled_quantity) == (OrderStatus.CANCELED, 0)
    assert await world.gateway.fills_since(BTC, an_hour_ago()) == []


async def test_a_stop_that_the_price_has_reached_already_is_refused(world: World) -> None:
    evidence = await world.gateway.submit(stop("60500"))
    assert (evidence.http_status, evidence.code) == (400, -2010)
    assert evidence.message == "Stop price would trigger immediately."
    assert classify(evidence).verdict is Verdict.REJECTED
    assert (await world.gateway.balances())["BTC"] == Balance("BTC", Decimal("0.5"), Decimal(0))


async def test_a_symbol_takes_five_stops(world: World) -> None:
    for number in range(1, 6):
        evidence = await world.gateway.submit(stop("58000", "0.01", number))
        assert classify(evidence).verdict is Verdict.ACK
    evidence = await world.gateway.submit(stop("58000", "0.01", 6))
    assert (evidence.code, evidence.message) == (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS")
    await world.gateway.cancel(BTC, order_id(3))
    assert classify(await world.gateway.submit(stop("58000", "0.01", 7))).verdict is Verdict.ACK


async def test_candles_run_and_close_on_the_stream_as_they_do_over_rest(world: World) -> None:
    if not world.has_streams:
        pytest.skip("the fake streams nothing")
    second = Timeframe("1s")
    minute = Timeframe("1m")
    heard: list[tuple[Timeframe, Candle, int]] = []
    stream = asyncio.ensure_future(
        world.gateway.stream_candles(
            {BTC: frozenset({second, minute})},
            lambda symbol, timeframe, candle, at_ms: heard.append((timeframe, candle, at_ms)),
        )
    )
    try:
        closed: list[Candle] = []

        def have_closed(count: int) -> bool:
            closed[:] = [
                one for timeframe, one, _ in heard if timeframe == second and one.is_closed
            ]
            return len(closed) >= count

        ends = time.monotonic() + 15
        price = 60_000
        while not have_closed(3):
            assert time.monotonic() < ends
            assert not stream.done()
            price += 1
            await world.set_price(str(price))
            await asyncio.sleep(0.2)
        assert len({one.open_time_ms for one in closed}) == len(closed)
        rest = {
            one.open_time_ms: one
            for one in await world.gateway.candles(BTC, second, 30)
            if one.is_closed
        }
        for one in closed:
            told = rest[one.open_time_ms]
            assert (one.open, one.high, one.low, one.close, one.volume) == pytest.approx(
                (told.open, told.high, told.low, told.close, told.volume)
            )
        assert any(timeframe == minute and not one.is_closed for timeframe, one, _ in heard)
        now_ms = time.time() * 1000
        assert all(abs(at_ms - now_ms) < 30_000 for _, _, at_ms in heard)
    finally:
        stream.cancel()
        await asyncio.gather(stream, return_exceptions=True)
