"""Over real sockets and through the client library every documented code arrives as it was sent."""

import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from tests.catalogue import fired
from tests.contract.gateway.worlds import BTC, MachineClock, control, settings_of, shown, simulated
from tests.unit.trading.execution.documented import CODES_DOCUMENTED, TEXTS_DOCUMENTED
from trading.domain.order import OrderRequest, OrderType, SendPhase, Side
from trading.domain.time import to_ms
from trading.execution.classify import CODES, Action, classify
from trading.execution.identity import client_order_id
from trading.gateway import create_gateway
from trading.ports.exchange import ExchangeGateway
from trading.sim.binance.server import RunningSim

pytestmark = pytest.mark.uncounted

# These make the gateway silent for a while, as they should.
PACED = (-1003, -1015, -1034)


def order(number: int) -> OrderRequest:
    name = client_order_id("ux", f"codes:{number}", 1)
    return OrderRequest(name, BTC, Side.SELL, OrderType.MARKET, Decimal("0.1"))


async def answer_with(sim: RunningSim, code: int, text: str, status: int = 400) -> None:
    args = {"path": "/api/v3/order", "method": "*", "code": code, "msg": text, "status": status}
    await control(sim, "fault", {"kind": "error_code", "times": 1, "args": {**args}})


async def faults(sim: RunningSim) -> list[dict[str, Any]]:
    listed = await shown(sim, "faults")
    assert isinstance(listed, list)
    return listed


async def all_fired(sim: RunningSim) -> bool:
    listed = await faults(sim)
    return bool(listed) and all(one["fired"] == 1 for one in listed)


@contextlib.asynccontextmanager
async def connected(sim: RunningSim) -> AsyncIterator[ExchangeGateway]:
    gateway = create_gateway(settings_of(sim), MachineClock())
    await gateway.connect()
    try:
        yield gateway
    finally:
        await gateway.close()


async def test_every_code_of_a_refused_order_arrives() -> None:
    async with simulated() as sim, connected(sim) as gateway:
        for number, code in enumerate(code for code in CODES_DOCUMENTED if code not in PACED):
            text = TEXTS_DOCUMENTED[number % len(TEXTS_DOCUMENTED)]
            await answer_with(sim, code, text)
            seen = await gateway.submit(order(number))
            assert (seen.phase, seen.http_status) == (SendPhase.ANSWERED, 400)
            assert (seen.code, seen.message) == (code, text)
        assert await all_fired(sim)


async def test_every_code_of_a_refused_cancel_arrives() -> None:
    async with simulated() as sim, connected(sim) as gateway:
        for number, code in enumerate(code for code in CODES_DOCUMENTED if code not in PACED):
            await answer_with(sim, code, "Unknown order sent.")
            seen = await gateway.cancel(BTC, order(number).client_order_id)
            assert (seen.http_status, seen.code) == (400, code)
            assert classify(seen, Action.CANCEL).verdict is CODES[code].cancel
        assert await all_fired(sim)


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_ban_that_names_its_end_is_kept_by_the_exchanges_own_clock(hours: int) -> None:
    async with simulated() as sim:
        await control(sim, "clock", {"offset_ms": hours * 3_600_000})
        async with connected(sim) as gateway:
            theirs_ms = to_ms(MachineClock().now()) + hours * 3_600_000
            text = f"Way too much request weight used; IP banned until {theirs_ms + 30_000}."
            await answer_with(sim, -1003, text, 418)
            seen = await gateway.submit(order(0))
        assert seen.message == text
        assert seen.retry_after_s == pytest.approx(30, abs=5)


@pytest.mark.fault("X34")
async def test_the_codes_that_ask_for_silence_arrive() -> None:
    async with simulated() as sim:
        for code in PACED:
            async with connected(sim) as gateway:
                await answer_with(sim, code, "Too many", 429)
                seen = await gateway.submit(order(0))
            assert (seen.http_status, seen.code) == (429, code)
            assert seen.retry_after_s is not None
        assert await all_fired(sim)
        fired([one for one in await faults(sim) if one["args"]["code"] == -1015])
