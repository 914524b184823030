"""A whole agent behind lines that break: to its exchange, and to its chat."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path

import pytest

from tests.catalogue import fired
from tests.e2e.coin import Mint
from tests.e2e.world import World
from tests.proxy import Proxy

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

SOON_S = 5.0


class Behind(World):
    """A world whose agent reaches exchange and chat through lines that can be spoiled."""

    to_exchange: Proxy
    to_chat: Proxy

    async def over_lines(self, stack: AsyncExitStack) -> None:
        """Put a line before each server, for the agent alone."""
        self.to_exchange = await stack.enter_async_context(Proxy.before(*_server(self.exchange)))
        self.to_chat = await stack.enter_async_context(Proxy.before(*_server(self.chat)))
        self.settings = {
            "UMBRA_EXCHANGE_REST_URL": f"http://{self.to_exchange.address}",
            "UMBRA_EXCHANGE_WS_URL": f"ws://{self.to_exchange.address}",
            "UMBRA_TELEGRAM_API_URL": f"http://{self.to_chat.address}/bot",
        }

    async def until_sold(self, coin: str) -> float:
        """Wait until a coin is sold at the exchange itself, and return when, monotonic."""

        async def is_sold() -> bool:
            return await self.balance_of(coin) == 0

        await self.until(is_sold, f"{coin} was not sold")
        return time.monotonic()


def _server(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[Behind]:
    options, balance = Mint.options(3)
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(Behind(tmp_path, options, balance))
        await world.over_lines(stack)
        yield world


@pytest.mark.fault("W01", "PROT")
@pytest.mark.fault("W18", "PROT")
@pytest.mark.fault("X35", "PROT")
async def test_trackers_are_judged_soon_after_the_line_to_the_exchange_is_back(
    behind: Behind,
) -> None:
    mint = Mint(behind)
    await mint.open(3)
    cut, flapped, away = [await mint.take() for _ in range(3)]
    for coin in (cut, flapped, away):
        await coin.track("stop 95 all")

    connections = behind.to_exchange.open
    fired(await behind.to_exchange.cut(), "W01")
    cut_s = time.monotonic()
    await cut.price("94")
    assert await behind.until_sold(cut.name) - cut_s <= SOON_S

    flaps = 0
    for _ in range(12):
        flaps += await behind.to_exchange.cut() > 0
        await asyncio.sleep(0.5)
    fired(flaps, "W18")
    ended_s = time.monotonic()
    await flapped.price("94")
    assert await behind.until_sold(flapped.name) - ended_s <= SOON_S
    # What broke is closed: nothing piles up.
    assert behind.to_exchange.open <= connections + 2

    await behind.to_exchange.refuse()
    await away.price("94")
    await behind.until_message("(?i)interrupted|cannot be reached|down")
    assert await behind.balance_of(away.name) > 0
    fired(behind.to_exchange.connections_cut, "X35")
    await behind.to_exchange.accept()
    back_s = time.monotonic()
    assert await behind.until_sold(away.name) - back_s <= 2 * SOON_S
    for coin in (cut, flapped, away):
        orders = await behind.orders_of(f"{coin.name}USDT")
        assert sum(Decimal(order["executedQty"]) for order in orders) == 50


@pytest.mark.fault("T24", "SAID")
@pytest.mark.fault("T01", "TELL SAID")
async def test_a_slow_or_dead_chat_delays_no_sale_and_hears_of_it_later(behind: Behind) -> None:
    mint = Mint(behind)
    await mint.open(2)
    slow, dead = [await mint.take() for _ in range(2)]
    for coin in (slow, dead):
        await coin.track("stop 95 all")

    behind.to_chat.up.latency_s = behind.to_chat.down.latency_s = 10.0
    began_s = time.monotonic()
    await slow.price("94")
    assert await behind.until_sold(slow.name) - began_s <= 1.0
    await behind.until(lambda: _is_late(behind.to_chat), "nothing was sent to the chat")
    fired(behind.to_chat.up.chunks_late, "T24")

    behind.to_chat.heal()
    await behind.to_chat.refuse()
    began_s = time.monotonic()
    await dead.price("94")
    assert await behind.until_sold(dead.name) - began_s <= 1.0
    before = behind.to_chat.connections
    fired(behind.to_chat.connections_cut, "T01")
    await behind.to_chat.accept()
    back_s = time.monotonic()
    await behind.until_message(rf"Sold 50 {dead.name}\b")
    assert time.monotonic() - back_s <= 2 * SOON_S
    assert behind.to_chat.connections > before
    await behind.until_message(rf"Sold 50 {slow.name}\b")


async def _is_late(line: Proxy) -> bool:
    return line.up.chunks_late > 0
