"""The whole stack in one process: the real agent between simulated exchange and chat."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from bot.localchat.facts import Message
from tests.simulation.loop import SimLoop, Trace, run
from tests.simulation.machine import START, Machine
from tests.simulation.network import Network
from tests.simulation.system import replaced
from tests.simulation.telephone import Telephone
from trading.agent import TradingAgent
from trading.sim.binance.limits import LimitSettings
from trading.sim.binance.server import SimSettings, build_world
from trading.sim.binance.service import Service
from trading.sim.binance.venue import Venue

BALANCES = {"USDT": Decimal(10_000), "BTC": Decimal("0.5"), "ETH": Decimal(2)}
MARKETS = 4


@dataclass(frozen=True, slots=True)
class Chances:
    """One generator per concern, so that a change of one leaves the others as they were."""

    seed: int

    def of(self, concern: str) -> Random:
        """The generator of a concern."""
        return Random(f"{self.seed} {concern}")


class World:
    """Owns everything of one seed; `play` runs a script in it."""

    def __init__(self, loop: SimLoop, seed: int, markets: int = MARKETS) -> None:
        self.loop, self.seed = loop, seed
        self.chances = Chances(seed)
        self.trace = Trace()
        settings = SimSettings(
            seed=seed,
            still=True,
            markets=markets,
            balances=BALANCES,
            api_key="simulated-key",
            secret="simulated-secret",
        )
        begins_ms = self._true_ms()
        key, secret = settings.credentials
        venue = Venue(build_world(settings, begins_ms), key, secret, self._true_ms)
        self.exchange = Service(venue, LimitSettings())
        self.beat: asyncio.Task[None]
        self.network = Network(loop, self.exchange, self.chances.of("network"), self.trace)
        self.telephone = Telephone(loop, _TrueClock(self), self.chances.of("chat"), self.trace)
        self.machine = Machine(
            loop, self.network, self.telephone, self.chances.of("machine"), self.trace
        )
        self.on_step: Callable[[], None] = lambda: None

    def _true_ms(self) -> int:
        return round((START.timestamp() + self.loop.time()) * 1000)

    @property
    def agent(self) -> TradingAgent:
        """The agent of the present process."""
        agent: TradingAgent = self.machine.process._agent
        return agent

    # ------------------------------------------------------------ time

    async def pass_by(self, seconds: float) -> None:
        """Let time pass in steps of at most a second; a death of the machine ends a step early."""
        ends_s = self.loop.time() + seconds
        while self.loop.time() < ends_s:
            await self._step(min(1.0, ends_s - self.loop.time()))
            self.on_step()

    async def pass_by_alone(self, seconds: float) -> None:
        """Let time pass with no agent there: what the market does meanwhile, it does at the end."""
        assert not self.machine.is_running, "an agent would miss its prices"
        self.beat.cancel()
        await asyncio.sleep(seconds)
        self.beat = self.loop.spawn(self.exchange.beat())

    async def until(self, condition: Callable[[], bool], limit_s: float = 120.0) -> bool:
        """Let time pass until the condition holds; whether it did within the limit."""
        ends_s = self.loop.time() + limit_s
        while not condition():
            if self.loop.time() >= ends_s:
                return False
            await self._step(0.25)
            self.on_step()
        return True

    async def _step(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.loop.died.wait()
        except TimeoutError:
            pass
        else:
            if self.machine.main is not None:
                await self.machine.cut_power()
            else:
                await asyncio.sleep(seconds)
        if self.loop.worlds_failures:
            raise self.loop.worlds_failures[0]

    async def stop_agent_for(self, seconds: float, *, has_slept: bool = False) -> None:
        """Let time pass for everybody but the agent's process; see `SimLoop.thaw`."""
        self.loop.freeze()
        try:
            await self.pass_by(seconds)
        finally:
            self.loop.thaw(has_slept=has_slept)

    # ------------------------------------------------------------ market

    def move(self, symbol: str, price: Decimal) -> None:
        """Move a market; whoever listens is sent it."""
        market = self.exchange.venue.world.markets[symbol]
        now_ms = self.exchange.venue.now_ms()
        shown = self.exchange.venue.world.set_price(symbol, price, now_ms)
        self.exchange.push(market, now_ms)
        self.trace.note(self.loop.time(), f"price {symbol} {shown}")

    def price(self, symbol: str) -> Decimal:
        """The market's price."""
        return self.exchange.venue.world.markets[symbol].price

    def held(self, asset: str) -> Decimal:
        """Free and locked units of an asset on the exchange."""
        account = self.exchange.venue.exchange.account
        return account.free(asset) + account.locked(asset)

    def orders(self) -> list[Any]:
        """Every order that the exchange has taken."""
        return list(self.exchange.venue.exchange.orders())

    # ------------------------------------------------------------ person

    async def answer_to(self, text: str, limit_s: float = 60.0) -> Message | None:
        """Type something and return the first answer, None when none comes."""
        sent = self.telephone.say(text)
        found: list[Message] = []

        def is_answered() -> bool:
            found[:] = self.telephone.messages(sent.message_id)
            return bool(found)

        return found[0] if await self.until(is_answered, limit_s) else None

    async def confirm(self, text: str, limit_s: float = 60.0) -> bool:
        """Type a command and tap Confirm on its card; whether a card came."""
        sent = self.telephone.say(text)
        return await self.until(lambda: self._tap_confirm(sent.message_id), limit_s)

    def _tap_confirm(self, after: int) -> bool:
        found = self.telephone.messages(after)
        return any(self.telephone.press(message, "Confirm") for message in found)


class _TrueClock:
    """The time of day as everybody but the agent knows it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> datetime:
        return START + timedelta(seconds=self._world.loop.time())

    def monotonic(self) -> float:
        return self._world.loop.time()


def play(seed: int, script: Callable[[World], Awaitable[None]], markets: int = MARKETS) -> World:
    """Run a script in a fresh world of so many markets and return that world, at its end."""
    # The collector ends forgotten generators whenever it likes, each one a step of the loop.
    gc.disable()
    # The world before this one could not go while its caller looked at it, and now it can.
    gc.collect()
    # What is left is not looked through again for what this world leaves behind.
    gc.freeze()
    loop = SimLoop()
    world = World(loop, seed, markets)

    async def work() -> None:
        world.beat = loop.spawn(world.exchange.beat())
        try:
            await script(world)
        finally:
            world.beat.cancel()
            await loop.bury()

    try:
        with replaced(world.machine, world.chances.of("ids")):
            run(loop, work())
    finally:
        gc.enable()
        world.machine.close()
        gc.collect()
    return world
