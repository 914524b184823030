"""Unmodified ccxt.pro against the simulated exchange, over real sockets."""

import asyncio
from decimal import Decimal
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import ccxt
import ccxt.pro
import pytest

from tests.integration.sim.conftest import Bench, opened, until
from trading.domain.time import from_ms
from trading.sim.binance.server import DEMO_KEY, DEMO_SECRET


async def test_markets_carry_the_rules_of_the_exchange(bench: Bench) -> None:
    await bench.ccxt.load_markets()
    market = bench.ccxt.market("BTC/USDT")
    assert len(bench.ccxt.markets) == 9
    assert market["precision"]["price"] == 0.01
    assert market["precision"]["amount"] == 0.00001
    assert market["limits"]["cost"] == {"min": 5.0, "max": 9_000_000.0}
    assert market["limits"]["market"]["max"] >= 100


@pytest.mark.parametrize("timeframe", ["1m", "3m", "15m", "1h", "4h", "1d", "3d", "1w"])
async def test_a_thousand_candles_of_each_timeframe_are_there_at_once(
    bench: Bench, timeframe: str
) -> None:
    candles = await bench.ccxt.fetch_ohlcv("BTC/USDT", timeframe, limit=1_000)
    assert len(candles) == 1_000
    assert candles[-1][4] == 60_000
    lengths = {after[0] - before[0] for before, after in pairwise(candles)}
    assert lengths == {bench.ccxt.parse_timeframe(timeframe) * 1_000}


async def test_a_month_and_a_minute_are_told_apart(bench: Bench) -> None:
    months = await bench.ccxt.fetch_ohlcv("BTC/USDT", "1M", limit=1_000)
    assert 240 <= len(months) < 300, "twenty years and more: no market has a thousand months"
    assert {from_ms(opened_ms).day for opened_ms, *_ in months} == {1}
    watched = await asyncio.wait_for(bench.ccxt.watch_ohlcv("BTC/USDT", "1M"), 20)
    assert watched[-1][0] == months[-1][0]
    minutes = await bench.ccxt.fetch_ohlcv("BTC/USDT", "1m", limit=2)
    assert minutes[1][0] - minutes[0][0] == 60_000


async def test_market_data_is_read(bench: Bench) -> None:
    ticker = await bench.ccxt.fetch_ticker("BTC/USDT")
    book = await bench.ccxt.fetch_order_book("BTC/USDT", 5)
    assert ticker["last"] == 60_000
    assert ticker["bid"] == book["bids"][0][0] == 59_999.99
    assert ticker["ask"] == book["asks"][0][0] == 60_000.01
    assert len(await bench.ccxt.fetch_tickers()) == 9
    assert (await bench.ccxt.fetch_balance())["USDT"]["free"] == 200_000
    await bench.control("price", symbol="BTCUSDT", price="60100")
    trades = await bench.ccxt.fetch_trades("BTC/USDT")
    assert trades[-1]["price"] == 60_100


async def test_orders_live_and_end_as_on_the_real_exchange(bench: Bench) -> None:
    bought = await bench.order(amount=0.5, id="bot-1")
    assert (bought["status"], bought["filled"], bought["clientOrderId"]) == ("closed", 0.5, "bot-1")
    assert bought["fee"] == {"currency": "BTC", "cost": 0.0005}
    resting = await bench.order(type="limit", price=50_000, id="bot-2")
    assert resting["status"] == "open"
    assert [o["clientOrderId"] for o in await bench.ccxt.fetch_open_orders("BTC/USDT")] == ["bot-2"]
    found = await bench.ccxt.fetch_order(None, "BTC/USDT", {"clientOrderId": "bot-2"})
    assert found["id"] == resting["id"]
    assert (await bench.ccxt.fetch_order(resting["id"], "BTC/USDT"))["status"] == "open"
    gone = await bench.ccxt.cancel_order(resting["id"], "BTC/USDT")
    assert gone["status"] == "canceled"
    ioc = await bench.ccxt.create_order(
        "BTC/USDT", "limit", "sell", 0.2, 59_900, {"timeInForce": "IOC", "clientOrderId": "bot-3"}
    )
    assert ioc["status"] == "closed"
    cost = await bench.ccxt.create_order("BTC/USDT", "market", "buy", None, None, {"cost": 100})
    assert 99 < cost["cost"] <= 100
    stop = await bench.ccxt.create_order(
        "BTC/USDT", "limit", "sell", 0.1, 54_000, {"stopLossPrice": 55_000}
    )
    assert stop["id"]
    trades = await bench.ccxt.fetch_my_trades("BTC/USDT")
    assert {t["order"] for t in trades} >= {bought["id"], ioc["id"]}
    listed = await bench.shown("orders")
    assert [o["clientOrderId"] for o in listed[:3]] == ["bot-1", "bot-2", "bot-3"]
    assert listed[1] == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "status": "CANCELED",
        "origQty": "0.01000000",
        "executedQty": "0.00000000",
        "clientOrderId": "bot-2",
    }


