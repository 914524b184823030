"""A simulated exchange on a free port, its control endpoints, and an unmodified ccxt.pro client."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt.pro
import pytest

from trading.sim.binance.server import DEMO_KEY, DEMO_SECRET, RunningSim, SimSettings, running

DEADLINE_S = 5.0


@dataclass
class Bench:
    """What a test works with."""

    sim: RunningSim
    http: aiohttp.ClientSession
    made: list[Any] = field(default_factory=list)

    @property
    def ccxt(self) -> Any:
        """The client; made when first used, for closing one takes a quarter of a second."""
        if not self.made:
            self.made.append(client(self.sim))
        return self.made[0]

    async def control(self, name: str, expected: int = 200, **body: Any) -> Any:
        url = f"{self.sim.rest_url}/control/{name}"
        async with self.http.post(url, json=body) as response:
            answer = await response.json()
            assert response.status == expected, answer
            return answer

    async def shown(self, name: str) -> Any:
        async with self.http.get(f"{self.sim.rest_url}/control/{name}") as response:
            assert response.status == 200
            return await response.json()

    async def get(self, path: str, **params: str) -> Any:
        async with self.http.get(self.sim.rest_url + path, params=params) as response:
            return await response.json()

    async def fired(self) -> list[int]:
        return [fault["fired"] for fault in await self.shown("faults")]

    async def order(self, **more: Any) -> Any:
        usual = {"side": "buy", "amount": 0.01, "symbol": "BTC/USDT", "price": None}
        usual |= {"type": "market", "id": "mine"} | more
        return await self.ccxt.create_order(
            usual["symbol"],
            usual["type"],
            usual["side"],
            usual["amount"],
            usual["price"],
            {"clientOrderId": usual["id"]},
        )

    async def stream(self, path: str) -> aiohttp.ClientWebSocketResponse:
        return await self.http.ws_connect(self.sim.ws_url + path)


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until a condition holds, or fail."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not await condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"{what} did not happen within {DEADLINE_S} s")


async def frame_of(socket: aiohttp.ClientWebSocketResponse, wanted: Callable[[Any], bool]) -> Any:
    """Read frames until one is wanted."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            frame = await socket.receive_json()
            if wanted(frame):
                return frame


def client(sim: RunningSim) -> Any:
    http, ws = sim.rest_url, sim.ws_url
    made = ccxt.pro.binance(
        {
            "apiKey": DEMO_KEY,
            "secret": DEMO_SECRET,
            "enableRateLimit": False,
            "timeout": 3_000,
            "options": {
                "defaultType": "spot",
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "adjustForTimeDifference": True,
                "tradesLimit": 100_000,
            },
        }
    )
    made.has["fetchCurrencies"] = False
    made.urls["api"] = {
        **made.urls["api"],
        "public": f"{http}/api/v3",
        "private": f"{http}/api/v3",
        "v1": f"{http}/api/v1",
        "sapi": f"{http}/sapi/v1",
        "ws": {"spot": f"{ws}/stream/ws", "ws-api": {"spot": f"{ws}/ws-api/v3"}},
    }
    return made


@contextlib.asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[Bench]:
    usual = {"port": 0, "still": True, "balances": {"USDT": Decimal(200_000), "BTC": Decimal(2)}}
    async with (
        running(SimSettings(**(usual | settings)), lambda: time.time_ns() // 1_000_000) as sim,
        aiohttp.ClientSession() as http,
    ):
        bench = Bench(sim, http)
        try:
            yield bench
        finally:
            for made in bench.made:
                await made.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with opened() as made:
        yield made


@pytest.fixture
async def moving() -> AsyncIterator[Bench]:
    async with opened(still=False, speed=10.0) as made:
        await made.ccxt.load_markets()
        yield made
