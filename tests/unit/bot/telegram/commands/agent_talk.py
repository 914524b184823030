"""A chat with a whole agent behind it: what is shown is what the agent would take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

from bot.telegram.replying import Handled
from tests.builders import coin
from tests.unit.bot.telegram.commands.talk import Answer, Easel, Talk
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.market import Candle
from trading.domain.time import to_ms

# Of a market for each size of price that there is, and of one against a coin.
PRICES = {"ETH/USDT": "3000", "SHIB/USDT": "0.0123", "ETH/BTC": "0.05"}


class AgentTalk(Talk):
    """Talks to the agent of a world, whose time runs as far as an answer takes."""

    def __init__(self, world: AgentWorld) -> None:
        super().__init__()
        self.world = world
        self.services.desk = world.desk
        self.services.charts = Easel()

    async def take(self, body: dict[str, Any]) -> Handled:
        """Bring one update to its end, and what follows from it."""
        handled = await self.world.time.finish(super().take(body))
        await self.world.time.settle()
        return handled

    def watched_trackers(self) -> list[int]:
        """The numbers of all that is watched."""
        return [view.tracker.tracker_id for view in self.world.desk.trackers()]

    async def confirm(self, line: str) -> Answer:
        """Ask for something, and press Confirm."""
        return await self.press((await self.ask(line)).buttons["Confirm"])


@asynccontextmanager
async def agent_talk(prices: dict[str, str] | None = None) -> AsyncIterator[AgentTalk]:
    """A running agent with a few coins, at prices that a test may set otherwise."""
    world = AgentWorld()
    exchange = world.exchange
    exchange.coins |= {"ETH": Decimal(2), "SHIB": Decimal(200_000)}
    for symbol, price in (PRICES | (prices or {})).items():
        base, quote = symbol.split("/")
        least = Decimal("0.0001" if quote == "BTC" else 5)
        exchange.rules.setdefault(symbol, replace(coin(base, quote), notional_min=least))
        exchange.prices[symbol] = Decimal(price)
    began_ms = to_ms(world.time.now()) // 3_600_000 * 3_600_000 - 50 * 3_600_000
    exchange.past = [
        Candle(began_ms + hour * 3_600_000, 100.0, 101.0, 99.0, 100.0, 1.0, True)
        for hour in range(50)
    ]
    async with world:
        yield AgentTalk(world)
    await asyncio.sleep(0)
