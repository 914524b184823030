"""A paper account survives a restart as far as it was booked, and not further."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests import builders
from tests.fakes.exchange import FakeExchange
from tests.fakes.virtual_time import VirtualTime
from trading.domain.errors import Unreachable
from trading.domain.market import BookLevel, MarketTrade, OrderBook, Quote
from trading.domain.order import (
    Attempt,
    AttemptState,
    OrderRequest,
    OrderStatus,
    OrderType,
    SendPhase,
    Side,
)
from trading.domain.time import Timeframe
from trading.execution.identity import client_order_id
from trading.gateway.paper import PaperGateway

BTC = "BTC/USDT"
RULES = {BTC: builders.bitcoin()}
ID = client_order_id("ux", "paper", 1)


class Feed(FakeExchange):
    """Live prices with a book of two levels."""

    def __init__(self) -> None:
        super().__init__(VirtualTime(), [builders.bitcoin()], {}, {BTC: "60000"})
        self.is_empty = False

    async def order_book(self, symbol: str, limit: int = 100) -> OrderBook:
        await self._reach()
        quote = self.quote_now(symbol)
        if self.is_empty:
            return OrderBook(symbol, (), (), 0)
        bids = (BookLevel(quote.bid, Decimal("0.1")), BookLevel(quote.bid - 100, Decimal(9)))
        return OrderBook(symbol, bids, (BookLevel(quote.ask, Decimal(9)),), 0)


async def opened(feed: Feed, *restored: object) -> PaperGateway:
    balances = {"USDT": Decimal(10_000), "BTC": Decimal("0.5")}
    gateway = PaperGateway(feed, feed.time, balances)
    if restored:
        gateway.restore(*restored)  # type: ignore[arg-type]
    await gateway.connect()
    return gateway


def sell(quantity: str = "0.3", price: str | None = None) -> OrderRequest:
    kind = OrderType.LIMIT if price else OrderType.MARKET
    limit = Decimal(price) if price else None
    return OrderRequest(ID, BTC, Side.SELL, kind, Decimal(quantity), limit)


async def test_a_sale_walks_the_live_book() -> None:
    gateway = await opened(Feed())
    evidence = await gateway.submit(sell())
    assert evidence.report is not None
    prices = [(fill.quantity, fill.price) for fill in evidence.report.fills]
    assert prices == [(Decimal("0.1"), Decimal(60_000)), (Decimal("0.2"), Decimal(59_900))]


async def test_without_a_market_nothing_is_sent() -> None:
    feed = Feed()
    gateway = await opened(feed)
    feed.is_empty = True
    assert (await gateway.submit(sell())).phase is SendPhase.NOT_SENT
    feed.is_down = True
    assert (await gateway.submit(sell())).phase is SendPhase.NOT_SENT


async def test_booked_executions_rebuild_the_account_and_its_orders() -> None:
    first = await opened(Feed())
    await first.submit(sell())
    fills = await first.fills_since(BTC, builders.NOON - timedelta(hours=1))
    again = await opened(Feed(), fills, RULES)
    assert await again.balances() == await first.balances()
    report = await again.order(BTC, ID)
    assert report is not None
    assert (report.filled_quantity, len(report.fills)) == (Decimal("0.3"), 2)
    since = builders.NOON - timedelta(hours=1)
    assert await again.fills_since(BTC, since) == fills
    assert [one.client_order_id for one in await again.orders_since(BTC, since)] == [ID]
    assert await again.order(BTC, client_order_id("ux", "paper", 2)) is None


async def test_a_resting_order_comes_back_with_what_was_left_of_it() -> None:
    done = builders.fill(quantity="0.1", price="66000", trade_id="p1")
    done = replace(done, client_order_id=ID)
    attempt = Attempt(
        "paper",
        1,
        sell("0.3", "66000"),
        AttemptState.PARTIAL,
        builders.NOON,
        exchange_order_id="paper-1",
        filled_quantity=Decimal("0.1"),
    )
    feed = Feed()
    gateway = await opened(feed, [done], RULES, [attempt])
    [resting] = await gateway.open_orders(BTC)
    assert (resting.quantity, resting.filled_quantity) == (Decimal("0.3"), Decimal("0.1"))
    quote = Quote(BTC, Decimal(67_000), Decimal(1), Decimal(67_001), Decimal(1), 0, 0.0)
    gateway._market.take_quote(quote)
    report = await gateway.order(BTC, ID)
    assert report is not None
    assert report.status is OrderStatus.FILLED
    assert report.filled_quantity == Decimal("0.3")
    assert len({fill.trade_id for fill in report.fills}) == len(report.fills) == 2


async def test_an_unknown_instrument_and_a_broken_rule_are_refused_like_the_exchange_would() -> (
    None
):
    gateway = await opened(Feed())
    unknown = await gateway.submit(replace(sell(), symbol="NO/SUCH"))
    assert unknown.code == -1121
    broken = await gateway.submit(sell("0.000001"))
    assert (broken.code, broken.message) == (-1013, "Filter failure: LOT_SIZE")
    assert (await gateway.cancel(BTC, "nothing")).code == -2011


async def test_reads_of_the_market_are_the_feed_s() -> None:
    feed = Feed()
    gateway = await opened(feed)
    assert (await gateway.quote(BTC)).bid == 60_000
    assert (await gateway.last_trade(BTC)).price == 60_000
    assert (await gateway.order_book(BTC)).bids
    assert await gateway.clock_offset_ms() == 0
    with pytest.raises(Unreachable, match="candles"):
        await gateway.candles(BTC, Timeframe("1h"), 1)
    await gateway.close()


def stop(quantity: str = "0.3", stop_price: str = "59500") -> OrderRequest:
    kind, at = OrderType.STOP_LOSS, Decimal(stop_price)
    return OrderRequest(ID, BTC, Side.SELL, kind, Decimal(quantity), stop_price=at)


def waiting(request: OrderRequest) -> Attempt:
    state = AttemptState.OPEN
    return Attempt("paper", 1, request, state, builders.NOON, exchange_order_id="paper-1")


def printed(price: str) -> MarketTrade:
    return MarketTrade(BTC, Decimal(price), Decimal("0.001"), 0, 0.0)


async def settled(gateway: PaperGateway) -> None:
    for task in list(gateway._market._firing.values()):
        await task


async def test_a_stop_sells_through_the_whole_book_when_a_print_reaches_it() -> None:
    feed = Feed()
    gateway = await opened(feed)
    await gateway.submit(stop())
    gateway._market.take_quote(
        Quote(BTC, Decimal(59_501), Decimal("0.01"), Decimal(59_502), Decimal(1), 0, 0.0)
    )
    gateway._market.take_trade(printed("59500.01"))
    assert not gateway._market._firing
    feed.set_price(BTC, "59499")
    gateway._market.take_trade(printed("59500"))
    gateway._market.take_trade(printed("59499"))
    assert len(gateway._market._firing) == 1
    await settled(gateway)
    report = await gateway.order(BTC, ID)
    assert report is not None
    assert report.status is OrderStatus.FILLED
    prices = [(fill.quantity, fill.price) for fill in report.fills]
    assert prices == [(Decimal("0.1"), Decimal(59_499)), (Decimal("0.2"), Decimal(59_399))]
    gateway._market.take_trade(printed("59000"))
    assert not gateway._market._firing


async def test_a_stop_that_fires_without_depth_sells_what_the_quote_shows_and_ends() -> None:
    feed = Feed()
    gateway = await opened(feed)
    await gateway.submit(stop())
    quote = Quote(BTC, Decimal(59_490), Decimal("0.1"), Decimal(59_502), Decimal(1), 0, 0.0)
    gateway._market.take_quote(quote)
    feed.is_down = True
    gateway._market.take_trade(printed("59400"))
    await settled(gateway)
    report = await gateway.order(BTC, ID)
    assert report is not None
    assert (report.status, report.filled_quantity) == (OrderStatus.EXPIRED, Decimal("0.1"))
    assert (await gateway.balances())["BTC"].locked == 0


async def test_a_stop_waits_again_after_a_restart() -> None:
    gateway = await opened(Feed(), [], RULES, [waiting(stop())])
    [report] = await gateway.open_orders(BTC)
    assert (report.client_order_id, report.status) == (ID, OrderStatus.NEW)
    assert (await gateway.balances())["BTC"].locked == Decimal("0.3")


async def test_a_stop_that_was_reached_while_nobody_looked_has_sold_at_the_start() -> None:
    feed = Feed()
    feed.set_price(BTC, "59000")
    gateway = await opened(feed, [], RULES, [waiting(stop())])
    report = await gateway.order(BTC, ID)
    assert report is not None
    assert (report.status, report.filled_quantity) == (OrderStatus.FILLED, Decimal("0.3"))


async def test_a_gateway_that_closes_leaves_no_stop_half_fired() -> None:
    feed = Feed()
    gateway = await opened(feed)
    await gateway.submit(stop())
    gateway._market.take_trade(printed("59000"))
    await gateway.close()
    assert not gateway._market._firing
    [report] = await gateway.open_orders(BTC)
    assert report.status is OrderStatus.NEW
