"""What tests of one fault in the simulated world begin with, and how they look at it."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bot.localchat.facts import Message
from tests.simulation.facts import Facts
from tests.simulation.world import World
from trading.sim.binance.control import Control
from trading.sim.binance.rest import Request

BTC, ETH = "BTC/USDT", "ETH/USDT"


@dataclass
class Stage:
    """A running agent that watches stops, and everything that it asks the exchange for."""

    world: World
    asked: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.control = Control(self.world.exchange)
        self.world.network.on_request = self._note

    def _note(self, request: Request) -> None:
        self.asked.append((self.now_s, f"{request.method} {request.path}"))

    @property
    def now_s(self) -> float:
        return self.world.loop.time()

    async def open(self, *trackers: str) -> None:
        """Start the agent and confirm what it is to watch."""
        self.world.machine.start()
        assert await self.world.until(lambda: bool(self.world.telephone.messages()))
        for number, tracker in enumerate(trackers, start=1):
            assert await self.world.confirm(tracker), self.world.telephone.text()
            await self.until(lambda number=number: self.world.agent.trackers.count() == number)

    async def until(self, condition: Any, limit_s: float = 120.0) -> float:
        """Let time pass until a condition holds; how long that took."""
        began_s = self.now_s
        assert await self.world.until(condition, limit_s), self.world.telephone.text()
        return self.now_s - began_s

    def told(self, words: str) -> list[Message]:
        """The messages with these words that are no repetition of another."""
        found = self.world.telephone.messages()
        texts = [message for message in found if words in _flat(message)]
        return [message for message in texts if "🔁" not in message.content.text]

    async def until_told(self, words: str, limit_s: float = 120.0) -> float:
        """Let time pass until something is told; how long that took."""
        return await self.until(lambda: bool(self.told(words)), limit_s)

    def fault(self, kind: str, times: int | None = 1, **args: Any) -> Any:
        """Plan a fault of the exchange."""
        return self.world.exchange.faults.add(kind, times, args)

    def move(self, price: str, symbol: str = BTC) -> None:
        """Move a market."""
        self.world.move(symbol, Decimal(price))

    async def climb(self, symbol: str) -> None:
        """Let a market rise for four seconds, each step a new record of what trails it."""
        price = self.world.price(symbol)
        for _ in range(40):
            price *= Decimal("1.002")
            self.move(str(round(price, 2)), symbol)
            await self.world.pass_by(0.1)

    async def stays_ended(self) -> None:
        """See that the journal has the end of the first tracker, and a restart keeps to it."""
        facts = Facts()
        facts.read(self.world.machine.disk.database)
        facts.close()
        assert facts.trackers[1].state.is_terminal
        await self.world.machine.cut_power()
        self.world.machine.start()
        await self.until_told("Watched again: 0")
        assert self.world.agent.trackers.count() == 0

    def requests(self, since_s: float, until_s: float = float("inf")) -> list[str]:
        """What left the agent in a span of time."""
        return [what for at_s, what in self.asked if since_s <= at_s <= until_s]

    @property
    def sales(self) -> list[Any]:
        """Every sale that the exchange has taken."""
        return [order for order in self.world.orders() if order.ticket.side.name == "SELL"]


def _flat(message: Message) -> str:
    # Cards are broken into the lines of a phone.
    return " ".join(message.content.text.split())
