"""V8 while the scanner works: a scan never delays a stop; and the memory of whole agents.

`python -m benchmarks.bench_stop_scanning [stops] [symbols]`: the agent of V8 watches symbols over
five timeframes, too, each with 2,000 candles in the archive and told anew every two seconds. Stops
are measured at rest, then while it is asked for a scan of everything again and again. The memory of
live candles is that of an agent of its own, with few trackers; with 0 stops only that is measured.
"""

import asyncio
import gc
import itertools
import json
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import armed, bench_archive
from benchmarks.bench_stop_latency import (
    LOADED_RATIO_MAX,
    P99_MS_MAX,
    TICKS_PER_S,
    TRACKERS,
    WARM_UP_S,
    Exchange,
    check,
    shoot_all,
)
from benchmarks.processes import OWNER_ID, Processes, resident_mb, until
from benchmarks.table import NotDone, Row, at_most, quantile, table
from bot.clock import now_ms
from trading.candles.series import PRICES, Candles, SeriesName
from trading.domain.chat import Person, Role
from trading.domain.events import PersonChanged
from trading.domain.time import Timeframe, candle_open_ms
from trading.domain.watching import Interest, Wishes
from trading.sim.candles import CandleStore, HistoryOf
from trading.sim.history import Rows
from trading.sim.world import Market

# Every minute 200 candles close and are written, beside the stops.
TIMEFRAMES = tuple(map(Timeframe, ("1m", "5m", "15m", "1h", "4h")))
CANDLES = 2_000
STOPS = 30
SYMBOLS = 200
MEMORY_MB_MAX = 350.0
# One for each market, so that all of them are followed.
FEW_TRACKERS = 300
FEW_TICKS_PER_S = 500
# Enough for the stops and the symbols.
MARKETS = 270
_SEED = 7
# As the archive of an agent names what it reads from an exchange on this machine.
_ARCHIVED_AS = "binancesimulated"
# 1,000 series are asked for their newest candles at ten requests a second, after a minute in which
# a start reads orders and trades of the account.
_WARM_S_MAX = 600.0
_BETWEEN_LOOKS_S = 5.0
# How often the exchange tells a running candle that has changed.
_BETWEEN_CANDLES_S = 2.0
# The same text is taken once a second.
_BETWEEN_SCANS_S = 1.0
# When the scan that was asked for is at work.
_AFTER_ASKING_S = (0.0, 0.15)
_ANSWERS_S_MAX = 60.0
# Until what was needed to read the pasts has been given back, or is used for something else.
_SETTLED_S = 30.0


@dataclass(frozen=True, slots=True)
class _Warm:
    """An agent whose scanner has read every past, and what it talks to."""

    exchange: Exchange
    processes: Processes
    pid: int


async def measure(stops: int, ticks_per_s: int, trackers: int, symbols: int) -> list[Row]:
    """Measure the stops of an agent with and without scans, and what it takes of memory."""
    if len(armed.plan(0, MARKETS, _SEED).instruments) < 2 * stops + symbols:
        raise NotDone(f"{stops} stops, twice, and {symbols} symbols are more than the markets")
    async with _warm_agent(trackers, ticks_per_s, symbols) as warm:
        try:
            idle, scanned, scans = await _both(warm.exchange, warm.processes, stops, ticks_per_s)
        except NotDone as error:
            raise NotDone(f"{error}\n{warm.processes.log()}") from error
        resident = resident_mb(warm.pid)
    live = _live(symbols)
    return [
        *_rows(idle, scanned, scans, live),
        Row("V9", f"memory of that whole agent, {live}, {trackers} trackers", f"{resident:.0f} MB"),
    ]


async def measure_memory(ticks_per_s: int, trackers: int, symbols: int) -> list[Row]:
    """Measure what an agent with few trackers takes of memory with all its series live."""
    async with _warm_agent(trackers, ticks_per_s, symbols) as warm:
        await asyncio.sleep(_SETTLED_S)
        resident = resident_mb(warm.pid)
    what = f"memory of a whole agent, {_live(symbols)}, {trackers} trackers"
    return [at_most("V9", what, resident, MEMORY_MB_MAX, "MB")]


