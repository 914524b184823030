"""Every fault of the control endpoint fires, says so, and has its effect on a real client."""

import asyncio
from typing import Any

import aiohttp
import ccxt
import pytest

from tests.integration.sim.conftest import Bench, frame_of, until

ORDER = {"amount": 0.1, "id": "mine"}


async def known_orders(bench: Bench) -> list[str]:
    return [order["clientOrderId"] for order in await bench.shown("orders")]


async def test_a_dropped_response_leaves_an_order_behind(bench: Bench) -> None:
    await bench.control("fault", kind="drop_response", times=1, args={})
    with pytest.raises(ccxt.NetworkError):
        await bench.order(**ORDER)
    assert await bench.fired() == [1]
    assert await known_orders(bench) == ["mine"]
    found = await bench.ccxt.fetch_order(None, "BTC/USDT", {"clientOrderId": "mine"})
    assert found["filled"] == 0.1
    await bench.order(id="next")
    assert await bench.fired() == [1]


async def test_a_request_can_be_lost_before_it_is_processed(bench: Bench) -> None:
    await bench.control("fault", kind="drop_response", args={"accept": False})
    with pytest.raises(ccxt.NetworkError):
        await bench.order(**ORDER)
    assert await bench.fired() == [1]
    assert await known_orders(bench) == []


@pytest.mark.parametrize("is_accepted", [True, False])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_server_error_says_nothing_about_the_order(
    bench: Bench, status: int, is_accepted: bool
) -> None:
    args = {"status": status, "accept": is_accepted}
    await bench.control("fault", kind="status", times=1, args=args)
    with pytest.raises((ccxt.ExchangeNotAvailable, ccxt.RequestTimeout)):
        await bench.order(**ORDER)
    assert await bench.fired() == [1]
    assert await known_orders(bench) == (["mine"] if is_accepted else [])


async def test_a_status_can_bring_json_and_a_time_to_wait(bench: Bench) -> None:
    args = {"status": 429, "body": "json", "retry_after": 30}
    await bench.control("fault", kind="status", args=args)
    with pytest.raises(ccxt.DDoSProtection):
        await bench.order(**ORDER)
    assert bench.ccxt.last_response_headers["Retry-After"] == "30"
    await bench.control("fault", kind="status", args={"status": 418, "body": "teapot"})
    with pytest.raises(ccxt.DDoSProtection, match="teapot"):
        await bench.order(**ORDER)


async def test_an_unknown_outcome_may_be_reported_before_the_client_asks_again(
    bench: Bench,
) -> None:
    socket = await bench.stream("/ws-api/v3")
    await subscribe_user(bench, socket)
    await bench.control("fault", kind="error_code", args={"code": -1007, "accept": True})
    with pytest.raises(ccxt.RequestTimeout):
        await bench.order(**ORDER)
    assert await bench.fired() == [1]
    report = await frame_of(socket, lambda frame: frame["event"].get("x") == "TRADE")
    assert report["event"]["c"] == "mine"
    await socket.close()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (-1000, ccxt.OperationFailed),
        (-1001, ccxt.OperationFailed),
        (-1006, ccxt.OperationFailed),
        (-2015, ccxt.AuthenticationError),
    ],
)
async def test_any_code_can_be_answered_without_an_order(
    bench: Bench, code: int, error: type[Exception]
) -> None:
    await bench.control("fault", kind="error_code", args={"code": code})
    with pytest.raises(error):
        await bench.order(**ORDER)
    assert (await bench.fired(), await known_orders(bench)) == ([1], [])


@pytest.mark.parametrize("kind", ["html200", "truncated", "empty_object"])
async def test_a_malformed_answer_hides_an_accepted_order(bench: Bench, kind: str) -> None:
    await bench.control("fault", kind=kind, times=1, args={})
    answer: Any = await bench.order(**ORDER)
    assert answer["id"] is None
    assert answer["status"] is None
    assert (await bench.fired(), await known_orders(bench)) == ([1], ["mine"])


async def test_malformed_answers_can_be_aimed_at_any_endpoint(bench: Bench) -> None:
    args = {"path": "/api/v3/ticker/bookTicker"}
    await bench.control("fault", kind="html200", times=None, args=args)
    async with bench.http.get(bench.sim.rest_url + args["path"]) as response:
        assert response.status == 200
        assert "<html>" in await response.text()
    cleared = await bench.http.delete(f"{bench.sim.rest_url}/control/faults")
    assert (await cleared.json())[0]["active"] is False
    assert len(await bench.get(args["path"])) == 9


