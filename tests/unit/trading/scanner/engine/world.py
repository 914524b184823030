"""A running scanner over an exchange, an archive and a score store with memory, in virtual time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tests.fakes.candle_market import CandleMarket, CandleMemory
from tests.fakes.clock import FakeClock
from tests.fakes.virtual_time import VirtualTime
from trading.domain.market import Candle
from trading.domain.time import Timeframe
from trading.domain.watching import Interest
from trading.market.settings import CandleSettings
from trading.ports.history import RecordedScore, ScoreColumns
from trading.scanner.desk import ScoreReport
from trading.scanner.engine import ScannerEngine, ScannerPorts, ScannerSettings, ToldPast
from trading.scanner.history import RankHistory
from trading.scanner.scores import RankScore

ADA, SOL = "ADA/USDT", "SOL/USDT"
MINUTE, QUARTER, HOUR = Timeframe("1m"), Timeframe("15m"), Timeframe("1h")
KEPT = 60


class ScoreMemory:
    """A store of scores that can lose its disk."""

    def __init__(self) -> None:
        self.held: list[RecordedScore] = []
        self.forgotten_ms: list[int] = []
        self.is_broken = False

    async def append(self, scores: Sequence[RecordedScore]) -> None:
        if self.is_broken:
            raise OSError("no space left on device")
        self.held += scores

    async def since(
        self, symbol: str, since_ms: int, timeframes: Sequence[Timeframe] = ()
    ) -> ScoreColumns:
        found = [one for one in self.held if one.symbol == symbol and one.at_ms >= since_ms]
        columns = [
            np.array([getattr(one, name) for one in found], np.float64)
            for name in ("price", "bull", "bear", "change")
        ]
        points = np.full((len(found), len(timeframes), 3), -1, np.int8)
        for row, score in enumerate(found):
            for one in score.points:
                if one.timeframe in timeframes:
                    place = timeframes.index(one.timeframe)
                    points[row, place] = (one.bull, one.bear, one.change)
        at_ms = np.array([one.at_ms for one in found], np.int64)
        is_split = np.array([bool(one.points) for one in found], np.bool_)
        return ScoreColumns(at_ms, *columns, points, is_split)

    async def forget(self, before_ms: int) -> int:
        self.forgotten_ms.append(before_ms)
        return 0


class FallingMarket(CandleMarket):
    """A market whose symbols can fall to a part of their price from a moment on."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.fallen: dict[str, tuple[int, float]] = {}

    def price(self, symbol: str, at_ms: int) -> float:
        since_ms, factor = self.fallen.get(symbol, (at_ms + 1, 1.0))
        return super().price(symbol, at_ms) * (factor if at_ms >= since_ms else 1.0)

    def running(self, symbol: str, timeframe: Timeframe) -> Candle:
        candle, price = super().running(symbol, timeframe), self.price(symbol, self.now_ms())
        low, high = min(candle.low, price), max(candle.high, price)
        return replace(candle, low=low, high=high, close=price)


@dataclass
class Replays:
    """Answers with the reports that a test has laid out, by symbol; None is too short."""

    archive: dict[str, ScoreReport] = field(default_factory=dict)
    told: dict[str, ScoreReport] = field(default_factory=dict)
    asked: list[tuple[str, ToldPast | None]] = field(default_factory=list)

    async def replay(
        self, symbol: str, timeframes: tuple[Timeframe, ...], told: ToldPast | None = None
    ) -> ScoreReport | None:
        self.asked.append((symbol, told))
        return (self.archive if told is None else self.told).get(symbol)


@dataclass
class World:
    """Everything around one scanner."""

    time: VirtualTime
    market: FallingMarket
    memory: CandleMemory
    store: ScoreMemory
    replays: Replays
    engine: ScannerEngine
    told: list[Sequence[RankScore]]
    is_deaf: bool = False

    async def pass_by(self, seconds: float) -> None:
        """Let time pass; the exchange speaks each second, the sweep comes each five."""
        for second in range(round(seconds)):
            await self.time.pass_by(1.0)
            self.market.tell()
            if second % 5 == 0:
                await self.time.finish(self.engine.sweep())
        await self.time.settle()

    def crash(self, symbol: str, factor: float) -> None:
        """Let the price of a symbol stand at a part of itself from now on."""
        self.market.fallen[symbol] = (self.market.now_ms(), factor)

    async def scan(self) -> None:
        """Run the job as the schedule does."""
        await self.time.finish(self.engine.scan_watched())


async def inline(work: Callable[[], RankHistory]) -> RankHistory:
    """Do at once what is done off the loop elsewhere."""
    return work()


def world_of(
    settings: ScannerSettings | None = None,
    memory: CandleMemory | None = None,
    market: Callable[[FakeClock], FallingMarket] = FallingMarket,
    kept: int = KEPT,
) -> World:
    """Make a world whose scanner does not run yet."""
    time = VirtualTime()
    exchange, told = market(time), list[Sequence[RankScore]]()
    memory, store, replays = memory or CandleMemory(), ScoreMemory(), Replays()
    # 10 % are doubted for seconds, and these tests are about scores.
    candles = CandleSettings(candles_kept=kept, jump_max=10.0)

    async def on_scores() -> None:
        if world.is_deaf:
            raise RuntimeError("nobody listens")
        # As whoever is called has to ask for them.
        told.append([one.score for one in world.engine.monitored() if one.score is not None])

    engine = ScannerEngine(
        ScannerPorts(exchange, time, store, replays, memory, time.sleep, inline),
        replace(settings or ScannerSettings(timeframes=(QUARTER, HOUR)), candles=candles),
        on_scores,
    )
    world = World(time, exchange, memory, store, replays, engine, told)
    return world


@contextlib.asynccontextmanager
async def running(
    *interests: Interest,
    settings: ScannerSettings | None = None,
    memory: CandleMemory | None = None,
    market: Callable[[FakeClock], FallingMarket] = FallingMarket,
    kept: int = KEPT,
) -> AsyncIterator[World]:
    """A scanner that runs and watches."""
    world = world_of(settings, memory, market, kept)
    world.engine.watch(interests)
    task = asyncio.ensure_future(world.engine.run())
    try:
        yield world
    finally:
        assert not task.done(), "nothing ends it but its owner"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def watching(symbol: str = ADA, *timeframes: Timeframe, threshold: int | None = 50) -> Interest:
    """What one person watches."""
    return Interest(symbol, timeframes or (QUARTER, HOUR), threshold)
