"""V8: from the crossing price on the wire to the order at the exchange, durable write included.

`python -m benchmarks.bench_stop_latency [stops] [ticks_per_s] [trackers]`: the agent is a process
of its own; the exchange runs in this one, and its door, which notes the arrival of an order, in a
third: all of them read the machine's one monotonic clock. Every stop must have led to exactly one
order, which filled.
"""

import asyncio
import gc
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import aiohttp
from aiohttp import WSMsgType, web

from benchmarks import armed
from benchmarks.processes import Processes, end, until
from benchmarks.table import NotDone, Row, at_most, quantile, table
from bot.clock import now_ms
from trading.domain.order import OrderStatus
from trading.sim.binance.filters import number
from trading.sim.binance.limits import LimitSettings
from trading.sim.binance.outlet import Outlet
from trading.sim.binance.server import SimSettings, build_app, build_service
from trading.sim.binance.service import Service
from trading.sim.binance.stream import Subscriber

STOPS = 200
TICKS_PER_S = 5_000
TRACKERS = 10_000
MARKETS = 500
P50_MS_MAX = 3.0
P99_MS_MAX = 10.0
LOADED_RATIO_MAX = 3.0
_SEED = 7
# The exchange allows 50 orders in ten seconds, and the agent keeps to that.
_BETWEEN_STOPS_S = 0.21
WARM_UP_S = 3.0
# A start of so many symbols judges what it missed with the requests of two minutes; a stop that it
# has not judged yet asks the exchange first (docs/decisions/0094).
_START_S = 65.0
_BETWEEN_CHARTS_S = 1.0
_TURN_S = 0.002
_BEAT_S = 0.1
_UNLIMITED = LimitSettings(10**9, 10**9, 10**9)
_DROP = Decimal("0.985")
_NOBODY = "NOBODY"
_PAGE = 4096


class StampingSocket:
    """A market socket that notes when a frame with the awaited price leaves."""

    def __init__(self, socket: web.WebSocketResponse, stamps: "Stamps") -> None:
        self._socket = socket
        self._stamps = stamps
        self.frames = 0

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        return self._socket.closed

    async def send_frame(self, frame: bytes, kind: WSMsgType) -> None:
        """Note the time, and write."""
        self.frames += 1
        awaited = self._stamps.awaited
        if awaited is not None and awaited[1] in frame and awaited[2] in frame:
            self._stamps.written_s.setdefault(awaited[0], time.monotonic())
        await self._socket.send_frame(frame, kind)


@dataclass
class Stamps:
    """When each crossing price was written, and when orders of its symbol arrived."""

    awaited: tuple[str, bytes, bytes] | None = None
    written_s: dict[str, float] = field(default_factory=dict)
    arrived_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def latency_ms(self, name: str) -> float:
        """Return what one stop took; raises NotDone unless it made exactly one order."""
        arrived = self.arrived_s[name]
        if len(arrived) != 1:
            raise NotDone(f"the stop of {name} should have led to one order, was {len(arrived)}")
        return (arrived[0] - self.written_s[name]) * 1000