async def test_a_slow_answer_comes_after_the_order_is_done(bench: Bench) -> None:
    await bench.control("fault", kind="delay", args={"ms": 300})
    sent = asyncio.create_task(bench.order(**ORDER))

    async def is_accepted() -> bool:
        return await known_orders(bench) == ["mine"]

    await until(is_accepted, "the order")
    assert not sent.done()
    assert (await sent)["status"] == "closed"
    assert await bench.fired() == [1]


async def test_a_request_that_arrives_after_its_window_is_refused(bench: Bench) -> None:
    await bench.control("fault", kind="delay", args={"ms": 300, "when": "before"})
    params = {"clientOrderId": "late", "recvWindow": 200}
    with pytest.raises(ccxt.InvalidNonce):
        await bench.ccxt.create_order("BTC/USDT", "market", "buy", 0.1, None, params)
    assert (await bench.fired(), await known_orders(bench)) == ([1], [])


async def test_queries_can_lag_behind_acceptance(bench: Bench) -> None:
    await bench.control("fault", kind="query_lag", args={"seconds": 0.4})
    placed = await bench.order(**ORDER)
    assert placed["status"] == "closed"
    with pytest.raises(ccxt.OrderNotFound):
        await bench.ccxt.fetch_order(None, "BTC/USDT", {"clientOrderId": "mine"})
    assert await bench.ccxt.fetch_my_trades("BTC/USDT") == []
    assert await bench.ccxt.fetch_orders("BTC/USDT") == []
    fault = (await bench.shown("faults"))[0]
    assert fault["fired"] == 1
    assert fault["effects"] >= 3

    async def is_found() -> bool:
        return len(await bench.ccxt.fetch_my_trades("BTC/USDT")) > 0

    await until(is_found, "the end of the lag")
    found = await bench.ccxt.fetch_order(None, "BTC/USDT", {"clientOrderId": "mine"})
    assert found["status"] == "closed"


async def test_a_refused_order_does_not_use_a_lag_up(bench: Bench) -> None:
    await bench.control("fault", kind="query_lag", args={"seconds": 5})
    with pytest.raises(ccxt.InsufficientFunds):
        await bench.order(amount=100)
    assert await bench.fired() == [0]


async def test_an_accepted_order_can_be_matched_late(bench: Bench) -> None:
    await bench.control("fault", kind="late_match", args={"seconds": 0.3})
    placed = await bench.order(**ORDER)
    assert (placed["status"], placed["filled"]) == ("open", 0)
    assert await bench.fired() == [1]

    async def is_filled() -> bool:
        found = await bench.ccxt.fetch_order(placed["id"], "BTC/USDT")
        return bool(found["status"] == "closed")

    await until(is_filled, "the late match")


async def test_an_order_can_reach_the_engine_after_the_client_gave_up(bench: Bench) -> None:
    args = {"seconds": 0.3, "answer": "timeout"}
    await bench.control("fault", kind="late_match", args=args)
    with pytest.raises(ccxt.RequestTimeout):
        await bench.order(**ORDER)
    for ask in (bench.ccxt.fetch_order, bench.ccxt.cancel_order):
        with pytest.raises(ccxt.OrderNotFound):
            await ask(None, "BTC/USDT", {"clientOrderId": "mine"})

    async def is_filled() -> bool:
        return (await bench.shown("orders"))[0]["status"] == "FILLED"

    await until(is_filled, "the late match")
    found = await bench.ccxt.fetch_order(None, "BTC/USDT", {"clientOrderId": "mine"})
    assert found["filled"] == 0.1


async def test_a_ban_answers_418_with_the_time_to_wait(bench: Bench) -> None:
    await bench.control("fault", kind="ban", args={"seconds": 2})
    assert await bench.fired() == [1]
    with pytest.raises(ccxt.DDoSProtection):
        await bench.ccxt.fetch_balance()
    assert int(bench.ccxt.last_response_headers["Retry-After"]) >= 1

    async def is_over() -> bool:
        return "code" not in await bench.get("/api/v3/ping")

    await until(is_over, "the end of the ban")