async def test_a_market_order_beyond_the_book_ends_expired_half_filled() -> None:
    async with opened(balances={"BTC": Decimal(100)}) as bench:
        order = await bench.order(side="sell", amount=100)
        assert order["status"] == "expired"
        assert 0 < order["filled"] < 100
        listed = (await bench.shown("orders"))[0]
        assert listed["status"] == "EXPIRED"
        assert 0 < float(listed["executedQty"]) < float(listed["origQty"])


async def test_errors_arrive_as_the_classes_that_were_measured(bench: Bench) -> None:
    await bench.order(type="limit", price=50_000, id="twice")
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"amount": 100}, ccxt.InsufficientFunds, "insufficient balance"),
        ({"type": "limit", "price": 50_000, "id": "twice"}, ccxt.InvalidOrder, "Duplicate order"),
        ({"type": "limit", "price": 400_000}, ccxt.BadRequest, "PERCENT_PRICE"),
        ({"amount": 0.00001}, ccxt.BadRequest, "NOTIONAL"),
        ({"amount": 118, "side": "sell"}, ccxt.InvalidOrder, "MARKET_LOT_SIZE"),
    ]
    for params, error, message in wrong:
        with pytest.raises(error, match=message):
            await bench.order(**params)
    with pytest.raises(ccxt.OrderNotFound):
        await bench.ccxt.fetch_order("999", "BTC/USDT")
    with pytest.raises(ccxt.OrderNotFound):
        await bench.ccxt.cancel_order("999", "BTC/USDT")
    bench.ccxt.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        await bench.ccxt.fetch_balance()


async def test_a_clock_that_is_off_is_noticed_and_can_be_measured(bench: Bench) -> None:
    await bench.ccxt.load_markets()
    await bench.control("clock", offset_ms=7_000_000)
    with pytest.raises(ccxt.InvalidNonce):
        await bench.ccxt.fetch_balance()
    await bench.ccxt.load_time_difference()
    assert bench.ccxt.options["timeDifference"] < -6_990_000
    assert (await bench.ccxt.fetch_balance())["USDT"]["free"] == 200_000
    await bench.control("clock", offset_ms=0)
    await bench.control("clock", 400, offset_ms="seven")


@pytest.mark.slow
async def test_two_hundred_book_updates_arrive_without_a_gap(moving: Bench) -> None:
    symbols = ["BTC/USDT", "ETH/USDT", "SOL/USDT", "ADA/USDT", "DOGE/USDT"]
    async with asyncio.timeout(30):
        # Each round brings a difference of every book.
        for number in range(40):
            book = await moving.ccxt.watch_order_book_for_symbols(symbols)
            assert book["bids"][0][0] < book["asks"][0][0]
            if number % 10 == 0:
                # Orders of ours change the book as well.
                await moving.order(id=f"b{number}", amount=0.001)
    for symbol in symbols:
        kept = moving.ccxt.orderbooks[symbol]
        async with asyncio.timeout(30):
            while True:
                fresh = await moving.ccxt.fetch_order_book(symbol, 1_000)
                if fresh["nonce"] == kept["nonce"]:
                    break
                await asyncio.sleep(0.01)
        # What the differences add up to is what the exchange shows in full.
        assert (fresh["bids"], fresh["asks"]) == (list(kept["bids"]), list(kept["asks"]))


async def test_market_streams_show_a_moving_market(moving: Bench) -> None:
    ex = moving.ccxt
    async with asyncio.timeout(10):
        trades, quotes, ticker, candles, book = await asyncio.gather(
            ex.watch_trades("BTC/USDT"),
            ex.watch_bids_asks(["BTC/USDT", "ETH/USDT"]),
            ex.watch_ticker("BTC/USDT", {"name": "ticker"}),
            ex.watch_ohlcv_for_symbols([["BTC/USDT", "1m"], ["ETH/USDT", "1m"]]),
            ex.watch_order_book_for_symbols(["SOL/USDT", "ADA/BTC"]),
        )
    assert trades[-1]["price"] > 0
    assert all(quote["bid"] < quote["ask"] for quote in quotes.values())
    assert ticker["bid"] < ticker["ask"]
    assert candles
    assert book["bids"]


