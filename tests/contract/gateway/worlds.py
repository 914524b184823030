"""The worlds that the gateway's contract is checked in: sockets, paper, and memory."""

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import aiohttp

from tests import builders
from tests.fakes.exchange import FakeExchange
from tests.fakes.virtual_time import VirtualTime
from trading.gateway import GatewaySettings, create_gateway
from trading.gateway.paper import PaperGateway
from trading.gateway.rest import CcxtGateway
from trading.gateway.unified import UnifiedVenue
from trading.ports.exchange import ExchangeGateway
from trading.sim.binance.server import RunningSim, SimSettings, running
from trading.sim.models import FeeSchedule

BALANCES = {"USDT": Decimal(10_000), "BTC": Decimal("0.5")}
BTC = "BTC/USDT"


class MachineClock:
    """The machine's own time, which real sockets live in."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass(slots=True)
class World:
    """A gateway, and a hand that moves the market behind it."""

    gateway: ExchangeGateway
    set_price: Callable[[str], Awaitable[None]]
    has_streams: bool = True
    # Whether rights are known, and every balance that is none is left out.
    is_exact: bool = True


@contextlib.asynccontextmanager
async def simulated(settings: SimSettings | None = None) -> AsyncIterator[RunningSim]:
    """The simulated exchange on a free port; prices move only when told."""
    settings = settings or SimSettings(port=0, still=True, balances=BALANCES)
    async with running(settings, lambda: int(time.time() * 1000)) as sim:
        yield sim


def settings_of(sim: RunningSim, **changes: object) -> GatewaySettings:
    """Settings that lead to a simulated exchange."""
    key, secret = SimSettings().credentials
    values = {
        "api_key": key,
        "secret": secret,
        "rest_url": sim.rest_url,
        "ws_url": sim.ws_url,
        **changes,
    }
    return GatewaySettings(**values)  # type: ignore[arg-type]


async def control(sim: RunningSim, name: str, body: dict[str, object]) -> object:
    """Tell the simulated exchange something."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{sim.rest_url}/control/{name}", json=body) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def shown(sim: RunningSim, name: str) -> object:
    """Ask the simulated exchange what happened."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{sim.rest_url}/control/{name}") as answer,
    ):
        return await answer.json()


def _mover(sim: RunningSim) -> Callable[[str], Awaitable[None]]:
    async def set_price(price: str) -> None:
        await control(sim, "price", {"symbol": "BTCUSDT", "price": price})

    return set_price


@contextlib.asynccontextmanager
async def over_sockets() -> AsyncIterator[World]:
    """ccxt against the simulated exchange."""
    async with simulated() as sim:
        gateway = create_gateway(settings_of(sim), MachineClock())
        await gateway.connect()
        try:
            yield World(gateway, _mover(sim))
        finally:
            await gateway.close()


@contextlib.asynccontextmanager
async def the_common_way() -> AsyncIterator[World]:
    """The library's common methods, as other exchanges are reached, against the same server."""
    async with simulated() as sim:
        settings, clock = settings_of(sim), MachineClock()
        gateway = CcxtGateway(settings, clock, UnifiedVenue(settings, clock))
        await gateway.connect()
        try:
            yield World(gateway, _mover(sim), is_exact=False)
        finally:
            await gateway.close()


@contextlib.asynccontextmanager
async def on_paper() -> AsyncIterator[World]:
    """A paper account over the simulated exchange's prices."""
    async with simulated(SimSettings(port=0, still=True)) as sim:
        settings = settings_of(sim, api_key="", secret="")
        clock = MachineClock()
        gateway = PaperGateway(create_gateway(settings, clock), clock, BALANCES, FeeSchedule())
        await gateway.connect()
        try:
            yield World(gateway, _mover(sim))
        finally:
            await gateway.close()


@contextlib.asynccontextmanager
async def in_memory() -> AsyncIterator[World]:
    """The fake that the engine's tests use, held to the same contract."""
    balances = {asset: str(amount) for asset, amount in BALANCES.items()}
    exchange = FakeExchange(
        VirtualTime(datetime.now(UTC)), [builders.bitcoin()], balances, {BTC: "60000"}
    )
    exchange.fee_share = Decimal("0.001")

    async def set_price(price: str) -> None:
        exchange.set_price(BTC, price)

    await exchange.connect()
    yield World(exchange, set_price, has_streams=False)
