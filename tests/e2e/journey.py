"""One stop on its way from the question to the sale, while its agent dies again and again."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn, Self

from bot.clock import SystemClock
from storage.store import open_store
from tests.e2e.world import PATIENCE_S, Message, Process, World

COINS = Decimal("0.5")
_WATCHED = "(?i)watching|triggered|not done twice"
_SOLD = r"Sold 0\.5 BTC"
_LOOK_S = 0.01
_LOG_SHOWN = 4_000
# Every record of this journey's orders that may still fill.
_OPEN = frozenset({"NEW", "PARTIALLY_FILLED"})


class Moment(Enum):
    """What the agent is doing when it dies, in the order of the journey."""

    START = "starting"
    ASKED = "asking"
    CONFIRMED = "confirming"
    TRIGGER = "triggering"
    SALE = "selling"
    MESSAGES = "telling"
    RECOVERY = "recovering"


# In these lives the price falls; before them it may only have fallen in a life that ended.
_FALLING = frozenset({Moment.TRIGGER, Moment.SALE, Moment.MESSAGES})


@dataclass(frozen=True, slots=True)
class Death:
    """SIGKILL some seconds after a moment has come, or as soon as nothing is left to be done."""

    moment: Moment
    after_s: float

    def __str__(self) -> str:
        return f"{self.moment.value} +{self.after_s:.3f} s"


@dataclass
class Journey:
    """One database and one sale; every step is safe to begin again after a death."""

    world: World
    data_dir: Path
    begin: int
    orders_before: int
    deaths: list[str] = field(default_factory=list)
    has_fallen: bool = False
    _come: dict[Moment, asyncio.Event] = field(default_factory=dict)

    @classmethod
    async def embark(cls, world: World, data_dir: Path) -> Self:
        """Give a running world its coins, its price and a new database."""
        await world.deposit("BTC", COINS - await world.balance_of("BTC"))
        await world.price("60000")
        world.settings["UMBRA_DATA_DIR"] = str(data_dir)
        return cls(world, data_dir, await world.last_message_id(), len(await world.orders()))

    # ------------------------------------------------------------ lives

    async def die_at(self, point: str) -> None:
        """Live until the agent kills itself at a failpoint; it has to come there."""
        process = await self.world.spawn_agent(UMBRA_FAILPOINT=point)
        journey = asyncio.create_task(self._travel(is_falling=True))
        try:
            async with asyncio.timeout(PATIENCE_S):
                await process.wait()
        except TimeoutError:
            self._fail(f"{point} was never reached")
        finally:
            await _ended(journey)
        self._count(process, point)

    async def die(self, death: Death) -> None:
        """Live until a moment of chance, and be killed there."""
        process = await self.world.spawn_agent(UMBRA_FAILPOINT="")
        self._come = {moment: asyncio.Event() for moment in Moment}
        self._come[Moment.START].set()
        self._come[Moment.RECOVERY].set()
        coming = asyncio.create_task(self._comes(death))
        journey = asyncio.create_task(self._travel(is_falling=death.moment in _FALLING))
        try:
            await asyncio.wait({coming, journey}, return_when=asyncio.FIRST_COMPLETED)
            if process.returncode is not None:
                self._fail(f"it ended by itself with {process.returncode}, {death}")
            process.send_signal(signal.SIGKILL)
            await process.wait()
            if journey.done():
                journey.result()
        finally:
            await _ended(coming, journey)
        self._count(process, str(death))

    async def arrive(self) -> None:
        """Live on without a death until everything is done, and look at what became of it."""
        await self.world.spawn_agent(UMBRA_FAILPOINT="")
        await self._travel(is_falling=True)
        await self.check_exchange()
        await self.world.answer("/positions", "No managed position")
        await self.world.end("run")
        if self.world.processes["run"].returncode != 0:
            self._fail("the agent did not end in an orderly way")
        await self._check_journal()

    def _count(self, process: Process, death: str) -> None:
        if process.returncode != -signal.SIGKILL:
            self._fail(f"{death}: exit code {process.returncode}")
        self.deaths.append(death)

    def _fail(self, what: str) -> NoReturn:
        lives = ", ".join(self.deaths) or "none"
        raise AssertionError(
            f"{what}\ndeaths before: {lives}\n{self.world.log()[-_LOG_SHOWN:]}"
        ) from None

    # ------------------------------------------------------------ the way

    async def _travel(self, *, is_falling: bool) -> None:
        """Do whatever is not done yet, up to the sale if the price has fallen or is to fall."""
        await self.world.until_message(lambda message: True, after=self.begin)
        while not await self.world.has_message(_WATCHED, self.begin):
            card = await self.world.newest_with_button("Confirm", self.begin)
            if card is None:
                self._reach(Moment.ASKED)
                rule = "/track BTC/USDT stop 58000 all"
                card = await self.world.answer(rule, "Answer within|✋")
                if not _asks(card):
                    # Still starting, or known already: look again.
                    await asyncio.sleep(1.1)
                    continue
            self._reach(Moment.CONFIRMED)
            await self.world.press(card, "Confirm")
            await self.world.until_edited(card)
        if is_falling or self.has_fallen:
            await self._fall()

    async def _fall(self) -> None:
        if not self.has_fallen:
            # The price is to meet an agent that watches.
            await self.world.until(self._is_streamed, "the market is not watched")
        self.has_fallen = True
        said = await self.world.last_message_id()
        self._reach(Moment.TRIGGER)
        looking = [
            asyncio.create_task(self._look_for(Moment.SALE, self._has_order)),
            asyncio.create_task(
                self._look_for(Moment.MESSAGES, lambda: self.world.has_message("", said))
            ),
        ]
        try:
            await self.world.price("57990")
            await self.world.until_message(_SOLD, after=self.begin)
        finally:
            await _ended(*looking)

    async def _is_streamed(self) -> bool:
        return "btcusdt@trade" in (await self.world.seen("streams"))["streams"]

    async def _has_order(self) -> bool:
        return len(await self.world.orders()) > self.orders_before

    async def _look_for(
        self, moment: Moment, has_come: Callable[[], Coroutine[Any, Any, bool]]
    ) -> None:
        while not await has_come():
            await asyncio.sleep(_LOOK_S)
        self._reach(moment)

    def _reach(self, moment: Moment) -> None:
        if moment in self._come:
            self._come[moment].set()

    async def _comes(self, death: Death) -> None:
        await self._come[death.moment].wait()
        await asyncio.sleep(death.after_s)

    # ------------------------------------------------------------ what has to hold

    async def check_exchange(self) -> None:
        """Compare the account and its orders since the start; raises AssertionError."""
        orders = (await self.world.orders())[self.orders_before :]
        sales = [Decimal(order["executedQty"]) for order in orders]
        if [sale for sale in sales if sale] != [COINS] or await self.world.balance_of("BTC") != 0:
            self._fail(f"there should be one sale of {COINS} BTC, there is {orders}")
        if [order for order in orders if order["status"] in _OPEN or order["side"] != "SELL"]:
            self._fail(f"no order should be open, and none should buy: {orders}")

    async def _check_journal(self) -> None:
        url = f"sqlite+aiosqlite:///{self.data_dir / 'umbra.db'}"
        store = await open_store(url, SystemClock(), data_dir=self.data_dir)
        try:
            await store.journal.verify()
            state = await store.records.state()
            booked = sum(fill.quantity for fill in await store.records.fills("BTC/USDT"))
            findings = store.findings
        finally:
            await store.close()
        left = (*state.trackers, *state.intents, *state.attempts, *state.positions.values())
        if findings or left or booked != COINS:
            self._fail(
                f"{COINS} BTC should be booked and nothing left: {booked}, {left} {findings}"
            )


def _asks(message: Message) -> bool:
    return any(text.endswith("Confirm") for row in message["buttons"] for text in row)


async def _ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
