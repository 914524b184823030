"""Binance's REST dialect: parameters, filters, codes and shapes, without sockets."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from trading.domain.instrument import InstrumentStatus
from trading.sim.binance import signing
from trading.sim.binance.limits import LimitSettings, weight_of
from trading.sim.binance.rest import Reply, Request
from trading.sim.binance.server import DEMO_KEY, DEMO_SECRET, SimSettings, build_service
from trading.sim.binance.service import Service

START_MS = 1_790_000_000_000
Params = dict[str, Any]


class Desk:
    """Asks the exchange as a client would, with a clock that stands where it was set."""

    def __init__(self, **settings: Any) -> None:
        self.now_ms = START_MS
        settings.setdefault("balances", {"USDT": Decimal(100_000), "BTC": Decimal(200)})
        self.service: Service = build_service(
            SimSettings(still=True, **settings), lambda: self.now_ms
        )

    def send(self, method: str, path: str, params: Params, api_key: str | None = None) -> Reply:
        text = urlencode(params)
        is_post = method == "POST"
        request = Request(method, path, "" if is_post else text, text if is_post else "", api_key)
        return self.service.rest.process(request, request.params)

    def signed(self, method: str, path: str, **params: Any) -> tuple[int, Any]:
        params = {"timestamp": self.now_ms, **params}
        signature = signing.sign(DEMO_SECRET, urlencode(params))
        reply = self.send(method, path, {**params, "signature": signature}, DEMO_KEY)
        return reply.status, orjson.loads(reply.body or b"")

    def public(self, path: str, **params: Any) -> tuple[int, Any]:
        reply = self.send("GET", f"/api/v3/{path}", params)
        return reply.status, orjson.loads(reply.body or b"")

    def order(self, **params: Any) -> tuple[int, Any]:
        usual = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"}
        return self.signed("POST", "/api/v3/order", **{**usual, **params})

    def stop(self, **params: Any) -> tuple[int, Any]:
        usual = {"side": "SELL", "type": "STOP_LOSS", "quantity": "0.1", "stopPrice": "58000"}
        return self.order(**{**usual, **params})

    def held(self, asset: str) -> tuple[str, str]:
        balances = self.signed("GET", "/api/v3/account")[1]["balances"]
        found = next(one for one in balances if one["asset"] == asset)
        return found["free"], found["locked"]

    def limit(self, **params: Any) -> tuple[int, Any]:
        usual = {"type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": "50000"}
        return self.order(**{**usual, **params})


@pytest.fixture
def desk() -> Desk:
    return Desk()


# ---------------------------------------------------------------- public endpoints


def test_ping_and_time_answer(desk: Desk) -> None:
    assert desk.public("ping") == (200, {})
    assert desk.public("time") == (200, {"serverTime": START_MS})


def test_exchange_info_lists_filters_as_binance_does(desk: Desk) -> None:
    _, info = desk.public("exchangeInfo")
    assert len(info["symbols"]) == 9
    btc = next(s for s in info["symbols"] if s["symbol"] == "BTCUSDT")
    shown = {f["filterType"]: f for f in btc["filters"]}
    assert shown["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert shown["LOT_SIZE"]["stepSize"] == "0.00001000"
    assert float(shown["MARKET_LOT_SIZE"]["maxQty"]) >= 100
    assert shown["NOTIONAL"]["minNotional"] == "5.00000000"
    assert shown["NOTIONAL"]["maxNotional"] == "9000000.00000000"
    assert shown["PERCENT_PRICE"]["multiplierUp"] == "5"
    assert shown["PERCENT_PRICE"]["multiplierDown"] == "0.2"
    assert shown["MAX_NUM_ORDERS"]["maxNumOrders"] == 200
    assert shown["MAX_NUM_ALGO_ORDERS"]["maxNumAlgoOrders"] == 5
    assert {"MARKET", "STOP_LOSS"} < set(btc["orderTypes"])
    assert btc["status"] == "TRADING"


def test_one_or_several_symbols_can_be_asked_for(desk: Desk) -> None:
    assert len(desk.public("exchangeInfo", symbol="BTCUSDT")[1]["symbols"]) == 1
    _, rows = desk.public("ticker/price", symbols='["BTCUSDT","ETHUSDT"]')
    assert rows == [
        {"symbol": "BTCUSDT", "price": "60000.00000000"},
        {"symbol": "ETHUSDT", "price": "3000.00000000"},
    ]
    assert len(desk.public("ticker/bookTicker")[1]) == 9
    assert desk.public("ticker/24hr", symbol="BTCUSDT")[1]["lastPrice"] == "60000.00000000"
    assert desk.public("ticker/price", symbols="nonsense")[1]["code"] == -1100


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("depth", {}, -1102),
        ("depth", {"symbol": "NOPE"}, -1121),
        ("depth", {"symbol": "btcusdt"}, -1100),
        ("depth", {"symbol": "BTC/USDT"}, -1100),
        ("depth", {"symbol": "BTCUSDT", "limit": "0"}, -1130),
        ("depth", {"symbol": "BTCUSDT", "limit": "x"}, -1100),
        ("klines", {"symbol": "BTCUSDT"}, -1102),
        ("klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120),
    ],
)
def test_wrong_market_questions_get_binances_codes(
    desk: Desk, path: str, params: Params, code: int
) -> None:
    status, body = desk.public(path, **params)
    assert (status, body["code"]) == (400, code)


def test_depth_shows_best_levels_first_and_its_update_id(desk: Desk) -> None:
    _, book = desk.public("depth", symbol="BTCUSDT", limit=5)
    assert len(book["bids"]) == len(book["asks"]) == 5
    assert book["bids"][0][0] == "59999.99000000"
    assert book["asks"][0][0] == "60000.01000000"
    assert book["lastUpdateId"] == desk.service.venue.world.markets["BTC/USDT"].update_id


def test_klines_can_be_cut_by_time_and_count(desk: Desk) -> None:
    _, newest = desk.public("klines", symbol="BTCUSDT", interval="1h", limit=10)
    assert len(newest) == 10
    assert newest[-1][4] == "60000.00000000"
    _, chosen = desk.public(
        "klines", symbol="BTCUSDT", interval="1h", startTime=newest[2][0], endTime=newest[4][0]
    )
    assert chosen == newest[2:5]
    _, first = desk.public(
        "klines", symbol="BTCUSDT", interval="1h", startTime=newest[2][0], limit=1
    )
    assert first == newest[2:3]
    assert len(desk.public("klines", symbol="BTCUSDT", interval="1w", limit=2000)[1]) == 1_000


def test_klines_open_by_the_clock_of_the_time_zone_asked_for(desk: Desk) -> None:
    def opens(**zone: str) -> list[int]:
        status, rows = desk.public("klines", symbol="BTCUSDT", interval="1d", limit=3, **zone)
        assert status == 200
        assert [row[6] + 1 for row in rows[:-1]] == [row[0] for row in rows[1:]]
        return [row[0] % 86_400_000 for row in rows]

    hour_ms = 3_600_000
    assert opens() == opens(timeZone="0") == opens(timeZone="00:00") == [0, 0, 0]
    assert opens(timeZone="8") == [16 * hour_ms] * 3
    assert opens(timeZone="-1:00") == [hour_ms] * 3
    assert opens(timeZone="05:45") == [18 * hour_ms + hour_ms // 4] * 3
    assert opens(timeZone="14") == [10 * hour_ms] * 3
    assert opens(timeZone="-12") == [12 * hour_ms] * 3


@pytest.mark.parametrize("zone", ["14:01", "-12:01", "15", "8:60", "8:5", "UTC", "8.5", "--1"])
def test_a_time_zone_that_does_not_exist_is_refused(desk: Desk, zone: str) -> None:
    asked = {"symbol": "BTCUSDT", "interval": "1d", "timeZone": zone}
    status, body = desk.public("klines", **asked)
    assert (status, body["code"]) == (400, -1130)
    assert "'timeZone'" in body["msg"]


def test_statistics_of_the_day_are_short_for_who_wants_them_short(desk: Desk) -> None:
    _, full = desk.public("ticker/24hr", symbol="BTCUSDT", type="FULL")
    assert full == desk.public("ticker/24hr", symbol="BTCUSDT")[1]
    _, short = desk.public("ticker/24hr", symbol="BTCUSDT", type="MINI")
    names = {"symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume"}
    assert set(short) == names | {"openTime", "closeTime", "firstId", "lastId", "count"}
    assert short.items() <= full.items()
    _, several = desk.public("ticker/24hr", symbols='["BTCUSDT","ETHUSDT"]', type="MINI")
    assert [set(row) for row in several] == [set(short)] * 2
    refused = desk.public("ticker/24hr", symbol="BTCUSDT", type="TINY")
    assert refused == (400, {"code": -1139, "msg": "Invalid ticker type."})


def test_prints_are_listed_as_trades_and_aggregates(desk: Desk) -> None:
    for price in (61_000, 62_000, 63_000):
        desk.now_ms += 10
        desk.service.venue.world.set_price("BTC/USDT", Decimal(price), desk.now_ms)
    _, trades = desk.public("trades", symbol="BTCUSDT", limit=2)
    assert [t["price"] for t in trades] == ["62000.00000000", "63000.00000000"]
    assert trades[0]["isBuyerMaker"] is False
    first_id = trades[0]["id"]
    _, later = desk.public("historicalTrades", symbol="BTCUSDT", fromId=first_id, limit=1)
    assert [t["id"] for t in later] == [first_id]
    _, aggregates = desk.public("aggTrades", symbol="BTCUSDT")
    assert [a["p"] for a in aggregates[1:]] == [
        "61000.00000000",
        "62000.00000000",
        "63000.00000000",
    ]
    window = {"startTime": START_MS + 20, "endTime": START_MS + 25}
    _, cut = desk.public("aggTrades", symbol="BTCUSDT", **window)
    assert [a["p"] for a in cut] == ["62000.00000000"]
    _, mean = desk.public("avgPrice", symbol="BTCUSDT")
    assert 55_000 < float(mean["price"]) < 64_000


def test_an_endpoint_that_does_not_exist_is_not_found(desk: Desk) -> None:
    assert desk.public("nonsense")[0] == 404


# ---------------------------------------------------------------- keys, signatures, time


def test_a_signed_request_needs_key_signature_and_time(desk: Desk) -> None:
    def ask(params: Params, key: str | None, secret: str = DEMO_SECRET) -> tuple[int, int]:
        signature = signing.sign(secret, urlencode(params))
        reply = desk.send("GET", "/api/v3/account", {**params, "signature": signature}, key)
        return reply.status, orjson.loads(reply.body or b"").get("code", 0)

    good = {"timestamp": START_MS}
    assert ask(good, DEMO_KEY) == (200, 0)
    assert ask(good, None) == (401, -2014)
    assert ask(good, "another key") == (401, -2015)
    assert ask(good, DEMO_KEY, "wrong secret") == (400, -1022)
    assert ask({}, DEMO_KEY) == (400, -1102)
    assert ask({"timestamp": START_MS + 1_000}, DEMO_KEY) == (400, -1021)
    assert ask({"timestamp": START_MS + 999}, DEMO_KEY) == (200, 0)
    assert ask({"timestamp": START_MS - 5_001}, DEMO_KEY) == (400, -1021)
    assert ask({"timestamp": START_MS - 5_001, "recvWindow": "6000"}, DEMO_KEY) == (200, 0)
    assert ask({"timestamp": START_MS, "recvWindow": "60001"}, DEMO_KEY) == (400, -1131)
    assert ask({"timestamp": START_MS, "recvWindow": "x"}, DEMO_KEY) == (400, -1130)
    unsigned = desk.send("GET", "/api/v3/account", good, DEMO_KEY)
    assert orjson.loads(unsigned.body or b"")["code"] == -1102


@pytest.mark.parametrize(
    ("age_us", "window", "code"),
    [
        (0, "5000", 0),
        (-999_999, "5000", 0),
        (-1_000_000, "5000", -1021),
        (5_000_000, "5000", 0),
        (5_000_001, "5000", -1021),
        (6_000_346, "6000.346", 0),
        (6_000_347, "6000.346", -1021),
    ],
)
def test_a_timestamp_may_count_microseconds(
    desk: Desk, age_us: int, window: str, code: int
) -> None:
    timestamp = START_MS * 1_000 - age_us
    _, body = desk.signed("GET", "/api/v3/account", timestamp=timestamp, recvWindow=window)
    assert body.get("code", 0) == code


def test_times_of_a_question_may_count_microseconds(desk: Desk) -> None:
    _, hours = desk.public("klines", symbol="BTCUSDT", interval="1h", limit=5)
    first_us, last_us = hours[1][0] * 1_000, hours[3][0] * 1_000

    def opens(start_us: int, end_us: int) -> list[int]:
        asked = {"symbol": "BTCUSDT", "interval": "1h", "startTime": start_us, "endTime": end_us}
        return [row[0] for row in desk.public("klines", **asked)[1]]

    assert opens(first_us, last_us) == [row[0] for row in hours[1:4]]
    assert opens(first_us + 1, last_us - 1) == [hours[2][0]]
    desk.order(quantity="0.01", newClientOrderId="a")
    for path in ("allOrders", "myTrades"):
        for start_us, count in ((START_MS * 1_000, 1), (START_MS * 1_000 + 1, 0)):
            _, rows = desk.signed("GET", f"/api/v3/{path}", symbol="BTCUSDT", startTime=start_us)
            assert len(rows) == count


@pytest.mark.parametrize("path", ["allOrders", "myTrades"])
@pytest.mark.parametrize(
    ("later_ms", "told"),
    [
        (-1, (-1102, "Mandatory parameter 'endTime' was not sent, was empty/null, or malformed.")),
        (0, (-1102, "Mandatory parameter 'endTime' was not sent, was empty/null, or malformed.")),
        (86_400_001, (-1127, "More than 24 hours between startTime and endTime.")),
        (86_400_000, None),
        (1, None),
    ],
)
def test_a_period_of_one_s_own_orders_ends_later_and_within_a_day(
    desk: Desk, path: str, later_ms: int, told: tuple[int, str] | None
) -> None:
    desk.order(quantity="0.01", newClientOrderId="a")
    period = {"startTime": START_MS, "endTime": START_MS + later_ms}
    status, body = desk.signed("GET", f"/api/v3/{path}", symbol="BTCUSDT", **period)
    if told is None:
        assert (status, len(body)) == (200, 1)
    else:
        assert (status, body["code"], body["msg"]) == (400, *told)


def test_query_and_body_are_signed_together_and_the_query_wins(desk: Desk) -> None:
    query = f"symbol=BTCUSDT&timestamp={START_MS}"
    body = "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.1"
    signature = signing.sign(DEMO_SECRET, query + body)
    request = Request("POST", "/api/v3/order", query, f"{body}&signature={signature}", DEMO_KEY)
    reply = desk.service.rest.process(request, request.params)
    assert orjson.loads(reply.body or b"")["symbol"] == "BTCUSDT"


@pytest.mark.parametrize("place", ["query", "body"])
@pytest.mark.parametrize("doubled", ["side=SELL", "side=BUY", "side=", "timestamp=1"])
def test_a_parameter_that_is_there_twice_is_refused(desk: Desk, place: str, doubled: str) -> None:
    order = f"symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1&timestamp={START_MS}&{doubled}"
    signed = f"{order}&signature={signing.sign(DEMO_SECRET, order)}"
    query, body = (signed, "") if place == "query" else ("", signed)
    request = Request("POST", "/api/v3/order", query, body, DEMO_KEY)
    reply = desk.service.rest.process(request, request.params)
    shown = {"code": -1101, "msg": "Duplicate values for a parameter detected."}
    assert (reply.status, orjson.loads(reply.body or b"")) == (400, shown)
    assert desk.held("BTC") == ("200.00000000", "0.00000000")


def test_the_keys_of_the_environment_replace_the_demo_pair() -> None:
    settings = SimSettings(api_key="k", secret="s")
    assert settings.credentials == ("k", "s")
    assert not settings.is_demo_pair
    assert "'s'" not in repr(settings)
    assert SimSettings().credentials == (DEMO_KEY, DEMO_SECRET)
    with pytest.raises(Exception, match="together"):
        SimSettings(api_key="k")


def test_a_revoked_key_opens_nothing(desk: Desk) -> None:
    desk.service.venue.is_key_revoked = True
    assert desk.signed("GET", "/api/v3/account")[1]["code"] == -2015


# ---------------------------------------------------------------- orders


def test_a_market_order_answers_with_its_fills(desk: Desk) -> None:
    status, body = desk.order(quantity="0.5", newClientOrderId="mine")
    assert status == 200
    assert body["status"] == "FILLED"
    assert body["clientOrderId"] == "mine"
    assert body["origQty"] == body["executedQty"] == "0.50000000"
    assert sum(Decimal(fill["qty"]) for fill in body["fills"]) == Decimal("0.5")
    assert {fill["commissionAsset"] for fill in body["fills"]} == {"BTC"}
    assert Decimal(body["fills"][0]["commission"]) == Decimal(body["fills"][0]["qty"]) / 1000


def test_the_answer_is_as_long_as_asked_for(desk: Desk) -> None:
    _, ack = desk.order(quantity="0.01", newOrderRespType="ACK")
    _, result = desk.order(quantity="0.01", newOrderRespType="RESULT")
    assert set(ack) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    assert result["status"] == "FILLED"
    assert "fills" not in result
    assert desk.order(quantity="0.01", newOrderRespType="ALL")[1]["code"] == -1130


def test_an_order_can_be_sized_in_quote(desk: Desk) -> None:
    _, body = desk.order(quoteOrderQty="1000")
    assert body["status"] == "FILLED"
    assert 990 < float(body["cummulativeQuoteQty"]) <= 1000
    assert body["origQty"] == body["executedQty"]


def test_a_market_order_beyond_the_book_is_expired_half_filled(desk: Desk) -> None:
    _, body = desk.order(side="SELL", quantity="100")
    assert body["status"] == "EXPIRED"
    assert 0 < float(body["executedQty"]) < 100


def test_an_order_is_found_by_either_id(desk: Desk) -> None:
    _, placed = desk.limit(newClientOrderId="abc")
    for by in ({"orderId": placed["orderId"]}, {"origClientOrderId": "abc"}):
        _, found = desk.signed("GET", "/api/v3/order", symbol="BTCUSDT", **by)
        assert (found["status"], found["clientOrderId"]) == ("NEW", "abc")
    assert desk.signed("GET", "/api/v3/order", symbol="BTCUSDT")[1]["code"] == -1102
    wrong = {"origClientOrderId": "nobody"}
    status, body = desk.signed("GET", "/api/v3/order", symbol="BTCUSDT", **wrong)
    assert (status, body) == (400, {"code": -2013, "msg": "Order does not exist."})
    other = desk.signed("GET", "/api/v3/order", symbol="ETHUSDT", orderId=placed["orderId"])
    assert other[1]["code"] == -2013


def test_a_cancel_has_an_id_of_its_own(desk: Desk) -> None:
    desk.limit(newClientOrderId="abc")
    _, body = desk.signed(
        "DELETE",
        "/api/v3/order",
        symbol="BTCUSDT",
        origClientOrderId="abc",
        newClientOrderId="cancel-abc",
    )
    assert body["status"] == "CANCELED"
    assert (body["origClientOrderId"], body["clientOrderId"]) == ("abc", "cancel-abc")
    again = desk.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="abc")
    assert again == (400, {"code": -2011, "msg": "Unknown order sent."})
    found = desk.signed("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="abc")[1]
    assert (found["status"], found["clientOrderId"]) == ("CANCELED", "abc")


def test_a_client_id_may_be_used_again_once_its_order_ended(desk: Desk) -> None:
    desk.limit(newClientOrderId="abc")
    status, body = desk.limit(newClientOrderId="abc")
    assert (status, body["code"], body["msg"]) == (400, -2010, "Duplicate order sent.")
    # The trap of the real exchange: a filled market order's id is free at once.
    first = desk.order(quantity="0.01", newClientOrderId="twice")[1]
    second = desk.order(quantity="0.01", newClientOrderId="twice")[1]
    assert first["orderId"] != second["orderId"]


def test_open_orders_and_all_orders_and_trades_are_listed(desk: Desk) -> None:
    desk.limit(newClientOrderId="a")
    desk.order(quantity="0.5", newClientOrderId="b")
    desk.limit(symbol="ETHUSDT", price="2000", newClientOrderId="c")
    get = desk.signed
    assert [o["clientOrderId"] for o in get("GET", "/api/v3/openOrders")[1]] == ["a", "c"]
    one = get("GET", "/api/v3/openOrders", symbol="ETHUSDT")[1]
    assert [o["clientOrderId"] for o in one] == ["c"]
    everything = get("GET", "/api/v3/allOrders", symbol="BTCUSDT")[1]
    assert [o["clientOrderId"] for o in everything] == ["a", "b"]
    since = everything[1]["orderId"]
    later = get("GET", "/api/v3/allOrders", symbol="BTCUSDT", orderId=since)[1]
    assert [o["clientOrderId"] for o in later] == ["b"]
    trades = get("GET", "/api/v3/myTrades", symbol="BTCUSDT")[1]
    assert sum(Decimal(t["qty"]) for t in trades) == Decimal("0.5")
    of_order = get("GET", "/api/v3/myTrades", symbol="BTCUSDT", orderId=since)[1]
    assert of_order == trades
    from_last = get("GET", "/api/v3/myTrades", symbol="BTCUSDT", fromId=trades[-1]["id"])[1]
    assert from_last == trades[-1:]


def test_all_open_orders_of_a_symbol_can_be_cancelled_at_once(desk: Desk) -> None:
    desk.limit(newClientOrderId="a")
    desk.limit(newClientOrderId="b", price="49000")
    _, gone = desk.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    assert [o["origClientOrderId"] for o in gone] == ["a", "b"]
    assert desk.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")[1]["code"] == -2011


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"symbol": "NOPE", "quantity": "1"}, -1121, "Invalid symbol."),
        ({"side": "HOLD", "quantity": "1"}, -1117, "Invalid side."),
        ({"side": ""}, -1102, "'side'"),
        ({"type": "", "quantity": "1"}, -1102, "'type'"),
        ({"type": "ICEBERG", "quantity": "1"}, -1116, "Invalid orderType."),
        ({}, -1102, "'quantity'"),
        ({"quantity": "1", "quoteOrderQty": "5"}, -1106, "'quoteOrderQty'"),
        ({"quantity": "1", "price": "5"}, -1106, "'price'"),
        ({"quantity": "1", "timeInForce": "GTC"}, -1106, "'timeInForce'"),
        ({"quantity": "1e-5"}, -1100, "'quantity'"),
        ({"quantity": "0.000000001"}, -1111, "too much precision"),
        ({"quantity": "0"}, -1013, "Invalid quantity."),
        ({"quantity": "1", "surprise": "1"}, -1104, "read '6' parameter(s) but was sent '7'"),
        ({"quantity": "1", "newClientOrderId": "a b"}, -1100, "newClientOrderId"),
        ({"quantity": "1", "newClientOrderId": "x" * 37}, -1100, "newClientOrderId"),
        ({"quantity": "1", "selfTradePreventionMode": "X"}, -1130, "selfTradePrevention"),
        ({"quantity": "0.000005"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.000011"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.00001"}, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": "118", "side": "SELL"}, -1013, "Filter failure: MARKET_LOT_SIZE"),
        ({"quoteOrderQty": "1"}, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": "2"}, -2010, "insufficient balance"),
    ],
)
def test_wrong_market_orders_get_binances_codes(
    desk: Desk, params: Params, code: int, message: str
) -> None:
    status, body = desk.order(**params)
    assert (status, body["code"]) == (400, code)
    assert message in body["msg"]


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"price": "50000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"price": "1000000.01"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"price": "300001"}, -1013, "Filter failure: PERCENT_PRICE"),
        ({"price": "11999"}, -1013, "Filter failure: PERCENT_PRICE"),
        ({"quantity": "180", "side": "SELL", "price": "60000"}, -1013, "NOTIONAL"),
        ({"price": ""}, -1102, "'price'"),
        ({"price": "0"}, -1013, "Invalid price."),
        ({"timeInForce": ""}, -1102, "'timeInForce'"),
        ({"timeInForce": "GTD"}, -1115, "Invalid timeInForce."),
        ({"stopPrice": "5"}, -1106, "'stopPrice'"),
        (
            {"type": "LIMIT_MAKER", "timeInForce": "", "price": "60010"},
            -2010,
            "Order would immediately match and take.",
        ),
        (
            {"type": "STOP_LOSS_LIMIT", "stopPrice": "59000"},
            -2010,
            "Stop price would trigger immediately.",
        ),
    ],
)
def test_wrong_limit_orders_get_binances_codes(
    desk: Desk, params: Params, code: int, message: str
) -> None:
    status, body = desk.limit(**params)
    assert (status, body["code"]) == (400, code)
    assert message in body["msg"]


def test_open_orders_are_limited_in_number() -> None:
    desk = Desk(limits=LimitSettings(orders_per_10s=10_000))
    for _ in range(200):
        assert desk.limit(quantity="0.001")[0] == 200
    assert desk.limit(quantity="0.001")[1]["msg"] == "Filter failure: MAX_NUM_ORDERS"
    assert desk.order(quantity="0.001")[1]["msg"] == "Filter failure: MAX_NUM_ORDERS"


def test_conditional_orders_are_limited_in_number() -> None:
    desk = Desk()
    for number in range(5):
        assert desk.stop(newClientOrderId=f"s{number}")[0] == 200
    _, refused = desk.stop()
    assert (refused["code"], refused["msg"]) == (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS")
    # Of one symbol: another one takes its own five.
    assert desk.stop(symbol="ETHUSDT", side="BUY", stopPrice="3100")[0] == 200
    desk.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="s3")
    assert desk.stop()[0] == 200


def test_a_stop_order_is_acknowledged_and_shown_waiting(desk: Desk) -> None:
    stop = {"type": "STOP_LOSS_LIMIT", "side": "SELL", "stopPrice": "55000", "price": "54000"}
    _, ack = desk.limit(**stop)
    assert "status" not in ack
    found = desk.signed("GET", "/api/v3/order", symbol="BTCUSDT", orderId=ack["orderId"])[1]
    assert (found["isWorking"], found["stopPrice"]) == (False, "55000.00000000")


def test_a_stop_locks_its_coins_and_is_shown_waiting(desk: Desk) -> None:
    _, said = desk.stop(newClientOrderId="stop", newOrderRespType="FULL")
    assert (said["status"], said["fills"], said["stopPrice"]) == ("NEW", [], "58000.00000000")
    assert desk.held("BTC") == ("199.90000000", "0.10000000")
    [listed] = desk.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT")[1]
    asked = desk.signed("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="stop")[1]
    expected = {
        "type": "STOP_LOSS",
        "side": "SELL",
        "status": "NEW",
        "price": "0.00000000",
        "stopPrice": "58000.00000000",
        "origQty": "0.10000000",
        "executedQty": "0.00000000",
        "isWorking": False,
        "workingTime": -1,
    }
    assert listed.items() >= expected.items()
    assert asked == listed


def test_a_stop_that_fired_is_working_since_then_and_keeps_its_type(desk: Desk) -> None:
    desk.stop(newClientOrderId="stop")
    desk.now_ms += 5_000
    desk.service.venue.world.set_price("BTC/USDT", Decimal(57_900), desk.now_ms)
    asked = desk.signed("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="stop")[1]
    expected = {
        "type": "STOP_LOSS",
        "status": "FILLED",
        "executedQty": "0.10000000",
        "isWorking": True,
        "time": START_MS,
        "workingTime": START_MS + 5_000,
        "updateTime": START_MS + 5_000,
    }
    assert asked.items() >= expected.items()
    assert desk.held("BTC") == ("199.90000000", "0.00000000")


def test_a_stop_of_a_buyer_locks_money_and_fires_above(desk: Desk) -> None:
    desk.stop(side="BUY", stopPrice="62000", newClientOrderId="stop")
    assert desk.held("USDT") == ("93800.00000000", "6200.00000000")
    desk.service.venue.world.set_price("BTC/USDT", Decimal(61_900), desk.now_ms)
    assert desk.held("USDT")[1] == "6200.00000000"
    desk.service.venue.world.set_price("BTC/USDT", Decimal(62_000), desk.now_ms)
    asked = desk.signed("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="stop")[1]
    # A market order now: it takes what the money locked can buy above the stop.
    assert asked["status"] == "EXPIRED"
    assert Decimal("0.099") < Decimal(asked["executedQty"]) < Decimal("0.1")
    assert desk.held("USDT")[1] == "0.00000000"


def test_a_cancelled_stop_never_worked(desk: Desk) -> None:
    desk.stop(newClientOrderId="stop")
    name = {"symbol": "BTCUSDT", "origClientOrderId": "stop"}
    _, said = desk.signed("DELETE", "/api/v3/order", **name)
    assert (said["status"], said["type"], said["workingTime"]) == ("CANCELED", "STOP_LOSS", -1)
    assert desk.held("BTC") == ("200.00000000", "0.00000000")
    desk.service.venue.world.set_price("BTC/USDT", Decimal(50_000), desk.now_ms)
    asked = desk.signed("GET", "/api/v3/order", **name)[1]
    assert (asked["status"], asked["isWorking"]) == ("CANCELED", False)


def test_a_stop_is_replaced_by_a_sale_of_the_coins_it_held() -> None:
    desk = Desk(balances={"BTC": Decimal(1), "USDT": Decimal(0)})
    desk.stop(quantity="0.9", newClientOrderId="stop")
    sale = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.5"}
    assert desk.order(**sale)[1]["code"] == -2010
    status, said = desk.signed(
        "POST",
        "/api/v3/order/cancelReplace",
        cancelReplaceMode="STOP_ON_FAILURE",
        cancelOrigClientOrderId="stop",
        **sale,
    )
    assert (status, said["cancelResult"], said["newOrderResult"]) == (200, "SUCCESS", "SUCCESS")
    assert desk.held("BTC") == ("0.50000000", "0.00000000")


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"stopPrice": ""}, -1102, "'stopPrice'"),
        ({"quantity": ""}, -1102, "'quantity'"),
        ({"price": "57000"}, -1106, "'price'"),
        ({"timeInForce": "GTC"}, -1106, "'timeInForce'"),
        ({"quoteOrderQty": "100"}, -1106, "'quoteOrderQty'"),
        ({"stopPrice": "58000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"stopPrice": "60000"}, -2010, "Stop price would trigger immediately."),
        ({"side": "BUY", "stopPrice": "59000"}, -2010, "Stop price would trigger immediately."),
        ({"quantity": "0.00001"}, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": "199", "stopPrice": "30000"}, -1013, "Filter failure: MARKET_LOT_SIZE"),
    ],
)
def test_wrong_stops_get_binances_codes(
    desk: Desk, params: Params, code: int, message: str
) -> None:
    status, body = desk.stop(**params)
    assert (status, body["code"]) == (400, code)
    assert message in body["msg"]
    assert desk.held("BTC") == ("200.00000000", "0.00000000")


def test_a_test_order_tells_the_rates_when_asked(desk: Desk) -> None:
    params = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
    path = "/api/v3/order/test"
    before = desk.service.limits.weight
    status, shown = desk.signed("POST", path, computeCommissionRates="true", **params)
    assert (status, desk.service.limits.weight - before) == (200, 20)
    nothing = {"maker": "0.00000000", "taker": "0.00000000"}
    assert shown["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00100000"}
    assert shown["specialCommissionForOrder"] == shown["taxCommissionForOrder"] == nothing
    assert shown["discount"]["discountAsset"] == "BNB"
    assert desk.signed("POST", path, computeCommissionRates="false", **params) == (200, {})
    placed = desk.order(quantity="1", computeCommissionRates="true")
    assert placed[1]["code"] == -1104


def test_a_test_order_is_checked_and_not_placed(desk: Desk) -> None:
    params = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"}
    assert desk.signed("POST", "/api/v3/order/test", quantity="1", **params) == (200, {})
    assert desk.signed("POST", "/api/v3/order/test", **params)[1]["code"] == -1102
    assert list(desk.service.venue.exchange.orders()) == []


def test_a_closed_market_takes_no_orders(desk: Desk) -> None:
    exchange = desk.service.venue.exchange
    halted = replace(exchange.instruments["BTC/USDT"], status=InstrumentStatus.HALTED)
    exchange.list_instrument(halted)
    assert desk.order(quantity="1")[1]["msg"] == "Market is closed."


def test_without_the_right_to_trade_orders_are_refused(desk: Desk) -> None:
    desk.service.venue.permissions["enableSpotAndMarginTrading"] = False
    assert desk.order(quantity="1") == (
        401,
        {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."},
    )
    assert desk.signed("GET", "/api/v3/account")[1]["canTrade"] is False


# ---------------------------------------------------------------- cancel-replace


def replace_order(desk: Desk, mode: str, cancel: str, **params: Any) -> tuple[int, Any]:
    new = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.1",
        "price": "51000",
        "newClientOrderId": "new",
    }
    return desk.signed(
        "POST",
        "/api/v3/order/cancelReplace",
        **{**new, **params},
        cancelReplaceMode=mode,
        cancelOrigClientOrderId=cancel,
    )


def test_cancel_and_replace_both_succeed(desk: Desk) -> None:
    desk.limit(newClientOrderId="old")
    status, body = replace_order(desk, "STOP_ON_FAILURE", "old")
    assert status == 200
    assert (body["cancelResult"], body["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert body["cancelResponse"]["origClientOrderId"] == "old"
    assert body["newOrderResponse"]["clientOrderId"] == "new"


def test_a_failed_cancel_stops_the_replacement(desk: Desk) -> None:
    status, body = replace_order(desk, "STOP_ON_FAILURE", "nobody")
    assert (status, body["code"]) == (400, -2022)
    assert (body["data"]["cancelResult"], body["data"]["newOrderResult"]) == (
        "FAILURE",
        "NOT_ATTEMPTED",
    )
    assert body["data"]["cancelResponse"]["code"] == -2011
    assert body["data"]["newOrderResponse"] is None


def test_a_failed_replacement_leaves_the_account_naked_with_409(desk: Desk) -> None:
    desk.limit(newClientOrderId="old")
    status, body = replace_order(desk, "STOP_ON_FAILURE", "old", quantity="50")
    assert (status, body["code"]) == (409, -2021)
    assert (body["data"]["cancelResult"], body["data"]["newOrderResult"]) == (
        "SUCCESS",
        "FAILURE",
    )
    assert body["data"]["newOrderResponse"]["code"] == -2010
    assert desk.signed("GET", "/api/v3/openOrders")[1] == []


def test_a_replacement_may_go_ahead_without_the_cancel(desk: Desk) -> None:
    status, body = replace_order(desk, "ALLOW_FAILURE", "nobody")
    assert (status, body["code"]) == (409, -2021)
    assert body["data"]["newOrderResult"] == "SUCCESS"
    status, body = replace_order(desk, "ALLOW_FAILURE", "nobody", quantity="50")
    assert (status, body["code"]) == (400, -2022)
    assert body["data"]["newOrderResult"] == "FAILURE"


def test_cancel_replace_checks_its_own_parameters(desk: Desk) -> None:
    assert replace_order(desk, "", "old")[1]["code"] == -1102
    assert replace_order(desk, "MAYBE", "old")[1]["code"] == -1130
    for mode in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
        assert replace_order(desk, mode, "")[1]["code"] == -1102
    assert desk.signed("GET", "/api/v3/openOrders") == (200, [])
    desk.limit(newClientOrderId="old")
    only_new = {"cancelRestrictions": "ONLY_PARTIALLY_FILLED"}
    assert replace_order(desk, "STOP_ON_FAILURE", "old", **only_new)[0] == 200


# ---------------------------------------------------------------- beside spot


def test_margin_and_futures_list_nothing(desk: Desk) -> None:
    for path in ("/sapi/v1/margin/allPairs", "/sapi/v1/margin/isolated/allPairs"):
        assert desk.signed("GET", path) == (200, [])
    for path in ("/fapi/v1/exchangeInfo", "/dapi/v1/exchangeInfo"):
        assert orjson.loads(desk.send("GET", path, {}).body or b"")["symbols"] == []
    assert desk.signed("GET", "/sapi/v1/system/status")[1] == {"status": 0, "msg": "normal"}


# ---------------------------------------------------------------- account


def test_the_account_shows_every_asset_ever_held(desk: Desk) -> None:
    desk.order(symbol="ETHUSDT", quantity="1")
    _, body = desk.signed("GET", "/api/v3/account")
    assert [b["asset"] for b in body["balances"]] == ["USDT", "BTC", "ETH"]
    assert body["canTrade"] is True
    assert body["canWithdraw"] is False
    assert isinstance(body["uid"], int)
    desk.service.venue.transfer("SOL", Decimal(0))
    _, body = desk.signed("GET", "/api/v3/account", omitZeroBalances="true")
    assert "SOL" not in [b["asset"] for b in body["balances"]]


def test_the_key_is_bound_to_an_address_and_cannot_withdraw(desk: Desk) -> None:
    _, body = desk.signed("GET", "/sapi/v1/account/apiRestrictions")
    assert body["ipRestrict"] is True
    assert body["enableWithdrawals"] is False
    assert body["enableSpotAndMarginTrading"] is True


@pytest.mark.springs_traps
def test_whoever_tries_to_move_money_is_refused_and_seen(desk: Desk) -> None:
    status, body = desk.signed(
        "POST", "/sapi/v1/capital/withdraw/apply", coin="BTC", amount="1", address="x"
    )
    assert (status, body["code"]) == (403, -1002)
    others = [
        "/sapi/v1/asset/transfer",
        "/sapi/v1/sub-account/universalTransfer",
        "/sapi/v1/sub-account/virtualSubAccount",
        "/sapi/v1/account/apiRestrictions/ipRestriction",
        "/sapi/v1/broker/subAccountApi/apiKey",
    ]
    for path in others:
        assert desk.signed("POST", path, amount="1")[1]["code"] == -1002
    assert [t["path"] for t in desk.service.venue.traps] == [
        "/sapi/v1/capital/withdraw/apply",
        *others,
    ]


def test_transfers_from_outside_have_a_history(desk: Desk) -> None:
    desk.service.venue.transfer("BTC", Decimal(2))
    desk.service.venue.transfer("BTC", Decimal("-0.5"))
    _, came = desk.signed("GET", "/sapi/v1/capital/deposit/hisrec")
    _, went = desk.signed("GET", "/sapi/v1/capital/withdraw/history")
    assert [(row["coin"], row["amount"]) for row in came] == [("BTC", "2.00000000")]
    assert [(row["coin"], row["amount"]) for row in went] == [("BTC", "0.50000000")]
    assert desk.service.venue.traps == []


def test_fees_are_told_per_symbol(desk: Desk) -> None:
    _, body = desk.signed("GET", "/api/v3/account/commission", symbol="BTCUSDT")
    assert body["standardCommission"]["taker"] == "0.00100000"
    assert len(desk.signed("GET", "/sapi/v1/asset/tradeFee")[1]) == 9
    assert len(desk.signed("GET", "/sapi/v1/asset/tradeFee", symbol="BTCUSDT")[1]) == 1
    assert desk.signed("GET", "/sapi/v1/capital/config/getall")[1] == []


# ---------------------------------------------------------------- limits


def test_weight_is_shown_and_then_refused_with_429_and_then_418() -> None:
    desk = Desk(limits=LimitSettings(weight_per_minute=10))
    reply = desk.send("GET", "/api/v3/depth", {"symbol": "BTCUSDT"})
    assert reply.headers["X-MBX-USED-WEIGHT-1M"] == "5"
    desk.send("GET", "/api/v3/depth", {"symbol": "BTCUSDT"})
    refused = desk.send("GET", "/api/v3/ping", {})
    assert refused.status == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    for _ in range(20):
        refused = desk.send("GET", "/api/v3/ping", {})
    assert refused.status == 418
    assert orjson.loads(refused.body or b"")["code"] == -1003
    desk.now_ms += 121_000
    assert desk.send("GET", "/api/v3/ping", {}).status == 200


@pytest.mark.parametrize(
    ("path", "params", "weight"),
    [
        ("depth", {"symbol": "BTCUSDT", "limit": "100"}, 5),
        ("depth", {"symbol": "BTCUSDT", "limit": "101"}, 25),
        ("depth", {"symbol": "BTCUSDT", "limit": "1000"}, 50),
        ("depth", {"symbol": "BTCUSDT", "limit": "5000"}, 250),
        ("depth", {"symbol": "BTCUSDT", "limit": "many"}, 5),
        ("ticker/24hr", {"symbol": "BTCUSDT"}, 2),
        ("ticker/24hr", {"symbols": '["BTCUSDT","ETHUSDT"]'}, 2),
        ("ticker/24hr", {}, 80),
        ("ticker/price", {"symbol": "BTCUSDT"}, 2),
        ("ticker/price", {"symbols": '["BTCUSDT","ETHUSDT"]'}, 4),
    ],
)
def test_a_request_weighs_by_what_it_asks_for(
    path: str, params: dict[str, str], weight: int
) -> None:
    reply = Desk().send("GET", f"/api/v3/{path}", params)
    assert reply.headers["X-MBX-USED-WEIGHT-1M"] == str(weight)


def test_many_tickers_weigh_more() -> None:
    for count, weight in ((20, 2), (21, 40), (100, 40), (101, 80)):
        symbols = {"symbols": ",".join(["BTCUSDT"] * count)}
        assert weight_of("/api/v3/ticker/24hr", symbols, 2) == weight


def test_orders_are_counted_per_ten_seconds_and_day() -> None:
    desk = Desk(limits=LimitSettings(orders_per_10s=2, orders_per_day=3))
    assert desk.order(quantity="0.01")[0] == 200
    assert desk.order(quantity="0.01")[0] == 200
    status, body = desk.order(quantity="0.01")
    assert (status, body["code"]) == (429, -1015)
    desk.now_ms += 10_000
    assert desk.order(quantity="0.01")[0] == 200
    status, body = desk.order(quantity="0.01")
    assert (status, "per 1 DAY" in body["msg"]) == (429, True)
    desk.now_ms += 86_400_000
    assert desk.order(quantity="0.01")[0] == 200


def test_orders_show_their_counts(desk: Desk) -> None:
    params = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    params["timestamp"] = str(START_MS)
    signature = signing.sign(DEMO_SECRET, urlencode(params))
    reply = desk.send("POST", "/api/v3/order", {**params, "signature": signature}, DEMO_KEY)
    assert reply.headers["X-MBX-ORDER-COUNT-10S"] == "1"
    assert reply.headers["X-MBX-ORDER-COUNT-1D"] == "1"
