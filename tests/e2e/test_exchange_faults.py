"""What the exchange may do to the order of a firing stop: the coins are sold exactly once.

Each coin has its own fault and its own stop in one world, so that the proofs of absence (18 s of
waiting, most of it) run beside each other.
"""

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.catalogue import fired
from tests.e2e.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

HELD = 50


@dataclass(frozen=True)
class Case:
    """A fault of the order's way, by its id in the catalogue."""

    fault_id: str
    name: str
    kind: str
    args: dict[str, Any]
    # The attempt that sold: the second where the first is proven never to have been.
    attempt: int = 1


CASES = (
    Case("X01", "the answer is lost after acceptance", "drop_response", {}),
    Case(
        "X03b",
        "the request is lost before",
        "drop_response",
        {"accept": False},
        attempt=2,
    ),
    Case("X03", "502 after acceptance", "status", {"status": 502, "accept": True}),
    Case("X03b", "503 before acceptance", "status", {"status": 503, "accept": False}, attempt=2),
    Case("X04", "-1006 after acceptance", "error_code", {"code": -1006, "accept": True}),
    Case("X06", "-1000 after acceptance", "error_code", {"code": -1000, "accept": True}),
    Case("X06", "-1001 and no order", "error_code", {"code": -1001, "accept": False}, attempt=2),
    Case(
        "X06",
        "-1008 and no order",
        "error_code",
        {"code": -1008, "status": 503, "accept": False},
        attempt=2,
    ),
    Case(
        "X09",
        "a duplicate of an order that lives",
        "error_code",
        {"code": -2010, "msg": "Duplicate order sent.", "accept": True},
    ),
    Case("X05", "-1007 and the report comes first", "error_code", {"code": -1007, "accept": True}),
    Case("X05", "-1007 and no order", "error_code", {"code": -1007, "accept": False}, attempt=2),
    Case("X25", "a page of HTML with status 200", "html200", {}),
    Case("X25", "a truncated answer", "truncated", {}),
    Case("X25", "an empty object", "empty_object", {}),
    Case("X07", "queries lag behind", "query_lag", {"seconds": 6}),
    Case("X08", "an answer after 3 s", "delay", {"seconds": 3}),
    Case(
        "X08b",
        "a request that is too late",
        "delay",
        {"seconds": 4, "when": "before"},
        attempt=2,
    ),
    Case("X08", "an order that is matched late", "late_match", {"seconds": 4}),
    Case("X08", "a late match after -1007", "late_match", {"seconds": 4, "answer": "timeout"}),
)
COINS = {f"COIN{number}": case for number, case in enumerate(CASES, start=10)}


@pytest.mark.fault("X01", "ONE EQ")
@pytest.mark.fault("X03", "ONE EQ")
@pytest.mark.fault("X03b", "ONE SAID")
@pytest.mark.fault("X04", "ONE EQ")
@pytest.mark.fault("X05", "ONE SAID")
@pytest.mark.fault("X06", "ONE SAID")
@pytest.mark.fault("X09", "SAID")
@pytest.mark.fault("X07", "EQ")
@pytest.mark.fault("X08", "ONE SAID")
@pytest.mark.fault("X08b", "ONE SAID")
@pytest.mark.fault("X25")
async def test_every_coin_is_sold_exactly_once_whatever_becomes_of_the_answer(
    tmp_path: Path,
) -> None:
    balance = ",".join(["USDT=1000", *(f"{coin}={HELD}" for coin in COINS)])
    async with World(tmp_path, ("--still", "--markets", "30"), balance) as world:
        await _protect_all(world)
        for coin, case in COINS.items():
            await world.fault(case.kind, **{**case.args, "symbol": f"{coin}USDT"})
        await asyncio.gather(*(world.price("94", f"{coin}USDT") for coin in COINS))
        for coin in COINS:
            await world.until_message(rf"Sold {HELD} {coin}\b")
        times = {fault["args"]["symbol"]: fault["fired"] for fault in await world.faults()}
        for coin, case in COINS.items():
            await _check_sold_once(world, coin, case)
            fired(times[f"{coin}USDT"], case.fault_id, words=f"{case.kind} {case.args}")
        positions = await world.answer("/positions", "(?i)position")
        assert "COIN" not in positions["text"]


async def _protect_all(world: World) -> None:
    for coin in COINS:
        await world.price("100", f"{coin}USDT")
    await world.start_agent()
    for coin in COINS:
        armed = await world.arm(f"/track {coin}/USDT stop 95 all")
        assert "protected" in armed["text"], armed["text"]


async def _check_sold_once(world: World, coin: str, case: Case) -> None:
    orders = await world.orders_of(f"{coin}USDT")
    sold = sum(Decimal(order["executedQty"]) for order in orders)
    assert (sold, len(orders)) == (HELD, 1), f"{case.name}: {orders}"
    assert orders[0]["clientOrderId"].endswith(f"-{case.attempt}"), f"{case.name}: {orders}"
    assert await world.balance_of(coin) == 0, case.name
    assert await world.count(rf"Sold {HELD} {coin}\b") == 1, case.name


@pytest.mark.fault("X20", "ONE TELL")
async def test_an_exit_that_expires_half_filled_goes_on_until_nothing_is_left(
    world: World,
) -> None:
    await world.arm("/track BTC/USDT stop 58000 all")
    # 6,000 of quote within 0.1 % on the bid: the first order ends with most of its coins unsold.
    await world.control("book", symbol="BTCUSDT", side="bid", quote_depth="6000")
    await world.price("57990")
    told = await world.until_message(r"Sold 0\.5 BTC")
    assert "slippage" in told["text"].lower(), told["text"]
    orders = await world.orders()
    expired = [order for order in orders if order["status"] == "EXPIRED"]
    fired(expired, words=f"{orders[0]['executedQty']} of 0.5 filled")
    assert 0 < Decimal(orders[0]["executedQty"]) < Decimal("0.5")
    assert sum(Decimal(order["executedQty"]) for order in orders) == Decimal("0.5")
    assert await world.balance_of("BTC") == 0
    assert await world.count(r"Sold 0\.5 BTC") == 1


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        pytest.param(
            "status",
            {"status": 429, "retry_after": 3, "body": "json"},
            marks=pytest.mark.fault("X12"),
        ),
        pytest.param(
            "status",
            {"status": 418, "retry_after": 3, "body": "json"},
            marks=pytest.mark.fault("X13"),
        ),
        pytest.param("ban", {"seconds": 3}, marks=pytest.mark.fault("X13")),
    ],
)
async def test_a_refused_request_waits_its_time_and_the_coins_are_sold_once(
    world: World, kind: str, args: dict[str, Any]
) -> None:
    await world.arm("/track BTC/USDT stop 58000 all")
    await world.fault(kind, **args)
    await world.price("57990")
    await world.until_message(r"Sold 0\.5 BTC")
    fired([fault["fired"] for fault in await world.faults()], words=f"{kind} {args}")
    assert sum(Decimal(order["executedQty"]) for order in await world.orders()) == Decimal("0.5")
    assert await world.balance_of("BTC") == 0
    assert await world.count(r"Sold 0\.5 BTC") == 1
