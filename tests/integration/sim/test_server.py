"""Starting and ending the simulated exchange."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from trading.sim.binance.server import RunningSim, SimSettings, serve


def clock() -> int:
    return time.time_ns() // 1_000_000


async def started(settings: SimSettings) -> tuple[asyncio.Task[None], RunningSim]:
    where: asyncio.Future[RunningSim] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(settings, clock, where.set_result))
    return task, await asyncio.wait_for(where, 5)


async def test_it_says_where_it_listens_and_ends_when_cancelled() -> None:
    task, sim = await started(SimSettings(port=0))
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{sim.rest_url}/api/v3/time") as response:
            assert abs((await response.json())["serverTime"] - clock()) < 1_000
        socket = await http.ws_connect(f"{sim.ws_url}/ws/btcusdt@trade")
        task.cancel()
        # The connection is told that the exchange goes away.
        async with asyncio.timeout(5):
            while not socket.closed:
                await socket.receive()
        assert socket.close_code == 1001
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(aiohttp.ClientConnectionError):
            await http.get(f"{sim.rest_url}/api/v3/time")


async def test_an_error_in_the_world_ends_it_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    task, sim = await started(SimSettings(port=0))

    def broken(*_: Any) -> None:
        raise RuntimeError("the world broke")

    monkeypatch.setattr(sim.service.venue.world, "advance", broken)
    with pytest.raises(RuntimeError, match="the world broke"):
        await asyncio.wait_for(task, 5)


async def test_a_port_that_is_taken_is_an_error() -> None:
    task, sim = await started(SimSettings(port=0))
    with pytest.raises(OSError, match="address already in use"):
        await serve(SimSettings(port=sim.port), clock)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