class Exchange:
    """The simulated exchange in this process, and a market that never rests."""

    def __init__(self, made: armed.Plan, processes: Processes) -> None:
        self._processes = processes
        self.settings = SimSettings(
            port=0,
            seed=_SEED,
            still=True,
            markets=MARKETS,
            balances=made.balances,
            api_key=processes.key,
            secret=processes.secret,
            limits=_UNLIMITED,
        )
        self.service: Service = build_service(self.settings, now_ms)
        self.stamps = Stamps()
        self.ticks = 0
        self._chance = random.Random(_SEED)
        self._names = [one.symbol for one in made.instruments]
        self._socket: StampingSocket | None = None
        self._around: dict[str, tuple[Decimal, list[tuple[str, str, str]]]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve, behind a door, until the context ends; the processes learn both addresses."""
        app = build_app(self.service)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, self.settings.host, self.settings.port).start()
        beat = asyncio.create_task(self._beat())
        try:
            _, port = runner.addresses[0]
            self._processes.exchange = f"http://127.0.0.1:{port}"
            async with self._door(port):
                yield
        finally:
            beat.cancel()
            with suppress(asyncio.CancelledError):
                await beat
            await runner.cleanup()

    @asynccontextmanager
    async def _door(self, port: int) -> AsyncIterator[None]:
        door = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.door", str(port)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert door.stdout is not None
        announced = await door.stdout.readline()
        self._processes.door = f"http://127.0.0.1:{int(announced)}"
        noting = asyncio.create_task(self._note_orders(door))
        try:
            yield
        finally:
            await end(door)
            await noting

    async def _beat(self) -> None:
        # The market's own ticks come as one burst of all symbols each second; here they are even.
        began_s = time.monotonic()
        while True:
            at_ms = now_ms()
            self.service.venue.world.advance(at_ms, (time.monotonic() - began_s) * 1000)
            self.service.user_stream.flush(at_ms)
            await asyncio.sleep(_BEAT_S)

    async def watched(self) -> None:
        """Wait until the agent follows all markets; its frames are stamped from then on."""

        async def is_watched() -> bool:
            return any(len(one.streams) >= 2 * len(self._names) for one in self._subscribers())

        await until(is_watched, "the agent should follow every market", 120)
        self._outlet()

    async def bound(self, file: Path, times: int) -> list[float]:
        """Return what a durable write and a request take without an agent, in ms each."""
        arrived = self.stamps.arrived_s[_NOBODY]
        url = f"{self._processes.door}/api/v3/order"
        began_s: list[float] = []

        async def has_arrived() -> bool:
            return len(arrived) >= len(began_s)

        with file.open("wb", buffering=0) as disk:
            async with aiohttp.ClientSession() as session:
                for _ in range(times + 1):
                    began_s.append(time.monotonic())
                    disk.write(bytes(_PAGE))
                    os.fdatasync(disk.fileno())
                    async with session.post(url, data={"symbol": _NOBODY}) as refused:
                        await refused.read()
                    await until(has_arrived, "no request arrived")
        # The first one had to connect.
        return [(at - since) * 1000 for at, since in zip(arrived, began_s, strict=True)][1:]

    async def tick(self, per_s: int) -> None:
        """Print trades and books all over the market until cancelled."""
        began_s = time.monotonic()
        sent = 0
        while True:
            due = int((time.monotonic() - began_s) * per_s) - sent
            outlet = self._outlet()
            for _ in range(min(due, per_s // 10)):
                outlet.send(self._frame())
            # What could not be sent in time is not made up for: it would come as a burst.
            sent += due
            self.ticks += min(due, per_s // 10)
            await asyncio.sleep(_TURN_S)

    async def shoot(self, name: str) -> None:
        """Move one market below its stop, and wait for the order."""
        market = self.service.venue.world.markets[name]
        price = market.instrument.price_down(market.price * _DROP)
        symbol = market.instrument.exchange_symbol
        marker = (f'"s":"{symbol}"'.encode(), f'"p":"{number(price)}"'.encode())
        self.stamps.awaited = (symbol, *marker)
        self.service.venue.world.set_price(name, price, now_ms())

        async def has_arrived() -> bool:
            return bool(self.stamps.arrived_s[symbol])

        await until(has_arrived, f"no order of {name} arrived", 20)

    def symbols(self, first: int, count: int) -> list[str]:
        """Return the names of some markets."""
        return self._names[first : first + count]

    def filled(self) -> dict[str, list[OrderStatus]]:
        """Return the state of every order by exchange symbol."""
        found: dict[str, list[OrderStatus]] = defaultdict(list)
        for order in self.service.venue.world.exchange.orders():
            found[order.ticket.symbol].append(order.status)
        return found

    def _outlet(self) -> Outlet:
        # A new connection takes the place of an old one: the busiest is the living one.
        outlet = max(self._subscribers(), key=lambda one: len(one.streams)).outlet
        if outlet.socket is not self._socket:
            self._socket = StampingSocket(outlet.socket, self.stamps)
            outlet.socket = self._socket  # type: ignore[assignment]
        return outlet

    def _subscribers(self) -> list[Subscriber]:
        # Candles come over connections of their own, with as many streams.
        quotes = f"{self._names[0].replace('/', '').lower()}@bookTicker"
        subscribers = self.service.market_streams.subscribers
        return [one for one in subscribers if quotes in one.streams]

    def _frame(self) -> bytes:
        market = self.service.venue.world.markets[self._chance.choice(self._names)]
        bid, price, ask = self._chance.choice(self._prices_around(market.symbol, market.price))
        symbol, at_ms = market.instrument.exchange_symbol, now_ms()
        if self._chance.random() < 0.5:
            market.update_id += 1
            return (
                f'{{"u":{market.update_id},"s":"{symbol}","b":"{bid}",'
                f'"B":"31.21000000","a":"{ask}","A":"40.66000000"}}'
            ).encode()
        trade_id = self.service.venue.world.exchange.books[market.symbol].take_trade_id()
        return (
            f'{{"e":"trade","E":{at_ms},"s":"{symbol}","t":{trade_id},"p":"{price}",'
            f'"q":"1.50000000","T":{at_ms},"m":false,"M":true}}'
        ).encode()

    def _prices_around(self, name: str, price: Decimal) -> list[tuple[str, str, str]]:
        # Written once: the agent's machine is not to be busy with what an exchange does elsewhere.
        centre, known = self._around.get(name, (None, []))
        if centre != price:
            tick = self.service.venue.world.markets[name].instrument.price_tick
            width = price / tick * Decimal("0.0005")
            prices = [price + tick * int(width * part / 10) for part in range(-10, 11)]
            known = [(number(one - tick), number(one), number(one + tick)) for one in prices]
            self._around[name] = price, known
        return known

    async def _note_orders(self, door: asyncio.subprocess.Process) -> None:
        assert door.stdout is not None
        async for line in door.stdout:
            symbol, at_s = line.decode().split()
            self.stamps.arrived_s[symbol].append(float(at_s))


@asynccontextmanager
async def load(processes: Processes, symbols: Sequence[str]) -> AsyncIterator[None]:
    """Draw charts all the time, and keep every core busy at nice 19."""
    burners = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import os; os.nice(19)\nwhile True: pass"
        )
        for _ in range(os.cpu_count() or 1)
    ]
    drawing = asyncio.create_task(_draw(processes, symbols))
    try:
        # Just started, it has used up what it may ask of the exchange within a minute.
        await until(lambda: _are_drawn(processes, 1), "no chart was drawn", 120)
        before = len(_pictures(processes))
        yield
        await until(lambda: _are_drawn(processes, before + 1), "no chart was drawn under load")
    finally:
        drawing.cancel()
        await asyncio.gather(drawing, return_exceptions=True)
        for burner in burners:
            await end(burner)


async def _draw(processes: Processes, symbols: Sequence[str]) -> None:
    for turn in range(10**6):
        await processes.say(f"/chart {symbols[turn % len(symbols)]} 1h")
        await asyncio.sleep(_BETWEEN_CHARTS_S)


async def _are_drawn(processes: Processes, count: int) -> bool:
    return len(_pictures(processes)) >= count


def _pictures(processes: Processes) -> list[Path]:
    # On disk, because the answers wait in the chat behind what the stops have to say.
    return list(processes.database.parent.rglob("*.png"))


async def measure(
    stops: int, ticks_per_s: int, trackers: int, warm_up_s: float = _START_S
) -> list[Row]:
    """Run both halves on one agent, the first so long after it watches every market."""
    made = armed.plan(trackers, MARKETS, _SEED)
    with tempfile.TemporaryDirectory() as name:
        async with Processes(Path(name)) as processes:
            await armed.write(made, processes.database)
            exchange = Exchange(made, processes)
            async with exchange.running():
                await processes.start_chat()
                await processes.start("run")
                await processes.until_said(lambda said: "SIMULATED" in said["text"])
                await exchange.watched()
                # The agent is measured, not the collector of the exchange beside it.
                gc.collect()
                gc.disable()
                try:
                    return await _both(exchange, processes, stops, ticks_per_s, warm_up_s)
                except NotDone as error:
                    raise NotDone(f"{error}\n{processes.log()}") from error


async def _both(
    exchange: Exchange, processes: Processes, stops: int, ticks_per_s: int, warm_up_s: float
) -> list[Row]:
    bound = await exchange.bound(processes.folder / "bound", stops)
    ticking = asyncio.create_task(exchange.tick(ticks_per_s))
    try:
        await asyncio.sleep(warm_up_s)
        began_s, before = time.monotonic(), exchange.ticks
        idle = await shoot_all(exchange, exchange.symbols(0, stops))
        rate = (exchange.ticks - before) / (time.monotonic() - began_s)
        async with load(processes, exchange.symbols(2 * stops, 8)):
            await asyncio.sleep(WARM_UP_S)
            loaded = await shoot_all(exchange, exchange.symbols(stops, stops))
    finally:
        ticking.cancel()
        # Its own failure is told first: without ticks nothing else makes sense.
        with suppress(asyncio.CancelledError):
            await ticking
    await check(exchange, exchange.symbols(0, 2 * stops))
    if rate < 0.9 * ticks_per_s:
        raise NotDone(f"the market should make {ticks_per_s} ticks per second, made {rate:.0f}")
    return _rows(bound, idle, loaded, rate)


async def shoot_all(exchange: Exchange, names: Sequence[str]) -> list[float]:
    """Fire the stops of these markets one after another; return what each took in ms."""
    for name in names:
        await exchange.shoot(name)
        await asyncio.sleep(_BETWEEN_STOPS_S)
    return [exchange.stamps.latency_ms(name.replace("/", "")) for name in names]


async def check(exchange: Exchange, names: Sequence[str]) -> None:
    """Raise NotDone unless each of these markets has one order, which filled."""

    async def are_filled() -> bool:
        found = exchange.filled()
        return all(found[name] == [OrderStatus.FILLED] for name in names)

    await until(are_filled, "every stop should end in exactly one filled order", 20)


def _rows(
    bound: Sequence[float], idle: Sequence[float], loaded: Sequence[float], rate: float
) -> list[Row]:
    what = f"stop, {len(idle)} of them at {rate:.0f} ticks/s"
    p50, p99 = quantile(idle, 0.5), quantile(idle, 0.99)
    least = quantile(bound, 0.5)
    ratio = quantile(loaded, 0.99) / p99
    return [
        at_most("V8a", f"{what}, p50", p50, P50_MS_MAX, "ms"),
        at_most("V8b", f"{what}, p99", p99, P99_MS_MAX, "ms"),
        Row("V8c", "the same with charts and nice 19 work, p50", f"{quantile(loaded, 0.5):.2f} ms"),
        at_most("V8d", "the same, its p99 against V8b", ratio, LOADED_RATIO_MAX, "x"),
        Row("V8g", "one durable write and one request on this machine, p50", f"{least:.2f} ms"),
        Row("V8h", "V8a against V8g", f"{p50 / least:.1f} x"),
    ]


def rows(is_quick: bool = False) -> list[Row]:
    """Measure at full or at smoke-test scale."""
    if is_quick:
        return asyncio.run(measure(5, 500, 1_000, WARM_UP_S))
    return asyncio.run(measure(STOPS, TICKS_PER_S, TRACKERS))


if __name__ == "__main__":
    asked = [int(argument) for argument in sys.argv[1:]]
    made = asyncio.run(measure(*(asked + [STOPS, TICKS_PER_S, TRACKERS][len(asked) :])))
    print(table(made))
    sys.exit(0 if all(row.is_met for row in made) else 1)
