"""An exchange that dies while streams are open: each failure is heard by whoever waits for it."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.contract.gateway.worlds import BTC, MachineClock
from trading.domain.errors import Unreachable
from trading.domain.time import Timeframe
from trading.gateway import GatewaySettings
from trading.gateway.binance import BinanceVenue
from trading.gateway.rest import CcxtGateway
from trading.gateway.unified import UnifiedVenue
from trading.sim.binance.server import SimSettings

pytestmark = pytest.mark.uncounted

DEADLINE_S = 20.0
Connect = Callable[[GatewaySettings], CcxtGateway]


def fast_way(settings: GatewaySettings) -> CcxtGateway:
    return CcxtGateway(settings, MachineClock(), BinanceVenue(settings, MachineClock()))


def common_way(settings: GatewaySettings) -> CcxtGateway:
    return CcxtGateway(settings, MachineClock(), UnifiedVenue(settings, MachineClock()))


@dataclass
class Loss:
    """A process that is an exchange, a gateway to it, and what nobody has heard of."""

    process: Process
    gateway: CcxtGateway
    unheard: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    streams: list[asyncio.Task[None]] = field(default_factory=list)

    def open(self) -> None:
        """Open each kind of stream there is."""
        of = self.gateway
        wanted = {BTC: frozenset({Timeframe.parse("1m")})}
        works: list[Coroutine[Any, Any, None]] = [
            of.stream_market(frozenset({BTC}), self._tell("trade"), self._tell("quote")),
            of.stream_candles(wanted, self._tell("candle")),
            of.stream_account(self._tell("report"), self._tell("balance")),
        ]
        self.streams = [asyncio.create_task(work) for work in works]

    def _tell(self, what: str) -> Callable[..., None]:
        def tell(*_facts: object) -> None:
            self.told.add(what)

        return tell

    async def live(self) -> None:
        """Wait until the streams speak."""
        async with asyncio.timeout(DEADLINE_S):
            while not {"quote", "candle"} <= self.told:
                await asyncio.sleep(0.02)

    async def ended(self) -> list[BaseException | None]:
        """Wait until every stream has ended, and forget them."""
        async with asyncio.timeout(DEADLINE_S):
            found = await asyncio.gather(*self.streams, return_exceptions=True)
        self.streams.clear()
        return found

    async def kill(self) -> None:
        """End the exchange as nothing else does."""
        self.process.kill()
        assert await self.process.wait() == -signal.SIGKILL

    async def forget(self) -> list[str]:
        """Close the gateway, drop everything, and return what nobody has heard of."""
        await self.gateway.close()
        # What was spawned on the way ends in a few turns; its failure would come out now.
        for _ in range(20):
            await asyncio.sleep(0)
        gc.collect()
        return self.unheard


@pytest.fixture(params=[fast_way, common_way])
async def loss(request: pytest.FixtureRequest) -> AsyncIterator[Loss]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("UMBRA_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "sim", "--port", "0"),
        env=environment | {"PYTHONUNBUFFERED": "1"},
        stdout=PIPE,
    )
    try:
        assert process.stdout is not None
        said = (await process.stdout.readline()).decode()
        url = said[said.index("http://") :].split()[0].rstrip("/.,")
        key, secret = SimSettings().credentials
        connect: Connect = request.param
        gateway = connect(
            GatewaySettings(
                api_key=key, secret=secret, rest_url=url, ws_url=url.replace("http", "ws", 1)
            )
        )
        found = Loss(process, gateway)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(
            lambda _, context: found.unheard.append(f"{context['message']}: {context}")
        )
        await gateway.connect()
        yield found
        await gateway.close()
        loop.set_exception_handler(None)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_streams_that_are_open_end_and_nothing_goes_unheard(loss: Loss) -> None:
    loss.open()
    await loss.live()
    await loss.kill()
    assert all(isinstance(each, Unreachable) for each in await loss.ended())
    # And again, where nobody listens any more.
    loss.open()
    assert all(isinstance(each, Unreachable) for each in await loss.ended())
    assert await loss.forget() == []


async def test_streams_that_are_being_opened_end_and_nothing_goes_unheard(loss: Loss) -> None:
    loss.process.send_signal(signal.SIGSTOP)
    loss.open()
    # Its machine takes the connections; no answer comes.
    await asyncio.sleep(0.3)
    await loss.kill()
    assert all(isinstance(each, Unreachable) for each in await loss.ended())
    assert await loss.forget() == []


async def test_streams_that_are_given_up_as_the_exchange_dies_leave_nothing_unheard(
    loss: Loss,
) -> None:
    loss.open()
    await loss.live()
    await loss.kill()
    for stream in loss.streams:
        stream.cancel()
    await loss.ended()
    assert await loss.forget() == []