@asynccontextmanager
async def _warm_agent(trackers: int, ticks_per_s: int, symbols: int) -> AsyncIterator[_Warm]:
    made = armed.plan(trackers, MARKETS, _SEED)
    watched = [one.symbol for one in made.instruments[-symbols:]]
    with tempfile.TemporaryDirectory() as name:
        async with Processes(Path(name)) as processes:
            await armed.write(made, processes.database, _watching(watched))
            exchange = Exchange(made, processes)
            lay_out_pasts(exchange, processes.database.parent / "archive", watched)
            async with exchange.running(), _everything_moving(exchange, ticks_per_s, watched):
                await processes.start_chat()
                agent = await processes.start("run")
                await processes.until_said(lambda said: "SIMULATED" in said["text"])
                await _warm(processes, watched)
                yield _Warm(exchange, processes, agent.pid)


def _watching(symbols: Sequence[str]) -> PersonChanged:
    wishes = Wishes(tuple(Interest(one, TIMEFRAMES) for one in symbols))
    owner = Person(OWNER_ID, OWNER_ID, "owner", Role.OWNER, wishes=wishes)
    return PersonChanged(owner, "watches all of these", datetime.now(UTC))


# ------------------------------------------------------------ what there is to scan


def lay_out_pasts(exchange: Exchange, archive: Path, symbols: Sequence[str]) -> None:
    """Write the past of each symbol into an archive; the exchange keeps the newest of it."""
    for number, symbol in enumerate(symbols):
        market = exchange.service.venue.world.markets[symbol]
        pasts = {
            one: _past(number * len(TIMEFRAMES) + place, one, market)
            for place, one in enumerate(TIMEFRAMES)
        }
        for timeframe, past in pasts.items():
            name = SeriesName(_ARCHIVED_AS, symbol, timeframe.name)
            bench_archive.write(archive, name, past)
        newest = {one: _rows_of(past.take(slice(-3, None))) for one, past in pasts.items()}
        market.candles = CandleStore(_answer(newest), now_ms(), float(market.price))


def _answer(newest: Mapping[Timeframe, Rows]) -> HistoryOf:
    return lambda timeframe, _end_ms, _price: newest[timeframe]


def _past(seed: int, timeframe: Timeframe, market: Market) -> Candles:
    """Closed candles that end at the price of now."""
    length_ms = timeframe.length_ms
    first_ms = candle_open_ms(now_ms(), length_ms) - CANDLES * length_ms
    walk = bench_archive.walk(seed, first_ms, CANDLES, length_ms)
    factor = float(market.price) / walk.close[-1]
    # Written by the exchange with so many places, and compared with what the archive holds.
    return replace(walk, **{one: (getattr(walk, one) * factor).round(8) for one in PRICES})


def _rows_of(past: Candles) -> Rows:
    return Rows(past.open_time_ms, past.open, past.high, past.low, past.close, past.volume)


async def _tell_candles(exchange: Exchange, symbols: Sequence[str]) -> None:
    for symbol in itertools.cycle(symbols):
        exchange.service.push(exchange.service.venue.world.markets[symbol], now_ms())
        await asyncio.sleep(_BETWEEN_CANDLES_S / len(symbols))


@asynccontextmanager
async def _everything_moving(
    exchange: Exchange, ticks_per_s: int, symbols: Sequence[str]
) -> AsyncIterator[None]:
    async def tick() -> None:
        await exchange.watched()
        await exchange.tick(ticks_per_s)

    moving = [
        asyncio.create_task(tick()),
        asyncio.create_task(_tell_candles(exchange, symbols)),
    ]
    try:
        yield
    finally:
        for one in moving:
            one.cancel()
        for ended in await asyncio.gather(*moving, return_exceptions=True):
            # Told first: without prices and candles nothing else makes sense.
            if isinstance(ended, Exception):
                raise NotDone("the market came to rest") from ended


# ------------------------------------------------------------ warm, and measured


async def _warm(processes: Processes, symbols: Sequence[str]) -> None:
    async def are_ranked() -> bool:
        await asyncio.sleep(_BETWEEN_LOOKS_S)
        return len(await _ranked(processes)) == len(symbols)

    await until(are_ranked, "every symbol should be ranked over its whole past", _WARM_S_MAX)


