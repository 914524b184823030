"""A coin of its own for each test: markets, money and trackers that no other test touches."""

import itertools
import re
from dataclasses import dataclass
from decimal import Decimal

from tests.e2e.world import Message, World

HELD = 50
PRICE = "100"
_FIRST = 10


@dataclass
class Coin:
    """One market of a shared world: 50 units at 100 USDT each."""

    world: World
    name: str
    begin: int

    @property
    def symbol(self) -> str:
        """As a person types it."""
        return f"{self.name}/USDT"

    async def track(self, rule: str) -> Message:
        """Confirm a tracker on this coin and return its card once every tick is seen."""
        card = await self.world.arm(f"/track {self.symbol} {rule}")
        await self.world.until(self._is_streamed, f"{self.name} is not streamed")
        return card

    async def _is_streamed(self) -> bool:
        shown = await self.world.seen("streams")
        wanted = f"{self.name.lower()}usdt@trade"
        return wanted in shown["streams"]

    async def number(self, card: Message) -> str:
        """Return the tracker's number from its card."""
        found = re.search(r"#(\d+)", card["text"])
        assert found, card["text"]
        return found[1]

    async def refused(self, rule: str) -> str:
        """Return why a tracker is refused, as one line."""
        answer = await self.world.answer(f"/track {self.symbol} {rule}", "✋|Answer within")
        assert "✋" in answer["text"], answer["text"]
        return " ".join(answer["text"].split())

    async def price(self, *prices: str) -> None:
        """Walk the market."""
        for price in prices:
            await self.world.price(price, f"{self.name}USDT")

    async def orders(self) -> list[dict[str, str]]:
        """Return all orders of this market."""
        return await self.world.orders_of(f"{self.name}USDT")

    async def done(self, side: str) -> Decimal:
        """Return what all orders of one side have moved."""
        found = [order for order in await self.orders() if order["side"] == side]
        return sum((Decimal(order["executedQty"]) for order in found), Decimal(0))

    async def told(self, pattern: str, after: int | None = None) -> Message:
        """Wait until the bot says something."""
        return await self.world.until_message(pattern, self.begin if after is None else after)

    async def sold(self, quantity: str = str(HELD)) -> None:
        """Wait until the chat says that it was sold, and compare with the exchange."""
        await self.told(rf"Sold {re.escape(quantity)} {self.name}\b")
        assert await self.done("SELL") == Decimal(quantity)


class Mint:
    """A world with many coins, handed out one by one."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._numbers = itertools.count(_FIRST)

    @staticmethod
    def options(coins: int) -> tuple[tuple[str, ...], str]:
        """Return the exchange's options and balance for that many coins."""
        held = ",".join(f"COIN{number}={HELD}" for number in range(_FIRST, _FIRST + coins))
        return ("--still", "--markets", str(_FIRST + coins - 1)), f"USDT=10000,BTC=0.5,{held}"

    async def open(self, coins: int) -> None:
        """Set every price, then start the agent."""
        for number in range(_FIRST, _FIRST + coins):
            await self.world.price(PRICE, f"COIN{number}USDT")
        await self.world.start_agent()

    async def take(self) -> Coin:
        """Hand out a coin that no test has had."""
        return Coin(self.world, f"COIN{next(self._numbers)}", await self.world.last_message_id())
