"""A standing engine between a real gateway and a real database, for tests over real sockets."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from pathlib import Path

from storage import snapshots
from storage.store import Store, open_store
from tests.contract.gateway.worlds import BTC, MachineClock, control, settings_of, shown
from trading.domain.events import Event, IntentClosed
from trading.domain.instrument import Instrument
from trading.domain.market import Quote
from trading.domain.order import Intent, Purpose, Side
from trading.domain.position import Position
from trading.execution.engine import ExecutionEngine
from trading.execution.settings import AbsenceSettings, ExecutionSettings
from trading.gateway import GatewaySettings, create_gateway
from trading.portfolio import PortfolioBook
from trading.ports.exchange import ExchangeGateway
from trading.risk.gate import Approved
from trading.sim.binance.server import RunningSim

# The proof's times, shortened to what loopback needs.
QUICK = ExecutionSettings(
    absence=AbsenceSettings(
        recv_window_ms=1000,
        exit_recv_window_ms=1000,
        engine_wait_s=0.2,
        margin_s=0.1,
        first_queries_s=(0.05, 0.1, 0.2),
        query_every_s=0.3,
        not_found_apart_s=0.3,
    )
)


HALF = Decimal("0.5")


class Floor:
    """The engine with a real gateway, a real store, and positions that follow its facts."""

    def __init__(self, sim: RunningSim, gateway: ExchangeGateway, store: Store) -> None:
        self.sim = sim
        self.gateway = gateway
        self.store = store
        self.clock = MachineClock()
        self.book = PortfolioBook("USDT")
        self.book.load({})
        self.events: list[Event] = []
        self.quotes: dict[str, Quote] = {}
        self.missing: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.rules: dict[str, Instrument] = {}
        self.engine = ExecutionEngine(
            gateway,
            store.journal,
            self.clock,
            instruments=self.rules,
            settings=QUICK,
            quote_of=self.quotes.get,
            portfolio_of=self.book.snapshot,
            closing=lambda intent, fills, unowned: (),
            publish=self._publish,
            order_prefix="ux",
            on_missing=self.missing.append,
        )

    def _publish(self, *events: Event) -> None:
        self.events += events
        for event in events:
            self.book.apply(event)

    async def start(self) -> None:
        self.rules.update(await self.gateway.instruments())
        state = await self.store.records.state()
        self.book.load(state.positions)
        self.book.set_balances(await self.gateway.balances(), 0.0)
        self.quotes[BTC] = await self.gateway.quote(BTC)
        await self.engine.recover(state)
        self.engine.go_on()
        self.tasks = [
            asyncio.create_task(
                self.gateway.stream_account(self.engine.on_report, self.book.set_balance)
            ),
            asyncio.create_task(
                self.gateway.stream_market(frozenset({BTC}), _nobody, self._take_quote)
            ),
        ]
        await until(lambda: self.quotes[BTC].source.value == "stream")

    def _take_quote(self, quote: Quote) -> None:
        self.quotes[quote.symbol] = quote

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.engine.stop()

    async def sell(self, quantity: str = "0.5", intent_id: str = "tracker:1:1") -> Intent:
        intent = Intent(
            intent_id,
            BTC,
            Side.SELL,
            Purpose.PROTECT,
            self.quotes[BTC].bid,
            self.clock.now(),
            quantity=Decimal(quantity),
        )
        await self.engine.open(Approved(intent))
        return await self.closed(intent_id)

    async def closed(self, intent_id: str) -> Intent:
        await until(lambda: self.final(intent_id) is not None, 30)
        final = self.final(intent_id)
        assert final is not None
        return final

    def final(self, intent_id: str) -> Intent | None:
        closed = [one.intent for one in self.events if isinstance(one, IntentClosed)]
        return next((one for one in closed if one.intent_id == intent_id), None)

    async def orders(self) -> list[dict[str, str]]:
        listed = await shown(self.sim, "orders")
        assert isinstance(listed, list)
        return listed

    async def fault(self, kind: str, times: int = 1, **args: object) -> None:
        await control(self.sim, "fault", {"kind": kind, "times": times, "args": args})

    async def fired(self) -> int:
        listed = await shown(self.sim, "faults")
        assert isinstance(listed, list)
        return int(listed[-1]["fired"])


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"the condition should hold within {seconds} s"
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def standing(
    folder: Path, sim: RunningSim, settings: GatewaySettings | None = None
) -> AsyncIterator[Floor]:
    """An engine that manages half a coin at an exchange, perhaps over another line than its own."""
    clock = MachineClock()
    store = await open_store(f"sqlite+aiosqlite:///{folder}/umbra.sqlite", clock, data_dir=folder)
    gateway = create_gateway(settings or settings_of(sim), clock)
    await gateway.connect()
    found = Floor(sim, gateway, store)
    await found.start()
    found.book.load({BTC: Position(BTC, HALF, HALF * 50_000)})
    yield found
    await found.stop()
    await gateway.close()
    await store.close()


async def check_once(floor: Floor, orders_max: int = 1) -> None:
    """Half a coin was sold by so few orders; position and journal say the same as the exchange."""
    orders = await floor.orders()
    assert len(orders) <= orders_max
    assert executed(orders) == HALF
    assert floor.book.snapshot().managed(BTC) == 0
    fills = await floor.store.records.fills()
    assert sum(fill.quantity for fill in fills) == HALF
    assert await floor.store._database.read(snapshots.check)


def executed(orders: Sequence[dict[str, str]]) -> Decimal:
    """Base units that orders have traded together."""
    return sum((Decimal(one["executedQty"]) for one in orders), Decimal(0))


def _nobody(_: object) -> None:
    """A callback that needs nothing."""
