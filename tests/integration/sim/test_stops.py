"""What the account's stream says of a stop, from its acceptance to its end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.integration.sim.conftest import Bench, frame_of

STOP = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", "quantity": "1"}


@pytest.fixture
async def account(bench: Bench) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    socket = await bench.stream("/ws-api/v3")
    params = bench.ccxt.sign_params({"recvWindow": 5_000})
    method = "userDataStream.subscribe.signature"
    await socket.send_json({"id": 1, "method": method, "params": params})
    await frame_of(socket, lambda frame: "id" in frame)
    yield socket
    await socket.close()


async def told(socket: aiohttp.ClientWebSocketResponse, last: str) -> list[Any]:
    # Every event up to the one that tells the order's end, and the balances after it.
    events: list[Any] = []
    async with asyncio.timeout(5):
        while not any(one.get("X") == last for one in events) or events[-1]["e"] == (
            "executionReport"
        ):
            events.append((await socket.receive_json())["event"])
    return events


def reports(events: list[Any]) -> list[Any]:
    return [one for one in events if one["e"] == "executionReport"]


async def test_a_stop_is_told_as_new_then_working_then_traded(
    bench: Bench, account: aiohttp.ClientWebSocketResponse
) -> None:
    await bench.control("order", **STOP, stopPrice="58000", newClientOrderId="stop")
    await bench.control("price", symbol="BTCUSDT", price=57_900)
    events = await told(account, "FILLED")
    said = reports(events)
    accepted, working, *trades = said
    assert {one["c"] for one in said} == {"stop"}
    assert {one["o"] for one in said} == {"STOP_LOSS"}
    assert {one["P"] for one in said} == {"58000.00000000"}
    assert (accepted["x"], accepted["X"], accepted["w"]) == ("NEW", "NEW", False)
    assert "W" not in accepted
    assert (working["x"], working["X"], working["w"]) == ("NEW", "NEW", True)
    assert working["W"] >= accepted["O"] == working["O"]
    assert trades
    assert {one["x"] for one in trades} == {"TRADE"}
    assert [one["X"] for one in trades][-1] == "FILLED"
    assert trades[-1]["z"] == "1.00000000"
    assert sum(float(one["l"]) for one in trades) == pytest.approx(1)
    locked = [
        coin["l"]
        for one in events
        if one["e"] == "outboundAccountPosition"
        for coin in one["B"]
        if coin["a"] == "BTC"
    ]
    assert (locked[0], locked[-1]) == ("1.00000000", "0.00000000")


async def test_a_stop_that_a_thin_book_cannot_take_is_told_as_expired(
    bench: Bench, account: aiohttp.ClientWebSocketResponse
) -> None:
    await bench.control("book", symbol="BTCUSDT", quote_depth=20_000, side="bid")
    await bench.control("order", **STOP, stopPrice="58000", newClientOrderId="stop")
    await bench.control("price", symbol="BTCUSDT", price=57_900)
    said = reports(await told(account, "EXPIRED"))
    assert [one["x"] for one in said][:2] == ["NEW", "NEW"]
    assert {one["X"] for one in said[2:-1]} == {"PARTIALLY_FILLED"}
    assert (said[-1]["x"], said[-1]["X"]) == ("EXPIRED", "EXPIRED")
    assert 0 < float(said[-1]["z"]) < 1


async def test_a_cancelled_stop_is_told_with_the_id_of_its_cancel(
    bench: Bench, account: aiohttp.ClientWebSocketResponse
) -> None:
    await bench.control("order", **STOP, stopPrice="58000", newClientOrderId="stop")
    await bench.ccxt.cancel_order(None, "BTC/USDT", {"clientOrderId": "stop"})
    said = reports(await told(account, "CANCELED"))
    assert [(one["x"], one["X"]) for one in said] == [("NEW", "NEW"), ("CANCELED", "CANCELED")]
    assert (said[-1]["C"], said[-1]["w"]) == ("stop", False)
    assert "W" not in said[-1]
