"""The control endpoints: a price shows everywhere before the answer; wrong requests are told."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.sim.conftest import Bench, frame_of, opened, until
from trading.domain.order import Side
from trading.sim.binance.limits import LimitSettings

ALL_STREAMS = "btcusdt@trade/btcusdt@bookTicker/btcusdt@kline_1m/btcusdt@ticker/btcusdt@miniTicker"


@pytest.mark.parametrize("price", ["65000", 65_000, 65_000.0, "65000.00"])
@pytest.mark.parametrize("symbol", ["BTCUSDT", "BTC/USDT"])
async def test_a_price_shows_in_every_view_before_the_answer(
    bench: Bench, symbol: str, price: Any
) -> None:
    socket = await bench.stream(f"/stream?streams={ALL_STREAMS}/btcusdt@depth@100ms")
    answer = await bench.control("price", symbol=symbol, price=price)
    assert answer["price"] == "65000.00000000"
    name = {"symbol": "BTCUSDT"}
    assert (await bench.get("/api/v3/ticker/price", **name))["price"] == "65000.00000000"
    quote = await bench.get("/api/v3/ticker/bookTicker", **name)
    assert float(quote["bidPrice"]) < 65_000 < float(quote["askPrice"])
    book = await bench.get("/api/v3/depth", **name)
    assert [book["bids"][0][0], book["asks"][0][0]] == [quote["bidPrice"], quote["askPrice"]]
    for side in ("bids", "asks"):
        near = [(float(p), float(q)) for p, q in book[side] if abs(float(p) / 65_000 - 1) <= 0.001]
        assert sum(p * q for p, q in near) >= 100_000
    trades = await bench.get("/api/v3/trades", **name)
    assert trades[-1]["price"] == "65000.00000000"
    for interval in ("1m", "1h", "1d"):
        candle = (await bench.get("/api/v3/klines", interval=interval, limit="1", **name))[0]
        assert (candle[2], candle[4]) == ("65000.00000000", "65000.00000000")
    day = await bench.get("/api/v3/ticker/24hr", **name)
    assert (day["lastPrice"], day["highPrice"]) == ("65000.00000000", "65000.00000000")
    # All of it was sent before the answer: it can be read without waiting.
    seen: dict[str, Any] = {}
    async with asyncio.timeout(0.5):
        while len(seen) < 6:
            frame = await socket.receive_json()
            seen[frame["stream"].removeprefix("btcusdt@")] = frame["data"]
    assert seen["trade"]["p"] == "65000.00000000"
    assert seen["kline_1m"]["k"]["c"] == "65000.00000000"
    assert seen["ticker"]["c"] == seen["miniTicker"]["c"] == "65000.00000000"
    assert seen["bookTicker"]["b"] == quote["bidPrice"]
    assert ["64999.99000000", quote["bidQty"]] in seen["depth@100ms"]["b"]
    await socket.close()


async def test_crossed_orders_are_matched_before_the_answer(bench: Bench) -> None:
    await bench.order(type="limit", side="sell", amount=1, price=61_000, id="high")
    await bench.order(type="limit", side="buy", amount=1, price=59_000, id="low")
    await bench.control("price", symbol="BTCUSDT", price=65_000)
    statuses = {o["clientOrderId"]: o["status"] for o in await bench.shown("orders")}
    assert statuses == {"high": "FILLED", "low": "NEW"}
    await bench.control("price", symbol="BTCUSDT", price="58000")
    statuses = {o["clientOrderId"]: o["status"] for o in await bench.shown("orders")}
    assert statuses == {"high": "FILLED", "low": "FILLED"}


async def test_a_price_stays_until_the_next_one_and_streams_stay_alive(bench: Bench) -> None:
    socket = await bench.stream("/ws/btcusdt@ticker/btcusdt@bookTicker/btcusdt@trade")
    await bench.control("price", symbol="BTCUSDT", price=65_000)
    await frame_of(socket, lambda frame: frame.get("e") == "trade")
    times: dict[str, list[int]] = {"24hrTicker": [], "bookTicker": []}
    async with asyncio.timeout(5):
        while min(len(seen) for seen in times.values()) < 3:
            frame = await socket.receive_json()
            # Nothing trades while nothing moves.
            assert frame.get("e") != "trade"
            times[frame.get("e", "bookTicker")].append(frame["E"])
            assert float(frame["b"]) == 64_999.99
    for seen in times.values():
        assert seen == sorted(seen)
        assert len(set(seen)) >= 2
    # What an order of ours takes comes back, and the price with it.
    await bench.order(amount=1)

    async def is_back() -> bool:
        answer = await bench.get("/api/v3/ticker/price", symbol="BTCUSDT")
        return bool(answer["price"] == "65000.00000000")

    await until(is_back, "the price")
    await socket.close()


async def test_other_markets_stay_where_they_are(bench: Bench) -> None:
    before = await bench.get("/api/v3/ticker/price")
    await bench.control("price", symbol="BTCUSDT", price=65_000)
    after = await bench.get("/api/v3/ticker/price")
    changed = [row["symbol"] for row in after if row not in before]
    assert changed == ["BTCUSDT"]


async def test_the_account_shows_free_and_locked_of_everything(bench: Bench) -> None:
    await bench.order(type="limit", amount=1, price=50_000)
    shown = await bench.shown("account")
    assert shown == {
        "balances": {
            "USDT": {"free": "150000.00000000", "locked": "50000.00000000"},
            "BTC": {"free": "2.00000000", "locked": "0.00000000"},
        }
    }
    answer = await bench.control("account", asset="SOL", delta="2.5")
    assert answer["balances"]["SOL"] == {"free": "2.50000000", "locked": "0.00000000"}
    answer = await bench.control("account", asset="SOL", delta=-2.5)
    assert answer["balances"]["SOL"] == {"free": "0.00000000", "locked": "0.00000000"}
    error = await bench.control("account", 400, asset="SOL", delta=-1)
    assert "SOL free should be at least 1, was 0" in error["error"]


async def test_the_person_can_trade_by_hand_on_the_same_account(bench: Bench) -> None:
    sold = await bench.control("order", symbol="BTC/USDT", side="SELL", quantity="0.5")
    assert sold["status"] == "FILLED"
    assert sold["clientOrderId"].startswith("web_")
    rests = await bench.control(
        "order", symbol="BTCUSDT", side="BUY", type="LIMIT", quantity="0.1", price="50000"
    )
    assert rests["status"] == "NEW"
    answer = await bench.control("cancel", clientOrderId=rests["clientOrderId"])
    assert answer["status"] == "CANCELED"
    assert "open order" in (await bench.control("cancel", 400, clientOrderId="x"))["error"]
    refused = await bench.control("order", 400, symbol="BTCUSDT", side="SELL", quantity="50")
    assert refused["code"] == -2010


async def test_a_book_can_be_thinned_until_an_exit_ends_half_filled(bench: Bench) -> None:
    await bench.control("book", symbol="BTCUSDT", quote_depth=20_000, side="bid")
    order = await bench.order(side="sell", amount=1)
    assert order["status"] == "expired"
    assert 0.1 < order["filled"] < 0.6

    async def is_back() -> bool:
        return len((await bench.get("/api/v3/depth", symbol="BTCUSDT"))["bids"]) > 5

    await until(is_back, "the liquidity")
    assert (await bench.order(side="sell", amount=1, id="again"))["filled"] > 0.1
    await bench.control("book", symbol="BTCUSDT", spread="0.3")
    quote = await bench.get("/api/v3/ticker/bookTicker", symbol="BTCUSDT")
    assert (float(quote["bidPrice"]), float(quote["askPrice"])) == (51_000, 69_000)


async def test_fees_can_be_taken_in_another_coin(bench: Bench) -> None:
    await bench.control("account", asset="BNB", delta=1)
    await bench.control("fees", asset="BNB", rate="0.00075")
    bought = await bench.order(amount=1)
    assert {fee["currency"] for fee in bought["fees"]} == {"BNB"}
    assert (await bench.shown("account"))["balances"]["BTC"]["free"] == "3.00000000"
    account = await bench.ccxt.fetch_balance()
    assert account["info"]["commissionRates"]["taker"] == "0.00075000"


async def test_permissions_can_be_taken_away(bench: Bench) -> None:
    await bench.control("permissions", ipRestrict=False, enableWithdrawals=True)
    shown = await bench.ccxt.sapi_get_account_apirestrictions()
    assert (shown["ipRestrict"], shown["enableWithdrawals"]) == (False, True)
    await bench.control("permissions", revoked=True)
    with pytest.raises(Exception, match="-2015"):
        await bench.ccxt.fetch_balance()
    assert "ipRestrict" in (await bench.control("permissions", 400, canFly=True))["error"]


async def test_a_wrong_tick_is_printed_without_moving_the_market(bench: Bench) -> None:
    socket = await bench.stream("/ws/btcusdt@trade")
    await bench.control("print", symbol="BTCUSDT", price="600", quantity="0.5")
    frame = await frame_of(socket, lambda frame: True)
    assert (frame["p"], frame["q"]) == ("600.00000000", "0.50000000")
    now = await bench.get("/api/v3/ticker/price", symbol="BTCUSDT")
    assert now["price"] == "60000.00000000"
    await socket.close()


async def test_rules_and_status_can_change_while_running(bench: Bench) -> None:
    await bench.ccxt.load_markets()
    await bench.control("symbol", symbol="BTCUSDT", status="HALT", step="0.001")
    info = (await bench.get("/api/v3/exchangeInfo", symbol="BTCUSDT"))["symbols"][0]
    assert info["status"] == "HALT"
    assert {"stepSize": "0.00100000"}.items() <= next(
        f for f in info["filters"] if f["filterType"] == "LOT_SIZE"
    ).items()
    with pytest.raises(Exception, match="Market is closed"):
        await bench.order(amount=0.5)
    await bench.control("symbol", symbol="BTCUSDT", status="TRADING")
    with pytest.raises(Exception, match="LOT_SIZE"):
        await bench.order(amount=0.00015)
    assert (
        "status should be one of"
        in (await bench.control("symbol", 400, symbol="BTCUSDT", status="GONE"))["error"]
    )


@pytest.mark.springs_traps
async def test_attempts_to_move_money_are_seen(bench: Bench) -> None:
    with pytest.raises(Exception, match="-1002"):
        await bench.ccxt.sapi_post_capital_withdraw_apply({"coin": "BTC"})
    traps = await bench.shown("traps")
    assert traps["count"] == 1
    assert traps["requests"][0]["path"] == "/sapi/v1/capital/withdraw/apply"


@pytest.mark.parametrize(
    ("name", "body", "sentence"),
    [
        ("price", {}, "symbol should be a text, was None"),
        ("price", {"symbol": "NOPE", "price": 1}, "symbol should be a listed market, was 'NOPE'"),
        ("price", {"symbol": "BTCUSDT"}, "price should be a number, was None"),
        ("price", {"symbol": "BTCUSDT", "price": "-5"}, "price should be a plain number"),
        ("price", {"symbol": "BTCUSDT", "price": -5}, "finite number of at least 0"),
        ("price", {"symbol": "BTCUSDT", "price": 0}, "price should be from 0.01"),
        ("price", {"symbol": "BTCUSDT", "price": True}, "price should be a number"),
        ("fault", {"kind": "explode"}, "kind should be one of"),
        ("fault", {"kind": "delay", "often": 3}, "a fault should have kind, times and args"),
        ("clock", {"offset_ms": 1.5}, "offset_ms should be a whole number"),
        ("book", {"symbol": "BTCUSDT"}, "quote_depth or spread"),
        ("book", {"symbol": "BTCUSDT", "side": "left"}, "side should be bid or ask"),
        ("fees", {"rate": 2}, "fee rate should be from 0"),
        ("traffic", {"rate_per_s": 0, "seconds": 1}, "rate_per_s should be above 0"),
        ("account", {"asset": "", "delta": 1}, "asset should be a text"),
    ],
)
async def test_a_wrong_request_is_answered_with_a_sentence(
    bench: Bench, name: str, body: dict[str, Any], sentence: str
) -> None:
    answer = await bench.control(name, 400, **body)
    assert sentence in answer["error"]


async def test_control_takes_json_objects_only(bench: Bench) -> None:
    url = f"{bench.sim.rest_url}/control/price"
    for raw in (b"{", b"[1]", b"5"):
        async with bench.http.post(url, data=raw) as response:
            assert response.status == 400
            assert "body should be" in (await response.json())["error"]
    async with bench.http.get(f"{bench.sim.rest_url}/control/nothing") as response:
        assert response.status == 404
        assert "POST price" in (await response.json())["error"]


async def test_control_refuses_other_machines(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiohttp.web.Request.remote", "10.0.0.7")
    async with bench.http.get(f"{bench.sim.rest_url}/control/orders") as response:
        assert response.status == 403


async def test_timings_tell_when_a_price_went_out_and_an_order_came_in(bench: Bench) -> None:
    await bench.control("price", symbol="BTCUSDT", price=61_000)
    await bench.order()
    price, request = await bench.shown("timings")
    assert (price["what"], price["detail"]) == ("price", "BTC/USDT 61000")
    assert "newClientOrderId=mine" in request["detail"]
    assert price["began_s"] <= price["ended_s"] <= request["began_s"] <= request["ended_s"]


async def test_streams_can_be_managed_by_frames(bench: Bench) -> None:
    socket = await bench.stream("/stream/ws/0")

    async def ask(method: str, params: list[Any], number: int) -> Any:
        await socket.send_json({"method": method, "params": params, "id": number})
        return await frame_of(socket, lambda frame: "id" in frame or "code" in frame)

    assert await ask("SUBSCRIBE", ["btcusdt@trade", "nope@nope"], 1) == {"result": None, "id": 1}
    listed = await ask("LIST_SUBSCRIPTIONS", [], 2)
    assert listed["result"] == ["btcusdt@trade", "nope@nope"]
    await bench.control("price", symbol="BTCUSDT", price=61_000)
    assert (await frame_of(socket, lambda frame: True))["e"] == "trade"
    assert await ask("GET_PROPERTY", ["combined"], 3) == {"result": False, "id": 3}
    assert await ask("SET_PROPERTY", ["combined", True], 3) == {"result": None, "id": 3}
    assert await ask("GET_PROPERTY", ["combined"], 3) == {"result": True, "id": 3}
    await bench.control("price", symbol="BTCUSDT", price=62_000)
    assert (await frame_of(socket, lambda frame: True))["stream"] == "btcusdt@trade"
    await ask("UNSUBSCRIBE", ["btcusdt@trade"], 4)
    assert (await bench.shown("streams"))["streams"] == ["nope@nope"]
    assert (await ask("DANCE", [], 5))["code"] == 2
    assert (await ask("SUBSCRIBE", [7], 6))["code"] == 2
    assert (await ask("SUBSCRIBE", [f"s{n}@trade" for n in range(1_100)], 7))["code"] == 2
    for text, code in (("nonsense", 3), ("[]", 2), ('{"id":1}', 2), ('{"method":["x"]}', 2)):
        await socket.send_str(text)
        assert (await frame_of(socket, lambda frame: "code" in frame))["code"] == code
    await socket.close()


@pytest.mark.parametrize(
    ("method", "params", "answer"),
    [
        ("GET_PROPERTY", ["color"], {"code": 0, "msg": "Unknown property", "id": 7}),
        ("SET_PROPERTY", ["color", True], {"code": 0, "msg": "Unknown property", "id": 7}),
        (
            "SET_PROPERTY",
            ["combined", 1],
            {"code": 1, "msg": "Invalid value type: expected Boolean"},
        ),
        ("SET_PROPERTY", ["combined"], {"code": 1, "msg": "Invalid value type: expected Boolean"}),
        (
            "GET_PROPERTY",
            ["combined", True],
            {"code": 2, "msg": "Invalid request: too many parameters"},
        ),
        (
            "SET_PROPERTY",
            ["combined", False, 1],
            {"code": 2, "msg": "Invalid request: too many parameters"},
        ),
        (
            "GET_PROPERTY",
            [],
            {"code": 2, "msg": "Invalid request: property name must be a string"},
        ),
        (
            "SET_PROPERTY",
            [7, True],
            {"code": 2, "msg": "Invalid request: property name must be a string"},
        ),
    ],
)
async def test_a_property_that_cannot_be_set_or_told_is_refused_as_on_the_real_exchange(
    bench: Bench, method: str, params: list[Any], answer: Any
) -> None:
    socket = await bench.stream("/stream")
    for asked in ((method, params), ("GET_PROPERTY", ["combined"])):
        await socket.send_json({"method": asked[0], "params": asked[1], "id": 7})
    assert await socket.receive_json() == answer
    assert await socket.receive_json() == {"result": True, "id": 7}
    await socket.close()


async def test_arrays_partial_depth_and_closing_candles_are_streamed(bench: Bench) -> None:
    names = "!ticker@arr/!miniTicker@arr/btcusdt@depth5@100ms/btcusdt@aggTrade/btcusdt@kline_1m"
    socket = await bench.stream(f"/stream?streams={names}")
    seen: dict[str, Any] = {}
    await bench.control("price", symbol="BTCUSDT", price=61_000)
    async with asyncio.timeout(5):
        while len(seen) < 5:
            frame = await socket.receive_json()
            seen[frame["stream"]] = frame["data"]
    assert len(seen["!ticker@arr"]) == len(seen["!miniTicker@arr"]) == 9
    assert len(seen["btcusdt@depth5@100ms"]["bids"]) == 5
    assert seen["btcusdt@aggTrade"]["p"] == "61000.00000000"
    # A minute later, by the exchange's clock, the candle closes and says so once.
    await bench.control("clock", offset_ms=60_000)
    closed = await frame_of(
        socket, lambda frame: frame["stream"].endswith("kline_1m") and frame["data"]["k"]["x"]
    )
    assert closed["data"]["k"]["c"] == "61000.00000000"
    await socket.close()


async def test_the_ws_api_answers_requests(bench: Bench) -> None:
    socket = await bench.stream("/ws-api/v3")

    async def ask(method: str, params: Any = None, number: Any = 1) -> Any:
        await socket.send_json({"id": number, "method": method, "params": params})
        return await frame_of(socket, lambda frame: "status" in frame)

    def signed(**params: Any) -> Any:
        return bench.ccxt.sign_params({"recvWindow": 5_000, **params})

    assert (await ask("ping"))["result"] == {}
    assert (await ask("time"))["result"]["serverTime"] > 0
    tickers = await ask("ticker.price", {"symbols": ["BTCUSDT"]}, "x")
    assert (tickers["id"], tickers["result"][0]["symbol"]) == ("x", "BTCUSDT")
    assert (await ask("order.dance"))["status"] == 400
    assert (await ask("ping", [1]))["status"] == 400
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1"}
    placed = await ask("order.place", signed(**order))
    assert placed["result"]["status"] == "FILLED"
    refused = await ask("order.place", signed(**{**order, "quantity": "100"}))
    assert refused["error"]["code"] == -2010
    wrong = {**signed(), "signature": "0" * 64}
    assert (await ask("userDataStream.subscribe.signature", wrong))["error"]["code"] == -1022
    await socket.send_str("[]")
    assert (await frame_of(socket, lambda frame: True))["status"] == 400
    await socket.close()


async def test_sessions_are_told_what_they_are_subscribed_to(bench: Bench) -> None:
    async def ask(socket: Any, method: str, params: Any = None) -> Any:
        await socket.send_json({"id": 1, "method": method, "params": params})
        reply = await frame_of(socket, lambda frame: "status" in frame)
        return reply["result"] if reply["status"] == 200 else reply["error"]["code"]

    subscribe, unsubscribe = "userDataStream.subscribe.signature", "userDataStream.unsubscribe"
    before_ms = (await bench.get("/api/v3/time"))["serverTime"]
    for _ in range(2):
        # Each connection counts its own subscriptions.
        socket = await bench.stream("/ws-api/v3")
        status = await ask(socket, "session.status")
        assert (status["apiKey"], status["authorizedSince"]) == (None, None)
        assert before_ms <= status["connectedSince"] <= status["serverTime"]
        assert status["returnRateLimits"] is True
        assert status["userDataStream"] is False
        # Nobody can log on with such a key, and without that there is no account to listen to.
        assert await ask(socket, "userDataStream.subscribe") == -2015
        assert await ask(socket, "userDataStream.subscribe", {"surprise": 1}) == -1104
        assert await ask(socket, unsubscribe, {"subscriptionId": 0}) == -2036
        for number in (0, 1):
            signed = bench.ccxt.sign_params({"recvWindow": 5_000})
            assert await ask(socket, subscribe, signed) == {"subscriptionId": number}
            again = bench.ccxt.sign_params({"recvWindow": 5_000})
            assert await ask(socket, subscribe, again) == -2035
            assert await ask(socket, "session.subscriptions") == [{"subscriptionId": number}]
            assert (await ask(socket, "session.status"))["userDataStream"] is True
            assert await ask(socket, unsubscribe, {"subscriptionId": number + 1}) == -2036
            assert await ask(socket, unsubscribe, {"subscriptionId": number}) == {}
            assert await ask(socket, "session.subscriptions") == []
            assert await ask(socket, unsubscribe, {"subscriptionId": number}) == -2036
        signed = bench.ccxt.sign_params({"recvWindow": 5_000})
        assert await ask(socket, subscribe, signed) == {"subscriptionId": 2}
        # Without a number all end, and there being none is fine.
        assert await ask(socket, unsubscribe) == {}
        assert await ask(socket, unsubscribe) == {}
        assert (await ask(socket, "session.status"))["userDataStream"] is False


async def test_reports_reach_every_connection_under_its_own_number(bench: Bench) -> None:
    sockets = [await bench.stream("/ws-api/v3") for _ in range(3)]
    for socket in sockets:
        params = bench.ccxt.sign_params({"recvWindow": 5_000})
        method = "userDataStream.subscribe.signature"
        await socket.send_json({"id": 1, "method": method, "params": params})
        reply = await frame_of(socket, lambda frame: "id" in frame)
        assert reply["result"] == {"subscriptionId": 0}
    await bench.order()
    for socket in sockets:
        event = await frame_of(socket, lambda frame: "event" in frame)
        assert (event["subscriptionId"], event["event"]["e"]) == (0, "executionReport")
        await socket.close()


async def test_reports_carry_all_fields_of_the_real_exchange(bench: Bench) -> None:
    socket = await bench.stream("/ws-api/v3")
    params = bench.ccxt.sign_params({"recvWindow": 5_000})
    await socket.send_json(
        {"id": 1, "method": "userDataStream.subscribe.signature", "params": params}
    )
    await frame_of(socket, lambda frame: "id" in frame)
    await bench.order(type="limit", price=50_000, id="abc")
    await bench.ccxt.cancel_order(None, "BTC/USDT", {"clientOrderId": "abc"})
    await bench.order(side="sell", amount=0.1, id="def")
    events = []
    async with asyncio.timeout(5):
        while not events or events[-1].get("z") != "0.10000000":
            events.append((await socket.receive_json())["event"])
    reports = [e for e in events if e["e"] == "executionReport"]
    assert [(r["x"], r["X"]) for r in reports[:2]] == [("NEW", "NEW"), ("CANCELED", "CANCELED")]
    # After a cancel the order's own id stands in C, the cancel's in c.
    assert reports[1]["C"] == "abc"
    assert reports[1]["c"] not in {"abc", ""}
    fields = [
        "e",
        "E",
        "s",
        "c",
        "S",
        "o",
        "f",
        "q",
        "p",
        "P",
        "F",
        "g",
        "C",
        "x",
        "X",
        "r",
        "i",
        "l",
        "z",
        "L",
        "n",
        "N",
        "T",
        "t",
        "I",
        "w",
        "m",
        "M",
        "O",
        "Z",
        "Y",
        "Q",
        "V",
    ]
    assert all(set(fields) <= set(report) for report in reports)
    trade = reports[-1]
    assert (trade["x"], trade["X"], trade["N"]) == ("TRADE", "FILLED", "USDT")
    assert "outboundAccountPosition" in {e["e"] for e in events}
    await socket.close()


async def test_a_reader_that_is_too_slow_is_disconnected(bench: Bench) -> None:
    socket = await bench.stream("/ws/btcusdt@trade")
    outlet = next(iter(bench.sim.service.outlets.values()))
    outlet.queue_max = 10
    world = bench.sim.service.venue.world
    for _ in range(20):
        world.exchange.trade("BTC/USDT", Decimal(60_000), Decimal(1), Side.BUY, 1)
    while not socket.closed:
        await asyncio.wait_for(socket.receive(), 2)
    assert socket.close_code == 1008


async def test_limits_show_in_headers_and_answers() -> None:
    async with opened(limits=LimitSettings(weight_per_minute=3)) as bench:
        url = f"{bench.sim.rest_url}/api/v3/ping"
        async with bench.http.get(url) as response:
            assert response.headers["X-MBX-USED-WEIGHT-1M"] == "1"
        for _ in range(4):
            async with bench.http.get(url) as response:
                pass
        assert response.status == 429
        assert int(response.headers["Retry-After"]) >= 1


@pytest.mark.slow
async def test_five_hundred_markets_start_and_move() -> None:
    async with opened(markets=500, still=False) as bench:
        info = await bench.get("/api/v3/exchangeInfo")
        assert len(info["symbols"]) == 500
        name = info["symbols"][-1]["symbol"]
        candles = await bench.get("/api/v3/klines", symbol=name, interval="1h", limit="1000")
        assert len(candles) == 1_000
        first = await bench.get("/api/v3/ticker/price")

        async def has_moved() -> bool:
            now = await bench.get("/api/v3/ticker/price")
            return sum(a != b for a, b in zip(first, now, strict=True)) > 400

        await until(has_moved, "movement of most markets")


async def test_a_price_that_reaches_a_stop_has_fired_it_before_the_answer(bench: Bench) -> None:
    placed = await bench.ccxt.private_post_order(
        {
            "symbol": "BTCUSDT",
            "side": "SELL",
            "type": "STOP_LOSS",
            "quantity": "0.5",
            "stopPrice": "58000",
            "newClientOrderId": "stop",
        }
    )
    assert set(placed) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    [waiting] = await bench.shown("orders")
    assert (waiting["type"], waiting["status"]) == ("STOP_LOSS", "NEW")
    assert waiting["stopPrice"] == "58000.00000000"
    assert (await bench.shown("account"))["balances"]["BTC"]["locked"] == "0.50000000"
    await bench.control("price", symbol="BTCUSDT", price=58_000.01)
    assert (await bench.shown("orders"))[0]["status"] == "NEW"
    await bench.control("price", symbol="BTCUSDT", price=58_000)
    [fired] = await bench.shown("orders")
    assert (fired["type"], fired["status"]) == ("STOP_LOSS", "FILLED")
    assert fired["executedQty"] == "0.50000000"
    assert (await bench.shown("account"))["balances"]["BTC"]["locked"] == "0.00000000"


async def test_a_stop_in_a_thin_book_sells_what_it_can_and_expires(bench: Bench) -> None:
    await bench.control("book", symbol="BTCUSDT", quote_depth=20_000, side="bid")
    stop = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", "quantity": "1"}
    await bench.control("order", **stop, stopPrice="58000", newClientOrderId="stop")
    await bench.control("price", symbol="BTCUSDT", price=57_000)
    [fired] = await bench.shown("orders")
    assert fired["status"] == "EXPIRED"
    assert 0.1 < float(fired["executedQty"]) < 0.6
    assert (await bench.shown("account"))["balances"]["BTC"]["locked"] == "0.00000000"


async def test_other_web_pages_and_other_names_do_not_move_prices(bench: Bench) -> None:
    url, body = f"{bench.sim.rest_url}/control/price", {"symbol": "BTCUSDT", "price": "1"}
    for headers in (
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Host": "rebound.example"},
    ):
        async with bench.http.post(url, json=body, headers=headers) as response:
            assert response.status == 403
            assert "error" in await response.json()
    moved = await bench.control("price", symbol="BTCUSDT", price="65000.123")
    # What is between two ticks is answered as it is shown.
    assert moved == {"symbol": "BTCUSDT", "price": "65000.12000000"}
