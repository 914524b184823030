"""A whole agent in one process: fake exchange, store in memory, virtual time."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Self

from tests.builders import bitcoin, coin
from tests.fakes.exchange import FakeExchange
from tests.fakes.memory_store import MemoryStore
from tests.fakes.virtual_time import VirtualTime
from trading.agent import TradingAgent
from trading.bus import Bus
from trading.decide import DecisionSettings
from trading.desk import Outcome
from trading.domain.commands import ArmTracker, Command
from trading.domain.events import Event
from trading.domain.market import BookLevel, Candle, MarketTrade, OrderBook, Quote
from trading.domain.time import Timeframe, to_ms
from trading.domain.tracker import Amount, AmountKind, TrackerKind, TrackerSpec
from trading.installation import AgentSettings, Identity, Ports
from trading.reception import Reception, Vitals
from trading.risk.limits import RiskLimits
from trading.schedule import Schedule

OWNER = 1


class StreamingExchange(FakeExchange):
    """The fake exchange with a market stream, depth and candles."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__(
            time,
            [bitcoin(), coin("ADA")],
            {"USDT": "10000", "BTC": "0.5", "ADA": "1000"},
            {"BTC/USDT": "60000", "ADA/USDT": "0.9"},
        )
        self.past: list[Candle] = []
        self._streams: list[
            tuple[frozenset[str], Callable[[MarketTrade], None], Callable[[Quote], None]]
        ] = []

    async def stream_market(
        self,
        symbols: frozenset[str],
        on_trade: Callable[[MarketTrade], None],
        on_quote: Callable[[Quote], None],
        on_ending: Callable[[], None] = lambda: None,
    ) -> None:
        """Hand quotes at once, unless it hangs, and whatever `move` brings later."""
        stream = (symbols, on_trade, on_quote)
        self._streams.append(stream)
        for symbol in () if self.is_hanging else sorted(symbols):
            on_quote(self.quote_now(symbol))
        try:
            await asyncio.Event().wait()
        finally:
            self._streams.remove(stream)

    def move(self, symbol: str, price: str) -> None:
        """Trade at a price and show the new book."""
        self.set_price(symbol, price)
        quote = self.quote_now(symbol)
        trade = MarketTrade(
            symbol, Decimal(price), Decimal(1), quote.event_time_ms, self.time.monotonic()
        )
        for symbols, on_trade, on_quote in list(self._streams):
            if symbol in symbols:
                on_trade(trade)
                on_quote(quote)

    def print_alone(self, symbol: str, price: str) -> None:
        """Trade at a price before the stream tells of the book that it left behind."""
        self.set_price(symbol, price)
        at_ms = to_ms(self.time.now())
        trade = MarketTrade(symbol, Decimal(price), Decimal(1), at_ms, self.time.monotonic())
        for symbols, on_trade, _ in list(self._streams):
            if symbol in symbols:
                on_trade(trade)

    def show(self, quote: Quote) -> None:
        """Stream a book."""
        for symbols, _, on_quote in list(self._streams):
            if quote.symbol in symbols:
                on_quote(quote)

    async def order_book(self, symbol: str, limit: int = 100) -> OrderBook:
        """Two levels on each side: the second one twice as deep and a tick worse."""
        await self._reach()
        quote, tick = self.quote_now(symbol), self.rules[symbol].price_tick
        bids = (BookLevel(quote.bid, Decimal(1)), BookLevel(quote.bid - tick, Decimal(2)))
        return OrderBook(
            symbol,
            () if symbol in self.without_bids else bids,
            (BookLevel(quote.ask, Decimal(1)), BookLevel(quote.ask + tick, Decimal(2))),
            quote.event_time_ms,
        )

    async def candles(
        self, symbol: str, timeframe: Timeframe, limit: int, since: datetime | None = None
    ) -> Sequence[Candle]:
        """The past that the test wrote down."""
        await self._reach()
        return self.past[-limit:]


class AgentWorld:
    """Starts, kills and restarts the agent on one store and one exchange."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.exchange = StreamingExchange(self.time)
        self.store = MemoryStore(self.time)
        self.published: list[Event] = []
        self.limits = RiskLimits(order_notional_max=Decimal(100_000))
        self.claim_account: Callable[[str], None] = lambda _: None
        self._causes = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.kill()

    async def start(self) -> None:
        """Recover and run."""
        bus = Bus()
        bus.subscribe(self.published.append)
        self.agent = TradingAgent(
            Ports(
                self.exchange,
                self.store.journal,
                self.store.records,
                self.time,
                bus,
                self.time.sleep,
                claim_account=self.claim_account,
            ),
            Identity("install-1", "ux"),
            AgentSettings(
                mode="live",
                exchange="fake",
                currency="USDT",
                version="0",
                limits=self.limits,
                decisions=DecisionSettings(installation="install-1"),
            ),
        )
        work = dict.fromkeys(("summaries", "heartbeat", "candle_sweep", "score_scan"), _nothing)
        schedule = Schedule({**self.agent.jobs(), **work}, self.time, self._remember)
        vitals = Vitals(1.0, 2.0, False, 3, 4.0, {"market": 5.0})
        self.desk = Reception(self.agent, schedule, lambda: vitals)
        agent = self.agent
        self._tasks = [
            asyncio.create_task(work())
            for work in (
                agent.market.run,
                agent.trackers.run,
                agent.run_account_stream,
                agent.run_follow_ups,
            )
        ]
        await self.time.finish(agent.recover())
        await self.time.settle()

    @property
    def following_up(self) -> asyncio.Task[None]:
        """Whoever does what follows from facts: its end ends the process."""
        return self._tasks[-1]

    def stop_following_up(self) -> None:
        """Let nothing more be done that follows from facts, as right before a death."""
        self.following_up.cancel()

    async def stop_watching(self) -> None:
        """Let nobody watch trackers, so that a test can in a way of its own."""
        self._tasks[1].cancel()
        await self.time.settle()

    async def kill(self) -> None:
        """End every task as a power cut would, without another write."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks = []

    async def do(self, command: Command, cause: str | None = None) -> Outcome:
        """Propose and execute a command, under a cause of its own."""
        self._causes += 1
        proposal = await self.time.finish(self.desk.propose(command, OWNER))
        outcome = await self.time.finish(
            self.desk.execute(
                proposal.command, OWNER, cause or f"cause-{self._causes}", proposal.reference_price
            )
        )
        await self.time.settle()
        return outcome

    async def protect(self, stop: str = "58000", amount: Amount | None = None) -> Outcome:
        """Arm a protective stop on Bitcoin."""
        return await self.do(ArmTracker(stop_spec(stop, amount)))

    async def move(self, price: str, symbol: str = "BTC/USDT") -> None:
        """Move the market and let the agent react; a far price needs a second print."""
        self.exchange.move(symbol, price)
        await self.time.settle()
        self.exchange.move(symbol, price)
        await self.time.settle()

    async def until_sold(self, quantity: str) -> None:
        """Let time pass until so many coins have left, and everything that follows is written."""
        await self.time.until(lambda: self.exchange.filled() == Decimal(quantity), 60)
        await self.time.until(lambda: not self.agent.execution.intents, 60)
        await self.time.settle()

    async def _remember(self, event: Event) -> None:
        await self.store.journal.append(event)


def stop_spec(stop: str = "58000", amount: Amount | None = None) -> TrackerSpec:
    """A protective stop on Bitcoin, on everything by default."""
    return TrackerSpec(
        TrackerKind.STOP, "BTC/USDT", amount or Amount(AmountKind.ALL), level=Decimal(stop)
    )


async def _nothing() -> None:
    return None