async def _ranked(processes: Processes) -> list[str]:
    """Return the symbols that are scored over all candles of all their timeframes."""
    asked = await processes.say("/post json")
    await processes.until_said(_is_answer, after=asked)
    files = sorted((processes.database.parent / "exports").glob("scores-*.json"))
    scores = json.loads(files[-1].read_text()) if files else []
    return [
        one["symbol"]
        for one in scores
        if [each["timeframe"] for each in one["timeframes"]] == [each.name for each in TIMEFRAMES]
        # One may have closed while the past of its symbol was laid out, and is a hole for good.
        and all(each["candles"] >= CANDLES - 1 for each in one["timeframes"])
    ]


def _is_answer(said: dict[str, object]) -> bool:
    return any(words in str(said["text"]) for words in ("as JSON", "othing is scored yet"))


async def _both(
    exchange: Exchange, processes: Processes, stops: int, ticks_per_s: int
) -> tuple[list[float], list[float], int]:
    gc.collect()
    gc.disable()
    try:
        await asyncio.sleep(WARM_UP_S)
        began_s, before = time.monotonic(), exchange.ticks
        idle = await shoot_all(exchange, exchange.symbols(0, stops))
        scanned, scans = await _shoot_beside_scans(
            exchange, processes, exchange.symbols(stops, stops)
        )
        rate = (exchange.ticks - before) / (time.monotonic() - began_s)
    finally:
        gc.enable()
    await check(exchange, exchange.symbols(0, 2 * stops))
    if rate < 0.9 * ticks_per_s:
        raise NotDone(f"the market should make {ticks_per_s} ticks per second, made {rate:.0f}")
    return idle, scanned, scans


async def _shoot_beside_scans(
    exchange: Exchange, processes: Processes, names: Sequence[str]
) -> tuple[list[float], int]:
    """Ask for a scan of everything before each stop; return milliseconds, and scans answered."""
    chance = random.Random(_SEED)
    scanned: list[float] = []
    first = await processes.say("/scan")
    await processes.until_said(_is_scan, after=first)
    for name in names:
        await asyncio.sleep(_BETWEEN_SCANS_S)
        await processes.say("/scan")
        await asyncio.sleep(chance.uniform(*_AFTER_ASKING_S))
        scanned += await shoot_all(exchange, [name])

    async def are_answered() -> bool:
        # The chat takes a message a second, and the stops speak, too.
        return 2 * len(await _answers(processes, first)) >= len(names)

    await until(are_answered, "scans should be answered all the time", _ANSWERS_S_MAX)
    return scanned, len(names)


async def _answers(processes: Processes, after: int) -> list[dict[str, object]]:
    return [one for one in await processes.messages(after) if _is_scan(one)]


def _is_scan(said: dict[str, object]) -> bool:
    return str(said["text"]).startswith("🔎")


def _live(symbols: int) -> str:
    return f"{symbols * len(TIMEFRAMES)} series live"


def _rows(idle: Sequence[float], scanned: Sequence[float], scans: int, live: str) -> list[Row]:
    p99 = quantile(scanned, 0.99)
    return [
        Row("V8e", f"stop, {live}, no scan, p50", f"{quantile(idle, 0.5):.2f} ms"),
        Row("V8e", "the same, p99", f"{quantile(idle, 0.99):.2f} ms"),
        Row(
            "V8f",
            f"stop during one of {scans} scans of all, p50",
            f"{quantile(scanned, 0.5):.2f} ms",
        ),
        at_most("V8f", "the same, p99", p99, P99_MS_MAX, "ms"),
        at_most("V8f", "the same, against V8e", p99 / quantile(idle, 0.99), LOADED_RATIO_MAX, "x"),
    ]


def rows(is_quick: bool = False) -> list[Row]:
    """Measure at full or at smoke-test scale."""
    if is_quick:
        return asyncio.run(measure(4, 500, 1_000, 12))
    return [
        *asyncio.run(measure(STOPS, TICKS_PER_S, TRACKERS, SYMBOLS)),
        *asyncio.run(measure_memory(FEW_TICKS_PER_S, FEW_TRACKERS, SYMBOLS)),
    ]


if __name__ == "__main__":
    asked = [int(argument) for argument in sys.argv[1:]]
    stops, symbols = asked + [STOPS, SYMBOLS][len(asked) :]
    made = asyncio.run(measure_memory(FEW_TICKS_PER_S, FEW_TRACKERS, symbols))
    if stops:
        made += asyncio.run(measure(stops, TICKS_PER_S, TRACKERS, symbols))
    print(table(made))
    sys.exit(0 if all(row.is_met for row in made) else 1)