async def test_a_stalled_market_stream_stays_open_and_silent(bench: Bench) -> None:
    socket = await bench.stream("/stream?streams=btcusdt@trade/btcusdt@bookTicker")
    await frame_of(socket, lambda frame: frame["stream"] == "btcusdt@bookTicker")
    args = {"seconds": 0.6, "scope": "market"}
    await bench.control("fault", kind="stall_stream", args=args)
    assert await bench.fired() == [1]
    await bench.control("price", symbol="BTCUSDT", price=61_000)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(socket.receive(), 0.2)
    assert (await bench.shown("streams"))["muted_market_frames"] >= 2
    frame = await frame_of(socket, lambda frame: frame["stream"] == "btcusdt@bookTicker")
    assert float(frame["data"]["b"]) == 60_999.99
    assert not socket.closed
    await socket.close()


async def test_a_frozen_feed_repeats_itself_with_an_old_event_time(bench: Bench) -> None:
    socket = await bench.stream("/stream?streams=btcusdt@trade")
    await bench.control("price", symbol="BTCUSDT", price=61_000)
    before = await frame_of(socket, lambda frame: True)
    args = {"seconds": 30, "scope": "market", "frozen_event_time": True}
    await bench.control("fault", kind="stall_stream", args=args)
    await bench.control("price", symbol="BTCUSDT", price=62_000)
    assert await frame_of(socket, lambda frame: True) == before
    await socket.close()


async def test_the_user_stream_can_stall_alone(bench: Bench) -> None:
    user = await bench.stream("/ws-api/v3")
    await subscribe_user(bench, user)
    market = await bench.stream("/ws/btcusdt@trade")
    await bench.control("fault", kind="stall_stream", args={"seconds": 30, "scope": "user"})
    await bench.order(**ORDER)
    assert (await frame_of(market, lambda frame: True))["e"] == "trade"
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(user.receive(), 0.2)
    assert (await bench.shown("streams"))["muted_user_frames"] >= 2
    await user.close()
    await market.close()


async def test_a_user_stream_can_end_while_its_connection_stays(bench: Bench) -> None:
    socket = await bench.stream("/ws-api/v3")
    await subscribe_user(bench, socket)
    fault = await bench.control("fault", kind="terminate_stream")
    assert fault["effects"] == 1
    frame = await frame_of(socket, lambda frame: "event" in frame)
    assert frame["event"]["e"] == "eventStreamTerminated"
    await socket.send_json({"id": 2, "method": "ping"})
    assert (await frame_of(socket, lambda frame: frame.get("id") == 2))["status"] == 200
    await socket.close()


async def test_connections_are_told_of_their_end_and_go_on(bench: Bench) -> None:
    market = await bench.stream("/ws/btcusdt@trade")
    user = await bench.stream("/ws-api/v3")
    fault = await bench.control("fault", kind="announce_end", args={"scope": "market"})
    assert fault["effects"] == 1
    frame = await frame_of(market, lambda frame: frame["e"] != "trade")
    assert frame["e"] == "serverShutdown"
    await bench.order(**ORDER)
    assert (await frame_of(market, lambda frame: True))["e"] == "trade"
    await user.close()
    await market.close()


@pytest.mark.parametrize("is_abort", [True, False])
async def test_connections_can_be_closed_or_cut(bench: Bench, is_abort: bool) -> None:
    market = await bench.stream("/ws/btcusdt@trade")
    user = await bench.stream("/ws-api/v3")
    reading = asyncio.create_task(user.receive())
    args = {"scope": "user", "code": 1012, "abort": is_abort}
    fault = await bench.control("fault", kind="disconnect", args=args)
    assert (fault["fired"], fault["effects"]) == (1, 1)
    message = await asyncio.wait_for(reading, 2)
    assert message.type in {
        aiohttp.WSMsgType.CLOSE,
        aiohttp.WSMsgType.CLOSED,
        aiohttp.WSMsgType.CLOSING,
        aiohttp.WSMsgType.ERROR,
    }
    assert user.close_code == (1006 if is_abort else 1012)
    await bench.control("price", symbol="BTCUSDT", price=61_000)
    assert (await frame_of(market, lambda frame: True))["p"] == "61000.00000000"
    await market.close()


async def subscribe_user(bench: Bench, socket: aiohttp.ClientWebSocketResponse) -> None:
    params = bench.ccxt.sign_params({"apiKey": bench.ccxt.apiKey, "recvWindow": 5_000})
    await socket.send_json(
        {"id": 1, "method": "userDataStream.subscribe.signature", "params": params}
    )
    reply = await frame_of(socket, lambda frame: frame.get("id") == 1)
    assert reply["result"] == {"subscriptionId": 0}