async def test_the_user_stream_reports_orders_fills_and_balances(bench: Bench) -> None:
    ex = bench.ccxt
    waiting = [
        asyncio.create_task(watch)
        for watch in (ex.watch_orders(), ex.watch_my_trades(), ex.watch_balance())
    ]

    async def is_subscribed() -> bool:
        streams = await bench.shown("streams")
        return any(c["scope"] == "user" for c in streams["connections"])

    await until(is_subscribed, "the user stream's subscription")
    await asyncio.sleep(0.1)
    await bench.order(amount=0.5, id="bot-1")
    async with asyncio.timeout(5):
        orders, trades, balance = await asyncio.gather(*waiting)
    assert orders[0]["clientOrderId"] == "bot-1"
    assert trades[0]["symbol"] == "BTC/USDT"
    assert trades[0]["fee"]["currency"] == "BTC"
    assert balance["BTC"]["free"] == 2.4995
    await bench.order(type="limit", price=50_000, id="bot-2")
    await bench.ccxt.cancel_order(None, "BTC/USDT", {"clientOrderId": "bot-2"})
    async with asyncio.timeout(5):
        while orders[-1]["clientOrderId"] != "bot-2" or orders[-1]["status"] != "canceled":
            orders = await ex.watch_orders()
    # A deposit arrives as a balanceUpdate and a new position.
    await bench.control("account", asset="SOL", delta="3.5")
    async with asyncio.timeout(5):
        while "SOL" not in balance or balance["SOL"]["free"] != 3.5:
            balance = await ex.watch_balance()


async def test_a_closed_connection_is_opened_again(bench: Bench) -> None:
    watch = asyncio.create_task(bench.ccxt.watch_trades("BTC/USDT"))

    async def has_stream() -> bool:
        return "btcusdt@trade" in (await bench.shown("streams"))["streams"]

    await until(has_stream, "the subscription")
    fault = await bench.control("fault", kind="disconnect", times=1, args={"scope": "market"})
    assert (fault["fired"], fault["effects"]) == (1, 1)
    with pytest.raises(ccxt.NetworkError):
        await watch
    watch = asyncio.create_task(bench.ccxt.watch_trades("BTC/USDT"))
    await until(has_stream, "the second subscription")
    await bench.control("price", symbol="BTCUSDT", price=61_000)
    async with asyncio.timeout(5):
        assert (await watch)[-1]["price"] == 61_000


@pytest.mark.slow
async def test_five_thousand_trades_a_second_reach_one_reader(bench: Bench) -> None:
    first = asyncio.create_task(bench.ccxt.watch_trades("BTC/USDT"))

    async def has_stream() -> bool:
        return "btcusdt@trade" in (await bench.shown("streams"))["streams"]

    await until(has_stream, "the subscription")
    await bench.control("traffic", rate_per_s=5_000, seconds=1, symbols=["BTCUSDT"])
    await first

    async def has_all() -> bool:
        return len(bench.ccxt.trades["BTC/USDT"]) >= 5_000

    await until(has_all, "the last trade")
    ids = [int(trade["id"]) for trade in bench.ccxt.trades["BTC/USDT"]]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def _moved(urls: Any, bench: Bench) -> Any:
    """Return ccxt's own table of addresses with another host in each."""
    if isinstance(urls, dict):
        return {name: _moved(url, bench) for name, url in urls.items()}
    parts = urlsplit(urls)
    host = urlsplit(bench.sim.rest_url).netloc
    return parts._replace(scheme=parts.scheme.removesuffix("s"), netloc=host).geturl()


async def test_a_client_with_every_default_works_when_only_its_addresses_change() -> None:
    made = ccxt.pro.binance({"apiKey": DEMO_KEY, "secret": DEMO_SECRET})
    async with opened(still=False) as bench:
        made.urls["api"] = _moved(made.urls["api"], bench)
        try:
            assert len(await made.load_markets()) == 9
            assert (await made.fetch_status())["status"] == "ok"
            ticker = await asyncio.wait_for(made.watch_ticker("BTC/USDT"), 5)
            assert ticker["last"] > 0
            placed = await made.create_order_ws("BTC/USDT", "limit", "buy", 0.001, 50_000)
            assert placed["status"] == "open"
        finally:
            await made.close()
