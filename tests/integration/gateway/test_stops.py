"""A stop on the exchange as the engine hears of it, and where it is refused before it leaves."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from tests import builders
from tests.contract.gateway.worlds import (
    BTC,
    MachineClock,
    control,
    settings_of,
    simulated,
)
from trading.domain.order import (
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    SendPhase,
    Side,
)
from trading.execution.classify import Verdict, classify
from trading.execution.identity import client_order_id
from trading.gateway import GatewaySettings, create_gateway
from trading.gateway.rest import CcxtGateway
from trading.gateway.unified import UnifiedVenue
from trading.sim.binance.server import RunningSim

NAME = client_order_id("ux", "stops", 1)
STOP = OrderRequest(
    NAME, BTC, Side.SELL, OrderType.STOP_LOSS, Decimal("0.3"), stop_price=Decimal(58_000)
)


async def until_subscribed(sim: RunningSim) -> None:
    user_stream, outlets = sim.service.user_stream, sim.service.outlets
    async with asyncio.timeout(10):
        while not any(user_stream.subscriptions_of(each) for each in outlets.values()):
            await asyncio.sleep(0.01)


async def until_told(reports: list[OrderReport], status: OrderStatus) -> None:
    async with asyncio.timeout(10):
        while not any(one.status is status for one in reports):
            await asyncio.sleep(0.01)


async def test_a_stop_is_heard_as_new_twice_and_then_as_filled() -> None:
    async with simulated() as sim:
        gateway = create_gateway(settings_of(sim), MachineClock())
        await gateway.connect()
        reports: list[OrderReport] = []
        stream = asyncio.create_task(gateway.stream_account(reports.append, lambda _balance: None))
        await until_subscribed(sim)
        evidence = await gateway.submit(STOP)
        assert classify(evidence).verdict is Verdict.ACK
        await until_told(reports, OrderStatus.NEW)
        await control(sim, "price", {"symbol": "BTCUSDT", "price": "57900"})
        await until_told(reports, OrderStatus.FILLED)
        stream.cancel()
        await asyncio.gather(stream, return_exceptions=True)
        await gateway.close()
    statuses = [one.status for one in reports]
    assert statuses[:2] == [OrderStatus.NEW, OrderStatus.NEW]
    assert set(statuses[2:-1]) <= {OrderStatus.PARTIALLY_FILLED}
    assert {one.client_order_id for one in reports} == {NAME}
    fills = [fill for one in reports for fill in one.fills]
    assert sum(fill.quantity for fill in fills) == Decimal("0.3")
    assert all(one.price is None for one in reports)


@pytest.mark.parametrize("exchange_id", ["okx", "kraken"])
async def test_no_stop_is_sent_to_an_exchange_whose_way_was_not_read(exchange_id: str) -> None:
    settings = GatewaySettings(
        exchange_id, rest_url="http://127.0.0.1:1", ws_url="ws://127.0.0.1:1"
    )
    venue = UnifiedVenue(settings, MachineClock())
    await venue.open()
    venue._instruments = {BTC: builders.bitcoin()}
    gateway = CcxtGateway(settings, MachineClock(), venue)
    # Short enough for every exchange.
    evidence = await gateway.submit(replace(STOP, client_order_id="uxshort-1"))
    await gateway.close()
    assert evidence.phase is SendPhase.NOT_SENT
    assert evidence.message.endswith(f"be for binance, was for {exchange_id} at 58000")
